"""Layers within a stream and VP9 simulcast: Chromium publishes them over WHIP, another one is switched between them."""

from __future__ import annotations

import time

import pytest
from browser import chromium, join, open_page, sample, until

# Chromium makes no spatial layer below 240 x 135 of VP9.
WIDTH, HEIGHT, FPS = 960, 540, 12
# A keyframe is asked for at most twice a second, and a busy machine takes its time to encode it.
SWITCH_WITHIN_S = 8
# Encoders start low and add layers as the estimate grows.
TOP_WITHIN_S = 40
QUALITIES = [0, 2, 1, 2]

PUBLISH = """async ([url, token, codec, encodings, size]) => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: size });
  const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const sender = connection.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', streams: [stream], sendEncodings: encodings });
  const all = RTCRtpSender.getCapabilities('video').codecs;
  sender.setCodecPreferences(all.filter((c) => c.mimeType === codec || c.mimeType === 'video/rtx'));
  await connection.setLocalDescription(await connection.createOffer());
  const reply = await fetch(url, { method: 'POST', body: connection.localDescription.sdp, headers: {
    'Content-Type': 'application/sdp', Authorization: `Bearer ${token}` } });
  if (reply.status !== 201) return `${reply.status} ${await reply.text()}`;
  await connection.setRemoteDescription({ type: 'answer', sdp: await reply.text() });
  window.whip = connection;
  return 'published';
}"""
SENT = """async () => [...(await whip.getStats()).values()].filter((row) => row.type === 'outbound-rtp').map((row) => [
  row.rid, row.frameWidth, row.framesSent, row.scalabilityMode, row.encoderImplementation, row.qualityLimitationReason])"""
SET_QUALITY = """(quality) => { for (const person of room.remoteParticipants.values())
  for (const publication of person.videoTrackPublications.values()) publication.setVideoQuality(quality); }"""


def svc(mode: str) -> list[dict]:
    return [{"scalabilityMode": mode, "maxBitrate": 1_200_000}]


def simulcast(mode: str) -> list[dict]:
    rows = [("q", 4, 120_000), ("h", 2, 350_000), ("f", 1, 900_000)]
    return [{"rid": rid, "scaleResolutionDownBy": scale, "maxBitrate": rate, "scalabilityMode": mode} for rid, scale, rate in rows]


async def start(browser, server, room_name, codec, encodings):
    publisher, watcher = await open_page(browser), await open_page(browser)
    size = {"width": WIDTH, "height": HEIGHT, "frameRate": FPS}
    token = server.token("camera", room_name, can_publish=True)
    said = await publisher.evaluate(PUBLISH, [f"{server.http}/whip/{room_name}", token, codec, encodings, size])
    assert said == "published"
    await join(watcher, server, "watcher", room_name, publish=False)
    return publisher, watcher


async def picture(watcher) -> dict:
    rows = list((await sample(watcher)).inbound("video").values())
    return rows[0] if rows else {}


async def shows(watcher, width: int, within_s: float) -> float:
    """Seconds until pictures of a width are decoded, several of them."""
    began = time.monotonic()
    at = None

    async def there():
        nonlocal at
        row = await picture(watcher)
        if row.get("frameWidth") != width:
            at = None
            return False
        at = row["framesDecoded"] if at is None else at
        return row["framesDecoded"] >= at + 4

    await until(there, f"pictures {width} wide", within_s)
    return time.monotonic() - began


@pytest.mark.parametrize(
    "codec, encodings",
    [
        pytest.param("video/VP9", svc("L3T3_KEY"), id="vp9-L3T3_KEY"),
        pytest.param("video/VP9", svc("L3T3"), id="vp9-L3T3"),
        pytest.param("video/VP9", simulcast("L1T3"), id="vp9-simulcast"),
        pytest.param("video/AV1", svc("L3T3_KEY"), id="av1-L3T3_KEY"),
        pytest.param("video/VP8", simulcast("L1T3"), id="vp8-simulcast"),
    ],
)
async def test_a_viewer_is_switched_between_layers(server, room_name, codec, encodings):
    widths = [WIDTH // 4, WIDTH // 2, WIDTH]
    async with chromium() as browser:
        publisher, watcher = await start(browser, server, room_name, codec, encodings)
        try:
            top = await shows(watcher, WIDTH, TOP_WITHIN_S)
        except AssertionError:
            sent = await publisher.evaluate(SENT)
            if not any(row[1] == WIDTH and row[2] for row in sent):
                pytest.skip(f"this machine does not encode it: {sent}")
            raise AssertionError(f"sent {sent}, shown {await picture(watcher)}") from None
        sent = await publisher.evaluate(SENT)
        before, times = await picture(watcher), []
        for quality in QUALITIES:
            await watcher.evaluate(SET_QUALITY, quality)
            times.append(round(await shows(watcher, widths[quality], SWITCH_WITHIN_S), 1))
        after = await picture(watcher)
        did = {key: after[key] - before[key] for key in ("framesDecoded", "freezeCount", "totalFreezesDuration", "pliCount", "keyFramesDecoded")}
        print(f"{sent}: top after {top:.1f} s, switches after {times} s, {did}, decoder {after.get('decoderImplementation')}")
        assert did["freezeCount"] <= len(QUALITIES), "at most one for each keyframe that is waited for"


async def test_temporal_layers_of_av1_are_decoded(server, room_name):
    async with chromium() as browser:
        publisher, watcher = await start(browser, server, room_name, "video/AV1", svc("L1T3"))
        await shows(watcher, WIDTH, TOP_WITHIN_S)
        print(await publisher.evaluate(SENT), (await picture(watcher))["framesDecoded"])
