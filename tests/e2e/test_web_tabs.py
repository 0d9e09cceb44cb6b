"""Several tabs of one browser: one of them has the chat session. Real Chromium, real server."""

from __future__ import annotations

import re

import pytest
from browser import chromium
from conftest import start_server
from playwright.async_api import Page, expect
from test_web_chat import address, online
from web_people import BO, ringing, two

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
