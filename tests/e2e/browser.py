"""Chromium with fake devices, driven by Playwright, with livekit-client on a page of ours."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

HERE = Path(__file__).parent
SDK = HERE.parents[1] / "crates/web/ui/node_modules/livekit-client/dist"
CHROMIUM = "/usr/bin/chromium"
TICK_S = 0.02
# Chromium calls it a freeze when a frame comes 150 ms later than usual.
STALL_S = 0.075
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=fps=15",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # The page is answered by Playwright, which Chromium takes for a public address that reaches into a local network.
    "--disable-features=LocalNetworkAccessChecks",
]


ORIGIN = "http://localhost:1/"

# Playwright's own 5 s are those of a machine with nothing else to do: what is expected comes, but beside other tests later.
expect.set_options(timeout=20_000)


@asynccontextmanager
async def chromium(*extra: str, executable: str = CHROMIUM):
    """A browser whose test page needs no web server: Playwright answers its requests, so it runs in any namespace."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=[*FLAGS, *extra])
        try:
            yield browser
        finally:
            await browser.close()


def answer(path: str) -> tuple[str, str]:
    """Text and type of what the test page asks for: a script of the SDK, or the page itself."""
    if path.endswith(".js"):
        return (SDK / path.removeprefix("/")).read_text(), "text/javascript"
    return (HERE / "page.html").read_text(), "text/html"


async def _answer(route):
    body, content_type = answer(route.request.url.removeprefix(ORIGIN))
    await route.fulfill(body=body, content_type=content_type)


async def open_page(browser) -> Page:
    """A page in a context of its own: another person."""
    context = await browser.new_context(permissions=["camera", "microphone"])
    await context.route(f"{ORIGIN}**", _answer)
    page = await context.new_page()
    page.console = []
    page.on("console", lambda message: page.console.append(message.text))
    page.on("pageerror", lambda error: page.console.append(f"ERROR {error}"))
    await page.goto(ORIGIN)
    return page


class Sample:
    """One `stats()` reading of a page."""

    def __init__(self, reading: dict):
        self.rows = reading["rows"]
        self.owners = reading["owners"]

    def inbound(self, kind: str) -> dict[str, dict]:
        """Per remote identity."""
        rows = (row for row in self.rows if row["type"] == "inbound-rtp" and row.get("kind") == kind)
        return {self.owners.get(row.get("trackIdentifier")): row for row in rows if row.get("trackIdentifier") in self.owners}

    def frames_sent(self) -> int:
        """Frames of the most active layer this page sends."""
        rows = [row for row in self.rows if row["type"] == "outbound-rtp" and row.get("kind") == "video"]
        return max((row.get("framesSent", 0) for row in rows), default=0)

    def widest_sent(self) -> int:
        rows = [row for row in self.rows if row["type"] == "outbound-rtp" and row.get("kind") == "video" and row.get("active", True)]
        return max((row.get("frameWidth", 0) for row in rows), default=0)

    def paths(self) -> set[str]:
        """Of each transport in use: the local candidate's type and protocol, to a relay the relay's; e.g. `host/udp`."""
        return {f"{one['candidateType']}/{one.get('relayProtocol') or one['protocol']}" for one in self.candidates()}

    def ips(self) -> set[str]:
        """Our addresses of the transports in use."""
        return {one["address"] for one in self.candidates()}

    def candidates(self) -> list[dict]:
        """The local candidate of each transport in use."""
        by_id = {row["id"]: row for row in self.rows}
        pairs = [by_id.get(row.get("selectedCandidatePairId")) for row in self.rows if row["type"] == "transport"]
        return [by_id[pair["localCandidateId"]] for pair in pairs if pair and pair.get("bytesReceived")]

    def ciphers(self) -> set[str]:
        return {row["srtpCipher"] for row in self.rows if row["type"] == "transport" and row.get("srtpCipher")}


async def sample(page: Page) -> Sample:
    return Sample(await page.evaluate("stats()"))


async def join(page: Page, server, identity: str, room: str, **options) -> None:
    """Connects and publishes as `options` of page.html's `join` say."""
    await page.evaluate(
        "([url, token, options]) => join(url, token, options)",
        [server.ws, server.token(identity, room), {"single": True} | options],
    )


async def until(condition, what: str, within_s: float = 20.0):
    """Waits for an awaitable condition; `what` is said when it never holds."""
    deadline = time.monotonic() + within_s
    while True:
        if value := await condition():
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.2)


async def all_decode(pages: dict[str, Page], each: int) -> bool:
    """Whether every page decodes pictures of `each` others."""
    for page in pages.values():
        videos = (await sample(page)).inbound("video").values()
        if sum(video.get("framesDecoded", 0) > 0 for video in videos) < each:
            return False
    return True


async def stalled(span_s: float) -> bool:
    """Lets a span pass, and says whether this machine stood still or was too busy in it for a picture to come in time."""
    worst, last, end = 0.0, time.monotonic(), time.monotonic() + span_s
    while last < end:
        await asyncio.sleep(TICK_S)
        now = time.monotonic()
        worst, last = max(worst, now - last - TICK_S), now
    return worst > STALL_S
