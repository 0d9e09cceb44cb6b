"""What the server refuses somebody in the web client is told to them, and is not in their way. Real Chromium, real server."""

from __future__ import annotations

from browser import chromium
from conftest import start_server
from playwright.async_api import Page, expect
from test_web_chat import act, enter, message, names, online, row, start_with, two, write


def refusal(page: Page, words: str):
    return page.get_by_role("alert").filter(has_text=words)


async def test_what_is_too_old_to_be_changed_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVENE_IM_EDIT_WINDOW_S", "0")
    monkeypatch.setenv("CONVENE_IM_RECALL_WINDOW_S", "0")
    server = start_server(tmp_path)
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await write(ana, "said long ago")
        await expect(message(ana, "said long ago").get_by_role("img", name="Sent")).to_be_visible()
        await act(ana, "said long ago", "Edit")
        await write(ana, "never said")
        edit, deletion = refusal(ana, "not changed to “never said”: it is too old"), refusal(ana, "not deleted: it is too old")
        await expect(edit).to_be_visible()
        await act(ana, "said long ago", "Delete for everybody")
        await expect(deletion).to_be_visible()
        # They are there until somebody has seen them, and then for good no more.
        await deletion.get_by_role("button", name="Discard").click()
        await expect(deletion).to_have_count(0)
        await ana.reload()
        await expect(edit).to_be_visible()
        await expect(deletion).to_have_count(0)
        await edit.get_by_role("button", name="Discard").click()
        await ana.reload()
        await online(ana)
        await expect(message(ana, "said long ago")).to_be_visible()
        await expect(edit).to_have_count(0)
        await row(bo, ana_name).click()
        await expect(message(bo, "said long ago")).to_be_visible()
    assert server.stop() == 0


async def test_the_last_owner_makes_another_one_and_leaves(server):
    ana_name, bo_name = names("Ana", "Bo")
    async with chromium() as browser:
        ana, bo = await enter(browser, server, ana_name), await enter(browser, server, bo_name)
        await start_with(ana, bo_name, title="Tea")
        await ana.get_by_role("button", name="Details").click()
        await ana.get_by_role("button", name="Leave the group").click()
        told = refusal(ana, "You have not left the group: a group needs an owner.")
        await expect(told).to_be_visible()
        await ana.get_by_role("button", name="Make owner").click()
        await expect(ana.locator(".members")).to_contain_text(f"{bo_name} · owner")
        await expect(ana.get_by_role("button", name="Make owner")).to_have_count(0)
        await told.get_by_role("button", name="Try again").click()
        await expect(told).to_have_count(0)
        await ana.get_by_role("button", name="Back to messages").click()
        await expect(ana.get_by_text("You are no member of this conversation any more.")).to_be_visible()
        await row(bo, "Tea").click()
        await expect(bo.get_by_role("log")).to_contain_text(f"{ana_name} left")
