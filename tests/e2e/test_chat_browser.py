"""Chromium as a chat client: WebTransport with certificate hashes, a recorded voice message, WebSocket where UDP is blocked.

Its protobuf runtime is protobuf-es, which reads `im.proto`'s descriptors at run time.
"""

from __future__ import annotations

import asyncio
import mimetypes
import shutil
from contextlib import asynccontextmanager

import netns
import pytest
import sound
from browser import CHROMIUM, HERE, ORIGIN, SDK, chromium, until
from conftest import start_server
from im_blobs import download
from im_client import Device
from im_proto import DESCRIPTORS
from standstill import Standstill

PROTOBUF = SDK.parents[1] / "@bufbuild/protobuf/dist/esm"

needs_namespaces = pytest.mark.skipif(
    not shutil.which("ip") or not netns.available(), reason="needs the right to make network namespaces and TAP devices"
)


async def _answer(route):
    path = route.request.url.removeprefix(ORIGIN).split("?")[0]
    file = {"": HERE / "chat.html", "im.desc": DESCRIPTORS}.get(path) or PROTOBUF / path.removeprefix("protobuf/")
    if file.is_file():
        await route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream")
    else:
        await route.fulfill(status=404)


async def open_chat(browser, server, name: str, org: str, **options):
    """A page that is signed in and stays connected. Gives (page, what `start` says)."""
    context = await browser.new_context(permissions=["microphone"])
    await context.route(f"{ORIGIN}**", _answer)
    page = await context.new_page()
    page.on("console", lambda message: print("console:", message.text))
    page.on("pageerror", lambda error: print("page error:", error))
    await page.goto(ORIGIN)
    await page.wait_for_function("window.ready", timeout=20_000)
    info = server.chat_info()
    given = {"token": server.chat_token(name, org), "hashes": [list(digest) for digest in info["hashes"]],
             "openMs": 15_000, "webtransport": f"https://{server.host}:{info['quic_port']}/im", "websocket": server.ws + info["websocket"]}
    started = await asyncio.wait_for(page.evaluate("given => start(given)", given | options), 30)
    return page, started


async def seen(page, conv: int, seq: int, within_s: float = 30) -> dict:
    """The page's state once its log reaches `seq`."""
    async def there():
        state = await page.evaluate("conv => look(conv)", conv)
        return state if state["log"] and state["log"][-1][0] >= seq else None

    return await until(there, f"event {seq} in the page", within_s)


@pytest.mark.parametrize("kind", ["webtransport", "websocket"])
async def test_a_browser_chats(server, people, room_name, kind):
    bob = await people("bob", org=room_name)
    async with chromium() as browser:
        page, started = await open_chat(browser, server, "alice", room_name, only=kind, silenceMs=30_000)
        assert started["kind"] == kind, started
        conv = await page.evaluate("ids => makeGroup(ids)", [bob.me.id])
        await bob.until(lambda: conv in bob.logs, "the group")
        for n in range(20):
            seq = await page.evaluate("([conv, n]) => sendText(conv, `from the page ${n}`)", [conv, n])
            assert (await bob.has(conv, seq)).texts()[-1] == f"from the page {n}"
            ack = await bob.session.send(conv, f"to the page {n}")
        state = await seen(page, conv, ack.seq)
        assert [words for _, case, words in state["log"] if case == "text"] == bob.logs[conv].texts()
        assert [seq for seq, *_ in state["log"]] == sorted(bob.logs[conv].events)
        await page.evaluate("conv => typing(conv)", conv)
        await bob.until(lambda: any(hint.typing.user == started["me"] for hint in bob.hints), "typing")
        assert state["faults"] == [] and state["transports"] == [kind]


@pytest.mark.parametrize("kind", ["webtransport", "websocket"])
async def test_a_browser_sends_a_voice_message(server, people, room_name, kind):
    bob = await people("bob", org=room_name)
    async with chromium() as browser:
        page, started = await open_chat(browser, server, "alice", room_name, only=kind)
        conv = await page.evaluate("ids => makeGroup(ids)", [bob.me.id])
        for _ in range(3):
            async with Standstill() as still:
                sent = await page.evaluate("conv => sendVoice(conv, 2500)", conv)
            print(sent, f"{still.s:.1f} s stood still")
            # What passes while nobody runs is not in the recording.
            if still.s < 0.3:
                break
        await bob.has(conv, sent["seq"])
        voice = bob.logs[conv].events[sent["seq"]].body.voice
        assert voice.duration_ms == sent["duration"] and len(voice.waveform) == sent["points"] > 16
        assert max(voice.waveform) > 4 * min(voice.waveform), "the fake microphone beeps once a second"
        container, samples = sound.decode(await download(bob, conv, voice.blob))
        assert container == "ogg" and abs(len(samples) * 1000 / sound.RATE - voice.duration_ms) < 60
        # How much Chromium recorded is its own business; the machine of the test may be slow.
        assert 0.5 * sent["took"] < voice.duration_ms < 1.2 * sent["took"]


@asynccontextmanager
async def apart(tmp_path, *people: str):
    """A server, and a browser in a host of its own for each name."""
    with netns.network(*people, "other") as hosts:
        server = start_server(tmp_path, "--node-ip", "10.77.0.1", home=hosts["server"])
        other = Device(server, "other", home=hosts["other"])
        await other.connect()
        browsers = [chromium(executable=hosts[name].wrapper(tmp_path, CHROMIUM)) for name in people]
        try:
            yield hosts, server, other, [await browser.__aenter__() for browser in browsers]
        finally:
            for browser in browsers:
                await browser.__aexit__(None, None, None)
            await other.close()
            assert server.stop() == 0
        other.check()


@needs_namespaces
async def test_where_udp_is_blocked_a_websocket_serves(tmp_path):
    async with apart(tmp_path, "alice") as (hosts, server, other, (browser,)):
        hosts["alice"].impair(loss=1.0, only="udp")
        page, started = await open_chat(browser, server, "alice", "test", openMs=2_000)
        assert started["kind"] == "websocket" and "in time" in started["whyNot"], started
        conv = await page.evaluate("ids => makeGroup(ids)", [other.me.id])
        seq = await page.evaluate("conv => sendText(conv, 'through the proxy')", conv)
        assert (await other.has(conv, seq)).texts() == ["through the proxy"]
        assert (await page.evaluate("conv => look(conv)", conv))["faults"] == []


@needs_namespaces
async def test_udp_that_stops_passing_loses_nothing(tmp_path):
    async with apart(tmp_path, "alice") as (hosts, server, other, (browser,)):
        page, started = await open_chat(browser, server, "alice", "test")
        assert started["kind"] == "webtransport", started
        conv = await page.evaluate("ids => makeGroup(ids)", [other.me.id])
        await other.until(lambda: conv in other.logs, "the group")
        sent, acks = [], []
        for n in range(60):
            sent.append(asyncio.create_task(page.evaluate("([conv, n]) => sendText(conv, `${n}`)", [conv, n])))
            acks.append(await other.session.send(conv, f"other {n}"))
            if n == 20:
                hosts["alice"].impair(loss=1.0, only="udp")
        seqs = await asyncio.wait_for(asyncio.gather(*sent), 60)
        last = max(*seqs, acks[-1].seq)
        state = await seen(page, conv, last, 30)
        await other.has(conv, last)
        assert state["transports"][0] == "webtransport" and state["transports"][-1] == "websocket" and state["waiting"] == 0
        assert [seq for seq, *_ in state["log"]] == sorted(other.logs[conv].events)
        texts = [words for _, case, words in state["log"] if case == "text"]
        assert texts == other.logs[conv].texts() and len(texts) == len(set(texts)) == 120
        assert [words for words in texts if not words.startswith("other")] == [f"{n}" for n in range(60)]
        assert state["faults"] == []
