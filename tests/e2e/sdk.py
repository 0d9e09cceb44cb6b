"""Participants made with LiveKit's Python SDK (Rust and libwebrtc inside)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager

import numpy as np
from livekit import rtc

WIDTH, HEIGHT, FPS = 320, 180, 15
SAMPLE_RATE = 48_000


async def until(condition, what: str, within_s: float = 15.0):
    """Waits for `condition()` to be true; `what` is said when it never is."""
    deadline = time.monotonic() + within_s
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.05)


class Person:
    """One connected participant that notes what happens to it."""

    def __init__(self, identity: str):
        self.identity = identity
        self.room = rtc.Room()
        self.tracks: dict[str, rtc.Track] = {}
        self.data: list[rtc.DataPacket] = []
        self.log: list[str] = []
        self.tasks: list[asyncio.Task] = []
        self.filmed = 0
        for name in ("reconnecting", "reconnected", "disconnected", "participant_connected", "participant_disconnected",
                     "track_muted", "track_unmuted", "track_published", "track_unpublished", "track_unsubscribed",
                     "active_speakers_changed", "local_track_subscribed", "room_metadata_changed",
                     "participant_metadata_changed", "participant_name_changed"):
            self.room.on(name, lambda *args, name=name: self.log.append(name))
        self.room.on("data_received", self.data.append)
        self.room.on("track_subscribed", self._on_track)

    def _on_track(self, track, publication, participant):
        self.log.append("track_subscribed")
        self.tracks[f"{participant.identity}:{'video' if track.kind == rtc.TrackKind.KIND_VIDEO else 'audio'}"] = track

    async def connect(self, server, room: str, single: bool, by: str | None = None, **grants) -> "Person":
        """`by`: an address in front of the server."""
        token = server.token(self.identity, room, **grants)
        options = rtc.RoomOptions(auto_subscribe=True, single_peer_connection=single)
        await self.room.connect(by or server.ws, token, options)
        return self

    async def publish_camera(self, simulcast: bool = True, width: int = WIDTH, height: int = HEIGHT, fps: int = FPS) -> rtc.LocalTrackPublication:
        source = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=simulcast,
                                          video_codec=rtc.VideoCodec.VP8)
        publication = await self.room.local_participant.publish_track(track, options)
        self.tasks.append(asyncio.create_task(self._film(source, width, height, fps)))
        return publication

    async def publish_microphone(self) -> rtc.LocalTrackPublication:
        source = rtc.AudioSource(SAMPLE_RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self.room.local_participant.publish_track(track, options)
        self.tasks.append(asyncio.create_task(_hum(source)))
        return publication

    async def _film(self, source: rtc.VideoSource, width: int, height: int, fps: int):
        """A moving gradient, so that frames differ and encoders have work. Counts them in `filmed`."""
        ramp = np.arange(width, dtype=np.uint16)[None, :] + np.arange(height, dtype=np.uint16)[:, None]
        while True:
            pixels = np.full((height, width, 4), 255, np.uint8)
            pixels[..., :3] = ((ramp + self.filmed * 3) % 256).astype(np.uint8)[..., None]
            source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, pixels.tobytes()))
            self.filmed += 1
            await asyncio.sleep(1 / fps)

    async def leave(self):
        for task in self.tasks:
            task.cancel()
        await self.room.disconnect()


class Seer(Person):
    """Decodes every picture it gets; counts them by whose they are."""

    def __init__(self, identity: str):
        super().__init__(identity)
        self.frames: Counter[str] = Counter()
        self.eyes: dict[str, asyncio.Task] = {}
        self.room.on("track_unsubscribed", self._on_track_gone)

    def _on_track(self, track, publication, participant):
        super()._on_track(track, publication, participant)
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            self.eyes[track.sid] = asyncio.create_task(self._look(track, participant.identity))

    def _on_track_gone(self, track, *_):
        if eye := self.eyes.pop(track.sid, None):
            eye.cancel()

    async def _look(self, track, whose: str):
        stream = rtc.VideoStream(track)
        try:
            async for _ in stream:
                self.frames[whose] += 1
        finally:
            await stream.aclose()

    async def leave(self):
        await super().leave()
        for eye in self.eyes.values():
            eye.cancel()


async def _hum(source: rtc.AudioSource):
    """A 440 Hz tone at half scale."""
    size = SAMPLE_RATE // 100
    position = 0
    while True:
        at = (np.arange(size) + position) / SAMPLE_RATE
        samples = (np.sin(2 * np.pi * 440 * at) * 16_000).astype(np.int16)
        await source.capture_frame(rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, size))
        position += size


async def frames_within(track: rtc.Track, seconds: float) -> int:
    """Video frames that `track` decodes in a span of time."""
    stream = rtc.VideoStream(track)
    count = 0
    try:
        async with asyncio.timeout(seconds):
            async for _ in stream:
                count += 1
    except TimeoutError:
        pass
    await stream.aclose()
    return count


async def loudness_within(track: rtc.Track, seconds: float) -> float:
    """Root mean square of what `track` plays in a span of time."""
    stream = rtc.AudioStream(track)
    squares, samples = 0.0, 0
    try:
        async with asyncio.timeout(seconds):
            async for event in stream:
                values = np.frombuffer(event.frame.data, np.int16).astype(np.float64)
                squares, samples = squares + float((values**2).sum()), samples + values.size
    except TimeoutError:
        pass
    await stream.aclose()
    return (squares / samples) ** 0.5 if samples else 0.0


async def hears(track: rtc.Track, within_s: float = 10) -> bool:
    """Whether the tone of `publish_microphone` comes out of `track`; a loaded machine may take seconds to start."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if await loudness_within(track, 1) > 1_000:
            return True
    return False


@asynccontextmanager
async def people(server, room: str, single: bool, *identities: str):
    """Several participants in one room; they leave at the end."""
    everyone = [await Person(identity).connect(server, room, single) for identity in identities]
    try:
        yield everyone
    finally:
        for person in everyone:
            await person.leave()
