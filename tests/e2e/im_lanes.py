"""What frames of the chat protocol travel on: aioquic's QUIC with ALPN `convene/1`, or aiohttp's WebSocket.

Written from `im.proto` alone. A `Carrier` has a control lane and, on demand, bulk lanes; a `Lane` sends requests and
gives each its replies. What a frame means is the business of `im_client.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import socket
import ssl
from contextlib import nullcontext

import aiohttp
import netns
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.tls import Epoch
from cryptography.hazmat.primitives.serialization import Encoding
from im_proto import pb

ALPN = "convene/1"
REPLY_DEADLINE_S = 30.0
MAX_BULK_LANES = 8
CODES = pb.Code


class Refused(Exception):
    """An Error that answers a request, or that ended the session."""

    def __init__(self, error):
        super().__init__(f"{CODES.Name(error.code)}: {error.text}")
        self.error = error
        self.code = CODES.Name(error.code)[len("CODE_"):]


class Ended(Exception):
    """The session is over: what was asked may or may not have been carried out."""


class WrongCertificate(Ended):
    """It is not one that `/im/info` names: of another server, or of a later life of this one."""


def prefixed(frame: bytes) -> bytes:
    """A frame with its length as a varint before it."""
    return varint(len(frame)) + frame


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def place_of(stream: int) -> str:
    """RFC 9000 §2.1: 3 modulo 4 are the unidirectional streams that the server opened."""
    return "control" if stream == 0 else "feed" if stream % 4 == 3 else "bulk"


class Cutter:
    """Cuts what a stream brings into frames."""

    def __init__(self):
        self.buffer = bytearray()

    def push(self, data: bytes):
        self.buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> bytes | None:
        length = 0
        for at, byte in enumerate(self.buffer[:5]):
            length |= (byte & 0x7F) << 7 * at
            if byte < 0x80:
                end = at + 1 + length
                if len(self.buffer) < end:
                    return None
                frame = bytes(self.buffer[at + 1:end])
                del self.buffer[:end]
                return frame
        assert len(self.buffer) < 5, "the server sent a length prefix of more than five bytes"
        return None


def is_last(frame) -> bool:
    """Whether no further frame answers the same request."""
    kind = frame.WhichOneof("body")
    return not (kind == "sync_reply" and frame.sync_reply.more) and not (kind == "blob_data" and not frame.blob_data.last)


class Lane:
    """A stream that requests go out on and replies come in on."""

    def __init__(self, carrier: "Carrier", stream: int):
        self.carrier, self.stream = carrier, stream
        self.replies: dict[int, asyncio.Queue] = {}
        self.finished = asyncio.Event()

    def post(self, **body) -> "Pending":
        """Sends a request, e.g. `post(send=pb.Send(..))`, and does not wait."""
        rid = next(self.carrier.rids)
        queue = self.replies[rid] = asyncio.Queue()
        if self.carrier.over:
            queue.put_nowait(self.carrier.over)
        else:
            self.carrier.write(self.stream, pb.Frame(rid=rid, **body).SerializeToString())
        return Pending(self, rid, queue)

    async def request(self, **body):
        """The one reply, or Refused, or Ended."""
        return (await self.post(**body).all())[0]

    def handle_frame(self, frame) -> bool:
        queue = self.replies.get(frame.rid)
        if queue is not None:
            queue.put_nowait(frame)
        return queue is not None

    def end(self, reason: Exception) -> None:
        for queue in self.replies.values():
            queue.put_nowait(reason)
        self.finished.set()

    def finish(self) -> None:
        """No more requests will come."""
        self.carrier.finish(self.stream)


class Pending:
    """A request that was sent."""

    def __init__(self, lane: Lane, rid: int, queue: asyncio.Queue):
        self.lane, self.rid, self.queue = lane, rid, queue

    async def all(self, within_s: float = REPLY_DEADLINE_S) -> list:
        """Every reply in order, each as the message inside the frame."""
        out = []
        async with asyncio.timeout(within_s):
            while True:
                frame = await self.queue.get()
                if isinstance(frame, Exception):
                    raise frame
                kind = frame.WhichOneof("body")
                if kind == "error":
                    del self.lane.replies[self.rid]
                    raise Refused(frame.error)
                out.append(getattr(frame, kind))
                if is_last(frame):
                    del self.lane.replies[self.rid]
                    return out

    async def one(self, within_s: float = REPLY_DEADLINE_S):
        return (await self.all(within_s))[0]


class Carrier:
    """A connection. `handle_push(frame, place)` gets what answers no request; place: control, feed, bulk or datagram."""

    def __init__(self, handle_push, handle_end):
        self.handle_push, self.handle_end = handle_push, handle_end
        self.rids = itertools.count(1)
        self.over: Exception | None = None
        self.welcomed = False
        self.lanes: dict[int, Lane] = {}
        self.bulk_lanes = asyncio.Semaphore(MAX_BULK_LANES)

    def take(self, raw: bytes, stream: int, place: str) -> None:
        frame = pb.Frame.FromString(raw)
        self.welcomed = self.welcomed or frame.HasField("welcome")
        lane = self.lanes.get(stream)
        if frame.rid == 0 or lane is None or not lane.handle_frame(frame):
            self.handle_push(frame, place)

    async def closed(self) -> None:
        """Waits until nothing of it is left."""

    def end(self, reason: str) -> None:
        if self.over is None:
            self.over = Ended(reason)
            for lane in self.lanes.values():
                lane.end(self.over)
            self.handle_end()


class _Protocol(QuicConnectionProtocol):
    carrier: "QuicCarrier"

    def quic_event_received(self, event) -> None:
        self.carrier.handle_event(event)

    def transmit(self) -> None:
        """aioquic's timers outlive a socket that was closed under it."""
        if self.carrier.over is None:
            super().transmit()

    def datagram_received(self, data, addr) -> None:
        """RFC 9000 §10.3.1, which aioquic leaves out: a server that lost its state says so with a token it gave before."""
        known = (self._quic._peer_cid, *self._quic._peer_cid_available)
        if len(data) >= 21 and data[-16:] in [cid.stateless_reset_token for cid in known]:
            return self.carrier.vanish("stateless reset")
        super().datagram_received(data, addr)

    def error_received(self, error: OSError) -> None:
        """Nobody listens there: the server is gone, which QUIC itself would find out by its idle timeout only."""
        if isinstance(error, ConnectionRefusedError):
            self.carrier.vanish(str(error))


class QuicCarrier(Carrier):
    """aioquic. `home` is the network namespace whose sockets it uses."""

    def __init__(self, handle_push, handle_end, home=None):
        super().__init__(handle_push, handle_end)
        self.home, self.cutters = home, {}
        self.resumed = self.early_accepted = None
        self.established = asyncio.Event()

    async def open(self, host: str, port: int, hashes: list[bytes], ticket=None, keep_ticket=lambda ticket: None,
                   alpn: str = ALPN, first=None, hold=None) -> None:
        """Connects. `first(carrier)` writes what shall travel in the first flight, as early data if `ticket` allows;
        `hold()` runs behind it, before anything is read: until it returns the handshake cannot be finished."""
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=[alpn], verify_mode=ssl.CERT_NONE, server_name=host, session_ticket=ticket,
            max_datagram_frame_size=65_536, idle_timeout=60.0)
        self.quic = QuicConnection(configuration=configuration, session_ticket_handler=keep_ticket)
        self.server = host, port
        self.protocol = _Protocol(self.quic)
        self.protocol.carrier = self
        self.socket = await self._bind()
        try:
            self.protocol.connect((host, port), transmit=False)
            if first is not None:
                first(self)
            self.first_flight = [data for data, _ in self.quic.datagrams_to_send(now=asyncio.get_running_loop().time())]
            for data in self.first_flight:
                self.socket.sendto(data, (host, port))
            if hold is not None:
                hold()
            self.protocol.transmit()
            if self.over:
                raise ConnectionError
            async with asyncio.timeout(REPLY_DEADLINE_S):
                await self.protocol.wait_connected()
            if ticket is None:
                shown = self.quic.tls._peer_certificate.public_bytes(Encoding.DER)
                if hashlib.sha256(shown).digest() not in hashes:
                    raise WrongCertificate("the certificate is not the one /im/info names")
        except BaseException as error:
            self.close()
            if isinstance(error, ConnectionError):
                raise Ended(f"no connection: {self.over}") from error
            raise

    async def _bind(self):
        with netns.inside(self.home) if self.home else nullcontext():
            endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            endpoint.connect(self.server)
        return (await asyncio.get_running_loop().create_datagram_endpoint(lambda: self.protocol, sock=endpoint))[0]

    async def move(self) -> None:
        """Goes on from another local port, as after a change of network."""
        before = self.socket
        self.socket = await self._bind()
        before.abort()
        self.protocol.transmit()

    @property
    def key_phase(self) -> int:
        return self.quic._cryptos[Epoch.ONE_RTT].send.key_phase

    @property
    def local_port(self) -> int:
        return self.socket.get_extra_info("sockname")[1]

    def lane(self, bulk: bool = True) -> Lane:
        stream = self.quic.get_next_available_stream_id()
        self.quic.send_stream_data(stream, b"")  # takes the id, sends nothing
        lane = self.lanes[stream] = Lane(self, stream)
        return lane

    def write(self, stream: int, frame: bytes) -> None:
        self.write_raw(stream, prefixed(frame))

    def write_raw(self, stream: int, data: bytes, last: bool = False) -> None:
        try:
            self.quic.send_stream_data(stream, data, end_stream=last)
        except RuntimeError:
            return  # the server asked for no more (STOP_SENDING); its own last words may still be on their way
        self.protocol._transmit_soon()

    def finish(self, stream: int) -> None:
        self.write_raw(stream, b"", last=True)

    def hint(self, hint) -> None:
        self.quic.send_datagram_frame(pb.Frame(hint=hint).SerializeToString())
        self.protocol._transmit_soon()

    def handle_event(self, event) -> None:
        if isinstance(event, events.HandshakeCompleted):
            self.resumed, self.early_accepted = event.session_resumed, event.early_data_accepted
            self.established.set()
        elif isinstance(event, events.StreamDataReceived):
            cutter = self.cutters.setdefault(event.stream_id, Cutter())
            for frame in cutter.push(event.data):
                self.take(frame, event.stream_id, place_of(event.stream_id))
            if event.end_stream:
                self._stream_ended(event.stream_id, "the server ended the stream")
        elif isinstance(event, events.StreamReset):
            self._stream_ended(event.stream_id, f"the server reset the stream: {event.error_code}")
        elif isinstance(event, events.DatagramFrameReceived):
            self.take(event.data, -1, "datagram")
        elif isinstance(event, events.ConnectionTerminated):
            self.end(f"{event.error_code} {event.reason_phrase}")

    def _stream_ended(self, stream: int, why: str) -> None:
        self.cutters.pop(stream, None)
        if stream == 0:
            return self.end(why)
        if lane := self.lanes.pop(stream, None):
            lane.end(Ended(why))

    def close(self) -> None:
        self.protocol.close()
        self.vanish("closed")

    def vanish(self, reason: str = "vanished") -> None:
        """No word to the server: what a crash or a pulled cable does."""
        if self.protocol._timer is not None:
            self.protocol._timer.cancel()
        self.socket.abort()
        self.end(reason)
        if (waiter := self.protocol._connected_waiter) and not waiter.done():
            waiter.set_exception(ConnectionError(reason))


class WebSocketCarrier(Carrier):
    """aiohttp. Control and bulk are one, and hints are ordinary frames."""

    def __init__(self, handle_push, handle_end, home=None):
        super().__init__(handle_push, handle_end)
        self.home, self.resumed, self.early_accepted = home, False, False
        self.outgoing: asyncio.Queue[bytes] = asyncio.Queue()

    def _socket(self, address):
        with netns.inside(self.home) if self.home else nullcontext():
            return socket.socket(address[0], address[1], address[2])

    async def open(self, url: str, first) -> None:
        connector = aiohttp.TCPConnector(socket_factory=self._socket)
        self.http = aiohttp.ClientSession(connector=connector)
        try:
            self.socket = await self.http.ws_connect(url, max_msg_size=1 << 20, timeout=aiohttp.ClientWSTimeout(ws_close=2))
        except BaseException as error:
            await self.http.close()
            if isinstance(error, (aiohttp.ClientError, OSError, asyncio.TimeoutError)):
                raise Ended(f"no connection: {error}") from error
            raise
        self.tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        first(self)

    def lane(self, bulk: bool = True) -> Lane:
        return self.lanes.setdefault(0, Lane(self, 0))

    async def _read(self) -> None:
        try:
            async for message in self.socket:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    break
                self.take(message.data, 0, "control")
        finally:
            self.end(f"WebSocket closed: {self.socket.close_code}")

    async def _write(self) -> None:
        while True:
            frame = await self.outgoing.get()
            try:
                await self.socket.send_bytes(frame)
            except (ConnectionError, aiohttp.ClientError) as error:
                return self.end(str(error))

    def write(self, stream: int, frame: bytes) -> None:
        self.outgoing.put_nowait(frame)

    write_raw = write

    def finish(self, stream: int) -> None:
        """A WebSocket has one lane, which stays."""

    def hint(self, hint) -> None:
        self.write(0, pb.Frame(hint=hint).SerializeToString())

    def close(self) -> None:
        self.end("closed")

    def vanish(self, reason: str = "vanished") -> None:
        if connection := self.socket._response.connection:
            connection.transport.abort()
        self.end(reason)

    def end(self, reason: str) -> None:
        if self.over is None:
            self.closing = asyncio.get_running_loop().create_task(self._close())
        super().end(reason)

    async def closed(self) -> None:
        await asyncio.wait({self.closing})

    async def _close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await self.socket.close()
        await self.http.close()
