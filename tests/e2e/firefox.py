"""Debian's Firefox with fake devices, driven by WebDriver BiDi (W3C), which it speaks itself; the page is the one of Chromium.

A `Page` answers to `evaluate` as Playwright's do, so that `browser.join`, `sample` and `all_decode` serve both.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from browser import answer

FIREFOX = "/usr/bin/firefox-esr"
ANSWER_WITHIN_S = 60
MAX_MESSAGE = 64 << 20
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    # The server is on this machine, and candidates have their addresses in them.
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # It would fetch codecs and lists for minutes.
    "media.gmp-manager.updateEnabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "services.settings.server": "data:,",
    "network.proxy.type": 0,
}


class Bidi:
    """The one connection to a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self.socket, self.ids, self.waiting = socket, itertools.count(1), {}
        self.listener = asyncio.create_task(self._listen())

    async def _listen(self):
        async for message in self.socket:
            said = json.loads(message.data)
            if future := self.waiting.pop(said.get("id"), None):
                future.set_result(said)

    async def ask(self, method: str, **params) -> dict:
        number = next(self.ids)
        future = self.waiting[number] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": number, "method": method, "params": params})
        said = await asyncio.wait_for(future, ANSWER_WITHIN_S)
        assert said["type"] == "success", f"{method}: {said}"
        return said["result"]


class Page:
    """A tab: another person."""

    def __init__(self, bidi: Bidi, context: str):
        self.bidi, self.context = bidi, context

    async def evaluate(self, script: str, argument=None):
        """The value of an expression, or of a function called with `argument`, awaited; as JSON carries it."""
        call = script if argument is None else f"({script})({json.dumps(argument)})"
        wrapped = f"(async () => JSON.stringify((await ({call})) ?? null))()"
        result = await self.bidi.ask("script.evaluate", expression=wrapped, target={"context": self.context}, awaitPromise=True)
        assert result["type"] == "success", f"{script}: {result['exceptionDetails']['text']}"
        return json.loads(result["result"]["value"])


@asynccontextmanager
async def served():
    """The test page on the loopback, where browsers allow cameras. Yields its address."""

    async def respond(request):
        text, content_type = answer(request.path)
        return web.Response(text=text, content_type=content_type)

    app = web.Application()
    app.router.add_get("/{name:.*}", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://localhost:{site._server.sockets[0].getsockname()[1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def firefox(profile: Path):
    """Yields a function that opens a page."""
    profile.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec(
        FIREFOX, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env={"HOME": str(profile), "PATH": "/usr/bin:/bin"})
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            while not (found := re.search(rb"WebDriver BiDi listening on (ws://\S+)", line := await process.stderr.readline())):
                assert line, "Firefox ended"
        drain = asyncio.create_task(process.stderr.read())
        async with served() as address, aiohttp.ClientSession() as http:
            async with http.ws_connect(f"{found[1].decode()}/session", max_msg_size=MAX_MESSAGE) as socket:
                bidi = Bidi(socket)
                await bidi.ask("session.new", capabilities={})

                async def open_page() -> Page:
                    page = Page(bidi, (await bidi.ask("browsingContext.create", type="tab"))["context"])
                    await bidi.ask("browsingContext.navigate", context=page.context, url=address, wait="complete")
                    return page

                yield open_page
        drain.cancel()
    finally:
        process.kill()
        await process.wait()
