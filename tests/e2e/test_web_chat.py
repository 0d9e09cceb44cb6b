"""Chat in the web client, used the way a person uses it: by what is written on the buttons. Real Chromium, real server."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from contextlib import asynccontextmanager

import conftest
from browser import chromium, until
from conftest import start_server
from playwright.async_api import Browser, BrowserContext, Page, expect

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c63106828f80f0003a40200b050fbbb0000000049454e44ae426082"
)


def address(server) -> str:
    return server.http.replace("127.0.0.1", "localhost")


async def enter(browser: Browser, server, name: str, size=DESKTOP, **options) -> Page:
    """Somebody who has signed in, and is connected."""
    allowed = ["camera", "microphone", "clipboard-read", "clipboard-write"]
    return await sign_in(await browser.new_context(viewport=size, permissions=allowed, **options), server, name)


async def sign_in(context: BrowserContext, server, name: str) -> Page:
    page = await context.new_page()
    page.on("console", lambda message: print(f"{name}:", message.text))
    page.on("pageerror", lambda error: print(f"{name}: page error:", error))
    await page.goto(address(server))
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Sign in").click()
    await online(page)
    return page


async def online(page: Page, within_ms: int = 20_000) -> None:
    await expect(page.locator('.chat[data-phase="online"]')).to_be_visible(timeout=within_ms)


def names(*people: str) -> list[str]:
    """Names of this test alone: the server is shared."""
    stamp = time.monotonic_ns()
    return [f"{person}{stamp}" for person in people]


async def start_with(page: Page, *others: str, title: str = "") -> None:
    await page.get_by_role("button", name="New conversation").click()
    dialog = page.get_by_role("dialog", name="New conversation")
    await dialog.get_by_label("Names of people").fill(", ".join(other.lower() for other in others))
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(dialog.get_by_role("list", name="Chosen").get_by_role("listitem")).to_have_count(len(others))
    if title:
        await dialog.get_by_label("Name of the group").fill(title)
    await dialog.get_by_role("button", name=re.compile("^(Create group|Start conversation)$")).click()
    await expect(page.get_by_label("Message", exact=True)).to_be_visible()


def row(page: Page, title: str):
    return page.get_by_role("navigation", name="Conversations").get_by_role("link").filter(has_text=title)


async def write(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_label("Message", exact=True).press("Enter")


def message(page: Page, text: str):
    return page.get_by_role("log").get_by_role("listitem").filter(has_text=text)


async def texts(page: Page) -> list[str]:
    return await page.locator(".message .words").all_inner_texts()


async def act(page: Page, text: str, action: str) -> None:
    """What can be done with a message comes up when one points at it."""
    await message(page, text).hover()
    await message(page, text).get_by_role("button", name=action).click()


@asynccontextmanager
async def two(server):
    ana, bo = names("Ana", "Bo")
    async with chromium() as browser:
        yield await enter(browser, server, ana), await enter(browser, server, bo), ana, bo


async def test_two_people_write_edit_react_reply_and_delete(server):
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await write(ana, "hello bo")
        await expect(row(bo, ana_name).get_by_label("1 unread")).to_be_visible()
        await row(bo, ana_name).click()
        await expect(message(bo, "hello bo")).to_be_visible()
        await expect(row(bo, ana_name).get_by_label("1 unread")).to_be_hidden()
        await expect(message(ana, "hello bo").get_by_role("img", name="Read")).to_be_visible()
        assert await ana.locator(".chat").get_attribute("data-transport") == "webtransport"

        await bo.get_by_label("Message", exact=True).press_sequentially("hi")
        await expect(ana.locator(".thread header")).to_contain_text("typing")
        await bo.get_by_label("Message", exact=True).press("Enter")
        await expect(message(ana, "hi")).to_have_count(1)
        await expect(ana.locator(".thread header")).to_contain_text("online")

        await act(ana, "hello bo", "Edit")
        await write(ana, "hello, Bo")
        await expect(message(bo, "hello, Bo")).to_contain_text("edited")
        await act(bo, "hello, Bo", "React")
        await bo.get_by_role("group", name="Reactions").get_by_role("button", name="👍").click()
        await expect(message(ana, "hello, Bo").get_by_role("button", name=re.compile("^👍 by"))).to_be_visible()
        await act(bo, "hello, Bo", "Reply")
        await write(bo, "an answer")
        await expect(message(ana, "an answer").locator("blockquote")).to_contain_text("hello, Bo")
        await act(bo, "an answer", "Delete for everybody")
        await expect(message(ana, "Message deleted")).to_have_count(1)
        await expect(message(ana, "an answer")).to_have_count(0)


async def test_what_is_written_offline_goes_out_once_and_in_order(server):
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await write(ana, "before")
        await row(bo, ana_name).click()
        await expect(message(bo, "before")).to_be_visible()
        await ana.context.set_offline(True)
        await expect(ana.get_by_role("status").filter(has_text="offline")).to_be_visible()
        for n in range(5):
            await write(ana, f"offline {n}")
        await expect(message(ana, "offline 4").get_by_role("img", name="Not sent yet")).to_be_visible()
        await write(bo, "meanwhile")
        await expect(message(bo, "meanwhile").get_by_role("img", name="Sent")).to_be_visible()
        await ana.context.set_offline(False)
        await expect(message(bo, "offline 4")).to_be_visible(timeout=30_000)
        await expect(ana.get_by_role("img", name="Not sent yet")).to_have_count(0)
        want = ["before", "meanwhile", *[f"offline {n}" for n in range(5)]]
        assert await texts(bo) == want

        async def same():
            return await texts(ana) == want

        await until(same, "both show the same")
        # Unsent things outlive a reload, too, though it be in the same moment.
        await ana.route(re.compile(r"/im"), lambda route: route.abort())
        await ana.context.set_offline(True)
        await expect(ana.get_by_role("status").filter(has_text="offline")).to_be_visible()
        await ana.context.set_offline(False)
        for n in range(5):
            await ana.evaluate("addEventListener('keydown', ({ key }) => key === 'Enter' && location.reload())")
            async with ana.expect_navigation():
                await write(ana, f"kept {n}")
            await expect(message(ana, f"kept {n}").get_by_role("img", name="Not sent yet")).to_be_visible()
        await ana.unroute(re.compile(r"/im"))
        await expect(message(bo, "kept 4")).to_be_visible(timeout=30_000)
        assert [text for text in await texts(bo) if "kept" in text] == [f"kept {n}" for n in range(5)]


async def test_a_browser_that_thinks_itself_offline_and_a_request_without_an_answer_connect(server):
    asked = []

    async def swallow(route):
        """The first question of the page for signing in, and the first of its session."""
        asked.append(route)
        if len(asked) not in (1, 3):
            await route.continue_()

    async with chromium() as browser:
        (name,) = names("Ana")
        context = await browser.new_context(viewport=DESKTOP)
        # As Chromium says on a machine without a network, whose own server is there all the same.
        await context.add_init_script("Object.defineProperty(Navigator.prototype, 'onLine', { get: () => false })")
        await context.route(re.compile("/im/info"), swallow)
        page = await sign_in(context, server, name)
        assert len(asked) == 4
        assert not await page.evaluate("navigator.onLine")


async def newer_page(route):
    page = await route.fetch()
    await route.fulfill(response=page, body=(await page.text()).replace("/assets/index-", "/assets/index-of-tomorrow-"))


async def test_a_restarted_server_is_found_again(tmp_path, monkeypatch):
    first = start_server(tmp_path)
    async with two(first) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await write(ana, "before")
        await expect(message(ana, "before").get_by_role("img", name="Sent")).to_be_visible()
        # The next server has another page, as far as Bo's tab can tell.
        await bo.route(f"{address(first)}/", newer_page)
        first.kill()
        await write(ana, "while it was away")
        await expect(message(ana, "while it was away").get_by_role("img", name="Not sent yet")).to_be_visible()
        monkeypatch.setattr(conftest, "free_port_base", lambda: first.base)
        second = start_server(tmp_path)
        try:
            await row(bo, ana_name).click()
            await expect(message(bo, "while it was away")).to_be_visible(timeout=45_000)
            assert await texts(bo) == ["before", "while it was away"]
            newer = "The server has a newer version of this page."
            await expect(bo.get_by_text(newer)).to_be_visible()
            await expect(ana.get_by_text(newer)).to_have_count(0)
            await bo.unroute_all()
            await bo.get_by_role("button", name="Reload").click()
            await online(bo)
            await expect(bo.get_by_text(newer)).to_have_count(0)
        finally:
            second.stop()


async def test_a_voice_message_shows_its_waveform_and_plays(server):
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await ana.get_by_role("button", name="Record voice message").click()
        await expect(ana.get_by_role("timer")).to_have_text(re.compile("0:0[2-9]"), timeout=10_000)
        await ana.get_by_role("button", name="Send voice message").click()
        await row(bo, ana_name).click()
        play = bo.get_by_role("button", name="Play voice message")
        await expect(play).to_be_enabled()
        points = await bo.locator(".wave rect").evaluate_all("all => all.map(one => one.height.baseVal.value)")
        # The fake microphone beeps: loud and quiet parts, one point for each tenth of a second.
        assert 12 <= len(points) and max(points) > 20 and min(points) < 10, points
        # To the second, rounded: what is drawn is as long as what is written beside it.
        seconds = range((len(points) - 5) // 10, (len(points) + 5) // 10 + 1)
        await expect(bo.locator(".voice")).to_contain_text(re.compile(rf"0:0({'|'.join(map(str, seconds))})"))
        await play.click()
        await expect(bo.get_by_role("button", name="Pause")).to_be_visible()
        await expect(bo.locator(".wave rect.played").first).to_be_attached()


async def test_pictures_and_files_arrive_as_they_were(server, tmp_path):
    (tmp_path / "dot.png").write_bytes(PIXEL)
    document = bytes(range(256)) * 3000
    (tmp_path / "report.bin").write_bytes(document)
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await ana.locator('input[type="file"]').set_input_files([tmp_path / "dot.png", tmp_path / "report.bin"])
        await row(bo, ana_name).click()
        picture = bo.get_by_role("img", name="dot.png")
        await expect(picture).to_be_visible()

        async def loaded():
            return await picture.evaluate("image => image.complete && image.naturalWidth") == 1

        await until(loaded, "the picture is shown")
        link = message(bo, "report.bin").get_by_role("link")
        await expect(link).to_have_attribute("href", re.compile("sig="))
        async with bo.expect_download() as download:
            await link.click()
        got = await download.value
        assert got.suggested_filename == "report.bin"
        assert (await got.path()).read_bytes() == document
        await expect(ana.locator("progress")).to_have_count(0)


async def test_a_group_gains_and_loses_members(server):
    ana_name, bo_name, cleo_name = names("Ana", "Bo", "Cleo")
    async with chromium() as browser:
        ana, bo = await enter(browser, server, ana_name), await enter(browser, server, bo_name)
        cleo = await enter(browser, server, cleo_name)
        await start_with(ana, bo_name, title="Tea")
        await write(ana, "history")
        await ana.get_by_role("button", name="Details").click()
        await ana.get_by_label("Names of people").fill(cleo_name.lower())
        await ana.get_by_role("button", name="Add", exact=True).click()
        await expect(ana.get_by_role("heading", name="3 members")).to_be_visible()
        await row(cleo, "Tea").click()
        await expect(message(cleo, "history")).to_be_visible()
        await ana.get_by_label("Name of the group").fill("Coffee")
        await ana.get_by_role("button", name="Rename").click()
        await expect(row(bo, "Coffee")).to_be_visible()
        await ana.get_by_role("button", name=f"Remove {cleo_name}").click()
        await expect(cleo.get_by_text("You are no member of this conversation any more.")).to_be_visible()
        await row(bo, "Coffee").click()
        await bo.get_by_role("button", name="Details").click()
        await bo.get_by_role("button", name="Leave the group").click()
        await expect(ana.get_by_role("heading", name="1 members")).to_be_visible()


async def test_a_call_begins_in_a_conversation_and_chat_goes_on_beside_it(server):
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await write(ana, "call?")
        await row(bo, ana_name).click()
        for page in (ana, bo):
            await page.get_by_role("button", name="Call", exact=True).click()
            await expect(page.locator('main[data-state="connected"]')).to_be_visible()
        await expect(ana.get_by_label("2 in the call")).to_be_visible()
        await ana.get_by_role("button", name="Copy invitation link").click()
        link = await ana.evaluate("navigator.clipboard.readText()")
        assert re.fullmatch(re.escape(address(server)) + r"/#room=conversation-\d+", link), link
        await write(bo, "I see you")
        await expect(message(ana, "I see you")).to_be_visible()
        await ana.get_by_role("button", name="Leave", exact=True).click()
        await expect(ana.get_by_role("button", name="Call", exact=True)).to_be_visible()
        await expect(message(ana, "I see you")).to_be_visible()
        await expect(bo.get_by_label("1 in the call")).to_be_visible()


async def test_a_second_window_takes_over_and_can_give_back(server):
    (ana_name,) = names("Ana")
    async with chromium() as browser:
        first = await enter(browser, server, ana_name)
        second = await first.context.new_page()
        await second.goto(address(server))
        await second.get_by_label("Your name").fill(ana_name)
        await second.get_by_role("button", name="Sign in").click()
        await online(second)
        await expect(first.get_by_text("Chat is open in another tab")).to_be_visible()
        await first.get_by_role("button", name="Use it here").click()
        await online(first)
        await expect(second.get_by_text("Chat is open in another tab")).to_be_visible()


async def test_it_fits_a_phone(server):
    ana_name, bo_name = names("Ana", "Bo")
    async with chromium() as browser:
        ana, bo = await enter(browser, server, ana_name, PHONE), await enter(browser, server, bo_name)
        await start_with(ana, bo_name)
        await write(ana, "a word that is very long: " + "x" * 200)
        assert await ana.evaluate("document.documentElement.scrollWidth") == PHONE["width"], "scrolls sideways on a phone"
        await ana.get_by_role("link", name="Back to conversations").click()
        await expect(row(ana, bo_name)).to_be_visible()
        await expect(ana.get_by_label("Message", exact=True)).to_be_hidden()
        assert await ana.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


async def test_where_udp_is_swallowed_a_websocket_serves(server):
    """The chat port that this browser is told is one that never answers, as behind a firewall."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        info = json.load(server.open(f"{server.http}/im/info"))
        swallowed = info | {"webtransport": f"https://127.0.0.1:{hole.getsockname()[1]}/im"}
        ana_name, bo_name = names("Ana", "Bo")
        async with chromium() as browser:
            context = await browser.new_context(viewport=DESKTOP)
            await context.route("**/im/info", lambda route: route.fulfill(json=swallowed))
            ana, bo = await sign_in(context, server, ana_name), await enter(browser, server, bo_name)
            assert await ana.locator(".chat").get_attribute("data-transport") == "websocket"
            assert hole.recv(2000), "WebTransport was not even tried"
            await start_with(ana, bo_name)
            await write(ana, "through the proxy")
            await row(bo, ana_name).click()
            await write(bo, "and back")
            await expect(message(ana, "and back")).to_be_visible()
            assert await texts(bo) == await texts(ana) == ["through the proxy", "and back"]
