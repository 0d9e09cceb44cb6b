"""The web client that the server brings along, used the way a person uses it: by what is written on the buttons."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager

import conftest
import pytest
from browser import CHROMIUM, FLAGS, chromium, until
from conftest import start_server
from playwright.async_api import Browser, Page, async_playwright, expect

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
SHARE = "--auto-select-desktop-capture-source=Entire screen"
# `<video>` elements that show moving pictures of some size.
PLAYING = "[...document.querySelectorAll('.stage video')].filter(v => v.videoWidth > 0 && v.currentTime > 0.5).length"


async def lobby(browser: Browser, server, room: str, size=DESKTOP, **context) -> Page:
    context = await browser.new_context(viewport=size, **({"permissions": ["camera", "microphone"]} | context))
    page = await context.new_page()
    await page.goto(f"{server.http.replace('127.0.0.1', 'localhost')}/#room={room}")
    return page


async def enter(page: Page, name: str) -> None:
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Join", exact=True).click()
    await expect(page.get_by_role("button", name="Leave")).to_be_visible()


async def sees(page: Page, count: int) -> None:
    async def playing():
        return await page.evaluate(PLAYING) == count

    await until(playing, f"{count} moving pictures")


def problem(page: Page, code: str):
    return expect(page.locator(f'[data-problem="{code}"]'))


@asynccontextmanager
async def bare_chromium():
    """No camera and no microphone in this one."""
    flags = [flag for flag in FLAGS if "fake" not in flag]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


async def test_two_people_meet_mute_share_and_leave(server, room_name):
    async with chromium(SHARE) as browser:
        ana, ben = await lobby(browser, server, room_name), await lobby(browser, server, room_name, PHONE)
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        await sees(ana, 2)
        await sees(ben, 2)
        assert await ben.evaluate("document.documentElement.scrollWidth") == PHONE["width"], "scrolls sideways on a phone"
        await expect(ana.get_by_label("2 in the call")).to_be_visible()

        await ana.get_by_role("button", name="Mute microphone", exact=True).click()
        muted = ben.locator('.lk-participant-tile:has-text("Ana") .lk-track-muted-indicator-microphone')
        await expect(muted).to_have_count(1)
        await ana.get_by_role("button", name="Unmute microphone").click()
        await expect(muted).to_have_count(0)

        await ana.get_by_role("button", name="Turn camera off").click()
        await sees(ben, 1)
        await ana.get_by_role("button", name="Turn camera on").click()
        await sees(ben, 2)

        await ana.get_by_role("button", name="Share screen").click()
        await sees(ben, 3)
        await ana.get_by_role("button", name="Stop sharing").click()
        await sees(ben, 2)

        await ben.get_by_role("button", name="Leave").click()
        await expect(ben.get_by_role("button", name="Join", exact=True)).to_be_visible()
        await expect(ana.get_by_label("1 in the call")).to_be_visible()
        await sees(ana, 1)


async def test_a_device_is_chosen_and_taken_the_next_time(server, room_name):
    async with chromium("--use-fake-device-for-media-stream=fps=15,device-count=2") as browser:
        page = await lobby(browser, server, room_name)
        await enter(page, "Ana")
        await page.get_by_role("button", name="Devices").click()
        dialog = page.get_by_role("dialog", name="Devices")

        async def heard():
            return float(await dialog.get_by_role("meter").get_attribute("value") or 0) > 0

        await until(heard, "the microphone hears Chromium's beeps")
        taken = {}
        for label in ("Microphone", "Camera", "Speaker"):
            choice = dialog.get_by_role("combobox", name=label)
            taken[label] = await choice.locator("option").last.get_attribute("value")
            assert taken[label] != await choice.input_value()
            await choice.select_option(taken[label])
            await expect(choice).to_have_value(taken[label])
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()

        async def films():
            return await page.locator(".stage video").evaluate("one => one.srcObject.getVideoTracks()[0].getSettings().deviceId") == taken["Camera"]

        await until(films, "the other camera")
        await page.get_by_role("button", name="Leave").click()
        await page.reload()
        await enter(page, "Ana")
        await until(films, "the same camera as before")
        await page.get_by_role("button", name="Devices").click()
        for label, device in taken.items():
            await expect(dialog.get_by_role("combobox", name=label)).to_have_value(device)


async def test_who_is_watched_is_brought_to_the_front(server, room_name):
    async with chromium() as browser:
        ana, ben = await lobby(browser, server, room_name), await lobby(browser, server, room_name, PHONE)
        await enter(ana, "Ana")
        alone = ana.get_by_role("button", name="Bring Ana to the front")
        await expect(alone).to_have_count(0)
        await enter(ben, "Ben")
        await sees(ana, 2)
        front = ana.locator(".shared")

        async def width():
            return await front.locator("video").evaluate("one => one.clientWidth")

        await ana.get_by_role("button", name="Bring Ben to the front").click()
        await expect(front).to_contain_text("Ben")
        assert await width() > 2 * await ana.locator(".beside video").evaluate("one => one.clientWidth")
        await sees(ana, 2)
        await ana.get_by_role("button", name="Bring Ana to the front").click()
        await expect(front).to_contain_text("Ana")
        await expect(ana.get_by_role("button", name="Put Ben back")).to_have_count(0)
        await ana.get_by_role("button", name="Put Ana back").click()
        await expect(front).to_have_count(0)
        await sees(ana, 2)
        # Whoever has gone leaves no empty place.
        await ana.get_by_role("button", name="Bring Ben to the front").click()
        await expect(front).to_contain_text("Ben")
        await ben.get_by_role("button", name="Leave").click()
        await expect(front).to_have_count(0)


async def test_an_invitation_with_a_token_needs_no_name(server, room_name):
    async with chromium() as browser:
        page = await lobby(browser, server, f"x&token={server.token('ana', room_name)}")
        await page.get_by_role("button", name="Join", exact=True).click()
        await expect(page.get_by_role("heading", name=room_name)).to_be_visible()
        await sees(page, 1)
        assert "token=" not in page.url, "the token stays in the address for the next person to copy"
        await expect(page).to_have_title(f"{room_name} · Convene")
        # The name of the room lets nobody in, so there is no link to it.
        await expect(page.get_by_role("button", name="Copy invitation link")).to_have_count(0)
        await page.reload()
        await expect(page.get_by_label("Your name")).to_have_count(0)
        await page.get_by_role("button", name="Join", exact=True).click()
        await expect(page.get_by_role("heading", name=room_name)).to_be_visible()
        await sees(page, 1)


async def test_who_may_not_send_is_offered_nothing_to_send_with(server, room_name):
    async with chromium() as browser:
        listener = await lobby(browser, server, f"x&token={server.token('ana', room_name, can_publish=False)}")
        await listener.get_by_role("button", name="Join", exact=True).click()
        speaker = await lobby(browser, server, f"x&token={server.token('ben', room_name, can_publish_sources=['microphone'])}")
        await speaker.get_by_role("button", name="Join", exact=True).click()
        for page, count in ((listener, 0), (speaker, 1)):
            await expect(page.get_by_label("2 in the call")).to_be_visible()
            await expect(page.get_by_role("button", name=re.compile("microphone"))).to_have_count(count)
            await expect(page.get_by_role("button", name=re.compile("camera|[Ss]hare"))).to_have_count(0)
            await expect(page.get_by_role("button", name="Leave")).to_be_visible()
            await expect(page.locator("[data-problem]")).to_have_count(0)


async def test_without_a_camera_one_is_told_and_joins_all_the_same(server, room_name):
    async with bare_chromium() as browser:
        page = await lobby(browser, server, room_name)
        await problem(page, "camera_missing").to_be_visible()
        await enter(page, "Ana")
        await problem(page, "microphone_missing").to_be_visible()
        await expect(page.locator('main[data-state="connected"]')).to_be_visible()
        await page.get_by_role("button", name="Turn camera on").click()
        await problem(page, "camera_missing").to_be_visible()


# What is opened, and when; `hold` is a promise that devices wait for.
WATCHED = """
  window.notes = [], window.given = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => {
    notes.push('device');
    await window.hold;
    const stream = await open(wish);
    given.push(...stream.getTracks());
    return stream;
  };
  window.WebSocket = new Proxy(WebSocket, { construct(target, args) {
    const socket = new target(...args);
    socket.addEventListener('open', () => notes.push('socket'));
    return socket;
  } });
"""


async def test_devices_open_while_one_joins_and_are_given_back_if_one_leaves(server, room_name):
    async with chromium() as browser:
        context = await browser.new_context(viewport=DESKTOP, permissions=["camera", "microphone"])
        await context.add_init_script(WATCHED)
        page = await context.new_page()
        await page.goto(f"{server.http.replace('127.0.0.1', 'localhost')}/#room={room_name}")

        async def previewed():
            return await page.evaluate("given.length > 0 && given.every(track => track.readyState === 'live')")

        await until(previewed, "the camera in the lobby")
        await page.evaluate("notes.length = 0")
        await enter(page, "Ana")
        await sees(page, 1)
        assert (await page.evaluate("notes"))[:3] == ["device", "device", "socket"], "they wait for the connection"
        await page.evaluate("given.length = 0")
        await page.get_by_role("button", name="Leave").click()

        await until(previewed, "the camera in the lobby again")
        await page.evaluate("window.hold = new Promise(resolve => window.release = resolve), notes.length = given.length = 0")
        await enter(page, "Ana")
        await page.get_by_role("button", name="Leave").click()
        await expect(page.get_by_role("button", name="Join", exact=True)).to_be_visible()
        await page.evaluate("release()")

        async def given_back():
            return await page.evaluate("given.length === 3 && given.filter(track => track.readyState === 'live').length === 1")

        await until(given_back, "all but the lobby's camera are off", 5)


async def test_a_call_outlives_a_link_to_a_mail_program_and_ends_with_its_page(server, room_name):
    async with chromium() as browser:
        ana, ben = await lobby(browser, server, room_name), await lobby(browser, server, room_name)
        await enter(ana, "Ana")
        await enter(ben, "Ben")
        await expect(ben.get_by_label("2 in the call")).to_be_visible()
        # What browsers say before they hand such a link over, and stay.
        await ana.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true }))")
        await ana.get_by_role("button", name="Mute microphone", exact=True).click()
        muted = ben.locator('.lk-participant-tile:has-text("Ana") .lk-track-muted-indicator-microphone')
        await expect(muted).to_have_count(1)
        await expect(ana.locator('main[data-state="connected"]')).to_be_visible()
        # Without a word the server would keep the place for who may come back.
        await ana.goto("about:blank")
        await expect(ben.get_by_label("1 in the call")).to_be_visible(timeout=5_000)


async def test_a_blocked_camera_is_named(server, room_name):
    async with async_playwright() as playwright:
        flags = [flag for flag in FLAGS if not flag.startswith("--use-fake-ui")]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = await lobby(browser, server, room_name, permissions=[])
        await problem(page, "camera_blocked").to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("allow the camera")
        await browser.close()


@pytest.mark.parametrize("token, code", [("broken", "not_allowed"), (None, "server_unreachable")])
async def test_why_one_cannot_join_is_named(server, room_name, tmp_path, token, code):
    mine = server if token else start_server(tmp_path)
    async with chromium() as browser:
        page = await lobby(browser, mine, f"{room_name}&token={token}" if token else room_name)
        if not token:
            await page.get_by_label("Your name").fill("Ana")
            mine.stop()
        await page.get_by_role("button", name="Join", exact=True).click()
        await problem(page, code).to_be_visible()
        await expect(page.get_by_role("button", name="Join", exact=True)).to_be_enabled()


async def test_a_stopped_server_shows_that_it_reconnects_and_comes_back(room_name, tmp_path, monkeypatch):
    first = start_server(tmp_path)
    async with chromium() as browser:
        page = await lobby(browser, first, room_name)
        await enter(page, "Ana")
        await sees(page, 1)
        assert first.stop() == 0
        banner = page.get_by_role("status").filter(has_text="Reconnecting")
        await expect(banner).to_be_visible()
        monkeypatch.setattr(conftest, "free_port_base", lambda: first.base)
        second = start_server(tmp_path)
        try:
            await expect(banner).to_be_hidden(timeout=30_000)
            await expect(page.locator('main[data-state="connected"]')).to_be_visible()
        finally:
            second.stop()
