"""Bad networks, made of namespaces and cables of our own, judged by Chromium's getStats."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import asynccontextmanager

import netns
import pytest
from browser import CHROMIUM, all_decode, chromium, join, open_page, sample, stalled, until
from camera import film
from conftest import start_server

VIDEO = {"width": 320, "height": 180, "fps": 15, "bitrate": 300_000}
SPAN_S = 10
CALM_SPANS = 3
MAX_SPANS = 9
COUNTERS = ("totalFreezesDuration", "freezeCount", "framesDecoded", "keyFramesDecoded", "pliCount", "packetsLost", "retransmittedPacketsReceived")

pytestmark = pytest.mark.skipif(
    not shutil.which("ip") or not netns.available(), reason="needs the right to make network namespaces and TAP devices"
)


@asynccontextmanager
async def scene(tmp_path, *people: str, filmed: bool = False):
    """A server and one browser a person, each in a host of its own. Yields (hosts, server, pages)."""
    with netns.network(*people) as hosts:
        server = start_server(tmp_path, "--node-ip", "10.77.0.1", home=hosts["server"])
        # For our web client, which hashes what it sends.
        flags = [f"--unsafely-treat-insecure-origin-as-secure={server.http}"] + ([film(tmp_path)] if filmed else [])
        browsers = [chromium(*flags, executable=hosts[name].wrapper(tmp_path, CHROMIUM)) for name in people]
        try:
            opened = [await browser.__aenter__() for browser in browsers]
            pages = {name: await open_page(browser) for name, browser in zip(people, opened, strict=True)}
            yield hosts, server, pages
        finally:
            for browser in browsers:
                await browser.__aexit__(None, None, None)
            server.process.terminate()
            assert server.process.wait(timeout=15) == 0


async def decoded(page, of: str) -> int:
    return (await sample(page)).inbound("video").get(of, {}).get("framesDecoded", 0)


async def time_to_picture(page, of: str, within_s: float) -> float:
    """Seconds until frames of somebody are decoded again."""
    start, since = time.monotonic(), await decoded(page, of)

    async def moved():
        return await decoded(page, of) > since + 2

    await until(moved, f"frames of {of}", within_s)
    return time.monotonic() - start


async def counted(listeners: dict) -> dict[str, dict]:
    """Chromium's counters of each listener's picture of the speaker."""
    rows = {name: (await sample(page)).inbound("video")["speaker"] for name, page in listeners.items()}
    return {name: {key: row.get(key, 0) for key in COUNTERS} for name, row in rows.items()}


async def since(before: dict[str, dict], listeners: dict) -> dict[str, dict]:
    """How much they grew."""
    after = await counted(listeners)
    return {name: {key: after[name][key] - row[key] for key in row} for name, row in before.items()}


async def measured(listeners: dict, span_s: float) -> tuple[dict[str, dict], bool]:
    """What each listener's picture of the speaker did in a span, as differences of Chromium's counters; and whether the
    machine stood still in it."""
    before = await counted(listeners)
    no_wonder = await stalled(span_s)
    return await since(before, listeners), no_wonder


async def test_loss_and_delay_hurt_only_the_one_who_has_them(tmp_path, room_name):
    async with scene(tmp_path, "speaker", "lucky", "unlucky") as (hosts, server, pages):
        await join(pages["speaker"], server, "speaker", room_name, **VIDEO)
        for name in ("lucky", "unlucky"):
            await join(pages[name], server, name, room_name, publish=False)
        listeners = {name: pages[name] for name in ("lucky", "unlucky")}
        await until(lambda: all_decode(listeners, 1), "both see the speaker")
        hosts["unlucky"].impair(loss=0.05, delay_ms=50)
        await asyncio.sleep(5)  # the moment of change itself; receiver reports come once a second
        calm, frozen = [], []
        for _ in range(MAX_SPANS):
            span, no_wonder = await measured(listeners, SPAN_S)
            print(span, "the machine stood still" if no_wonder else "")
            if span["lucky"]["freezeCount"] == 0 and span["unlucky"]["totalFreezesDuration"] <= 0.01 * SPAN_S:
                calm.append(span)
            elif not no_wonder:
                frozen.append(span)
            if len(calm) == CALM_SPANS:
                break
        assert len(frozen) <= 1, f"pictures froze while the machine ran: {frozen}"
        if len(calm) < CALM_SPANS:
            pytest.skip("this machine stands still too often to judge freezes")
        assert sum(span["unlucky"]["retransmittedPacketsReceived"] for span in calm) > 0


# What the publisher's camera makes: two layers that a slow path can tell apart.
LAYERED = {"width": 640, "height": 360, "fps": 15, "bitrate": 900_000}
# A machine that encodes little makes little to limit, so the path is set by what it makes.
SLOW_PART, SLOW_S, FAST_S = 0.55, 15, 20
# UDP, IPv4 and Ethernet headers and the SRTP tag.
PACKET_OVERHEAD = 58


async def made(page, seconds: float) -> dict[str | int, float]:
    """What a page sends in kbit/s on the wire: "audio", and each width of its video."""

    def size(row: dict) -> int:
        return row["bytesSent"] + row["headerBytesSent"] + PACKET_OVERHEAD * row["packetsSent"]

    async def sent() -> dict:
        rows = [row for row in (await sample(page)).rows if row["type"] == "outbound-rtp" and row.get("packetsSent")]
        return {"audio" if row["kind"] == "audio" else row.get("frameWidth", 0): size(row) for row in rows}

    before = await sent()
    await asyncio.sleep(seconds)
    return {key: (size - before.get(key, 0)) * 8 / seconds / 1e3 for key, size in (await sent()).items()}


async def watch(pages, of: str, seconds: float) -> dict[str, list]:
    """Rows of (time, width, frames, frozen seconds, freezes, bytes) of each page, five times a second."""
    log, end = {name: [] for name in pages}, time.monotonic() + seconds
    while time.monotonic() < end:
        for name, page in pages.items():
            row = (await sample(page)).inbound("video").get(of, {})
            keys = ("frameWidth", "framesDecoded", "totalFreezesDuration", "freezeCount", "bytesReceived")
            log[name].append((time.monotonic(), *(row.get(key, 0) for key in keys)))
        await asyncio.sleep(0.2)
    return log


def shrank(rows: list, full: int) -> float:
    """Seconds from the first row until the picture is smaller for good."""
    wide = [at for at, width, *_ in rows if width >= full]
    return (max(wide) if wide else rows[0][0]) - rows[0][0]


def grew(rows: list, full: int) -> float:
    """Seconds from the first row until the picture is large again."""
    return min((at for at, width, *_ in rows if width >= full), default=float("inf")) - rows[0][0]


def unfed(rows: list, full: int, kbit: float) -> str | None:
    """Why the control says nothing: what reached it is not what a free path carries."""
    got = (rows[-1][5] - rows[0][5]) * 8 / 1e3 / (rows[-1][0] - rows[0][0])
    if any(row[1] != full for row in rows):
        return "the publisher stopped its large layer"
    if got < 0.6 * kbit:
        return f"only {got:.0f} of {kbit:.0f} kbit/s reached the control"
    if rows[-1][4] > rows[0][4]:
        return "the control's picture froze"
    return None


async def both_wide(hosts, server, pages, room_name: str) -> dict:
    """A lucky and an unlucky listener, as soon as both see the speaker in full."""
    await join(pages["speaker"], server, "speaker", room_name, **LAYERED)
    hosts["unlucky"].impair(delay_ms=20)
    for name in ("lucky", "unlucky"):
        await join(pages[name], server, name, room_name, publish=False)
    listeners = {name: pages[name] for name in ("lucky", "unlucky")}

    async def all_wide():
        samples = [(await sample(page)).inbound("video").get("speaker", {}) for page in listeners.values()]
        return all(row.get("frameWidth") == LAYERED["width"] for row in samples)

    await until(all_wide, "both see the full picture", 30)
    return listeners


async def test_a_path_that_holds_back_and_lets_go_is_not_a_narrow_one(tmp_path, room_name):
    async with scene(tmp_path, "speaker", "lucky", "unlucky", filmed=True) as (hosts, server, pages):
        listeners = await both_wide(hosts, server, pages, room_name)
        hosts["unlucky"].impair(rate_kbit=5_000)
        await asyncio.sleep(5)
        before = await counted(listeners)
        log: dict[str, list] = {name: [] for name in listeners}
        for _ in range(4):
            hosts["unlucky"].impair(hold_ms=400)
            for name, rows in (await watch(listeners, "speaker", 3)).items():
                log[name] += rows
        if any(width != LAYERED["width"] for _, width, *_ in log["lucky"]):
            pytest.skip("this machine is too busy to tell: the publisher stopped its large layer")
        did = await since(before, listeners)
        assert {width for _, width, *_ in log["unlucky"]} == {LAYERED["width"]}, did
        assert did["unlucky"]["pliCount"] == 0, did
        assert did["unlucky"]["keyFramesDecoded"] <= did["lucky"]["keyFramesDecoded"], did
        assert did["unlucky"]["framesDecoded"] > 0.8 * did["lucky"]["framesDecoded"], did


async def test_a_rate_step_is_followed_by_the_one_who_has_it(tmp_path, room_name):
    full = LAYERED["width"]
    async with scene(tmp_path, "speaker", "lucky", "unlucky", filmed=True) as (hosts, server, pages):
        listeners = await both_wide(hosts, server, pages, room_name)
        await asyncio.sleep(5)
        rates = await made(pages["speaker"], 5)
        audio, large, small = (rates.get(key, 0) for key in ("audio", full, full // 2))
        slow = SLOW_PART * (large + audio)
        if not small or small * 1.3 + audio > slow:
            pytest.skip(f"this machine makes {rates} kbit/s: no rate in between tells the layers apart")
        parts = []
        for rate, seconds in [(slow, SLOW_S), (0, FAST_S)] * 2:
            hosts["unlucky"].impair(rate_kbit=rate)
            parts.append(part := await watch(listeners, "speaker", seconds))
            if reason := unfed(part["lucky"], full, large):
                pytest.skip(f"this machine is too busy to tell: {reason}")
        rows = [part["unlucky"] for part in parts]
        down, up = [shrank(part, full) for part in rows[0::2]], [grew(part, full) for part in rows[1::2]]
        span, frozen = rows[-1][-1][0] - rows[0][0][0], rows[-1][-1][3] - rows[0][0][3]
        print(f"{slow:.0f} of {rates} kbit/s: down after {down}, up after {up} s; frozen {frozen:.2f} s in {span:.0f} s")
        assert max(down) <= 2.0 + 0.5 and max(up) <= 10.0, "half a second is the clock of this test and the jitter buffer"
        assert frozen <= 0.03 * span


@pytest.mark.parametrize("sends", [False, True], ids=["receives-only", "sends-too"])
async def test_a_changed_address_is_followed(tmp_path, room_name, sends):
    async with scene(tmp_path, "speaker", "mover") as (hosts, server, pages):
        await join(pages["speaker"], server, "speaker", room_name, **VIDEO)
        await join(pages["mover"], server, "mover", room_name, publish=sends, **VIDEO)
        await until(lambda: all_decode({"mover": pages["mover"]}, 1), "the mover sees the speaker")
        times = []
        for move in range(3):
            await asyncio.sleep(2)
            hosts["mover"].impair(shift=1_000 * (move + 1))
            times.append(await time_to_picture(pages["mover"], "speaker", 10))
        # Who only receives is found by its next consent check (RFC 7675: every 4-6 s, Chromium every 2.5 s). The middle of
        # three, and half a second for the clock of this test: one move may meet a busy machine.
        print(f"picture after {[round(took, 1) for took in times]} s")
        assert sorted(times)[1] <= (1.0 if sends else 3.0) + 0.5


async def test_picture_returns_after_ten_seconds_of_silence(tmp_path, room_name):
    async with scene(tmp_path, "speaker", "listener") as (hosts, server, pages):
        await join(pages["speaker"], server, "speaker", room_name, **VIDEO)
        await join(pages["listener"], server, "listener", room_name, publish=False)
        await until(lambda: all_decode({"listener": pages["listener"]}, 1), "the listener sees the speaker")
        times = []
        for cuts in (1, 2, 3):
            hosts["listener"].impair(loss=1.0, only="udp")
            await asyncio.sleep(10)
            hosts["listener"].impair(loss=0.0, only=None)
            times.append(await time_to_picture(pages["listener"], "speaker", 10))
            # One cut may meet a busy machine: then the middle of three counts.
            if cuts == 1 and times[0] <= 2.0:
                break
        # libwebrtc asks for a keyframe after 2 to 3 s; the server has heard before that what is missing comes no more.
        print(f"picture after {[round(took, 1) for took in times]} s")
        assert sorted(times)[len(times) // 2] <= 2.0


async def test_forty_joins_with_lost_handshake_datagrams(tmp_path, room_name):
    async with scene(tmp_path, "crowd") as (hosts, server, pages):
        page = pages["crowd"]
        hosts["crowd"].impair(loss=0.10, only="handshake")
        tokens = [server.token(f"p{n}", room_name, can_publish=True) for n in range(40)]
        states = await page.evaluate(
            """async ([url, tokens]) => {
              const one = async (token) => {
                const connection = new RTCPeerConnection();
                connection.addTransceiver('audio', { direction: 'recvonly' });
                await connection.setLocalDescription(await connection.createOffer());
                const reply = await fetch(url, { method: 'POST', body: connection.localDescription.sdp, headers: {
                  'Content-Type': 'application/sdp', Authorization: `Bearer ${token}` } });
                await connection.setRemoteDescription({ type: 'answer', sdp: await reply.text() });
                const start = performance.now();
                while (connection.connectionState !== 'connected' && performance.now() - start < 15000) {
                  await new Promise((resolve) => setTimeout(resolve, 20));
                }
                return [connection.connectionState, performance.now() - start];
              };
              const results = [];
              for (let at = 0; at < tokens.length; at += 10) {
                results.push(...await Promise.all(tokens.slice(at, at + 10).map(one)));
              }
              return results;
            }""",
            [f"{server.http}/whep/{room_name}", tokens],
        )
        print(f"slowest {max(ms for _, ms in states):.0f} ms")
        assert [state for state, _ in states] == ["connected"] * 40
