"""aioquic speaks `convene/1` from `im.proto` alone: sessions, early data, and what QUIC itself can do to a connection."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
import urllib.request

import pytest
from conftest import BINARY
from im_client import Device, make_direct, make_group, new_id, open_raw, refused, text
from im_lanes import Ended, prefixed, varint
from im_proto import pb

TRANSPORTS = ["quic", "websocket"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_hello_send_ack_deliver_sync(people, transport):
    alice, bob = await people("alice", transport=transport), await people("bob", transport=transport)
    assert alice.session.welcome.version == 1 and alice.me.name == "alice" and alice.me.display_name == "Alice"
    assert len(alice.session.welcome.session_id) == 16 and alice.session.welcome.limits.max_frame_bytes == 65_536
    conv = await make_group(alice, bob)
    start = alice.logs[conv].cursor
    acks = [await alice.session.send(conv, f"message {n}") for n in range(20)]
    assert [ack.seq for ack in acks] == list(range(start + 1, start + 21))
    assert [ack.ord for ack in acks] == list(range(acks[0].ord, acks[0].ord + 20))
    log = await bob.has(conv, acks[-1].seq)
    assert log.texts() == [f"message {n}" for n in range(20)]
    assert all(log.events[ack.seq].sender == alice.me.id and log.events[ack.seq].at_ms == ack.at_ms for ack in acks)
    await alice.has(conv, acks[-1].seq)
    late = await people("bob", transport=transport)
    assert late.me.id == bob.me.id
    assert late.logs[conv].bytes() == log.bytes() == alice.logs[conv].bytes(), "the same log, byte for byte, by any path"


async def test_quic_and_websocket_share_a_log(people):
    devices = [await people("alice"), await people("bob", transport="websocket"), await people("carol")]
    conv = await make_group(*devices)
    acks = await asyncio.gather(*(device.session.send(conv, f"{device.name} {n}") for n in range(30) for device in devices))
    last = max(ack.seq for ack in acks)
    assert len({ack.seq for ack in acks}) == 90 and last == min(ack.seq for ack in acks) + 89
    logs = [await device.has(conv, last) for device in devices]
    assert logs[0].bytes() == logs[1].bytes() == logs[2].bytes()
    for device in devices:
        assert [line for line in logs[0].texts() if line.startswith(device.name)] == [f"{device.name} {n}" for n in range(30)]


async def test_every_way_to_a_token(server, people):
    command = [str(BINARY), "token", "--dev", "--chat-user", "dora"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip().splitlines()[-1]
    request = urllib.request.Request(f"{server.http}/dev/chat-token", b'{"user":"dora"}', {"Content-Type": "application/json"})
    given = json.load(server.open(request))["token"]
    ids = {(await people("dora", token=token)).me.id for token in (printed, given)}
    assert len(ids) == 1


async def test_info_names_every_way_in(server):
    info = server.chat_info()
    assert info["version"] == 1 and info["quic_port"] == server.base + 2 or info["quic_port"] > 0
    assert info["hashes"] and all(len(digest) == 32 for digest in info["hashes"])
    assert info["websocket"] == "/im" and info["webtransport"].endswith(f":{info['quic_port']}/im")


@pytest.mark.parametrize("alpn", ["convene/0", "h2", "hq-interop"])
async def test_another_protocol_is_refused(server, alpn):
    with pytest.raises(Ended):
        await open_raw(server, alpn)


@pytest.mark.parametrize(("change", "code"), [
    ({"token": ""}, "UNAUTHENTICATED"),
    ({"token": "no.token.this"}, "UNAUTHENTICATED"),
    ({"claims": {"key": "another secret"}}, "UNAUTHENTICATED"),
    ({"claims": {"iss": "nobody"}}, "UNAUTHENTICATED"),
    ({"claims": {"aud": "something-else"}}, "UNAUTHENTICATED"),
    ({"claims": {"ttl_s": -100}}, "UNAUTHENTICATED"),
    ({"version": 0}, "UNSUPPORTED_VERSION"),
    ({"device_id": b"short"}, "MALFORMED"),
    ({"client": "x" * 65}, "TOO_LONG"),
], ids=lambda value: str(value)[:40])
async def test_refused_hellos(server, change, code):
    change = dict(change)
    token = server.chat_token("mallory", **change.pop("claims", {}))
    carrier, control, pushed = await open_raw(server)
    hello = pb.Hello(**({"version": 1, "token": token, "device_id": new_id(), "client": "test"} | change))
    await refused(code, control.request(hello=hello))
    await asyncio.wait_for(control.finished.wait(), 10)
    carrier.close()


async def test_a_later_version_meets_this_one(server):
    carrier, control, _ = await open_raw(server)
    hello = pb.Hello(version=7, token=server.chat_token("early"), device_id=new_id())
    assert (await control.request(hello=hello)).version == 1
    await refused("HELLO_EXPECTED", control.request(hello=hello))
    carrier.close()


async def test_nothing_is_said_before_hello(server):
    carrier, control, pushed = await open_raw(server)
    await refused("HELLO_EXPECTED", control.request(ping=pb.Ping()))
    carrier.close()


# ------------------------------------------------------------------------------------------------------- early data


async def with_ticket(device: Device):
    """A ticket of an earlier session, which is over."""
    await device.until(lambda: device.tickets, "a session ticket")
    device.session.close()
    return device.tickets.pop()


async def test_early_data_signs_in_catches_up_and_sends(people):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_direct(alice, bob)
    seq = (await alice.session.send(conv, "before")).seq
    ticket = await with_ticket(alice)
    missed = (await bob.session.send(conv, "while you were out")).seq
    send = pb.Send(conv=conv, client_id=new_id(), body=text("in the first flight"))
    session = await alice.connect(early=[("send", send), ("read", pb.Read(conv=conv, seq=seq)), ("fetch", pb.Fetch(conv=conv))],
                                  ticket=ticket)
    assert session.carrier.resumed, "the session was not resumed"
    assert session.carrier.early_accepted, "early data was not accepted"
    ack, _, page = [await pending.one() for pending in session.early]
    assert ack.seq == missed + 1 and not ack.duplicate
    assert page.events[-1].seq >= missed
    assert (await alice.has(conv, ack.seq)).texts() == ["before", "while you were out", "in the first flight"]
    again = await session.request(send=send)
    assert (again.seq, again.duplicate) == (ack.seq, True)
    assert (await bob.has(conv, ack.seq)).bytes() == alice.logs[conv].bytes()


def until_counted(server, series: str):
    """What waits, with all of this program, until the server has counted one more."""
    before = server.metrics().get(series, 0)

    def wait() -> None:
        deadline = time.monotonic() + 30
        while server.metrics().get(series, 0) == before:
            assert time.monotonic() < deadline, f"{series} stays at {before}"
            time.sleep(0.01)

    return wait


@pytest.mark.parametrize("name", ["create", "change_settings", "find_users", "watch_presence", "blob_begin"])
async def test_what_may_not_travel_early(server, people, name):
    """It is refused while the handshake is not finished, and works afterwards."""
    alice, bob = await people("alice"), await people("bob")
    conv = await make_direct(alice, bob)
    requests = {
        "create": pb.Create(client_id=new_id(), kind=pb.CONVERSATION_KIND_GROUP, title="early"),
        "change_settings": pb.ChangeSettings(settings=pb.Settings(conv=conv, pinned=True)),
        "find_users": pb.FindUsers(names=["bob"]),
        "watch_presence": pb.WatchPresence(users=[bob.me.id]),
        "blob_begin": pb.BlobBegin(sha256=bytes(32), size=5, mime="text/plain"),
    }
    refusal = until_counted(server, 'convene_im_early_data_total{result="refused"}')
    session = await alice.connect(early=[(name, requests[name])], ticket=await with_ticket(alice), hold=refusal)
    assert session.carrier.early_accepted
    await refused("TOO_EARLY", session.early[0].one())
    await session.request(**{name: requests[name]})


async def test_a_replayed_flight_changes_nothing(server, people):
    """I15: an eavesdropper sends the early data of somebody again, from elsewhere."""
    alice, bob = await people("alice"), await people("bob")
    conv = await make_direct(alice, bob)
    send = pb.Send(conv=conv, client_id=new_id(), body=text("once"))
    session = await alice.connect(early=[("send", send)], ticket=await with_ticket(alice))
    assert session.carrier.early_accepted
    ack = await session.early[0].one()
    port = server.chat_info()["quic_port"]
    for _ in range(5):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            for datagram in session.carrier.first_flight:
                attacker.sendto(datagram, (server.host, port))
            attacker.settimeout(0.3)
            try:
                while attacker.recv(2048):
                    pass
            except OSError:
                pass
    after = await session.send(conv, "still here")
    assert after.seq == ack.seq + 1 and session.alive and not alice.goodbyes
    assert (await bob.has(conv, after.seq)).texts() == ["once", "still here"]


async def test_the_younger_session_of_a_device_stays(people):
    alice = await people("alice")
    first = alice.session
    await alice.connect()
    await alice.until(lambda: not first.alive, "the older session ends")
    assert [goodbye.code for goodbye in alice.goodbyes] == [pb.CODE_REPLACED]
    await alice.session.request(ping=pb.Ping())


# ------------------------------------------------------------------------------------------------------ what QUIC can do


async def chatter(alice, bob, conv: int, rounds: int = 10) -> None:
    """Both ways work, and both have everything."""
    for n in range(rounds):
        await alice.session.send(conv, f"to {n}")
        last = await bob.session.send(conv, f"fro {n}")
    await alice.has(conv, last.seq)
    await bob.has(conv, last.seq)
    assert alice.logs[conv].bytes() == bob.logs[conv].bytes()


@pytest.mark.parametrize("event", ["key-update", "connection-id", "address", "address-and-silence"])
async def test_the_session_survives(people, event):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_direct(alice, bob)
    await chatter(alice, bob, conv)
    session, carrier = alice.session, alice.session.carrier
    for _ in range(3):
        match event:
            case "key-update":
                before = carrier.key_phase
                carrier.protocol.request_key_update()
            case "connection-id":
                carrier.protocol.change_connection_id()
            case "address":
                port = carrier.local_port
                await carrier.move()
                assert carrier.local_port != port
            case "address-and-silence":
                await carrier.move()
                await carrier.protocol.ping()  # what a client does that notices
                pushed = await bob.session.send(conv, "pushed to the new address")
                await alice.has(conv, pushed.seq)
        await chatter(alice, bob, conv)
        if event == "key-update":
            assert carrier.key_phase != before
    assert alice.session is session and session.alive


# ------------------------------------------------------------------------------------------------------- broken frames


async def test_frames_that_are_none_cost_a_sentence(people):
    alice = await people("alice")
    session = alice.session
    for junk in (b"\xff" * 10, b"\x12\x05abc", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"):
        count = len(alice.errors)
        session.carrier.write(session.control.stream, junk)
        await alice.until(lambda: len(alice.errors) == count + 1, f"an error for {junk}")
        assert alice.errors[-1].code == pb.CODE_MALFORMED
        await session.request(ping=pb.Ping())
    assert session.alive


async def test_fields_of_a_later_protocol_are_ignored(people):
    alice = await people("alice")
    session = alice.session
    rid = 1_000_000
    queue = session.control.replies[rid] = asyncio.Queue()
    unknown = varint(999 << 3 | 2) + varint(4) + b"more"
    session.carrier.write(session.control.stream, pb.Frame(rid=rid, ping=pb.Ping()).SerializeToString() + unknown)
    assert (await asyncio.wait_for(queue.get(), 10)).HasField("done")


async def test_a_frame_above_the_limit_ends_its_stream(people):
    alice = await people("alice")
    session = alice.session
    bulk = session.carrier.lane()
    session.carrier.write_raw(bulk.stream, varint(65_537) + bytes(100))
    await asyncio.wait_for(bulk.finished.wait(), 10)
    await session.request(ping=pb.Ping())
    session.carrier.write_raw(session.control.stream, varint(1 << 34))
    await alice.until(lambda: not session.alive, "the session ends")
    told = [error.code for error in alice.errors] + [goodbye.code for goodbye in alice.goodbyes]
    assert pb.CODE_FRAME_TOO_LARGE in told


async def test_a_message_above_the_limit_on_a_websocket(people):
    """Messages have an end of their own, so one that is too long costs a sentence; one that is far too long is not read."""
    alice = await people("alice", transport="websocket")
    session = alice.session
    session.carrier.write(0, bytes(70_000))
    await alice.until(lambda: alice.errors, "an error")
    assert alice.errors[-1].code == pb.CODE_FRAME_TOO_LARGE
    await session.request(ping=pb.Ping())
    session.carrier.write(0, bytes(1_000_000))
    await alice.until(lambda: not session.alive, "the session ends")
    await (await alice.connect()).request(ping=pb.Ping())


async def test_the_longest_frame_is_taken(people):
    alice = await people("alice")
    frame = pb.Frame(rid=900_000, ping=pb.Ping()).SerializeToString()
    header = varint(999 << 3 | 2)
    frame += header + varint(65_536 - len(frame) - len(header) - 3) + bytes(65_536 - len(frame) - len(header) - 3)
    assert len(frame) == 65_536
    queue = alice.session.control.replies[900_000] = asyncio.Queue()
    alice.session.carrier.write(alice.session.control.stream, frame)
    assert (await asyncio.wait_for(queue.get(), 10)).HasField("done")


async def test_requests_on_the_wrong_stream(people):
    alice = await people("alice")
    for name, message in [("ping", pb.Ping()), ("read", pb.Read()), ("hello", pb.Hello()), ("sync", pb.Sync()),
                          ("send", pb.Send(conv=1, client_id=new_id(), body=text("x"))), ("find_users", pb.FindUsers())]:
        await refused("WRONG_STREAM", alice.session.bulk(**{name: message}))
    await alice.session.request(ping=pb.Ping())


async def test_bulk_streams_that_break_off_harm_nobody(people):
    alice = await people("alice")
    session = alice.session
    for cut in (b"", b"\x80", b"\x20", prefixed(pb.Frame(rid=1, fetch=pb.Fetch(conv=1)).SerializeToString())[:-1], b"\x05hello"):
        async with session.carrier.bulk_lanes:
            lane = session.carrier.lane()
            session.carrier.write_raw(lane.stream, cut)
            lane.finish()
            await asyncio.wait_for(lane.finished.wait(), 10)
    for _ in range(20):
        lane = session.carrier.lane()
        session.carrier.write_raw(lane.stream, b"\x20half")
        session.carrier.protocol.transmit()
        session.carrier.quic.reset_stream(lane.stream, 7)
        session.carrier.protocol.transmit()
        await asyncio.wait_for(lane.finished.wait(), 10)
    await session.request(ping=pb.Ping())


async def test_junk_in_datagrams_is_dropped(people):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_direct(alice, bob)
    send = pb.Frame(rid=5, send=pb.Send(conv=conv, client_id=new_id(), body=text("by datagram")))
    for junk in (b"", b"\xff" * 200, send.SerializeToString(), pb.Frame(ping=pb.Ping()).SerializeToString()):
        alice.session.carrier.quic.send_datagram_frame(junk)
    ack = await alice.session.send(conv, "by stream")
    assert (await bob.has(conv, ack.seq)).texts() == ["by stream"]
    alice.errors.clear()
    alice.faults = [fault for fault in alice.faults if "datagram" not in fault]
