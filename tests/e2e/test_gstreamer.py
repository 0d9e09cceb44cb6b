"""GStreamer's `webrtcbin` publishes by WHIP and plays by WHEP; LiveKit's SDK and aiortc are in the same room."""

from __future__ import annotations

import aiohttp
import gst
import pytest
from aiortc import RTCPeerConnection
from sdk import frames_within, hears, people, until
from test_whip_whep import Picture, Tone, negotiate


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_gstreamer_publishes_and_plays(server, room_name, tmp_path, codec):
    """Frames of its own, decoded by another GStreamer and, VP8, by the LiveKit SDK."""
    async with gst.running(server, tmp_path, "publish", "camera", room_name, codec) as camera:
        await until(lambda: camera.check() and camera.state == "connected", "the publisher is connected")
        async with gst.running(server, tmp_path, "play", "screen", room_name, codec) as screen:
            await until(lambda: screen.check() and screen.video >= 60, f"60 frames of {codec}", 20)
            await until(lambda: screen.check() and screen.audio >= 100, "2 s of Opus", 20)
            if codec == "VP8":
                async with people(server, room_name, True, "viewer") as (viewer,):
                    await until(lambda: {"camera:video", "camera:audio"} <= viewer.tracks.keys(), "the SDK has both tracks")
                    assert await frames_within(viewer.tracks["camera:video"], 4) >= 30
                    assert await hears(viewer.tracks["camera:audio"])
            for client in (screen, camera):
                await client.leave()
                assert client.ended == 200


async def test_gstreamer_plays_what_others_publish(server, room_name, tmp_path):
    """It was there first: its picture begins with a keyframe that the server asks aiortc for."""
    publisher = RTCPeerConnection()
    async with gst.running(server, tmp_path, "play", "screen", room_name) as screen:
        await until(lambda: screen.check() and screen.state == "connected", "the player is connected")
        publisher.addTrack(Tone())
        publisher.addTrack(Picture())
        async with aiohttp.ClientSession() as http:
            await negotiate(http, f"{server.http}/whip/{room_name}", server.token("camera", room_name), publisher)
        await until(lambda: screen.check() and screen.video >= 60, "60 frames", 20)
        await until(lambda: screen.check() and screen.audio >= 100, "2 s of Opus", 20)
    await publisher.close()
