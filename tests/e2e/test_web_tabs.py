"""Several tabs of one browser: one of them has the chat session. Real Chromium, real server."""

from __future__ import annotations

import asyncio
import re

import pytest
from browser import chromium, until
from conftest import start_server
from playwright.async_api import Page, expect
from test_web_chat import address, enter, message, names, online, row, sign_in, start_with, texts, write
from test_web_copy import LONG, scroll_up_to, see_a_long_conversation, somebody_who_writes_to
from web_people import BO, nothing_is_left, open_account, ringing, two

TAKEN = "Chat is open in another tab"
# With or without a number of messages that are not read.
QUIET = re.compile(r"^(\(\d+\) )?Convene$")


@pytest.fixture
def own_server(tmp_path):
    """Codes that are asked for too often are counted by address."""
    instance = start_server(tmp_path)
    yield instance
    assert instance.stop() == 0


async def another_tab(page: Page, server) -> Page:
    """Of somebody who has signed in with an account."""
    tab = await page.context.new_page()
    await tab.goto(address(server))
    await online(tab)
    await expect(page.get_by_text(TAKEN)).to_be_visible()
    return tab


async def test_a_call_rings_in_the_tab_that_has_the_session(own_server):
    async with chromium() as browser:
        ana, bo, _ = await two(browser, own_server)
        await ana.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await ana.get_by_role("list", name="People").get_by_role("link", name=BO).click()
        await ana.get_by_role("region", name=BO).get_by_role("button", name="Call", exact=True).click()
        await expect(ringing(bo)).to_be_visible()
        await expect(bo).to_have_title("Ana is calling · Convene")
        # Nobody would tell this tab that it was answered in the other one.
        tab = await another_tab(bo, own_server)
        await expect(ringing(tab)).to_be_visible()
        await expect(ringing(bo)).to_be_hidden()
        await expect(bo).to_have_title(QUIET)
        await ringing(tab).get_by_role("button", name="Decline").click()
        await expect(ringing(tab)).to_be_hidden()
        await expect(tab).to_have_title(QUIET)
        await expect(ana.get_by_role("alert").filter(has_text=f"{BO} declined the call")).to_be_visible()


async def test_when_the_tab_with_the_session_is_gone_another_goes_on(server):
    [ana_name, bo_name] = names("Ana", "Bo")
    async with chromium() as browser:
        bo = await enter(browser, server, bo_name)
        first = await enter(browser, server, ana_name)
        second, third = [await sign_in(first.context, server, ana_name) for _ in range(2)]
        for tab in (first, second):
            await expect(tab.get_by_text(TAKEN)).to_be_visible()
        # A tab that is reloaded is not gone.
        await third.reload()
        await online(third)
        await expect(first.get_by_text(TAKEN)).to_be_visible()
        await expect(second.get_by_text(TAKEN)).to_be_visible()
        await third.close()

        async def one_is_online():
            return [await tab.locator(".chat").get_attribute("data-phase") for tab in (first, second)].count("online") == 1

        await until(one_is_online, "one of the others has the session", 20)
        on, off = (first, second) if await first.locator('.chat[data-phase="online"]').count() else (second, first)
        await expect(off.get_by_text(TAKEN)).to_be_visible()
        await start_with(bo, ana_name)
        await write(bo, "are you still there?")
        await row(on, bo_name).click()
        await expect(message(on, "are you still there?")).to_be_visible()
        # One that went elsewhere is gone as well.
        await on.goto("about:blank")
        await online(off)


async def test_the_tab_that_goes_on_has_what_the_other_one_left(server):
    """What was not sent, and of what was let go of, that it is to be asked for."""
    [bo_name] = names("Bo")
    async with chromium() as browser, asyncio.timeout(180):
        first = await enter(browser, server, bo_name)
        ana, conv = await somebody_who_writes_to(bo_name, server)
        await see_a_long_conversation(first, ana, conv)
        await scroll_up_to(first, "line 0")
        second = await sign_in(first.context, server, bo_name)
        await row(second, "Ana").click()
        await second.route(re.compile(r"/im"), lambda route: route.abort())
        await second.evaluate("dispatchEvent(new Event('offline'))")
        await write(second, "owed")
        await expect(message(second, "owed").get_by_role("img", name="Not sent yet")).to_be_visible()
        await second.close()
        await online(first)
        await expect(message(first, "owed").get_by_role("img", name="Sent")).to_be_visible()
        await ana.deliver(conv, "after")
        await expect(message(first, "after")).to_be_visible()
        await first.reload()
        await expect(message(first, "after")).to_be_visible()
        await scroll_up_to(first, "line 0")
        assert await texts(first) == [*(f"line {n}" for n in range(LONG)), "owed", "after"]
        await ana.close()


async def test_who_signs_out_in_one_tab_is_signed_out_in_the_others(own_server):
    async with chromium() as browser:
        _, bo, _ = await two(browser, own_server)
        tab = await another_tab(bo, own_server)
        await open_account(tab)
        await tab.get_by_role("button", name="Sign out", exact=True).click()
        await expect(bo.locator(".chat")).to_have_count(0)
        await nothing_is_left(bo)
