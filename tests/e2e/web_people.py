"""What a person does in the web client: signs in, founds or joins an organisation, calls and is called."""

from __future__ import annotations

import random

from accounts import code_in
from browser import until
from playwright.async_api import Page, expect
from test_web_chat import DESKTOP, address, online

ORG = "Hangzhou Instruments"
PASSWORD = "five quiet herons at dusk"
# Chinese, so that the directory is asked by pinyin.
BO = "张伟"


def number() -> str:
    return f"+86138{random.randrange(10 ** 8):08}"


async def visit(browser, server, *, link: str = "", size=DESKTOP) -> Page:
    context = await browser.new_context(viewport=size, permissions=["camera", "microphone"])
    await context.add_init_script(VIOLATIONS)
    page = await context.new_page()
    page.on("pageerror", lambda error: print("page error:", error))
    await page.goto(link or address(server))
    if not link:
        await page.get_by_role("button", name="Use a phone number").click()
    return page


# Notes what the Content-Security-Policy of the page has forbidden.
VIOLATIONS = """window.violations = [];
document.addEventListener('securitypolicyviolation', (one) => violations.push(`${one.violatedDirective} ${one.blockedURI}`));"""


async def ask_for_code(page: Page, server, phone: str) -> str:
    """Asks for a code."""
    before = server.log.stat().st_size
    await page.get_by_label("Phone number").fill(phone)
    await page.get_by_role("button", name="Send code").click()
    return await code_behind(server, before)


async def code_behind(server, before: int) -> str:
    """The next code, read where a development server writes it instead of sending it."""

    async def found():
        return code_in(server.log, before)

    return (await until(found, "a code in the log")).group(1)


async def register(page: Page, server, phone: str, name: str) -> None:
    await page.get_by_role("button", name="Create an account").click()
    code = await ask_for_code(page, server, phone)
    await page.get_by_label("Code from the message").fill(code)
    await page.get_by_label("Your name").fill(name)
    await page.get_by_label("I agree").check()
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("form", name="Create account")).to_be_hidden()


async def found_organisation(page: Page, title: str = ORG) -> None:
    line = page.get_by_role("form", name="Name of a new organisation")
    await line.get_by_role("textbox").fill(title)
    await line.get_by_role("button", name="Create").click()
    await online(page)


async def by_password(page: Page, phone: str) -> None:
    await page.get_by_role("button", name="Use a password").click()
    await page.get_by_label("Phone number").fill(phone)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def invitation(page: Page, *, ask: bool = False) -> str:
    """A link into the organisation."""
    await page.get_by_role("button", name="People").click()
    await page.get_by_role("button", name="Invite people").click()
    dialog = page.get_by_role("dialog", name=f"Invite to {ORG}")
    await dialog.get_by_label("Somebody here has to agree").set_checked(ask)
    await dialog.get_by_role("button", name="Make a link").click()
    link = await dialog.get_by_role("textbox", name="Link for up to").input_value()
    await dialog.get_by_role("button", name="Close").click()
    return link


async def two(browser, server, other=None) -> tuple[Page, Page, str]:
    """Ana, who has founded an organisation; Bo, who came by her link, in the other browser if there is one; and Bo's number."""
    ana = await visit(browser, server)
    await register(ana, server, number(), "Ana")
    await found_organisation(ana)
    bo = await visit(other or browser, server, link=await invitation(ana))
    await expect(bo.get_by_text("You are invited")).to_be_visible()
    phone = number()
    await register(bo, server, phone, BO)
    await online(bo)
    assert "join" not in bo.url, "the secret of the link stays in the address"
    return ana, bo, phone


async def open_account(page: Page) -> None:
    await page.get_by_role("link", name="Account", exact=True).click()
    await expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()


async def set_password(page: Page) -> None:
    await open_account(page)
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_role("button", name="Set password").click()
    await expect(page.get_by_text("You can sign in with it")).to_be_visible()


def ringing(page: Page):
    return page.get_by_role("alertdialog", name="Ana is calling")


async def pictures_move(page: Page) -> None:
    """Both pictures of a call of two go on."""

    async def frames():
        return await page.locator(".stage video").evaluate_all("all => all.map(one => one.getVideoPlaybackQuality().totalVideoFrames)")

    async def two_of_them():
        counted = await frames()
        return counted if len(counted) == 2 and min(counted) > 0 else None

    before = await until(two_of_them, "two pictures")

    async def further():
        return all(now > then + 10 for now, then in zip(await frames(), before, strict=True))

    await until(further, "both go on")


async def in_call(*pages: Page) -> None:
    for page in pages:
        await expect(page.locator('main[data-state="connected"]')).to_be_visible(timeout=15_000)
        await expect(page.get_by_label(f"{len(pages)} in the call")).to_be_visible(timeout=15_000)


async def nothing_is_left(page: Page) -> None:
    """Of an account in a browser: neither the sign-in nor a database."""
    assert await page.evaluate("localStorage.getItem('convene.login')") is None

    async def gone():
        names = await page.evaluate("indexedDB.databases().then(all => all.map(one => one.name))")
        return not [name for name in names if name.startswith("convene:account")]

    await until(gone, "no database is left")
