"""The copy of chat in a browser: it is there before the server is, holds the newest, and is never shown with holes."""

from __future__ import annotations

import asyncio
import re

from browser import chromium, until
from im_client import Device, direct_with, pb
from playwright.async_api import Page, expect
from test_web_chat import act, enter, message, names, online, row, sign_in, start_with, texts, two, write

# As the client has them: messages that stay where nobody scrolls up; at twice as many the others go.
KEPT = 200
LONG = 450
# Whether transactions that write events are aborted, as on a full disk: at once, for the client commits when it has asked.
FULL_DISK = """(full) => {
  const { prototype } = IDBObjectStore;
  prototype.really ??= prototype.put;
  prototype.put = function (...what) {
    const request = this.really(...what);
    if (full && this.name === 'events') this.transaction.abort();
    return request;
  };
}"""


async def somebody_who_writes_to(name: str, server) -> tuple[Device, int]:
    """A client without a page, and its conversation with who is called so."""
    ana = Device(server, f"ana-{name}", org="")  # as who signs in by a name alone
    await ana.connect()
    [user] = (await ana.session.request(find_users=pb.FindUsers(names=[name.lower()]))).users
    return ana, await direct_with(ana, user.id)


async def see_a_long_conversation(page: Page, ana: Device, conv: int) -> None:
    """Opens it at its first line; more come than the copy keeps."""
    await ana.deliver(conv, "line 0")
    await row(page, "Ana").click()
    for n in range(1, LONG):
        await ana.deliver(conv, f"line {n}")
    await expect(message(page, f"line {LONG - 1}")).to_be_visible()


async def scroll_up_to(page: Page, text: str) -> None:
    async def is_there():
        await page.locator(".messages").evaluate("list => { list.scrollTop = 0; }")
        return await page.locator(".message .words").first.inner_text() == text

    await until(is_there, f"{text} is the first message")


async def test_a_reload_shows_what_was_there_before_anything_is_asked(server):
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        for n in range(30):
            await write(ana, f"line {n}")
        await row(bo, ana_name).click()
        await expect(message(bo, "line 29")).to_be_visible()
        # Nothing but the page itself answers: what is shown is the copy of this browser.
        await bo.route(re.compile(r"/(im|dev)/"), lambda route: route.abort())
        await bo.reload()
        await expect(message(bo, "line 29")).to_be_visible()
        shown = await texts(bo)
        assert shown == [f"line {n}" for n in range(30)]
        await write(ana, "written meanwhile")
        await expect(message(ana, "written meanwhile").get_by_role("img", name="Sent")).to_be_visible()
        assert await texts(bo) == shown
        await bo.unroute(re.compile(r"/(im|dev)/"))
        await expect(message(bo, "written meanwhile")).to_be_visible(timeout=30_000)
        assert await texts(bo) == [*shown, "written meanwhile"]


async def test_of_a_long_conversation_the_newest_is_kept_and_the_rest_comes_back(server):
    """The page and its copy would grow with every message for as long as somebody works with it."""
    [bo_name] = names("Bo")
    async with chromium() as browser, asyncio.timeout(120):
        bo = await enter(browser, server, bo_name)
        ana, conv = await somebody_who_writes_to(bo_name, server)
        await see_a_long_conversation(bo, ana, conv)
        assert KEPT <= await bo.locator(".message").count() < 2 * KEPT
        await bo.reload()
        await expect(message(bo, f"line {LONG - 1}")).to_be_visible()
        assert KEPT <= await bo.locator(".message").count() < 2 * KEPT

        await scroll_up_to(bo, "line 0")
        assert await texts(bo) == [f"line {n}" for n in range(LONG)]
        await bo.locator(".messages").evaluate("list => { list.scrollTop = list.scrollHeight; }")
        await expect(bo.locator(".message")).to_have_count(KEPT)
        assert await texts(bo) == [f"line {n}" for n in range(LONG - KEPT, LONG)]
        await ana.close()


async def test_a_copy_that_could_not_be_written_is_made_anew(server):
    """Later changes on top of one that is missing would show a conversation with holes, and what was deleted."""
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        for text in ("before", "said in error"):
            await write(ana, text)
        await row(bo, ana_name).click()
        await expect(message(bo, "said in error")).to_be_visible()
        warned = []
        bo.on("console", lambda said: warned.append(said.text))
        await bo.evaluate(FULL_DISK, True)
        await act(ana, "said in error", "Delete for everybody")
        await write(ana, "meanwhile")
        await expect(message(bo, "meanwhile")).to_be_visible()
        await bo.evaluate(FULL_DISK, False)
        assert any("the local copy was not written" in text for text in warned), warned
        await write(ana, "after")
        await expect(message(bo, "after")).to_be_visible()
        await bo.reload()
        await expect(message(bo, "after")).to_be_visible()
        assert await texts(bo) == ["before", "meanwhile", "after"]
        await expect(message(bo, "Message deleted")).to_have_count(1)
        # It is kept again.
        await bo.route(re.compile(r"/(im|dev)/"), lambda route: route.abort())
        await bo.reload()
        await expect(message(bo, "after")).to_be_visible()
        assert await texts(bo) == ["before", "meanwhile", "after"]


async def test_what_was_read_without_a_network_is_told_by_the_next_page(server):
    """That page takes it from the copy, where it is read already: nothing else would tell the server."""
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await write(ana, "have you seen this?")
        await expect(row(bo, ana_name)).to_contain_text("have you seen this?")
        await bo.route(re.compile(r"/im"), lambda route: route.abort())
        await bo.evaluate("dispatchEvent(new Event('offline'))")
        await row(bo, ana_name).click()
        await expect(message(bo, "have you seen this?")).to_be_visible()
        await expect(row(bo, ana_name).get_by_label("unread")).to_have_count(0)
        await expect(message(ana, "have you seen this?").get_by_role("img", name="Sent")).to_be_visible()
        await bo.close()
        await sign_in(bo.context, server, bo_name)
        await expect(message(ana, "have you seen this?").get_by_role("img", name="Read")).to_be_visible()


async def test_who_signs_out_beside_another_tab_can_sign_in_again(server):
    """That tab has the copy open, which is to go."""
    [ana_name] = names("Ana")
    async with chromium() as browser:
        first = await enter(browser, server, ana_name)
        second = await sign_in(first.context, server, ana_name)
        await expect(first.get_by_text("Chat is open in another tab")).to_be_visible()
        await second.get_by_role("button", name="Sign out").click()
        await second.get_by_label("Your name").fill(ana_name)
        await second.get_by_role("button", name="Sign in").click()
        await online(second)
        await first.get_by_role("button", name="Use it here").click()
        await online(first)
