"""aiortc publishes by WHIP, another aiortc plays by WHEP."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction

import aiohttp
import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
from aiortc.rtcrtpsender import RTCRtpSender
from livekit import api
from sdk import until


class Picture(VideoStreamTrack):
    """A moving gradient at aiortc's 30 frames/s."""

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        ramp = (np.arange(320, dtype=np.uint32)[None, :] + np.zeros((180, 1), np.uint32) + pts // 3_000 * 4) % 256
        frame = av.VideoFrame.from_ndarray(np.repeat(ramp.astype(np.uint8)[..., None], 3, 2), format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """440 Hz."""

    position = 0

    async def recv(self):
        await asyncio.sleep(0.02)
        at = (np.arange(960) + self.position) / 48_000
        samples = (np.sin(2 * np.pi * 440 * at) * 12_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self.position, Fraction(1, 48_000)
        self.position += 960
        return frame


async def negotiate(http, url: str, token: str, connection: RTCPeerConnection) -> tuple[str, str]:
    """Posts the offer; returns the session's address and ETag."""
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with http.post(url, data=connection.localDescription.sdp, headers=headers) as reply:
        body = await reply.text()
        assert reply.status == 201, body
        assert reply.content_type == "application/sdp"
        await connection.setRemoteDescription(RTCSessionDescription(body, "answer"))
        return reply.headers["Location"], reply.headers["ETag"]


async def count_frames(track, counts: dict[str, int]):
    try:
        while True:
            frame = await track.recv()
            counts[track.kind] += 1
            counts[f"{track.kind}-energy"] += int(np.abs(frame.to_ndarray().astype(np.int32)).sum() > 0)
    except MediaStreamError:
        pass


@pytest.mark.parametrize("late", [False, True], ids=["publisher-first", "player-first"])
@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_publish_and_play(server, room_name, codec, late):
    publisher, player = RTCPeerConnection(), RTCPeerConnection()
    counts = {"audio": 0, "video": 0, "audio-energy": 0, "video-energy": 0}
    tasks = []

    @player.on("track")
    def on_track(track):
        tasks.append(asyncio.create_task(count_frames(track, counts)))

    async def publish(http):
        publisher.addTrack(Tone())
        sender = publisher.addTrack(Picture())
        transceiver = next(t for t in publisher.getTransceivers() if t.sender is sender)
        capabilities = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([c for c in capabilities if c.mimeType == codec])
        token = server.token("publisher", room_name, can_publish=True, can_subscribe=False)
        return await negotiate(http, f"{server.http}/whip/{room_name}", token, publisher)

    async def play(http):
        player.addTransceiver("audio", direction="recvonly")
        player.addTransceiver("video", direction="recvonly")
        token = server.token("player", room_name, can_publish=False, can_subscribe=True)
        return await negotiate(http, f"{server.http}/whep/{room_name}", token, player)

    async with aiohttp.ClientSession() as http:
        sessions = {}
        for step in (play, publish) if late else (publish, play):
            sessions[step.__name__] = await step(http)
            await asyncio.sleep(0.5)
        await until(lambda: counts["video"] > 60, f"60 frames of {codec}: {counts}", 20)
        await until(lambda: counts["audio"] > 100, f"2 s of Opus: {counts}", 20)
        assert counts["audio-energy"] > 50 and counts["video-energy"] > 30
        for name, (location, _) in sessions.items():
            who = "publisher" if name == "publish" else "player"
            headers = {"Authorization": f"Bearer {server.token(who, room_name)}"}
            async with http.delete(server.http + location, headers=headers) as reply:
                assert reply.status == 200
            async with http.delete(server.http + location, headers=headers) as reply:
                assert reply.status == 404, "a session ends once"
    await publisher.close()
    await player.close()
    for task in tasks:
        task.cancel()


async def test_a_player_sees_the_next_publisher(server, room_name):
    """Its sections and SSRCs are fixed by its one answer, so the next publisher's packets go on where the last ended."""
    player, counts, tasks = RTCPeerConnection(), {"audio": 0, "video": 0, "audio-energy": 0, "video-energy": 0}, []
    player.on("track", lambda track: tasks.append(asyncio.create_task(count_frames(track, counts))))
    player.addTransceiver("video", direction="recvonly")
    async with aiohttp.ClientSession() as http:
        await negotiate(http, f"{server.http}/whep/{room_name}", server.token("player", room_name), player)
        for number in range(3):
            publisher = RTCPeerConnection()
            publisher.addTrack(Picture())
            token = server.token(f"p{number}", room_name)
            location, _ = await negotiate(http, f"{server.http}/whip/{room_name}", token, publisher)
            seen = counts["video"]
            await until(lambda seen=seen: counts["video"] > seen + 30, f"frames of publisher {number}: {counts}", 20)
            async with http.delete(server.http + location, headers={"Authorization": f"Bearer {token}"}) as reply:
                assert reply.status == 200
            await publisher.close()
            await asyncio.sleep(0.5)
    await player.close()
    for task in tasks:
        task.cancel()


async def test_refusals_are_clear(server, room_name):
    good = server.token("p", room_name, can_publish=True)
    deaf = server.token("p", room_name, can_publish=False, can_subscribe=False)
    expired = server.token("p", room_name, ttl_s=-60)
    other = server.token("p", "another-room")
    rows = [
        ("whip", good, "application/sdp", "", 400),
        ("whip", good, "application/sdp", "v=0 nonsense", 400),
        ("whip", good, "text/plain", "v=0", 415),
        ("whip", None, "application/sdp", "v=0", 401),
        ("whip", "garbage", "application/sdp", "v=0", 401),
        ("whip", expired, "application/sdp", "v=0", 401),
        ("whip", deaf, "application/sdp", "v=0", 403),
        ("whep", deaf, "application/sdp", "v=0", 403),
        ("whip", other, "application/sdp", "v=0", 403),
        ("whip", good, "application/sdp", "x" * 400_000, 413),
    ]
    async with aiohttp.ClientSession() as http:
        for path, token, content_type, body, status in rows:
            headers = {"Content-Type": content_type} | ({"Authorization": f"Bearer {token}"} if token else {})
            async with http.post(f"{server.http}/{path}/{room_name}", data=body, headers=headers) as reply:
                text = await reply.text()
                assert reply.status == status, (path, status, reply.status, text)
                assert "code" in text, text


async def test_trickle_and_restart(server, room_name):
    publisher = RTCPeerConnection()
    publisher.addTrack(Tone())
    token = server.token("p", room_name, can_publish=True)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
        location, etag = await negotiate(http, f"{server.http}/whip/{room_name}", token, publisher)
        url = server.http + location
        kind = {"Content-Type": "application/trickle-ice-sdpfrag"}
        sdp = publisher.localDescription.sdp.splitlines()
        ufrag = next(line for line in sdp if line.startswith("a=ice-ufrag"))
        pwd = next(line for line in sdp if line.startswith("a=ice-pwd"))
        trickle = "\r\n".join([ufrag, pwd, "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0",
                               "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host", "a=end-of-candidates", ""])
        async with http.patch(url, data=trickle, headers=kind | {"If-Match": etag}) as reply:
            assert reply.status == 204, await reply.text()
        async with http.patch(url, data=trickle, headers=kind | {"If-Match": '"stale"'}) as reply:
            assert reply.status == 412, await reply.text()
        restart = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        async with http.patch(url, data=restart, headers=kind | {"If-Match": "*"}) as reply:
            body = await reply.text()
            assert reply.status == 200, body
            assert reply.headers["ETag"] != etag
            assert "a=ice-ufrag:" in body and "a=ice-pwd:" in body
        async with http.delete(url) as reply:
            assert reply.status == 200
    await publisher.close()


async def test_a_vanished_publisher_is_gone_within_20_s(server, room_name):
    publisher = RTCPeerConnection()
    publisher.addTrack(Tone())
    token = server.token("p", room_name, can_publish=True)
    admin = api.LiveKitAPI(server.http, "devkey", "secret")

    async def present() -> list[str]:
        listed = await admin.room.list_participants(api.ListParticipantsRequest(room=room_name))
        return [participant.identity for participant in listed.participants]

    async with aiohttp.ClientSession() as http:
        await negotiate(http, f"{server.http}/whip/{room_name}", token, publisher)
    await until(lambda: publisher.connectionState == "connected", "connected")
    assert await present() == ["p"]
    # Vanish: stop every transport without a word to the server.
    for transport in {t.sender.transport.transport for t in publisher.getTransceivers()}:
        await transport._connection.close()
    gone_at = time.monotonic()
    while await present():
        assert time.monotonic() - gone_at < 20, "still in the room after 20 s"
        await asyncio.sleep(0.5)
    print(f"gone after {time.monotonic() - gone_at:.1f} s")
    await admin.aclose()
    await publisher.close()
