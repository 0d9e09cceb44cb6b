"""What who runs an organisation does in the web client, page by page, and what the others see of it."""

from __future__ import annotations

import re
import zipfile

from playwright.async_api import Page, expect
from test_admin import admin
from test_web_chat import PIXEL, online
from web_people import BO, PASSWORD, by_password, code_behind, in_call, nothing_is_left, number, open_account, ringing, visit

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
