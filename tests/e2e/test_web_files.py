"""Files, pictures and voice messages of a page that is open for long: addresses of blobs stand for an hour."""

from __future__ import annotations

import re
from urllib.parse import urlparse

from browser import until
from playwright.async_api import Page, expect
from test_web_chat import PIXEL, message, row, start_with, two

# As if the page had been open for two hours.
LATER = "void (Date.now = ((now) => () => now() + 2 * 3600e3)(Date.now))"


async def refuse_once(page: Page) -> list[str]:
    """The first address of each blob is one that has had its time. Answers which were refused."""
    refused = []

    async def refuse(route):
        path = urlparse(route.request.url).path
        if path in refused:
            return await route.continue_()
        refused.append(path)
        return await route.fulfill(status=403)

    await page.route(re.compile("/im/blobs/.*sig="), refuse)
    return refused


async def test_what_could_not_be_loaded_is_asked_for_anew(server, tmp_path):
    (tmp_path / "dot.png").write_bytes(PIXEL)
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await ana.locator('input[type="file"]').set_input_files(tmp_path / "dot.png")
        await ana.get_by_role("button", name="Record voice message").click()
        await expect(ana.get_by_role("timer")).to_have_text(re.compile("0:0[2-9]"))
        await ana.get_by_role("button", name="Send voice message").click()
        await expect(message(ana, "0:0").locator(".voice")).to_be_visible()
        refused = await refuse_once(bo)
        await row(bo, ana_name).click()
        picture = bo.get_by_role("img", name="dot.png")

        async def loaded():
            return await picture.count() == 1 and await picture.evaluate("image => image.complete && image.naturalWidth") == 1

        await until(loaded, "the picture came from a second address")
        await bo.get_by_role("button", name="Play voice message").click()
        await expect(bo.get_by_role("button", name="Pause")).to_be_visible()
        await expect(bo.locator(".wave rect.played").first).to_be_attached()
        assert len(refused) == 2


async def test_a_file_can_be_had_as_long_as_the_page_is_open(server, tmp_path):
    (tmp_path / "report.txt").write_bytes(b"figures")
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await ana.locator('input[type="file"]').set_input_files(tmp_path / "report.txt")
        await row(bo, ana_name).click()
        link = message(bo, "report.txt").get_by_role("link")
        await expect(link).to_have_attribute("href", re.compile("sig="))
        before = await link.get_attribute("href")
        await bo.evaluate(LATER)
        await link.dispatch_event("pointerdown")
        await expect(link).not_to_have_attribute("href", before)
        # By this clock no address is good, and each is taken as the server gives it.
        async with bo.expect_download() as download:
            await link.click()
        assert (await (await download.value).path()).read_bytes() == b"figures"


async def test_a_file_that_the_server_has_dropped_is_brought_once_more(server):
    """As one whose message waited for more than a day: under the address that it had, nothing is there."""
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        commits = []

        async def drop_first(route):
            commits.append(route.request.url)
            if len(commits) > 1:
                return await route.continue_()
            answer = await route.fetch()
            return await route.fulfill(response=answer, json=await answer.json() | {"id": "ab" * 32})

        await ana.route(re.compile("/im/blobs/.*/commit"), drop_first)
        await ana.get_by_role("button", name="Record voice message").click()
        await expect(ana.get_by_role("timer")).to_have_text(re.compile("0:0[1-9]"))
        await ana.get_by_role("button", name="Send voice message").click()
        refused = ana.get_by_role("alert").filter(has_text="The server did not take it")
        await expect(refused).to_be_visible()
        await ana.reload()
        await expect(ana.locator(".message .voice")).to_have_count(1)
        await refused.get_by_role("button", name="Try again").click()
        await expect(refused).to_have_count(0)
        await expect(ana.locator(".message").get_by_role("img", name="Sent")).to_be_visible()
        await row(bo, ana_name).click()
        await bo.get_by_role("button", name="Play voice message").click()
        await expect(bo.get_by_role("button", name="Pause")).to_be_visible()
        assert len(commits) == 2
