"""People of every kind come and go for a time, with manners and without: nothing of them stays.

An hour in `make soak`. CI has a minute of it, waits included, not five: what leaks by the visit shows in a
hundred of them, what leaks by the hour needs the hour, and CI has forty minutes for everything.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from collections import Counter
from pathlib import Path

import aiohttp
import gst
import pytest
from aiortc import RTCPeerConnection
from conftest import start_server
from im_client import Device, make_direct
from sdk import Person, until
from test_churn import vanish_from_media, vanish_from_websocket
from test_whip_whep import Picture, Tone, negotiate

SPAN_S = int(os.environ.get("CONVENE_TEST_SOAK_S", "20"))
# The first of everything makes caches, pools and threads; a tenth of an hour fills those that fill with time. No shorter than
# a short span: who vanished stays until a timeout, so that the most who are held at once, and with them the allocator's
# memory, grow with a span of less than that.
WARM_UP_S = min(SPAN_S, 360)
GONE_WITHIN_S = 60
# Allocator slack, and what the server keeps by design of who was there: at most 96 MiB of history (README, "What works").
MAX_GROWTH_KIB = 24 * 1024 + (96 * 1024 if SPAN_S > 600 else 0)
# What leaks by the visit grows in every round; what an allocator keeps of a busier round than any before it, in that one.
MAX_ROUNDS = 3
PICTURE = {"simulcast": False, "width": 160, "height": 90, "fps": 10}
GONE = ("convene_participants", "convene_sfu_peers", "convene_signal_connections", "convene_im_sessions", "convene_rooms")
HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout((MAX_ROUNDS + 1) * (SPAN_S + 3 * GONE_WITHIN_S) + 300)
numbers = itertools.count()


def room_of(number: int) -> str:
    return f"soak-{number % 3}"


async def calls_and_mutes(server, _tmp, number: int) -> None:
    """LiveKit's SDK, in both modes: comes in, is muted and not, and leaves."""
    person = await Person(f"caller{number}").connect(server, room_of(number), number % 2 == 0)
    try:
        await person.publish_camera(**PICTURE)
        publication = await person.publish_microphone()
        for _ in range(2):
            publication.track.mute()
            await asyncio.sleep(0.2)
            publication.track.unmute()
            await asyncio.sleep(0.2)
    finally:
        await person.leave()


async def sdk_is_killed(server, _tmp, number: int) -> None:
    """kill -9 of a process with LiveKit's SDK in it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "guest.py"), server.ws, server.token(f"guest{number}", room_of(number)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=HERE)
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"joined\n"
        await asyncio.sleep(0.5)
    finally:
        process.kill()
        await process.wait()


async def gstreamer_is_killed(server, tmp, number: int) -> None:
    """kill -9 of GStreamer, which publishes and plays in turn."""
    role = ("publish", "play")[number % 2]
    async with gst.running(server, tmp, role, f"gst{number}", room_of(number)) as client:
        await until(lambda: client.check() and client.state == "connected", f"GStreamer can {role}", 60)
        await asyncio.sleep(0.5)


async def publishes_by_whip(server, _tmp, number: int) -> None:
    """aiortc, which ends its session, or closes its connection only."""
    connection = RTCPeerConnection()
    connection.addTrack(Tone())
    connection.addTrack(Picture())
    token = server.token(f"whip{number}", room_of(number))
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
        location, _ = await negotiate(http, f"{server.http}/whip/{room_of(number)}", token, connection)
        await until(lambda: connection.connectionState == "connected", "connected", 60)
        await asyncio.sleep(0.5)
        if number % 2:
            async with http.delete(server.http + location) as reply:
                assert reply.status == 200
    await connection.close()


async def socket_vanishes(server, _tmp, number: int) -> None:
    await vanish_from_websocket(server, number)


async def media_vanishes(server, _tmp, number: int) -> None:
    await vanish_from_media(server, number)


async def chats(server, _tmp, number: int) -> None:
    """Two people, over QUIC and over WebSocket, who close or vanish."""
    ways = enumerate(("quic", "websocket"))
    pair = [Device(server, f"chatter{(number + n) % 20}", "soak", way) for n, way in ways]
    sessions = [await device.connect() for device in pair]
    conv = await make_direct(*pair)
    ack = await sessions[0].send(conv, "hello")
    await pair[1].has(conv, ack.seq)
    for session in sessions:
        (session.close if number % 2 else session.vanish)()
    for device in pair:
        await device.close()
        device.check()


KINDS = (calls_and_mutes, sdk_is_killed, gstreamer_is_killed, publishes_by_whip, socket_vanishes, media_vanishes, chats)


async def visits(server, tmp: Path, span_s: float) -> Counter:
    """One of each kind at a time, over and over. How many there were."""
    counts, end = Counter(), time.monotonic() + span_s

    async def keep_coming(kind) -> None:
        while time.monotonic() < end:
            await kind(server, tmp, next(numbers))
            counts[kind.__name__] += 1

    await asyncio.gather(*(keep_coming(kind) for kind in KINDS))
    return counts


async def all_gone(server) -> tuple[int, int, int]:
    """Waits until nobody is left. Tasks, descriptors and resident KiB of the server then."""

    def left() -> dict:
        values = server.metrics()
        return {name: value for name, value in values.items() if name.split("{")[0] in GONE and value}

    await until(lambda: not left(), "nobody is left", GONE_WITHIN_S)
    return int(server.metric("convene_tasks")), server.descriptors(), server.rss_kib()


async def test_nothing_stays_of_those_who_came(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVENE_ROOMS_DEPARTURE_TIMEOUT_S", "1")
    server = start_server(tmp_path)
    try:
        await visits(server, tmp_path, WARM_UP_S)
        tasks, descriptors, memory = await all_gone(server)
        for _ in range(MAX_ROUNDS):
            counts = await visits(server, tmp_path, SPAN_S)
            assert counts.keys() == {kind.__name__ for kind in KINDS}
            await all_gone(server)
            await until(lambda: server.metric("convene_tasks") <= tasks + 2, f"no more than {tasks} tasks again", GONE_WITHIN_S)
            await until(lambda: server.descriptors() <= descriptors + 2, f"no more than {descriptors} descriptors again", GONE_WITHIN_S)
            growth = server.rss_kib() - memory
            memory += growth
            print(f"{dict(counts)}; tasks from {tasks}, descriptors from {descriptors}, now {memory} KiB, grew by {growth} KiB")
            if growth < MAX_GROWTH_KIB:
                break
        assert growth < MAX_GROWTH_KIB
        assert server.metric("convene_room_panics_total") == 0 and server.metric("convene_im_session_panics_total") == 0
    finally:
        assert server.stop() == 0
