"""Accounts in the web client, used the way a person uses it: a number and a code, an organisation and its directory, calls
that ring on every device, and the end of a sign-in. Real Chromium, real server; codes are read in its log."""

from __future__ import annotations

import json
import re
import time

import pytest
from browser import chromium
from conftest import start_server
from playwright.async_api import expect
from standstill import Standstill
from test_web_chat import PHONE, address, message, online, row, write
from web_owner import appoints, audits, builds, colleague, ends, has_a_group, is_seen, press, programs, rules, section
from web_people import (
    BO,
    ORG,
    ask_for_code,
    by_password,
    found_organisation,
    in_call,
    invitation,
    nothing_is_left,
    number,
    open_account,
    pictures_move,
    register,
    ringing,
    set_password,
    two,
    visit,
)


@pytest.fixture
def server(tmp_path):
    """Its own: what is asked for too often is counted by address."""
    instance = start_server(tmp_path)
    yield instance
    assert instance.stop() == 0


async def test_from_a_link_to_calls_that_ring_on_every_device(server):
    async with chromium() as browser:
        ana, bo, phone = await two(browser, server)
        # Ana has had the directory open all the while. It looks again each 20 s, and when its tab is shown.
        await ana.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(ana.get_by_role("list", name="People").get_by_role("link", name=BO)).to_be_visible(timeout=10_000)
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
        async with Standstill() as still:
            await bo.get_by_role("button", name="Sign out there").click()
            await expect(tablet.get_by_text("Your sign-in here has ended")).to_be_visible()
            assert time.monotonic() - began - still.s < 2
        await nothing_is_left(tablet)


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
