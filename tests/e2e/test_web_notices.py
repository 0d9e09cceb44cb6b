"""What the web client does for who is not looking, or is called by name. Real Chromium, real server."""

from __future__ import annotations

from browser import chromium, until
from playwright.async_api import Page, expect
from test_web_chat import DESKTOP, enter, message, names, row, sign_in, start_with, two, write

# Notes what the page shows through the browser's own class; and lets a test say that the page is hidden, which Chromium without
# a screen never is.
NOTES = """window.notices = [];
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    window.notices.push(this);
    this.addEventListener('close', () => window.notices.splice(window.notices.indexOf(this), 1));
  }
};
window.hide = (hidden) => {
  Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (hidden ? 'hidden' : 'visible') });
  document.dispatchEvent(new Event('visibilitychange'));
};"""


async def shown(page: Page) -> list[list[str]]:
    return await page.evaluate("notices.map(({ title, body }) => [title, body])")


async def shows(page: Page, *wanted: list[str]) -> None:
    async def same():
        return await shown(page) == list(wanted)

    try:
        await until(same, f"notices: {wanted}")
    except AssertionError as late:
        raise AssertionError(f"{late}; there are {await shown(page)}") from None


async def test_a_hidden_page_tells_what_is_new_until_it_is_read(server):
    ana_name, bo_name = names("Ana", "Bo")
    async with chromium() as browser:
        context = await browser.new_context(viewport=DESKTOP, permissions=["notifications"])
        await context.add_init_script(NOTES)
        ana, bo = await sign_in(context, server, ana_name), await enter(browser, server, bo_name)
        await start_with(bo, ana_name)
        await write(bo, "seen on the page")
        await expect(row(ana, bo_name).get_by_label("1 unread")).to_be_visible()
        assert await shown(ana) == []
        await ana.evaluate("hide(true)")
        await write(bo, "are you there?")
        await shows(ana, [bo_name, "are you there?"])
        await write(bo, "hello?")
        await shows(ana, [bo_name, "hello?"])
        await ana.evaluate("notices[0].onclick()")
        await ana.evaluate("hide(false)")
        await expect(message(ana, "hello?")).to_be_visible()
        await shows(ana)

        await ana.evaluate("hide(true)")
        await ana.get_by_role("button", name="Details").click()
        await ana.get_by_label("Do not disturb").click()
        await expect(ana.get_by_label("Do not disturb")).to_be_checked()
        await write(bo, "not now")
        await expect(row(ana, bo_name).get_by_label("1 unread")).to_be_visible()
        assert await shown(ana) == []


async def test_a_browser_that_was_not_asked_is_asked_once(server):
    async with chromium() as browser:
        (name,) = names("Ana")
        page = await sign_in(await browser.new_context(viewport=DESKTOP), server, name)
        assert await page.evaluate("Notification.permission") == "default"
        bell = page.get_by_role("button", name="Show notices of new messages")
        await page.context.grant_permissions(["notifications"])
        await bell.click()
        await expect(bell).to_be_hidden()
        await page.reload()
        await expect(page.get_by_role("button", name="New conversation")).to_be_visible()
        await expect(bell).to_be_hidden()


async def test_somebody_is_called_by_name(server):
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name, title="Tea")
        await write(ana, "hello")
        await row(bo, "Tea").click()
        await expect(message(bo, "hello")).to_be_visible()
        await bo.evaluate("location.hash = ''")
        field = ana.get_by_label("Message", exact=True)
        await field.press_sequentially("ask @bo")
        option = ana.get_by_role("listbox", name="Call by name").get_by_role("option", name=bo_name)
        await expect(option).to_be_visible()
        await field.press("Escape")
        await expect(option).to_be_hidden()
        await field.press("Backspace")
        await field.press("Backspace")
        await field.press("Backspace")
        await field.press_sequentially("@b")
        await field.press("Enter")
        await expect(field).to_have_value(f"ask @{bo_name} ")
        await field.press_sequentially("about it")
        await field.press("Enter")
        await expect(row(bo, "Tea").get_by_role("img", name="You are mentioned")).to_be_visible()
        await row(bo, "Tea").click()
        await expect(message(bo, "about it").locator(".called.me")).to_have_text(f"@{bo_name}")
        await expect(row(bo, "Tea").get_by_role("img", name="You are mentioned")).to_be_hidden()
        await expect(message(ana, "about it").locator(".called:not(.me)")).to_have_text(f"@{bo_name}")
        await field.press_sequentially("@b")
        await expect(option).to_be_visible()
        await field.press("Tab")
        await field.press("Enter")
        await expect(ana.locator(".called:not(.me)")).to_have_count(2)
        await field.press_sequentially("@b")
        await expect(option).to_be_visible()
        await write(ana, "@all look")
        await expect(message(bo, "look").locator(".called.me")).to_have_text("@all")
        # A member may not call everybody: it is a word like others.
        await write(bo, "@all too")
        await expect(message(ana, "too")).to_be_visible()
        await expect(message(ana, "too").locator(".called")).to_have_count(0)
