"""The web client that the server carries: two people, two tabs, one room."""

from __future__ import annotations

from pathlib import Path

from browser import FLAGS, CHROMIUM, until
from playwright.async_api import async_playwright


async def playing(page) -> int:
    """Videos on the page that show a picture."""
    return await page.evaluate(
        "[...document.querySelectorAll('video')].filter((v) => v.videoWidth > 0 && v.currentTime > 0.5 && !v.paused).length"
    )


async def enter(browser, server, name: str, room: str):
    context = await browser.new_context(permissions=["camera", "microphone"], viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    await page.goto(server.http.replace("127.0.0.1", "localhost"))
    await page.get_by_label("Your name").fill(name)
    await page.get_by_label("Room").fill(room)
    await page.get_by_role("button", name="Join", exact=True).click()
    return page


async def test_two_tabs_see_each_other(server, room_name, tmp_path):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        ada, grace = [await enter(browser, server, name, room_name) for name in ("Ada", "Grace")]
        for page in (ada, grace):

            async def both_pictures(page=page):
                return await playing(page) >= 2

            await until(both_pictures, "own picture and the other's", 30)
        shot = Path(tmp_path) / "call.png"
        await ada.screenshot(path=shot)
        print(f"screenshot: {shot}")
        await grace.get_by_role("button", name="Leave").click()

        async def alone():
            return await playing(ada) <= 1

        await until(alone, "Grace's picture goes when she leaves", 15)
        await browser.close()


async def test_a_taken_camera_is_explained(server, room_name):
    flags = [flag for flag in FLAGS if not flag.startswith(("--use-fake-device", "--use-fake-ui"))]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = await enter(browser, server, "Ada", room_name)

        async def explained():
            return await page.get_by_role("alert").count() > 0

        await until(explained, "a notice about the missing camera", 15)
        assert "camera" in (await page.get_by_role("alert").first.inner_text()).lower()
        await browser.close()
