"""Accounts in the web client, used the way a person uses it: a number and a code, an organisation and its directory, calls
that ring on every device, and the end of a sign-in. Real Chromium, real server; codes are read in its log."""

from __future__ import annotations

import json
import random
import re
import time
import zipfile

import pytest
from accounts import CODE, COLOURS
from browser import chromium, until
from conftest import start_server
from playwright.async_api import Page, expect
from test_admin import admin
from test_web_chat import DESKTOP, PHONE, PIXEL, address, message, online, row, write

ORG = "Hangzhou Instruments"
PASSWORD = "five quiet herons at dusk"
# Chinese, so that the directory is asked by pinyin.
BO = "张伟"


@pytest.fixture
def server(tmp_path):
    """Its own: what is asked for too often is counted by address."""
    instance = start_server(tmp_path)
    yield instance
    assert instance.stop() == 0


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


async def two(browser, server) -> tuple[Page, Page, str]:
    """Ana, who has founded an organisation; Bo, who came by her link; and Bo's number."""
    ana = await visit(browser, server)
    await register(ana, server, number(), "Ana")
    await found_organisation(ana)
    bo = await visit(browser, server, link=await invitation(ana))
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


async def test_from_a_link_to_calls_that_ring_on_every_device(server):
    async with chromium() as browser:
        ana, bo, phone = await two(browser, server)
        # Ana has had the directory open all the while. It looks again each 20 s, and when its tab is shown.
        await ana.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(ana.get_by_role("list", name="People").get_by_role("link", name=BO)).to_be_visible(timeout=2_000)
        await set_password(bo)
        tablet = await visit(browser, server)
        await by_password(tablet, phone)
        await online(tablet)

        # By initials of pinyin, to their page, to a conversation.
        await ana.get_by_label("Find people").fill("zw")
        await ana.get_by_role("link", name=BO).click()
        await ana.get_by_role("region", name=BO).get_by_role("button", name="Message").click()
        await write(ana, "hello from the directory")
        for page in (bo, tablet):
            await row(page, "Ana").click()
            await expect(message(page, "hello from the directory")).to_be_visible()

        # Declined on one device, which stops the other; the caller is told.
        await ana.get_by_role("button", name="Call", exact=True).click()
        await expect(ana.get_by_text(f"Ringing {BO}")).to_be_visible()
        await expect(ringing(tablet)).to_be_visible()
        await ringing(bo).get_by_role("button", name="Decline").click()
        for page in (bo, tablet):
            await expect(ringing(page)).to_be_hidden()
        await expect(ana.get_by_role("alert").filter(has_text=f"{BO} declined the call")).to_be_visible()
        await expect(ana.get_by_role("log")).to_contain_text("Your call, declined")

        # Answered on one device, which stops the other; pictures flow; the record is in the conversation.
        # It takes the focus where nobody writes, so that it is said and answered by keyboard.
        await bo.get_by_label("Message", exact=True).focus()
        await ana.get_by_role("button", name="Video call").click()
        await expect(ringing(bo)).to_be_visible()
        await expect(bo.get_by_label("Message", exact=True)).to_be_focused()
        await expect(ringing(tablet)).to_be_focused()
        for _ in range(3):
            await tablet.keyboard.press("Tab")
        await expect(ringing(tablet).get_by_role("button", name="Accept", exact=True)).to_be_focused()
        await tablet.keyboard.press("Enter")
        await expect(ringing(bo)).to_be_hidden()
        await expect(bo.get_by_text("You are in this call on another device.")).to_be_visible()
        await in_call(ana, tablet)
        await pictures_move(ana)
        await pictures_move(tablet)
        await ana.get_by_role("button", name="Leave", exact=True).click()
        await expect(tablet.get_by_role("button", name="Video call")).to_be_visible(timeout=15_000)
        for page, whose in ((ana, "Your video call"), (bo, "Video call by Ana"), (tablet, "Video call by Ana")):
            await expect(page.get_by_role("log")).to_contain_text(re.compile(rf"{whose}, \d:\d\d"))
            await expect(page.get_by_text("The room was closed")).to_have_count(0)

        # Ended from one device, the other is out within a second, and nothing of it stays there.
        await open_account(bo)
        began = time.monotonic()
        await bo.get_by_role("button", name="Sign out there").click()
        await expect(tablet.get_by_text("Your sign-in here has ended")).to_be_visible()
        assert time.monotonic() - began < 2
        await nothing_is_left(tablet)


async def nothing_is_left(page: Page) -> None:
    """Of an account in a browser: neither the sign-in nor a database."""
    assert await page.evaluate("localStorage.getItem('convene.login')") is None

    async def gone():
        names = await page.evaluate("indexedDB.databases().then(all => all.map(one => one.name))")
        return not [name for name in names if name.startswith("convene:account")]

    await until(gone, "no database is left")


async def test_a_group_is_rung_and_has_a_meeting_room(server):
    async with chromium() as browser:
        ana, bo, _ = await two(browser, server)
        await ana.get_by_role("button", name="New conversation").click()
        dialog = ana.get_by_role("dialog", name="New conversation")
        await dialog.get_by_label("Find people").fill("zhangw")
        await dialog.get_by_role("button", name=f"Add {BO}").click()
        await dialog.get_by_label("Name of the group").fill("Optics")
        await dialog.get_by_role("button", name="Create group").click()
        await row(bo, "Optics").click()

        await ana.get_by_role("button", name="Call", exact=True).click()
        await expect(ringing(bo)).to_contain_text("in Optics")
        await ringing(bo).get_by_role("button", name="Accept", exact=True).click()
        await in_call(ana, bo)
        # A group's call goes on without somebody, who may come back.
        await bo.get_by_role("button", name="Leave", exact=True).click()
        await expect(bo.get_by_text("A call is on: Ana.")).to_be_visible()
        await bo.get_by_role("button", name="Join", exact=True).click()
        await in_call(ana, bo)
        for page in (bo, ana):
            await page.get_by_role("button", name="Leave", exact=True).click()
        await expect(ana.get_by_role("log")).to_contain_text(re.compile(rf"Your call with {BO}, \d:\d\d"))

        for page in (ana, bo):
            await page.get_by_role("button", name="Meeting room").click()
        await in_call(ana, bo)
        await expect(ringing(bo)).to_have_count(0)


async def test_who_asks_is_let_in_and_edits_wait_for_a_yes(server):
    async with chromium() as browser:
        ana = await visit(browser, server)
        await register(ana, server, number(), "Ana")
        await found_organisation(ana)
        bo = await visit(browser, server, link=await invitation(ana, ask=True))
        await register(bo, server, number(), BO)
        await expect(bo.get_by_text("has been asked")).to_be_visible()
        await expect(bo.get_by_role("button", name=f"Take back the request to {ORG}")).to_be_visible()
        waiting = ana.get_by_role("list", name="Waiting for you")
        # A page that is open looks every 20 seconds; one that is opened, at once.
        await ana.reload()
        await ana.get_by_role("button", name="People").click()
        await expect(waiting).to_contain_text(f"{BO} asks to join {ORG}.")
        await waiting.get_by_role("button", name="Agree").click()
        await expect(waiting).to_be_hidden()
        await bo.get_by_role("button", name="Look again").click()
        await bo.get_by_role("list", name="Your organisations").get_by_role("button", name=ORG).click()
        await online(bo)

        await ana.get_by_role("button", name="Add a department").click()
        await ana.get_by_label("Name of the department").fill("Optics")
        await ana.get_by_role("button", name="Add", exact=True).click()
        await expect(ana.get_by_role("list", name="Departments")).to_contain_text("Optics")
        await open_account(bo)
        await bo.get_by_label("About").fill("Lenses")
        await bo.get_by_label("Department").select_option("Optics")
        await bo.get_by_role("button", name="Save profile").click()
        await expect(bo.get_by_text("Waiting for an administrator: Place “Optics”.")).to_be_visible()
        await expect(bo.get_by_label("Employee number")).not_to_be_editable()
        await ana.reload()
        await ana.get_by_role("button", name="People").click()
        await expect(waiting).to_contain_text(f"{BO} wants to change")
        await waiting.get_by_role("button", name="Agree").click()
        await expect(waiting).to_be_hidden()
        await ana.get_by_role("button", name="Optics").click()
        await ana.get_by_role("link", name=BO).click()
        card = ana.get_by_role("region", name=BO)
        await expect(card).to_contain_text("Lenses")
        await expect(card).to_contain_text("online")

        # The last owner cannot go, and is told what to do first.
        await open_account(ana)
        await ana.get_by_role("button", name="Leave the organisation").click()
        await ana.get_by_role("button", name=f"Yes, leave {ORG}").click()
        await expect(ana.get_by_role("alert")).to_contain_text("needs an owner. Make a colleague one first, on their page")
        await ana.get_by_role("link", name=BO).click()
        await card.get_by_text("Edit or remove").click()
        await card.get_by_label("Role here").select_option("admin")
        await card.get_by_role("button", name="Save role").click()
        await expect(ana.get_by_role("list", name="People")).to_contain_text(BO)
        await expect(card.get_by_role("definition").filter(has_text="admin")).to_be_visible()

        # Whoever is removed is told where they are no more, and stays signed in.
        await card.get_by_role("button", name=f"Remove from {ORG}").click()
        await card.get_by_role("button", name=f"Yes, remove {BO}").click()
        await expect(bo.get_by_text(f"You are not in {ORG} any more.")).to_be_visible()


# The sign-in that this browser keeps, as if its access token had run out. Answers the refresh token.
SPENT = """() => {
  const kept = JSON.parse(localStorage.getItem('convene.login'));
  localStorage.setItem('convene.login', JSON.stringify({ ...kept, access: 'spent', expiresMs: 0 }));
  return kept.refresh;
}"""


async def test_codes_passwords_and_the_policy_of_use(server, monkeypatch):
    async with chromium() as browser:
        page, phone = await visit(browser, server), number()
        code = await ask_for_code(page, server, phone)
        await page.get_by_label("Code from the message").fill(f"{(int(code) + 1) % 1_000_000:06}")
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("The code is wrong or has expired")
        await page.get_by_label("Code from the message").fill(code)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("no account yet")
        await expect(page.get_by_role("form", name="Create account")).to_be_visible()
        # The number has just had a code: the button says when the next one may be asked for; another number need not wait.
        await expect(page.get_by_role("button", name=re.compile(r"Send code in \d+ s"))).to_be_disabled()

        phone = number()
        await page.get_by_role("button", name="I have an account").click()
        await register(page, server, phone, "Ana")
        await found_organisation(page)
        await set_password(page)
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await expect(page.get_by_role("form", name="Sign in").or_(page.get_by_label("Your name"))).to_be_visible()
        await nothing_is_left(page)

        # Another policy of use is agreed to before anything else goes on, and once.
        assert server.stop() == 0
        monkeypatch.setenv("CONVENE_ACCOUNTS_POLICY_VERSION", "2026-11")
        server.launch()
        await page.reload()
        await page.get_by_role("button", name="Use a phone number").click()
        await by_password(page, phone)
        await expect(page.get_by_role("heading", name="The policy of use has changed")).to_be_visible()
        await page.get_by_label("version 2026-11").check()
        await page.get_by_role("button", name="Go on").click()
        await online(page)
        # A link that is no good is told, and the way back is there.
        await page.goto(f"{address(server)}/#join=cvi_nothing")
        await expect(page.get_by_role("alert")).to_be_visible()
        await page.get_by_role("button", name=ORG).click()
        await online(page)
        # A token that is over is renewed, and nobody is asked anything.
        stale = await page.evaluate(SPENT)
        await page.reload()
        await online(page)
        assert await page.evaluate("JSON.parse(localStorage.getItem('convene.login')).refresh") != stale


async def section(page: Page, name: str) -> None:
    """A page beside one's own."""
    if await page.get_by_role("navigation", name="Settings").count() == 0:
        await open_account(page)
    await page.get_by_role("navigation", name="Settings").get_by_role("link", name=name).click()
    await expect(page.get_by_role("heading", level=1, name=name, exact=True)).to_be_visible()


async def press(page: Page, *buttons: str) -> None:
    for name in buttons:
        await page.get_by_role("button", name=name, exact=True).click()


async def colleague(browser, server, data, link: str) -> tuple[Page, str]:
    """Bo, whom the operator has made: a number that had no code yet may ask for one at once."""
    phone = number()
    admin(data, "create-user", phone, BO, "--password-stdin", stdin=f"{PASSWORD}\n")
    page = await visit(browser, server, link=link)
    await by_password(page, phone)
    await page.get_by_label("version 1").check()
    await page.get_by_role("button", name="Go on").click()
    await online(page)
    return page, phone


async def builds(page: Page) -> None:
    """Departments and positions, their names and their order."""
    await section(page, "Departments")
    top = page.get_by_role("list", name="Departments of the organisation")
    for name in ("Sales", "Research", "Optics"):
        await page.get_by_label("Name of the new department").fill(name)
        await press(page, "Add department")
        await expect(top.get_by_role("listitem", name=name)).to_be_visible()
    await press(page, "Move Research up")
    await expect(top.get_by_role("listitem")).to_have_text([re.compile(name) for name in ("Research", "Sales", "Optics")])
    await press(page, "Change Sales")
    await page.get_by_label("Name of Sales").fill("Research")
    await press(page, "Rename")
    await expect(page.get_by_role("alert")).to_contain_text("Choose another name")
    await page.get_by_label("Name of Sales").fill("Trade")
    await press(page, "Rename", "Change Optics")
    await page.get_by_label("Where Optics stands").select_option("Research")
    await press(page, "Move there")
    await expect(top.get_by_role("listitem")).to_have_text([re.compile(name) for name in ("Research", "Trade")])
    await press(page, "Change Research", "Remove Research", "Yes, remove Research")
    await expect(page.get_by_role("alert")).to_contain_text("Move them first")
    await press(page, "Change Research", "Change Trade", "Remove Trade", "Yes, remove Trade")
    await expect(top.get_by_role("listitem")).to_have_count(1)
    await press(page, "Research")
    await expect(page.get_by_role("list", name="Departments in Research")).to_contain_text("Optics")

    positions = page.get_by_role("list", name="Positions")
    for name in ("Engineer", "Chief", "Guest"):
        await page.get_by_label("Name of the new position").fill(name)
        await press(page, "Add position")
        await expect(positions.get_by_role("listitem", name=name)).to_be_visible()
    await press(page, "Move Chief up", "Change Guest", "Remove Guest", "Yes, remove Guest")
    await expect(positions.get_by_role("listitem")).to_have_text([re.compile(name) for name in ("Chief", "Engineer")])


# Another administrator changes the policy meanwhile.
MEANWHILE = """async () => {
  const { access, org } = JSON.parse(localStorage.getItem('convene.login'));
  const [path, headers] = [`/v1/organisations/${org.id}/policy`, { authorization: `Bearer ${access}`, 'content-type': 'application/json' }];
  const read = await fetch(path, { headers });
  const body = JSON.stringify({ ...await read.json(), find_by_number: true });
  return (await fetch(path, { method: 'PUT', headers: { ...headers, 'if-match': read.headers.get('etag') }, body })).status;
}"""


async def rules(ana: Page, bo: Page) -> None:
    """The policy: changed, changed by somebody else meanwhile, and read by who may not change it."""
    await section(ana, "Policy")
    kept = ana.get_by_label("Messages are kept for ever")
    await ana.get_by_label("Workplace").select_option("approval")
    await ana.get_by_label("Add to: Departments whose members").select_option("Research › Optics")
    await kept.uncheck()
    await ana.get_by_label("Days that they are kept").fill("3000")
    await press(ana, "Save policy")
    await expect(ana.get_by_text("Saved.")).to_be_visible()
    await ana.get_by_label("Departments have groups").check()
    assert await ana.evaluate(MEANWHILE) == 204
    await press(ana, "Save policy")
    await expect(ana.get_by_role("alert")).to_contain_text("Somebody has changed this")
    await press(ana, "Look at it again")
    await expect(ana.get_by_label("Members find each other")).to_be_checked()
    await expect(ana.get_by_label("Departments have groups")).not_to_be_checked()
    await ana.get_by_label("Departments have groups").check()
    await press(ana, "Save policy")
    await expect(ana.get_by_text("Saved.")).to_be_visible()

    await section(bo, "Policy")
    await expect(bo.get_by_label("Workplace")).to_have_value("approval")
    await expect(bo.get_by_label("Days that they are kept")).to_have_value("3000")
    await expect(bo.get_by_text("Changed by owners and administrators for members.")).to_be_visible()
    for name in ("Workplace", "Members see in the directory", "Days that they are kept", "Departments have groups"):
        await expect(bo.get_by_label(name)).to_be_disabled()
    await expect(bo.get_by_role("button", name="Save policy")).to_have_count(0)
    await expect(bo.get_by_role("navigation", name="Settings").get_by_role("link")).to_have_text(["Account", "Address book", "Policy"])


async def programs(page: Page) -> None:
    """API keys and webhooks."""
    await section(page, "Webhooks")
    await page.get_by_role("link", name="Make one first.").click()
    await page.get_by_label("What you call it").fill("backend")
    await page.get_by_label("Rooms: tokens").check()
    await press(page, "Make key")
    secret = page.get_by_role("textbox", name="Secret")
    assert len(await secret.input_value()) > 20
    await press(page, "Copy Secret")
    assert await page.evaluate("navigator.clipboard.readText()") == await secret.input_value()
    await press(page, "I have copied it")
    await expect(secret).to_be_hidden()

    await section(page, "Webhooks")
    hooks = page.get_by_role("list", name="Webhooks")
    await page.get_by_label("Address", exact=True).fill("ftp://convene.invalid/hook")
    await page.get_by_label("Calls: begun").check()
    await press(page, "Make webhook")
    await expect(page.get_by_role("alert")).to_contain_text("https address on the internet")
    await page.get_by_label("Address", exact=True).fill("https://convene.invalid/hook")
    await press(page, "Make webhook")
    await expect(hooks).to_contain_text("Signed with “backend”")
    await press(page, "Send a test")
    await expect(hooks.get_by_role("alert")).to_contain_text("The test did not arrive", timeout=15_000)
    await press(page, "Remove", "Yes, remove this webhook")
    await expect(page.get_by_text("There are none yet.")).to_be_visible()

    await section(page, "API keys")
    keys = page.get_by_role("list", name="API keys")
    await press(page, "Revoke", "Yes, revoke backend")
    await expect(keys.get_by_role("listitem")).to_contain_text("revoked")


async def audits(page: Page) -> None:
    """What was done, whether the log of it is whole, and who asked for what."""
    await section(page, "Audit log")
    await press(page, "Check the chain")
    await expect(page.get_by_text("The log is whole:")).to_be_visible()
    records = page.get_by_role("list", name="Records").get_by_role("listitem")
    await expect(records.first).to_contain_text("Ana revoked an API key")
    await page.get_by_label("Filter what is shown").fill("changed the policy")
    await expect(records).to_have_count(3)
    await section(page, "Access log")
    table = page.get_by_role("region", name="Requests")
    await table.get_by_role("button", name=BO).first.click()
    await expect(page.get_by_text(f"Only of {BO}.")).to_be_visible()
    await expect(table.get_by_role("button", name="Ana")).to_have_count(0)
    await expect(table).to_contain_text("GET /v1/organisations/{org}/policy")


async def appoints(ana: Page, bo: Page) -> None:
    """Of an administrator for one thing only."""
    await section(ana, "Members")
    invitations = ana.get_by_role("list", name="Invitations")
    await expect(invitations).to_contain_text("A link for 49 more people")
    await press(ana, "Take back", "Yes, take it back")
    await expect(ana.get_by_text("There are none.")).to_be_visible()
    everybody = ana.get_by_role("list", name="Everybody")
    await expect(everybody.get_by_role("listitem")).to_have_count(2)
    await everybody.get_by_role("link", name=BO, exact=True).click()
    card = ana.get_by_role("region", name=BO)
    await card.get_by_text("Edit or remove").click()
    await card.get_by_label("Role here").select_option("admin")
    for scope in ("Members: who", "Departments, positions", "Meetings: who", "Content: groups"):
        await card.get_by_label(scope).uncheck()
    await press(ana, "Save role")
    await expect(card.get_by_role("definition").filter(has_text="admin: audit")).to_be_visible()
    await card.get_by_label("Department", exact=True).select_option("Research › Optics")
    await press(ana, "Save profile")
    await expect(card.get_by_role("definition").filter(has_text="Research › Optics")).to_be_visible()
    await bo.reload()
    await expect(bo.get_by_role("navigation", name="Settings").get_by_role("link")).to_have_text(
        ["Account", "Address book", "Policy", "Audit log", "Access log"]
    )


async def has_a_group(bo: Page) -> None:
    """Whoever stands in a department opens its group."""
    await press(bo, "People")
    await bo.get_by_role("list", name="Departments").get_by_role("button", name="Research").click()
    await bo.get_by_role("list", name="Departments").get_by_role("button", name="Optics").click()
    await press(bo, "Open its group")
    await expect(bo.get_by_role("heading", name="Optics")).to_be_visible()


async def is_seen(ana: Page, bo: Page) -> None:
    """Bo's picture: in the directory and in a call. And Bo in Ana's address book."""
    await section(bo, "Account")
    picture = bo.get_by_role("region", name="Picture")
    await picture.get_by_label("Picture file").set_input_files({"name": "me.png", "mimeType": "text/plain", "buffer": b"no picture"})
    await expect(picture.get_by_role("alert")).to_contain_text("no picture that your browser can show")
    await picture.get_by_label("Picture file").set_input_files({"name": "me.png", "mimeType": "image/png", "buffer": PIXEL})
    await picture.get_by_label("Nearer").press("ArrowRight")
    await press(bo, "Use this")
    await expect(picture.locator("img")).to_be_visible()
    await expect(picture.get_by_role("status")).to_have_count(0)

    await ana.reload()
    card = ana.get_by_role("region", name=BO)
    await ana.get_by_label("Find people").fill("zw")
    for place in (card, ana.get_by_role("list", name="Found")):
        await expect(place.locator("img")).to_be_visible()
        assert await place.locator("img").evaluate("one => one.decode().then(() => one.naturalWidth)") == 512
    await card.get_by_label("Note, for yourself only").fill("optics, knows everybody")
    await press(ana, "Add to address book")
    await expect(card.get_by_role("button", name="Take out")).to_be_visible()

    await card.get_by_role("button", name="Call", exact=True).click()
    await ringing(bo).get_by_role("button", name="Accept", exact=True).click()
    await in_call(ana, bo)
    shown = ana.locator(".stage .pictured .lk-participant-placeholder")
    await expect(shown).to_have_count(1)
    assert "/v1/pictures/" in await shown.evaluate("one => getComputedStyle(one, '::before').backgroundImage")
    await ana.get_by_role("button", name="Leave", exact=True).click()

    await section(ana, "Address book")
    await expect(ana.get_by_role("list", name="Contacts")).to_contain_text("optics, knows everybody")
    await press(ana, f"Take out {BO}")
    await expect(ana.get_by_text("Nobody yet.")).to_be_visible()
    await section(bo, "Account")
    await press(bo, "Remove picture")
    await expect(picture.locator("img")).to_be_hidden()


async def ends(bo: Page, server, data) -> None:
    """Bo takes along what is known of him, and ends the account."""
    await section(bo, "Account")
    async with bo.expect_download() as archive:
        await press(bo, "Download everything")
    with zipfile.ZipFile(await (await archive.value).path()) as files:
        assert BO in files.read("profile.json").decode() and "index.html" in files.namelist()
    before = server.log.stat().st_size
    await press(bo, "End the account…")
    await bo.get_by_label("Code from the message").fill(await code_behind(server, before))
    await press(bo, "End my account for good")
    told = bo.get_by_text("Your account has ended.")
    await expect(told).to_be_visible()
    receipt = re.search(r"kept nowhere else: (\S+)", await told.inner_text()).group(1)
    assert admin(data, "check-receipt", receipt)["account"] == 2
    await nothing_is_left(bo)


async def test_an_organisation_is_run_by_its_owner_and_ended(server, tmp_path):
    async with chromium() as browser:
        ana = await visit(browser, server)
        await ana.context.grant_permissions(["camera", "microphone", "clipboard-read", "clipboard-write"])
        await register(ana, server, number(), "Ana")
        await found_organisation(ana)
        bo, phone = await colleague(browser, server, tmp_path / "data", await invitation(ana))
        await builds(ana)
        await rules(ana, bo)
        await programs(ana)
        await audits(ana)
        await appoints(ana, bo)
        await has_a_group(bo)
        await is_seen(ana, bo)
        violations = [await page.evaluate("violations") for page in (ana, bo)]
        await ends(bo, server, tmp_path / "data")

        # Whoever is no more is not in the organisation, and finds no account.
        await section(ana, "Members")
        await expect(ana.get_by_role("list", name="Everybody").get_by_role("listitem")).to_have_count(1)
        await by_password(bo, phone)
        await expect(bo.get_by_role("alert")).to_contain_text("number or the password is wrong")

        # It ends under the title that it has then.
        await section(ana, "Account")
        await ana.get_by_label("Its title").fill("Hangzhou Optics")
        await press(ana, "Rename", "Dissolve it")
        end = ana.get_by_role("button", name="Dissolve Hangzhou Optics for everybody")
        await ana.get_by_label("Write “Hangzhou Optics” to go on").fill(ORG)
        await expect(end).to_be_disabled()
        await ana.get_by_label("Write “Hangzhou Optics” to go on").fill("Hangzhou Optics")
        await end.click()
        await expect(ana.get_by_role("heading", name="Your organisation")).to_be_visible()
        await expect(ana.get_by_role("list", name="Your organisations")).to_have_count(0)
        assert violations == [[], []]


# What can be pressed or filled in, and has no name that a screen reader could say.
NAMELESS = """() => [...document.querySelectorAll('button, a[href], input, select, textarea, [role=alertdialog]')]
  .filter((one) => one.offsetParent && one.type !== 'file')
  .filter((one) => !(one.ariaLabel || one.innerText?.trim() || one.title || [...(one.labels ?? [])].some((label) => label.innerText.trim())))
  .map((one) => one.outerHTML.slice(0, 120))"""


async def test_it_is_used_by_keyboard_fits_a_phone_and_names_everything(server):
    async with chromium() as browser:
        page, phone = await visit(browser, server, size=PHONE), number()

        async def sound(where: str):
            assert await page.evaluate(NAMELESS) == [], where
            assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], f"{where} scrolls sideways"

        # The focus is where one goes on, so nobody has to point at anything.
        await sound("the sign-in")
        await register(page, server, phone, "Ana")
        await sound("the choice of an organisation")
        await found_organisation(page)
        await page.get_by_role("button", name="People").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.type("ana")
        await expect(page.get_by_role("list", name="Found")).to_contain_text("Ana")
        await sound("the directory")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("region", name="Ana")).to_contain_text("owner")
        await sound("a person")
        await page.get_by_role("link", name="Edit your profile").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("list", name="Devices")).to_contain_text("this one")
        await expect(page.get_by_label("Mail")).to_be_visible()
        await sound("the account")
        for name in ("Address book", "Policy", "Members", "Departments", "API keys", "Webhooks", "Audit log", "Access log"):
            await section(page, name)
            await expect(page.get_by_text("Looking…")).to_have_count(0)
            await sound(name)
        kept = json.loads(await page.evaluate("localStorage.getItem('convene.login')"))
        assert kept["account"]["phone"] == phone
