"""What a server does when the machine below it fails: a full disk, one that does not keep what was written, a damaged
database, a kill during an upload. And that each refusal is counted under its code and costs no session."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from contextlib import asynccontextmanager

import pytest
from conftest import ROOT, start_server
from im_blobs import begin, digest, download, file, put, upload
from im_client import Device, Refused, make_group, new_id, refused, text
from im_proto import pb

MISSING = 999_999_999
ALERTS = ROOT / "configs/prometheus/alerts.yml"


@asynccontextmanager
async def serving(tmp_path):
    """A server of the test's own, and alice and bob there."""
    server = start_server(tmp_path)
    devices = [Device(server, "alice"), Device(server, "bob")]
    try:
        for device in devices:
            await device.connect()
        yield server, *devices
    finally:
        for device in devices:
            await device.close()
        server.stop()
    for device in devices:
        device.check()


async def kept_over_a_kill(server, conv: int, bob: Device) -> None:
    """After a kill -9 a fresh device of bob's finds the log that this one has."""
    server.kill()
    server.launch()
    after = Device(server, "bob")
    await after.connect()
    assert after.logs[conv].bytes() == bob.logs[conv].bytes()
    after.session.close()


# ------------------------------------------------------------------------------------------------------------ a full disk


@pytest.fixture
def small_disk(tmp_path):
    """The data directory of a server in `tmp_path` is a disk of its own, with little room."""
    folder = tmp_path / "data"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode != 0:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path) -> None:
    """Takes all the room that is left."""
    with path.open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass


async def test_a_full_disk_refuses_sends_and_loses_nothing(tmp_path, small_disk):
    async with serving(tmp_path) as (server, alice, bob):
        conv = await make_group(alice, bob)
        words = [f"{n} " + "x" * 8_000 for n in range(300)]
        sends = [pb.Send(conv=conv, client_id=new_id(), body=text(line)) for line in words]
        acked = [(await alice.session.request(send=send)).seq for send in sends[:20]]
        fill(small_disk / "filler")
        at = 20
        with pytest.raises(Refused) as caught:
            while at < len(sends):  # what the log of the database has room for is still taken
                acked.append((await alice.session.request(send=sends[at])).seq)
                at += 1
        assert caught.value.code == "UNAVAILABLE" and caught.value.error.retry_after_ms > 0
        assert caught.value.error.client_id == sends[at].client_id
        with pytest.raises(Refused) as caught:
            await upload(alice, os.urandom(200_000))
        assert caught.value.code == "UNAVAILABLE"
        assert server.metrics()['convene_refused_total{code="unavailable"}'] >= 2
        watched = re.search(r"alert: ConveneStoreRefusesSends\s+expr: rate\((.+)\[", ALERTS.read_text())[1]
        assert server.metrics()[watched] >= 1, "the alert is about another series"
        # What is there can be read, by who is there and by who comes.
        assert (await bob.has(conv, acked[-1])).texts() == words[:at]
        late = Device(server, "bob")
        await late.connect()
        assert late.logs[conv].bytes() == bob.logs[conv].bytes()
        await late.close()
        (small_disk / "filler").unlink()
        # It recovers by itself, and a repeat is the same message.
        for send in sends[at:at + 20]:
            acked.append((await alice.session.request(send=send)).seq)
        repeat = await alice.session.request(send=sends[at - 1])
        assert repeat.duplicate and repeat.seq == acked[at - 1]
        assert acked == list(range(acked[0], acked[0] + len(acked))), "a refused send left a trace"
        assert (await bob.has(conv, acked[-1])).texts() == words[:at + 20]
        done = await upload(alice, b"there is room again")
        ack = await alice.session.send(conv, file(done.blob))
        await bob.has(conv, ack.seq)
        await kept_over_a_kill(server, conv, bob)


# ------------------------------------------------------------------------------------------------- a disk that fails to sync

# Between the server and libc, for SQLite's syncs and ours: they fail for as long as there is a file of this name.
FAILING_SYNCS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int sync_with(const char *name, int fd) {
    if (access(getenv("FAILING_SYNCS"), F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}
int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }
"""


@pytest.fixture
def failing_syncs(tmp_path, monkeypatch):
    """While there is a file of this name, the disk of servers that start now keeps nothing of what they write."""
    source, library, switch = tmp_path / "sync.c", tmp_path / "sync.so", tmp_path / "fails"
    source.write_text(FAILING_SYNCS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    monkeypatch.setenv("FAILING_SYNCS", str(switch))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    return switch


async def test_what_is_not_known_to_be_on_the_disk_is_neither_acknowledged_nor_shown(tmp_path, failing_syncs):
    async with serving(tmp_path) as (server, alice, bob):
        conv = await make_group(alice, bob)
        before = await alice.session.send(conv, "before")
        await bob.has(conv, before.seq)
        failing_syncs.touch()
        unknown = asyncio.create_task(alice.session.send(conv, "whether this one is stored is not known"))
        failures = 'convene_im_store_failures_total{what="sync"}'
        await bob.until(lambda: server.metrics().get(failures, 0) > 0, "a sync that failed is counted")
        for attempt in bob.session.send(conv, "refused"), bob.fetch(conv), bob.session.request(sync=pb.Sync()):
            with pytest.raises(Refused) as caught:
                await attempt
            assert caught.value.code == "UNAVAILABLE" and caught.value.error.retry_after_ms > 0
        assert not unknown.done()
        assert bob.logs[conv].texts() == ["before"]
        failing_syncs.unlink()
        # It recovers by itself, and then it is known: stored, once, and everybody hears of it.
        assert (await asyncio.wait_for(unknown, 20)).seq == before.seq + 1
        after = await bob.session.send(conv, "after")
        assert after.seq == before.seq + 2, "a refused send left a trace"
        want = ["before", "whether this one is stored is not known", "after"]
        assert (await alice.has(conv, after.seq)).texts() == (await bob.has(conv, after.seq)).texts() == want
        assert server.metrics()[failures] == 1
        await kept_over_a_kill(server, conv, bob)


# ------------------------------------------------------------------------------------------------------ a damaged database

PAGE = 4_096


def one_page(data: bytes) -> bytes:
    """The last page that is a leaf of a tree (0x0a and 0x0d in SQLite's file format) is none any more."""
    at = max(at for at in range(PAGE, len(data), PAGE) if data[at] in (0x0A, 0x0D))
    return data[:at] + b"\xff" * PAGE + data[at + PAGE:]


DAMAGE = {
    "no database": lambda data: b"nothing that SQLite would know\n" * 500,
    "its first page": lambda data: data[:100] + os.urandom(PAGE - 100) + data[PAGE:],
    "cut in half": lambda data: data[:len(data) // (2 * PAGE) * PAGE],
    "all but its first pages": lambda data: data[:2 * PAGE] + os.urandom(len(data) - 2 * PAGE),
    "one page": one_page,
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_a_damaged_database_is_reported_and_left_alone(tmp_path, what):
    async with serving(tmp_path) as (server, alice, bob):
        conv = await make_group(alice, bob)
        for n in range(20):
            await alice.session.send(conv, f"{n} " + "x" * 4_000)
    path = tmp_path / "data/chat.db"
    damaged = DAMAGE[what](path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(RuntimeError) as caught:
        server.launch()
    assert server.process.wait(5) not in (0, -9), "it went by itself, and said that it failed"
    assert str(path) in str(caught.value) and "restore a backup" in str(caught.value), caught.value
    assert path.read_bytes() == damaged


# -------------------------------------------------------------------------------------------------- a kill during an upload


async def test_an_upload_goes_on_after_a_restart(tmp_path):
    async with serving(tmp_path) as (server, alice, bob):
        conv = await make_group(alice, bob)
        data = os.urandom(600_000)
        part = alice.session.welcome.limits.max_part_bytes
        lane = alice.session.carrier.lane()
        status = await lane.request(blob_begin=begin(data))
        for at in range(0, 4 * part, part):
            status = await lane.request(blob_part=pb.BlobPart(upload_id=status.upload_id, offset=at, data=data[at:at + part]))
        assert status.offset == 4 * part
        server.kill()
        server.launch()
        for device in (alice, bob):
            device.session.vanish()
            await device.connect()
        lane = alice.session.carrier.lane()
        again = await lane.request(blob_begin=begin(data))
        assert again.offset == 4 * part and not again.complete, "what was acknowledged is not asked for again"
        await put(lane, data, again, part)
        done = await lane.request(blob_commit=pb.BlobCommit(upload_id=again.upload_id))
        assert done.blob.id == digest(data)
        ack = await alice.session.send(conv, file(done.blob))
        await bob.has(conv, ack.seq)
        assert await download(bob, conv, done.blob) == data


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("transport", ["quic", "websocket"])
async def test_a_refusal_is_counted_and_costs_no_session(server, people, transport):
    alice, bob, eve = [await people(name, transport=transport) for name in ("alice", "bob", "eve")]
    conv, left = await make_group(alice, bob), await make_group(alice, bob)
    await alice.session.send(left, pb.Body(members=pb.MemberChange(remove=[bob.me.id])))
    said = new_id()
    seq = (await alice.session.send(conv, "mine", said)).seq
    group = lambda *members: pb.Create(client_id=new_id(), kind=pb.CONVERSATION_KIND_GROUP, members=members)
    rows = [
        ("MALFORMED", lambda: bob.session.send(conv, "x", b"short")),
        ("HELLO_EXPECTED", lambda: bob.session.request(hello=pb.Hello(version=1, token=bob.token, device_id=bob.id))),
        ("UNKNOWN_CONVERSATION", lambda: eve.session.send(conv, "let me in")),
        ("UNKNOWN_CONVERSATION", lambda: bob.session.send(MISSING, "anybody?")),
        ("NOT_A_MEMBER", lambda: bob.session.send(left, "I protest")),
        ("FORBIDDEN", lambda: bob.session.send(conv, pb.Body(edit=pb.Edit(text="changed"), target=seq))),
        ("BAD_TARGET", lambda: bob.session.send(conv, pb.Body(recall=pb.Recall(), target=MISSING))),
        ("CONFLICT", lambda: alice.session.send(conv, "not mine", said)),
        ("BEYOND_HEAD", lambda: bob.session.request(read=pb.Read(conv=conv, seq=seq + 1))),
        ("TOO_LONG", lambda: bob.session.send(conv, "x" * 20_000)),
        ("LAST_OWNER", lambda: alice.session.send(conv, pb.Body(members=pb.MemberChange(remove=[alice.me.id])))),
        ("UNKNOWN_USER", lambda: bob.session.request(create=group(MISSING))),
        ("UNKNOWN_BLOB", lambda: bob.session.bulk(blob_get=pb.BlobGet(id=bytes(32), conv=conv))),
        ("UNKNOWN_UPLOAD", lambda: bob.session.bulk(blob_commit=pb.BlobCommit(upload_id=bytes(16)))),
    ]
    for code, attempt in rows:
        series = f'convene_refused_total{{code="{code.lower()}"}}'
        before = server.metrics().get(series, 0)
        await refused(code, attempt())
        assert server.metrics()[series] == before + 1, series
        for device in (alice, bob, eve):
            await device.session.request(ping=pb.Ping())
    assert (await alice.session.send(conv, "next")).seq == seq + 1, "a refusal left a trace"
