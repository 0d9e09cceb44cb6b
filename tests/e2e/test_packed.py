"""Signaling goes packed where the client can (RFC 7692). Frames are read and written here as they are on the wire."""

from __future__ import annotations

import asyncio
import base64
import os
import zlib
from contextlib import asynccontextmanager

import aiohttp
from livekit.protocol import rtc
from sdk import until

BINARY, CLOSE, FIN, PACKED = 2, 8, 0x80, 0x40
TAIL = b"\x00\x00\xff\xff"  # RFC 7692 §7.2.1: left out on the wire
TOO_LARGE = 1009


class Wire:
    """An open socket, without any library's help. `answer` is what the server said to the request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: str):
        self.reader, self.writer, self.answer = reader, writer, answer

    async def read(self) -> tuple[int, bool, bytes]:
        """Opcode, whether it was packed, and the payload, unpacked."""
        first, length = await self.reader.readexactly(2)
        if length >= 126:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8))
        payload = await self.reader.readexactly(length)
        packed = bool(first & PACKED)
        return first & 0x0F, packed, zlib.decompressobj(-15).decompress(payload + TAIL) if packed else payload

    def send(self, payload: bytes, packed: bool) -> None:
        if packed:
            packer = zlib.compressobj(wbits=-15)
            payload = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
        head = bytes([FIN | (PACKED if packed else 0) | BINARY, 0x80 | 127]) + len(payload).to_bytes(8)
        self.writer.write(head + bytes(4) + payload)  # a mask of zeros is one

    async def said(self, kind: str) -> tuple[object, bool]:
        """The next message of a kind, and whether it was packed."""
        while True:
            opcode, packed, payload = await asyncio.wait_for(self.read(), 10)
            assert opcode == BINARY, (opcode, payload)
            message = rtc.SignalResponse.FromString(payload)
            if message.WhichOneof("message") == kind:
                return getattr(message, kind), packed


@asynccontextmanager
async def wire(server, room: str, identity: str, extensions: str | None):
    address, port = server.http.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    offered = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    key = base64.b64encode(os.urandom(16)).decode()
    token = server.token(identity, room)
    writer.write(
        f"GET /rtc?access_token={token}&protocol=16 HTTP/1.1\r\nHost: {address}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{offered}\r\n".encode())
    answer = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode().lower()
    assert answer.startswith("http/1.1 101"), answer
    try:
        yield Wire(reader, writer, answer)
    finally:
        writer.close()


async def test_long_messages_go_packed_to_who_can_unpack_them(server, room_name):
    async with wire(server, room_name, "ana", "permessage-deflate; client_max_window_bits") as ana:
        # Nothing is kept from one message to the next, on either side.
        for word in ("permessage-deflate", "server_no_context_takeover", "client_no_context_takeover"):
            assert word in ana.answer, ana.answer
        offer, packed = await ana.said("offer")
        assert packed and "webrtc-datachannel" in offer.sdp
        for packed in (True, False):
            ana.send(rtc.SignalRequest(ping_req=rtc.Ping(timestamp=7)).SerializeToString(), packed)
            pong, answered_packed = await ana.said("pong_resp")
            assert pong.last_ping_timestamp == 7 and not answered_packed, "a short one is not worth it"
    async with wire(server, room_name, "ben", None) as ben:
        assert "sec-websocket-extensions" not in ben.answer
        offer, packed = await ben.said("offer")
        assert "webrtc-datachannel" in offer.sdp and not packed


async def test_what_unpacks_to_too_much_ends_its_sender(server, room_name):
    async with wire(server, room_name, "eve", "permessage-deflate") as eve, wire(server, room_name, "ana", None) as ana:
        await eve.said("join")
        await ana.said("join")
        refused = 'convene_refused_total{code="signal_socket_error"}'
        before = server.metrics().get(refused, 0)
        eve.send(bytes(50_000_000), packed=True)  # 49 kB on the wire

        async def closing() -> bytes:
            while True:
                opcode, _, payload = await eve.read()
                if opcode == CLOSE:
                    return payload

        assert int.from_bytes((await asyncio.wait_for(closing(), 10))[:2]) == TOO_LARGE
        await until(lambda: server.metrics().get(refused, 0) == before + 1, "it is counted")
        ana.send(rtc.SignalRequest(ping_req=rtc.Ping(timestamp=1)).SerializeToString(), packed=False)
        await ana.said("pong_resp")


async def test_who_asks_for_no_socket_is_told_so(server, room_name):
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{server.http}/rtc", params={"access_token": server.token("ana", room_name)}) as reply:
            assert reply.status == 426, await reply.text()
