"""What somebody has begun to write in the web client is theirs: nothing but sending it or signing out takes it away."""

from __future__ import annotations

import re

from browser import chromium, until
from playwright.async_api import Page, expect
from test_web_chat import act, enter, message, names, online, row, start_with, texts, two, write


# What is opened; `hold` is a promise that devices wait for.
WATCHED = """() => {
  window.given = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => {
    await window.hold;
    const stream = await open(wish);
    given.push(...stream.getTracks());
    return stream;
  };
}"""

# Of one message that waits so many are made, which the server has refused.
MANY = """async (count) => {
  const done = (asked) => new Promise((resolve, reject) => Object.assign(asked, { onsuccess: () => resolve(asked.result), onerror: reject }));
  const [{ name }] = (await indexedDB.databases()).filter(({ name }) => name.startsWith('convene:'));
  const store = (await done(indexedDB.open(name))).transaction('outgoing', 'readwrite').objectStore('outgoing');
  const [one] = await done(store.getAll());
  const progress = { step: 'refused', code: 35 };
  for (let n = 1; n <= count; n += 1) {
    await done(store.put({ ...one, clientId: String(n).padStart(32, '0'), order: one.order + n, progress }));
  }
}"""


def field(page: Page):
    return page.get_by_label("Message", exact=True)


async def test_a_draft_outlives_replies_edits_and_a_reload(server):
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name)
        await write(ana, "first")
        await write(ana, "second")
        await field(ana).fill("half a thou")
        await act(ana, "first", "Reply")
        await ana.get_by_role("button", name="Do not reply").click()
        await expect(field(ana)).to_have_value("half a thou")
        await act(ana, "first", "Reply")
        await field(ana).press("Escape")
        await expect(ana.locator(".intent")).to_have_count(0)
        await expect(field(ana)).to_have_value("half a thou")

        # What is changed of a message is no draft: neither after it, nor for a reply to another one.
        await act(ana, "first", "Edit")
        await expect(field(ana)).to_have_value("first")
        await field(ana).fill("given up")
        await act(ana, "second", "Edit")
        await expect(field(ana)).to_have_value("second")
        await act(ana, "second", "Reply")
        await expect(field(ana)).to_have_value("half a thou")
        await act(ana, "first", "Edit")
        await write(ana, "the first")
        await expect(message(ana, "the first")).to_contain_text("edited")
        await expect(field(ana)).to_have_value("half a thou")

        await ana.reload()
        await online(ana)
        await expect(field(ana)).to_have_value("half a thou")
        await act(ana, "second", "Reply")
        await write(ana, "half a thought")
        await expect(field(ana)).to_have_value("")
        await row(bo, ana_name).click()
        await expect(message(bo, "half a thought").locator("blockquote")).to_contain_text("second")
        assert await texts(bo) == ["the first", "second", "half a thought"]
        await ana.reload()
        await online(ana)
        await expect(field(ana)).to_have_value("")


async def test_a_draft_goes_with_the_sign_out(server):
    ana_name, bo_name = names("Ana", "Bo")
    async with chromium() as browser:
        ana, _ = await enter(browser, server, ana_name), await enter(browser, server, bo_name)
        await start_with(ana, bo_name)
        await field(ana).fill("between us")
        assert "between us" in await ana.evaluate("JSON.stringify(sessionStorage)")
        await ana.get_by_role("button", name="Sign out").click()
        await expect(ana.get_by_label("Your name")).to_be_visible()
        assert "between us" not in await ana.evaluate("JSON.stringify(sessionStorage)")


async def test_the_microphone_is_off_when_nobody_records(server):
    ana_name, bo_name = names("Ana", "Bo")
    async with chromium() as browser:
        ana, _ = await enter(browser, server, ana_name), await enter(browser, server, bo_name)
        await start_with(ana, bo_name)
        await ana.evaluate(WATCHED)

        async def live(count: int, of: int):
            async def so():
                states = await ana.evaluate("given.map(track => track.readyState)")
                return len(states) == of and states.count("live") == count

            await until(so, f"{count} of {of} microphones are on")

        # A click that comes twice opens one.
        record = ana.get_by_role("button", name="Record voice message")
        await ana.evaluate("void (window.hold = new Promise(resolve => window.release = resolve))")
        await record.click()
        await expect(record).to_be_disabled()
        await record.click(force=True)
        await ana.evaluate("release()")
        await expect(ana.get_by_role("timer")).to_have_text(re.compile("0:0[1-9]"))
        await live(1, 1)
        await ana.get_by_role("button", name="Discard recording").click()
        await live(0, 1)

        # Who leaves before it opens has said nothing.
        await ana.evaluate("void (window.hold = new Promise(resolve => window.release = resolve))")
        await record.click()
        await ana.evaluate("location.hash = ''")
        await expect(field(ana)).to_have_count(0)
        await ana.evaluate("release()")
        await live(0, 2)


async def test_keys_of_an_input_method_are_not_for_the_page(server):
    """As Safari tells of them: the composition is over, and the code of the key says that it was taken."""
    async with two(server) as (ana, bo, ana_name, bo_name):
        await start_with(ana, bo_name, title="Tea")
        await write(ana, "hello")
        await act(ana, "hello", "Reply")

        async def taken(key: str):
            await field(ana).dispatch_event("keydown", {"key": key, "keyCode": 229})

        await field(ana).press_sequentially("ni hao @b")
        await expect(ana.get_by_role("listbox", name="Call by name")).to_be_visible()
        for key in ("Enter", "Tab", "Escape"):
            await taken(key)
            await expect(ana.get_by_role("listbox", name="Call by name")).to_be_visible()
        await expect(field(ana)).to_have_value("ni hao @b")
        await field(ana).fill("ni hao")
        for key in ("Enter", "Escape"):
            await taken(key)
        await expect(ana.locator(".intent")).to_be_visible()
        await expect(field(ana)).to_have_value("ni hao")
        await field(ana).press("Enter")
        await row(bo, "Tea").click()
        await expect(message(bo, "ni hao").locator("blockquote")).to_contain_text("hello")
        assert await texts(bo) == ["hello", "ni hao"]


async def test_what_is_written_while_too_much_waits_stays_in_the_field(server):
    async with two(server) as (ana, _, _, bo_name):
        await start_with(ana, bo_name)
        await ana.route(re.compile(r"/im"), lambda route: route.abort())
        await ana.evaluate("dispatchEvent(new Event('offline'))")
        await write(ana, "waits")
        await expect(message(ana, "waits").get_by_role("img", name="Not sent yet")).to_be_visible()
        await ana.evaluate(MANY, 999)
        await ana.reload()
        await expect(ana.locator(".message")).to_have_count(1000)
        told = ana.get_by_role("alert").filter(has_text="too many messages wait to be sent")
        await write(ana, "one too many")
        await expect(told).to_be_visible()
        await expect(field(ana)).to_have_value("one too many")
        await expect(message(ana, "one too many")).to_have_count(0)
        await ana.get_by_role("button", name="Discard", exact=True).first.click()
        await field(ana).press("Enter")
        await expect(message(ana, "one too many")).to_be_visible()
        await expect(field(ana)).to_have_value("")
        await expect(told).to_have_count(0)
