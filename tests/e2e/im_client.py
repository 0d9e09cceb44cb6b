"""A chat client written from `im.proto` alone: an installation (`Device`) with its logs, and its sessions.

It keeps the cursor rule to the letter and remembers every breach of the contract it sees in `faults`, so that each test
that uses it also checks order, density, streams and the ordinals.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from collections import defaultdict

from im_lanes import ALPN, CODES, Ended, Lane, QuicCarrier, Refused, WebSocketCarrier, WrongCertificate
from im_proto import pb

HOLE_PATIENCE_S = 0.5
COUNTABLE = {"text", "voice", "image", "file", "location", "card", "custom", "call"}
PLACES = {"deliver": "feed", "deliver_user": "control", "goodbye": "control", "hint": "datagram"}
# Reconnecting: first pause and longest pause.
PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
# How often a session is asked whether it still is one, and how long it may take to answer.
PING_EVERY_S, PING_DEADLINE_S = 4.0, 10.0


def text(words: str, **fields):
    return pb.Body(text=pb.Text(text=words), **fields)


def new_id() -> bytes:
    return uuid.uuid4().bytes


def countable(body) -> bool:
    rings = body.HasField("call") and body.call.outcome == pb.CALL_OUTCOME_RINGING
    return body.WhichOneof("kind") in COUNTABLE and not body.custom.silent and not rings


class Log:
    """What a device knows of a conversation: every event of (base, cursor], and what arrived past a hole."""

    def __init__(self, conv: int, base: int, owner: int):
        self.conv, self.base, self.cursor, self.owner = conv, base, base, owner
        self.own = (0, 0)  # seq and ord of the newest event that the owner sent
        self.events: dict[int, object] = {}
        self.held: dict[tuple[int, int], list] = {}
        self.chasing = False
        self.faults: list[str] = []

    def take(self, start: int, end: int, events: list) -> bool:
        """Applies the events of (start, end] by the cursor rule; false when they lie past a hole."""
        if [event.seq for event in events] != list(range(start + 1, end + 1)):
            self.faults.append(f"({start}, {end}] came with {[event.seq for event in events]}")
            return True
        if start > self.cursor:
            self.held[start, end] = events
            return False
        for event in events:
            if event.seq > self.cursor:
                self._apply(event)
            else:
                self._compare(event)
        while self.held and (first := min(self.held))[0] <= self.cursor:
            self.take(*first, self.held.pop(first))
        return True

    def _apply(self, event) -> None:
        before = self.events.get(event.seq - 1)
        kind = event.body.WhichOneof("kind")
        if before is not None and kind != "tombstone" and event.ord != before.ord + countable(event.body):
            self.faults.append(f"event {event.seq} ({kind}) has ord {event.ord} after {before.ord}")
        if event.conv != self.conv:
            self.faults.append(f"event of {event.conv} in the log of {self.conv}")
        self.events[event.seq], self.cursor = event, event.seq
        if event.sender == self.owner:
            self.own = event.seq, event.ord
        if kind == "recall":
            self._erase(event.body.target, event.body.target, pb.ERASE_REASON_RECALLED)
        for gone in event.body.erase.ranges:
            self._erase(gone.first, gone.last, event.body.erase.reason)

    def _erase(self, first: int, last: int, reason: int) -> None:
        for seq in range(first, last + 1):
            if (event := self.events.get(seq)) and event.body.WhichOneof("kind") != "tombstone":
                number = event.body.DESCRIPTOR.fields_by_name[event.body.WhichOneof("kind")].number
                event.body.CopyFrom(pb.Body(tombstone=pb.Tombstone(kind=number, reason=reason)))

    def _compare(self, event) -> None:
        """A seq says the same each time, or was erased since."""
        known = self.events.get(event.seq)
        if known is not None and known != event and "tombstone" not in (known.body.WhichOneof("kind"), event.body.WhichOneof("kind")):
            self.faults.append(f"event {event.seq} came twice and differs")

    def texts(self) -> list[str]:
        return [event.body.text.text for _, event in sorted(self.events.items()) if event.body.HasField("text")]

    def bytes(self) -> list[bytes]:
        return [event.SerializeToString(deterministic=True) for _, event in sorted(self.events.items())]


class Session:
    """One connection of a device, from Welcome on."""

    def __init__(self, device: "Device", carrier):
        self.device, self.carrier = device, carrier
        self.control: Lane = carrier.lane(bulk=False)
        self.welcome = None
        self.caught_up = False

    def post(self, **body):
        return self.control.post(**body)

    async def request(self, **body):
        return await self.control.request(**body)

    async def bulk(self, **body) -> list:
        """A request on a bulk lane of its own: all replies."""
        async with self.carrier.bulk_lanes:
            lane = self.carrier.lane()
            pending = lane.post(**body)
            lane.finish()
            return await pending.all()

    async def send(self, conv: int, body, client_id: bytes | None = None):
        if isinstance(body, str):
            body = text(body)
        return await self.request(send=pb.Send(conv=conv, client_id=client_id or new_id(), body=body))

    @property
    def alive(self) -> bool:
        return self.carrier.over is None

    def close(self) -> None:
        self.carrier.close()

    def vanish(self) -> None:
        self.carrier.vanish()


class Device:
    """An installation of a user. It outlives sessions: logs, cursors, tickets and what is not acknowledged."""

    def __init__(self, server, name: str, org: str = "test", transport: str = "quic", home=None, token: str | None = None):
        self.server, self.name, self.transport, self.home = server, name, transport, home
        self.token = token or server.chat_token(name, org)
        self.id = os.urandom(16)
        self.logs: dict[int, Log] = {}
        self.early_frames: dict[int, list] = defaultdict(list)  # of conversations not yet known
        self.useq = self.bump = 0
        self.user_events, self.hints, self.goodbyes, self.errors, self.faults = [], [], [], [], []
        self.reads: dict[int, tuple[int, int]] = {}
        self.heads: dict[int, object] = {}
        self.tickets: list = []
        self.session: Session | None = None
        self.outbox: dict[bytes, tuple[object, asyncio.Future]] = {}
        self.acks: dict[bytes, object] = {}
        self.keeper: asyncio.Task | None = None
        self.connects = 0
        self.changed = asyncio.Event()
        self.chores: set[asyncio.Task] = set()

    # ---------------------------------------------------------------------------------------------------- connecting

    async def connect(self, early=(), ticket=None, sync: bool = True, hold=None) -> Session:
        """Hello, Sync behind it, and `early`: (name of the request, message) pairs right behind Hello.

        With a `ticket` the first flight is early data; until `hold()` returns nothing more is sent. The replies to `early`
        are in `session.early`.
        """
        info = self.server.chat_info()
        carrier_type = QuicCarrier if self.transport == "quic" else WebSocketCarrier
        carrier = carrier_type(lambda frame, place: self._handle_push(frame, place, carrier), self._handle_end, self.home)
        waiting = {}

        def first(carrier):
            session = waiting["session"] = Session(self, carrier)
            hello = pb.Hello(version=1, token=self.token, device_id=self.id, client="aioquic/1.7.2")
            if sync:
                hello.sync.CopyFrom(self._sync())
            waiting["hello"] = session.post(hello=hello)
            session.early = [session.post(**{name: message}) for name, message in early]

        if self.transport == "quic":
            try:
                await carrier.open(self.server.host, info["quic_port"], info["hashes"], ticket, self.tickets.append, first=first,
                                   hold=hold)
            except WrongCertificate:
                assert self.server.chat_info() is not info, "the server shows a certificate that it does not name"
                raise  # it was restarted since it was asked
        else:
            await carrier.open(self.server.ws + info["websocket"], first)
        session = waiting["session"]
        await self._welcome(session, waiting["hello"], sync)
        return session

    async def _welcome(self, session: Session, hello, sync: bool) -> None:
        try:
            async with asyncio.timeout(30):
                frame = await hello.queue.get()
            if isinstance(frame, Exception):
                raise frame
            if frame.HasField("error"):
                raise Refused(frame.error)
            assert frame.HasField("welcome"), f"the first reply is {frame}"
        except BaseException:
            session.close()
            raise
        session.welcome = frame.welcome
        self.me, self.session = frame.welcome.me, session
        self.connects += 1
        if sync:
            await self._handle_sync(session, await hello.all())

    async def stay_connected(self) -> None:
        """From here on reconnects by itself, syncs, and repeats what was not acknowledged."""
        self.keeper = asyncio.create_task(self._keep())
        self.keeper.add_done_callback(self._chore_done)
        await self.until(lambda: self.online, "connected", 60)

    @property
    def online(self) -> bool:
        return self.session is not None and self.session.alive and self.session.caught_up

    async def _keep(self) -> None:
        pause = PAUSE_S
        while True:
            try:
                if self.session is None or not self.session.alive:
                    await self.connect()
                pause = PAUSE_S
                for client_id, (request, done) in list(self.outbox.items()):
                    self._chore(self._send_once(client_id))
                await self._watch(self.session)
            except (Ended, Refused, OSError, TimeoutError) as error:
                if isinstance(error, Refused) and error.code not in ("UNAVAILABLE", "GOING_AWAY", "FLOOD"):
                    self.faults.append(f"refused at connecting: {error}")
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _watch(self, session: Session) -> None:
        """Returns when the session is over, or as good as over."""
        while session.alive:
            try:
                await asyncio.wait_for(session.control.finished.wait(), PING_EVERY_S)
            except TimeoutError:
                try:
                    await session.post(ping=pb.Ping()).one(PING_DEADLINE_S)
                except TimeoutError:
                    session.vanish()

    async def close(self) -> None:
        if self.keeper:
            self.keeper.cancel()
        for chore in list(self.chores):
            chore.cancel()
        if self.session:
            self.session.close()
            await self.session.carrier.closed()
        await asyncio.sleep(0)

    def _handle_end(self) -> None:
        self.changed.set()

    def _chore(self, work) -> None:
        task = asyncio.create_task(work)
        self.chores.add(task)
        task.add_done_callback(self._chore_done)

    def _chore_done(self, task) -> None:
        self.chores.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Ended):
            self.faults.append(f"{error!r}")

    # ------------------------------------------------------------------------------------------------------- sending

    async def deliver(self, conv: int, body, client_id: bytes | None = None, within_s: float = 60):
        """Sends until it is acknowledged, however often the connection goes; gives the Ack."""
        client_id = client_id or new_id()
        request = pb.Send(conv=conv, client_id=client_id, body=text(body) if isinstance(body, str) else body)
        done = asyncio.get_running_loop().create_future()
        self.outbox[client_id] = request, done
        if self.session and self.session.alive:
            self._chore(self._send_once(client_id))
        try:
            async with asyncio.timeout(within_s):
                return await done
        except TimeoutError:
            raise AssertionError(f"{self.name}: not acknowledged within {within_s} s: {self}") from None

    def __str__(self) -> str:
        over = self.session and self.session.carrier.over
        return f"{self.connects} sessions, the last one {over or 'alive'}, keeper {self.keeper}, faults {self.faults}"

    async def _send_once(self, client_id: bytes) -> None:
        while waiting := self.outbox.get(client_id):
            request, done = waiting
            try:
                ack = await self.session.request(send=request)
            except Refused as refused:
                if refused.code in ("FLOOD", "UNAVAILABLE"):
                    await asyncio.sleep(max(refused.error.retry_after_ms, 20) / 1000)
                    continue
                self.outbox.pop(client_id, None)
                if not done.done():
                    done.set_exception(refused)
                return
            except TimeoutError:
                continue
            known = self.acks.setdefault(client_id, ack)
            if known.seq != ack.seq:
                self.faults.append(f"acknowledged at {known.seq} and at {ack.seq}")
            self.outbox.pop(client_id, None)
            if not done.done():
                done.set_result(ack)

    # ----------------------------------------------------------------------------------------------------- receiving

    def _sync(self):
        cursors = [pb.Cursor(conv=log.conv, seq=log.cursor) for log in self.logs.values()][:2000]
        return pb.Sync(useq=self.useq, bump=self.bump, cursors=cursors)

    async def sync(self) -> list:
        """Asks for what is missing and fetches all of it; gives the SyncReply frames."""
        replies = await self.session.post(sync=self._sync()).all()
        await self._handle_sync(self.session, replies)
        return replies

    async def _handle_sync(self, session: Session, replies: list) -> None:
        for reply in replies:
            self._take_user_events(reply.useq_from, reply.useq_to, reply.user_events)
            for delta in reply.conversations:
                self.heads[delta.conv] = delta
                self._handle_delta(delta)
                self.reads[delta.conv] = max(self.reads.get(delta.conv, (0, 0)), (delta.read_seq, delta.read_ord))
                if self.logs[delta.conv].cursor < delta.head:
                    await self.fetch(delta.conv, delta.head, session)
        self.bump = max(self.bump, replies[-1].bump)
        session.caught_up = True
        self.changed.set()

    def _handle_delta(self, delta) -> None:
        self._know(delta.conv, delta.floor)
        events = list(delta.events)
        if not events:
            return
        if delta.to != delta.head:
            self.faults.append(f"sync of {delta.conv} ends at {delta.to}, and the head is {delta.head}")
        if delta.limited != (getattr(delta, "from") > self.logs[delta.conv].cursor):
            self.faults.append(f"limited is {delta.limited}: cursor {self.logs[delta.conv].cursor}, from {getattr(delta, 'from')}")
        self._take(delta.conv, getattr(delta, "from"), delta.to, events)

    def _know(self, conv: int, floor: int) -> None:
        """The conversation is ours from `floor` on."""
        if conv in self.logs and self.logs[conv].cursor >= floor:
            return
        self.logs[conv] = Log(conv, floor, self.me.id)
        for start, end, events in self.early_frames.pop(conv, []):
            self._take(conv, start, end, events)

    def _take(self, conv: int, start: int, end: int, events: list) -> None:
        log = self.logs.get(conv)
        if log is None:
            self.early_frames[conv].append((start, end, events))
            self._chore(self._mend(conv))
        elif not log.take(start, end, events):
            self._chore(self._mend(conv))
        self.changed.set()

    async def _mend(self, conv: int) -> None:
        """A hole: waits as long as the rule says, then asks."""
        await asyncio.sleep(HOLE_PATIENCE_S)
        log = self.logs.get(conv)
        if log is None:
            await self.sync()
        elif log.held:
            await self.fetch(conv, min(start for start, _ in log.held))

    async def _chase(self, head) -> None:
        """A head bump: this group is too busy for pushes."""
        log = self.logs.get(head.conv)
        if log is not None and log.cursor < head.seq and not log.chasing:
            log.chasing = True
            try:
                await self.fetch(head.conv)
            finally:
                log.chasing = False

    async def fetch(self, conv: int, to: int = 0, session: Session | None = None) -> None:
        """Pages from the cursor up to `to` or the head."""
        session, log = session or self.session, self.logs[conv]
        while True:
            before = log.cursor
            page = (await session.bulk(fetch=pb.Fetch(conv=conv, after=log.cursor, before=to + 1 if to else 0)))[0]
            log.take(max(getattr(page, "from"), before), page.to, [event for event in page.events if event.seq > before])
            if log.cursor >= (to or page.head) or log.cursor == before:
                return self.changed.set()

    def _handle_push(self, frame, place: str, carrier) -> None:
        kind = frame.WhichOneof("body")
        if frame.rid and kind != "error":
            self.faults.append(f"{kind} with rid {frame.rid} answers nothing")
        if place == "control" and kind != "error" and not carrier.welcomed:
            self.faults.append(f"{kind} came before Welcome")
        if isinstance(carrier, QuicCarrier) and kind in PLACES and PLACES[kind] != place:
            self.faults.append(f"{kind} came by {place}")
        match kind:
            case "deliver":
                push = frame.deliver
                self._take(push.conv, getattr(push, "from"), push.to, list(push.events))
            case "deliver_user":
                self._take_user_events(getattr(frame.deliver_user, "from"), frame.deliver_user.to, frame.deliver_user.events)
            case "hint":
                self.hints.append(frame.hint)
                if frame.hint.HasField("head"):
                    self._chore(self._chase(frame.hint.head))
            case "goodbye":
                self.goodbyes.append(frame.goodbye)
            case "error":
                self.errors.append(frame.error)
            case _:
                self.faults.append(f"{kind} is no push")
        self.changed.set()

    def _take_user_events(self, start: int, end: int, events) -> None:
        if [event.useq for event in events] != list(range(start + 1, end + 1)):
            self.faults.append(f"user log ({start}, {end}] came with {[event.useq for event in events]}")
        elif start > self.useq:
            self._chore(self.sync())
        for event in events:
            if event.useq != self.useq + 1:
                continue
            self.useq = event.useq
            self.user_events.append(event)
            if event.HasField("read"):
                self.reads[event.read.conv] = max(self.reads.get(event.read.conv, (0, 0)), (event.read.seq, event.read.ord))
            if event.HasField("joined"):
                self._know(event.joined.conv, event.joined.floor)

    # ------------------------------------------------------------------------------------------------------- judging

    def read_cursor(self, conv: int) -> tuple[int, int]:
        """What the server said, or one's own newest event: sending reads everything before."""
        return max(self.reads.get(conv, (0, 0)), self.logs[conv].own)

    def unread(self, conv: int) -> int:
        """Counted from the log itself, above the read cursor."""
        read = self.read_cursor(conv)[0]
        return sum(countable(event.body) for seq, event in self.logs[conv].events.items() if seq > read)

    def unread_by_ord(self, conv: int) -> int:
        """Counted as the protocol says. What is hidden below the floor counts as read."""
        log = self.logs[conv]
        first = log.events[log.base + 1]
        return log.events[log.cursor].ord - max(self.read_cursor(conv)[1], first.ord - countable(first.body))

    async def until(self, condition, what: str, within_s: float = 15):
        """Waits until `condition()` holds; looks again whenever something arrived."""
        deadline = time.monotonic() + within_s
        while not (value := condition()):
            assert time.monotonic() < deadline, f"{self.name}: not within {within_s} s: {what}; faults {self.faults}"
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), 0.2)
            except TimeoutError:
                pass
        return value

    async def has(self, conv: int, seq: int, within_s: float = 15) -> Log:
        """Waits until this device's log reaches `seq` by itself."""
        await self.until(lambda: conv in self.logs and self.logs[conv].cursor >= seq, f"event {seq} of {conv}", within_s)
        return self.logs[conv]

    def check(self) -> None:
        faults = self.faults + [fault for log in self.logs.values() for fault in log.faults]
        assert not faults, f"{self.name}: {faults}"


async def open_raw(server, alpn: str = ALPN, home=None) -> tuple[QuicCarrier, Lane, list]:
    """A QUIC connection on which nothing was said, its control lane, and the frames that answer no request."""
    info, pushed = server.chat_info(), []
    carrier = QuicCarrier(lambda frame, place: pushed.append(frame), lambda: None, home)
    await carrier.open(server.host, info["quic_port"], info["hashes"], alpn=alpn)
    return carrier, carrier.lane(bulk=False), pushed


async def make_group(owner: Device, *others: Device, title: str = "Test") -> int:
    """A group of these connected devices' users; everybody has it when this returns."""
    members = [device.me.id for device in others]
    request = pb.Create(client_id=new_id(), kind=pb.CONVERSATION_KIND_GROUP, title=title, members=members)
    conv = (await owner.session.request(create=request)).conv
    for device in (owner, *others):
        await device.until(lambda device=device: conv in device.logs and device.logs[conv].cursor > 0, "the group is known")
    return conv


async def make_direct(one: Device, other: Device) -> int:
    return await direct_with(one, other.me.id)


async def direct_with(one: Device, user: int) -> int:
    request = pb.Create(client_id=new_id(), kind=pb.CONVERSATION_KIND_DIRECT, members=[user])
    return (await one.session.request(create=request)).conv


async def refused(code: str, attempt) -> Refused:
    """That this is answered with this code."""
    assert f"CODE_{code}" in CODES.keys()
    try:
        reply = await attempt
    except Refused as error:
        assert error.code == code, f"{error} instead of {code}"
        return error
    raise AssertionError(f"accepted instead of {code}: {reply}")
