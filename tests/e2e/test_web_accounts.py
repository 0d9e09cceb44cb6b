"""Accounts in the web client: a number and a code, an organisation, its directory, and calls that ring."""

from __future__ import annotations

import random
import re

from accounts import CODE, COLOURS
from browser import chromium, until
from conftest import start_server
from playwright.async_api import Page, expect
from test_web_chat import DESKTOP, address, message, online, row, write

ORG = "Hangzhou Instruments"


def number() -> str:
    return f"+86138{random.randrange(10 ** 8):08}"


async def visit(browser, server) -> Page:
    context = await browser.new_context(viewport=DESKTOP, permissions=["camera", "microphone"])
    page = await context.new_page()
    page.on("pageerror", lambda error: print("page error:", error))
    await page.goto(address(server))
    await page.get_by_role("button", name="Use a phone number").click()
    return page


async def ask_for_code(page: Page, server, phone: str) -> str:
    """Asks for a code, and reads it where a development server writes it instead of sending it."""
    before = server.log.stat().st_size
    await page.get_by_label("Phone number").fill(phone)
    await page.get_by_role("button", name="Send code").click()

    async def found():
        text = COLOURS.sub("", server.log.read_bytes()[before:].decode(errors="replace"))
        return CODE.search(text)

    return (await until(found, "a code in the log")).group(1)


async def register(page: Page, server, phone: str, name: str) -> None:
    await page.get_by_role("button", name="Create an account").click()
    code = await ask_for_code(page, server, phone)
    await page.get_by_label("Code from the message").fill(code)
    await page.get_by_label("Your name").fill(name)
    await page.get_by_label("I agree").check()
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("heading", name="Your organisation")).to_be_visible()


async def invite(page: Page, phone: str) -> None:
    """As an administrator does, over HTTP."""
    status = await page.evaluate(
        """async (phone) => {
            const { access, org } = JSON.parse(localStorage.getItem('convene.login'));
            const headers = { authorization: `Bearer ${access}`, 'content-type': 'application/json' };
            const path = `/v1/organisations/${org.id}/invitations`;
            return (await fetch(path, { method: 'POST', headers, body: JSON.stringify({ phone }) })).status;
        }""",
        phone,
    )
    assert status == 201, status


async def test_from_a_number_to_a_call_that_rings(tmp_path):
    server = start_server(tmp_path)
    anas, bos = number(), number()
    async with chromium() as browser:
        ana, bo = await visit(browser, server), await visit(browser, server)
        await register(ana, server, anas, "Ana")
        await ana.get_by_label("Name of a new organisation").fill(ORG)
        await ana.get_by_role("button", name="Found it").click()
        await online(ana)
        await register(bo, server, bos, "Bo")
        await invite(ana, bos)
        await bo.get_by_role("button", name="Look again").click()
        await bo.get_by_role("button", name=f"Join {ORG}").click()
        await online(bo)

        await ana.get_by_role("button", name="New conversation").click()
        dialog = ana.get_by_role("dialog", name="New conversation")
        await dialog.get_by_label("Find people").fill("bo")
        await dialog.get_by_role("button", name="Add Bo").click()
        await dialog.get_by_role("button", name="Start conversation").click()
        await write(ana, "hello from the directory")
        await row(bo, "Ana").click()
        await expect(message(bo, "hello from the directory")).to_be_visible()

        # Declined, then accepted.
        await ana.get_by_role("button", name="Call", exact=True).click()
        calling = bo.get_by_role("alertdialog", name="Ana is calling")
        await calling.get_by_role("button", name="Decline").click()
        await expect(calling).to_be_hidden()
        await expect(ana.get_by_role("button", name="Call", exact=True)).to_be_visible()
        await expect(ana.get_by_role("log")).to_contain_text("declined")
        await ana.get_by_role("button", name="Call", exact=True).click()
        await calling.get_by_role("button", name="Accept").click()
        for page in (ana, bo):
            await expect(page.locator('main[data-state="connected"]')).to_be_visible(timeout=15_000)
            await expect(page.get_by_label("2 in the call")).to_be_visible(timeout=15_000)
        await ana.get_by_role("button", name="Leave", exact=True).click()
        await expect(bo.get_by_role("button", name="Call", exact=True)).to_be_visible(timeout=15_000)
        await expect(ana.get_by_role("log")).to_contain_text("Call by You")

        # A reload keeps somebody signed in; signing out leaves nothing.
        await bo.reload()
        await online(bo)
        await expect(message(bo, "hello from the directory")).to_be_visible()
        await bo.get_by_role("button", name="Sign out").click()
        await expect(bo.get_by_label("Your name")).to_be_visible()
        assert await bo.evaluate("localStorage.getItem('convene.login')") is None
        left = await bo.evaluate("indexedDB.databases().then(all => all.map(one => one.name))")
        assert not [name for name in left if name.startswith("convene:account")], left
    assert server.stop() == 0


async def test_a_wrong_code_and_an_unknown_number_are_told(tmp_path):
    server = start_server(tmp_path)
    async with chromium() as browser:
        page = await visit(browser, server)
        code = await ask_for_code(page, server, number())
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        await page.get_by_label("Code from the message").fill(wrong)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text(re.compile("code is wrong", re.I))
        await page.get_by_label("Code from the message").fill(code)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("no account yet")
        await expect(page.get_by_role("form", name="Create account")).to_be_visible()
    assert server.stop() == 0
