"""A publisher of VP9 sends VP8 as well while somebody needs it: livekit-client in Chromium on both sides."""

from __future__ import annotations

import time

import pytest
from browser import chromium, join, open_page, sample, until

VIDEO = {"width": 480, "height": 270, "fps": 15, "bitrate": 400_000}


def codec_of(reading, row: dict) -> str:
    return next((one["mimeType"] for one in reading.rows if one["id"] == row.get("codecId")), "")


async def decodes(page, of: str, mime_type: str):
    async def there():
        reading = await sample(page)
        row = reading.inbound("video").get(of, {})
        return row.get("framesDecoded", 0) > 20 and codec_of(reading, row) == mime_type

    await until(there, f"{of} is decoded as {mime_type}", 40)


async def sent(page) -> dict[str, int]:
    """Frames sent so far, by codec."""
    reading = await sample(page)
    frames: dict[str, int] = {}
    for row in reading.rows:
        if row["type"] == "outbound-rtp" and row.get("kind") == "video":
            codec = codec_of(reading, row)
            frames[codec] = frames.get(codec, 0) + row.get("framesSent", 0)
    return frames


@pytest.mark.parametrize(("codec", "single"), [("vp9", True), ("av1", True), ("av1", False)], ids=["vp9", "av1", "two-connections"])
async def test_who_lacks_the_codec_gets_the_backup(server, room_name, codec, single):
    first = f"video/{codec.upper()}"
    async with chromium() as browser:
        publisher, able, unable = [await open_page(browser) for _ in range(3)]
        await join(publisher, server, "publisher", room_name, **VIDEO, codec=codec, backup={"codec": "vp8"})
        await join(able, server, "able", room_name, publish=False)
        await decodes(able, "publisher", first)
        assert "video/VP8" not in await sent(publisher), "nobody needs it"
        await join(unable, server, "unable", room_name, publish=False, decodes=["video/VP8"], single=single)
        await decodes(unable, "publisher", "video/VP8")
        await decodes(able, "publisher", first)
        tracks = [track for track in await able.evaluate("remoteTracks()") if track["kind"] == "video"]
        assert len(tracks) == 1, "one track to everybody"

        await unable.evaluate("leave()")
        last, since = -1, 0.0

        async def stopped():
            nonlocal last, since
            frames, now = (await sent(publisher)).get("video/VP8", 0), time.monotonic()
            if frames != last:
                last, since = frames, now
            return now - since > 3

        await until(stopped, "the backup is not sent any more", 30)
