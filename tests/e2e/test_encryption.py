"""End-to-end encryption of livekit-client: the server forwards what it cannot read, and whoever has another key sees nothing."""

from __future__ import annotations

import asyncio

import pytest
from browser import all_decode, chromium, join, open_page, sample, until
from test_network import pytestmark as needs_namespaces, scene

VIDEO = {"width": 480, "height": 270, "fps": 15, "bitrate": 400_000}
KEY = "what the two agreed on"


async def picture(page, of: str) -> dict:
    return (await sample(page)).inbound("video").get(of, {})


@pytest.mark.parametrize("codec", ["vp8", "h264", "vp9"])
async def test_who_has_the_key_sees_and_hears(server, room_name, codec):
    async with chromium() as browser:
        publisher, friend, stranger = [await open_page(browser) for _ in range(3)]
        await join(publisher, server, "publisher", room_name, **VIDEO, codec=codec, key=KEY)
        await join(friend, server, "friend", room_name, publish=False, key=KEY)
        await join(stranger, server, "stranger", room_name, publish=False, key="another")

        async def seen():
            row = await picture(friend, "publisher")
            return row.get("framesDecoded", 0) > 30 and row.get("frameWidth") == VIDEO["width"]

        await until(seen, "the friend decodes the top layer", 40)
        energy = (await sample(friend)).inbound("audio")["publisher"].get("totalAudioEnergy", 0)
        assert energy > 0, "the friend hears"
        row = await picture(stranger, "publisher")
        assert row.get("packetsReceived", 0) > 0, "the stranger gets the packets"
        assert row.get("framesDecoded", 0) == 0, "and can do nothing with them"


async def test_data_is_encrypted_too(server, room_name):
    async with chromium() as browser:
        one, friend, stranger = [await open_page(browser) for _ in range(3)]
        for name, page, key in (("one", one, KEY), ("friend", friend, KEY), ("stranger", stranger, "another")):
            await join(page, server, name, room_name, publish=False, key=key)
        await one.evaluate("say('between us')")

        async def arrived():
            return await friend.evaluate("received()") == ["between us"]

        await until(arrived, "the friend reads it", 20)
        await asyncio.sleep(1)
        assert await stranger.evaluate("received()") == []


@needs_namespaces
async def test_loss_does_not_silence_what_is_encrypted(tmp_path, room_name):
    """Plain Opus goes out as RED where packets are lost; of encrypted Opus the receiver could not take that apart."""
    async with scene(tmp_path, "speaker", "friend") as (hosts, server, pages):
        await join(pages["speaker"], server, "speaker", room_name, **VIDEO, key=KEY)
        await join(pages["friend"], server, "friend", room_name, publish=False, key=KEY)
        await until(lambda: all_decode({"friend": pages["friend"]}, 1), "the friend sees", 30)

        async def heard(span_s: float) -> float:
            """Energy of what the friend plays."""

            async def so_far():
                return (await sample(pages["friend"])).inbound("audio")["speaker"].get("totalAudioEnergy", 0)

            before = await so_far()
            await asyncio.sleep(span_s)
            return await so_far() - before

        whole = await heard(6)
        hosts["friend"].impair(loss=0.10, delay_ms=20)
        await asyncio.sleep(8)  # a receiver report or two
        lossy = await heard(6)
        assert lossy > 0.5 * whole, f"{lossy:.3f} of {whole:.3f}"
