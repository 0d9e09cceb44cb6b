"""Clients that come and vanish: nothing of them stays. Those who stay and wait take little."""

from __future__ import annotations

import asyncio
import os
import time

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription
from conftest import start_server
from livekit.protocol.rtc import SignalResponse
from sdk import until

JOINS = int(os.environ.get("CONVENE_TEST_CHURN", "500"))
AT_ONCE = 25
MAX_GROWTH_KIB = 24 * 1024  # allocator slack after a warm-up of the same kind
# Of somebody with a signaling socket and nothing to hear or see yet: 58 here, and 182 where a socket has a read buffer of the
# size that the library likes.
MAX_WAITING_KIB = 96
WAITING = 200
# How often all of its threads together wake up in a second while nothing happens in 63 rooms: 5 here, and 110 where each room
# looks at its deadlines once a second and the store at its log five times.
MAX_WAKES = 30


async def join(server, http, name: str, room: str) -> aiohttp.ClientWebSocketResponse:
    """Joins by signaling."""
    query = f"access_token={server.token(name, room)}&protocol=17&sdk=python&auto_subscribe=1&version=1.2.1"
    socket = await http.ws_connect(f"{server.ws}/rtc?{query}", max_msg_size=1 << 20)
    first = SignalResponse.FromString((await socket.receive(timeout=10)).data)
    assert first.WhichOneof("message") == "join", first
    return socket


async def vanish_from_websocket(server, number: int) -> None:
    """Joins by signaling and drops the TCP connection without a word."""
    async with aiohttp.ClientSession() as http:
        socket = await join(server, http, f"ws{number}", f"churn-{number % 7}")
        socket._response.connection.transport.abort()


async def vanish_from_media(server, number: int) -> None:
    """Connects ICE and DTLS by WHEP and goes silent."""
    connection = RTCPeerConnection()
    connection.addTransceiver("audio", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Authorization": f"Bearer {server.token(f'rtc{number}', f'churn-{number % 7}')}", "Content-Type": "application/sdp"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.post(f"{server.http}/whep/churn-{number % 7}", data=connection.localDescription.sdp) as reply:
            assert reply.status == 201, await reply.text()
            await connection.setRemoteDescription(RTCSessionDescription(await reply.text(), "answer"))
    await until(lambda: connection.connectionState == "connected", "connected", 15)
    for transceiver in connection.getTransceivers():
        await transceiver.sender.transport.transport._connection.close()  # ICE stops; no close_notify
    await connection.close()


async def churn(server, joins: int) -> None:
    for start in range(0, joins, AT_ONCE):
        batch = range(start, min(joins, start + AT_ONCE))
        await asyncio.gather(*(
            vanish_from_media(server, n) if n % 5 == 0 else vanish_from_websocket(server, n) for n in batch))


async def nothing_left(server) -> None:
    def empty():
        values = server.metrics()
        return all(sum(v for k, v in values.items() if k.split("{")[0] == name) == 0
                   for name in ("convene_participants", "convene_sfu_peers"))

    await until(empty, "all participants and peers are gone", 60)


async def test_nothing_stays_of_the_vanished(tmp_path):
    server = start_server(tmp_path)
    try:
        await churn(server, JOINS // 5)
        await nothing_left(server)
        descriptors, memory = server.descriptors(), server.rss_kib()
        started = time.monotonic()
        await churn(server, JOINS)
        print(f"{JOINS} joins in {time.monotonic() - started:.1f} s")
        await nothing_left(server)
        await until(lambda: server.descriptors() <= descriptors + 2, "descriptors back", 20)
        growth = server.rss_kib() - memory
        print(f"resident memory {memory} KiB, grew by {growth} KiB")
        assert growth < MAX_GROWTH_KIB
        assert server.metric("convene_room_panics_total") == 0
    finally:
        assert server.stop() == 0


async def test_who_waits_in_a_call_takes_little(tmp_path):
    server = start_server(tmp_path)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            async def crowd(name: str, people: int) -> None:
                for n in range(people):
                    await join(server, http, f"{name}{n}", f"{name}-{n // 4}")

            await crowd("first", WAITING // 4)
            memory = server.rss_kib()
            await crowd("then", WAITING)
            each = (server.rss_kib() - memory) / WAITING
            print(f"{each:.1f} KiB of somebody who waits")
            assert each < MAX_WAITING_KIB

            await asyncio.sleep(2)  # rooms have looked once more
            wakes = server.wakes()
            await asyncio.sleep(3)
            wakes = (server.wakes() - wakes) / 3
            print(f"{wakes:.1f} wake-ups a second")
            assert wakes < MAX_WAKES
    finally:
        assert server.stop() == 0
