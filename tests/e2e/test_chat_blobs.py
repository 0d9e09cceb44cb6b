"""Files and voice messages: parts, cuts, content that is known already, ranges, addresses that expire, and Opus made by
FFmpeg."""

from __future__ import annotations

import asyncio
import json
import os
import re
import urllib.error
import urllib.request

import boto3
import pytest
import sound
from conftest import start_server
from im_blobs import begin, digest, download, file, put, upload
from im_client import Device, Refused, make_direct, make_group, refused
from im_proto import pb
from moto.server import ThreadedMotoServer

TRANSPORTS = ["quic", "websocket"]
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f"
                    "0005000201e221bc330000000049454e44ae426082")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_file_goes_up_and_comes_down(people, transport):
    alice, bob = await people("alice", transport=transport), await people("bob", transport=transport)
    conv = await make_group(alice, bob)
    data = os.urandom(700_001)
    done = await upload(alice, data)
    assert done.blob.id == digest(data) and done.blob.size == len(data)
    ack = await alice.session.send(conv, file(done.blob))
    ref = (await bob.has(conv, ack.seq)).events[ack.seq].body.file.blob
    assert (ref.id, ref.size, ref.name) == (digest(data), len(data), "report.bin")
    assert await download(bob, conv, ref) == data
    for offset, length in ((0, 1), (65_535, 70_000), (len(data) - 5, 0), (len(data) - 5, 5)):
        assert await download(bob, conv, ref, offset, length) == data[offset:offset + (length or len(data))]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_upload_goes_on_where_it_was_cut(people, transport):
    alice, bob = await people("alice", transport=transport), await people("bob", transport=transport)
    conv = await make_direct(alice, bob)
    data = os.urandom(400_000)
    lane = alice.session.carrier.lane()
    status = await lane.request(blob_begin=begin(data))
    part = alice.session.welcome.limits.max_part_bytes
    for at in range(0, 3 * part, part):
        status = await lane.request(blob_part=pb.BlobPart(upload_id=status.upload_id, offset=at, data=data[at:at + part]))
    lane.post(blob_part=pb.BlobPart(upload_id=status.upload_id, offset=3 * part, data=data[3 * part:4 * part]))
    await asyncio.sleep(0)
    alice.session.vanish()
    await alice.connect()
    lane = alice.session.carrier.lane()
    again = await lane.request(blob_begin=begin(data))
    assert again.offset in (3 * part, 4 * part) and not again.complete, "bytes that are safe are not asked for twice"
    await put(lane, data, again, part)
    done = await lane.request(blob_commit=pb.BlobCommit(upload_id=again.upload_id))
    assert done == await lane.request(blob_commit=pb.BlobCommit(upload_id=again.upload_id)), "a commit can be repeated"
    ack = await alice.session.send(conv, file(done.blob))
    await bob.has(conv, ack.seq)
    assert await download(bob, conv, done.blob) == data


async def test_known_content_is_not_sent_twice_and_not_betrayed(people):
    alice, bob, eve = await people("alice"), await people("bob"), await people("eve")
    conv = await make_group(alice, bob)
    data = os.urandom(100_000)
    done = await upload(alice, data)
    ack = await alice.session.send(conv, file(done.blob))
    await bob.has(conv, ack.seq)
    for knows in (alice, bob):
        status = (await knows.session.bulk(blob_begin=begin(data)))[0]
        assert status.complete, f"{knows.name} may read it already"
    status = (await eve.session.bulk(blob_begin=begin(data)))[0]
    assert not status.complete and status.offset == 0, "the hash alone opens nothing"
    mine = await make_group(eve)
    await refused("UNKNOWN_BLOB", eve.session.send(mine, file(done.blob)))


async def test_only_members_read_a_blob(people):
    alice, bob, eve = await people("alice"), await people("bob"), await people("eve")
    conv, other = await make_group(alice, bob), await make_group(alice, bob)
    blob = (await upload(alice, os.urandom(5_000))).blob
    ack = await alice.session.send(conv, file(blob))
    await bob.has(conv, ack.seq)
    for device, number in ((eve, conv), (bob, other), (bob, 999_999)):
        for name, message in (("blob_get", pb.BlobGet(id=blob.id, conv=number)), ("blob_url", pb.BlobUrl(id=blob.id, conv=number))):
            with pytest.raises(Refused) as caught:
                await (device.session.bulk if name == "blob_get" else device.session.request)(**{name: message})
            assert caught.value.code in ("UNKNOWN_BLOB", "UNKNOWN_CONVERSATION")
    await refused("UNKNOWN_BLOB", bob.session.bulk(blob_get=pb.BlobGet(id=bytes(32), conv=conv)))
    await alice.session.send(conv, pb.Body(recall=pb.Recall(), target=ack.seq))
    await refused("UNKNOWN_BLOB", bob.session.bulk(blob_get=pb.BlobGet(id=blob.id, conv=conv)))


async def test_uploads_that_are_refused(people):
    alice = await people("alice")
    data, limits = os.urandom(10_000), alice.session.welcome.limits
    lane = alice.session.carrier.lane()
    await refused("BLOB_TOO_LARGE", lane.request(blob_begin=pb.BlobBegin(sha256=bytes(32), size=limits.max_blob_bytes + 1)))
    await refused("MALFORMED", lane.request(blob_begin=pb.BlobBegin(sha256=b"short", size=5)))
    await refused("UNKNOWN_UPLOAD", lane.request(blob_part=pb.BlobPart(upload_id=bytes(16), data=b"x")))
    await refused("UNKNOWN_UPLOAD", lane.request(blob_commit=pb.BlobCommit(upload_id=bytes(16))))
    status = await lane.request(blob_begin=begin(data))
    part = lambda **fields: lane.request(blob_part=pb.BlobPart(upload_id=status.upload_id, **fields))
    await refused("BAD_OFFSET", part(offset=500, data=b"x"))
    await refused("HASH_MISMATCH", part(data=data[:100], sha256=digest(b"other")))
    assert (await part(data=data[:100], sha256=digest(data[:100]))).offset == 100
    await refused("BAD_OFFSET", lane.request(blob_commit=pb.BlobCommit(upload_id=status.upload_id)))
    assert (await part(offset=100, data=b"\0" * 9_900)).complete
    await refused("HASH_MISMATCH", lane.request(blob_commit=pb.BlobCommit(upload_id=status.upload_id)))


async def test_the_type_is_what_the_content_says(people):
    alice = await people("alice")
    assert (await upload(alice, PNG, "image/gif")).blob.mime == "image/png"
    conv = await make_group(alice)
    script = (await upload(alice, b"<html><script>alert(1)</script></html>", "image/png")).blob
    assert not script.mime.startswith("image/")
    with pytest.raises(Refused) as caught:
        await alice.session.send(conv, pb.Body(image=pb.Image(blob=script, width=1, height=1)))
    assert caught.value.code == "BAD_TYPE"


async def test_an_address_that_serves_for_a_while(server, people):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_direct(alice, bob)
    data = os.urandom(50_000)
    blob = (await upload(alice, data)).blob
    await alice.session.send(conv, file(blob))
    link = await bob.session.request(blob_url=pb.BlobUrl(id=blob.id, conv=conv))
    fetch = lambda path, **headers: server.open(urllib.request.Request(server.http + path, headers=headers))
    reply = fetch(link.path)
    assert reply.read() == data and reply.headers["X-Content-Type-Options"] == "nosniff"
    part = fetch(link.path, Range="bytes=100-199")
    assert part.status == 206 and part.read() == data[100:200] and part.headers["Content-Range"] == "bytes 100-199/50000"
    exp = int(re.search(r"exp=(\d+)", link.path)[1])
    forged = [link.path.replace(f"exp={exp}", f"exp={exp + 1_000_000}"), link.path.replace(f"exp={exp}", "exp=1"),
              re.sub(r"sig=....", "sig=AAAA", link.path), re.sub(r"&?sig=[^&]*", "", link.path),
              link.path.replace(blob.id.hex(), bytes(32).hex()), re.sub(r"conv=\d+", "conv=999", link.path)]
    for path in forged:
        if path != link.path:
            with pytest.raises(urllib.error.HTTPError) as caught:
                fetch(path)
            assert caught.value.code in (401, 403, 404, 410), path


async def test_a_blob_over_http(server, people):
    alice, bob, eve = await people("alice"), await people("bob"), await people("eve")
    conv = await make_direct(alice, bob)
    data = os.urandom(300_000)

    def call(device, method, path, body=None, **headers):
        headers = {"Authorization": f"Bearer {device.token}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return server.open(urllib.request.Request(server.http + path, body, headers, method=method))

    ask = json.dumps({"sha256": digest(data).hex(), "size": len(data), "mime": "application/octet-stream", "voice": False})
    made = json.load(call(alice, "POST", "/im/blobs", ask.encode(), Content_Type="application/json"))
    name = made.get("upload") or made.get("upload_id") or made["id"]
    for at in (0, 100_000, 200_000):
        octets = {"Content_Type": "application/octet-stream", "Upload_Offset": str(at)}
        call(alice, "PATCH", f"/im/blobs/{name}", data[at:at + 100_000], **octets)
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(eve, "POST", f"/im/blobs/{name}/commit", b"")
    assert caught.value.code in (403, 404)
    call(alice, "POST", f"/im/blobs/{name}/commit", b"")
    await alice.session.send(conv, file(pb.BlobRef(id=digest(data), size=len(data))))
    path = f"/im/blobs/{digest(data).hex()}?conv={conv}"
    assert call(bob, "GET", path).read() == data
    part = call(bob, "GET", path, Range="bytes=-10")
    assert part.status == 206 and part.read() == data[-10:]
    for who in (eve, None):
        with pytest.raises(urllib.error.HTTPError) as caught:
            call(who, "GET", path) if who else server.open(server.http + path)
        assert caught.value.code in (401, 403, 404)


# ---------------------------------------------------------------------------------------------------------------- voice


@pytest.mark.parametrize("container", ["ogg", "webm"])
async def test_a_voice_message_is_measured(people, container):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_direct(alice, bob)
    seconds, loud, soft = 3.2, sound.encode(sound.beeps(3.2), container), sound.encode(sound.beeps(3.2, 0.03), container)
    voice = (await upload(alice, loud, f"audio/{container}", voice=True)).voice
    assert abs(voice.duration_ms - 1000 * seconds) <= 60
    assert 16 <= len(voice.waveform) <= 256
    assert -400 < voice.loudness_dlufs < -50
    quiet = (await upload(alice, soft, f"audio/{container}", voice=True)).voice
    assert abs(voice.loudness_dlufs - quiet.loudness_dlufs - 200) <= 20, "20 dB softer"
    points = len(voice.waveform)
    at = lambda second: voice.waveform[int(second / seconds * points)]
    assert all(at(second) > 4 * at(second + 0.5) for second in (0.25, 1.25, 2.25)), "drawn as it sounds"
    lied = pb.Voice(blob=voice.blob, duration_ms=1, waveform=b"\xff")
    ack = await alice.session.send(conv, pb.Body(voice=lied))
    heard = (await bob.has(conv, ack.seq)).events[ack.seq].body.voice
    assert (heard.duration_ms, heard.waveform, heard.loudness_dlufs) == (voice.duration_ms, voice.waveform, voice.loudness_dlufs)
    kind, samples = sound.decode(await download(bob, conv, heard.blob))
    assert kind == "ogg" and abs(len(samples) / sound.RATE - seconds) < 0.06
    assert heard.blob.mime == "audio/ogg"
    assert (heard.blob.id == digest(loud)) == (container == "ogg"), "only WebM is made into something else"


@pytest.mark.parametrize("what", ["noise", "empty-ogg", "vorbis", "wav", "cut", "text"])
async def test_what_is_no_voice_message(people, what):
    alice = await people("alice")
    data = {
        "noise": lambda: os.urandom(20_000),
        "empty-ogg": lambda: sound.encode(sound.beeps(1), "ogg")[:47],
        "vorbis": lambda: sound.encode(sound.beeps(1), "ogg", "flac"),
        "wav": lambda: sound.encode(sound.beeps(1), "wav", "pcm_s16le"),
        "cut": lambda: sound.encode(sound.beeps(2), "ogg")[:-700] + os.urandom(700),
        "text": lambda: b"OggS and nothing else",
    }[what]()
    with pytest.raises(Refused) as caught:
        await upload(alice, data, "audio/ogg", voice=True)
    assert caught.value.code in ("BAD_VOICE", "BAD_TYPE")
    await alice.session.request(ping=pb.Ping())


async def test_a_voice_message_may_not_be_too_long(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVENE_IM_MAX_VOICE_S", "5")
    server = start_server(tmp_path)
    alice = Device(server, "alice")
    try:
        await alice.connect()
        assert alice.session.welcome.limits.max_voice_ms == 5_000
        done = await upload(alice, sound.encode(sound.beeps(4.5), "ogg"), "audio/ogg", voice=True)
        assert done.voice.duration_ms < 5_000
        await refused("VOICE_TOO_LONG", upload(alice, sound.encode(sound.beeps(5.5), "ogg"), "audio/ogg", voice=True))
    finally:
        await alice.close()
        assert server.stop() == 0
    alice.check()


# ------------------------------------------------------------------------------------------------------------- a bucket


@pytest.fixture
def bucket(monkeypatch):
    """An S3-compatible service with a bucket in it, and a server that is to use it."""
    service = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    service.start()
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    host, port = service.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1",
                          aws_access_key_id="someone", aws_secret_access_key="a secret")
    client.create_bucket(Bucket="chat")
    settings = {"ENDPOINT": endpoint, "BUCKET": "chat", "KEY_ID": "someone", "SECRET": "a secret"}
    for name, value in settings.items():
        monkeypatch.setenv(f"CONVENE_IM_S3_{name}", value)
    yield client
    service.stop()


async def test_a_bucket_keeps_the_blobs(tmp_path, bucket):
    """Files of one part and of several (S3 takes at least 5 MiB in one); nothing of them is on the server's disk."""
    server = start_server(tmp_path)
    alice, bob = Device(server, "alice", transport="websocket"), Device(server, "bob")
    try:
        await alice.connect()
        await bob.connect()
        conv = await make_group(alice, bob)
        for size in (300_000, 9 * 1024 * 1024):
            data = os.urandom(size)
            done = await upload(alice, data)
            ack = await alice.session.send(conv, file(done.blob))
            await bob.has(conv, ack.seq)
            assert await download(alice, conv, done.blob) == data
            assert await download(bob, conv, done.blob, 100_000, 70_000) == data[100_000:170_000]
        kept = bucket.list_objects_v2(Bucket="chat")["Contents"]
        assert sorted(entry["Size"] for entry in kept) == [300_000, 9 * 1024 * 1024]
        on_disk = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and "chat.db" not in path.name]
        assert all(path.stat().st_size < 100_000 for path in on_disk), on_disk
    finally:
        await alice.close()
        await bob.close()
        assert server.stop() == 0
    alice.check()
    bob.check()
