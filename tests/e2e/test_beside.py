"""What somebody downloads from chat does not disturb the call that they are in: over a slow path with a long queue both share
the queue. The download is an aioquic client's, in the browser's own network namespace."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack

from browser import join, sample, until
from im_blobs import download, file, upload
from im_client import Device, make_group
from test_network import VIDEO, pytestmark, scene  # noqa: F401: it skips this file, too

SIZE = 4_000_000


async def seen(page) -> dict[str, float]:
    """What the page has shown and played of the speaker."""
    stats = await sample(page)
    sound = stats.inbound("audio")["speaker"]
    return {
        "at": time.monotonic(),
        "frames": stats.inbound("video")["speaker"]["framesDecoded"],
        "concealed": (sound["concealedSamples"] - sound.get("silentConcealedSamples", 0)) / 48_000,
    }


async def while_it(moves, page) -> tuple[float, float]:
    """Frames a second, and the part of the sound that was made up, until it is done."""
    before = await seen(page)
    await moves
    after = await seen(page)
    change = {name: after[name] - before[name] for name in before}
    return change["frames"] / change["at"], change["concealed"] / change["at"]


async def test_a_call_beside_a_download(tmp_path, room_name):
    async with scene(tmp_path, "speaker", "listener") as (hosts, server, pages):
        page = pages["listener"]
        await join(pages["speaker"], server, "speaker", room_name, **VIDEO)
        await join(page, server, "listener", room_name, publish=False)

        async def shown() -> bool:
            return (await sample(page)).inbound("video").get("speaker", {}).get("framesDecoded", 0) > 30

        await until(shown, "a picture", 30)
        alice = Device(server, "alice", home=hosts["speaker"])
        bob = Device(server, "bob", home=hosts["listener"])
        async with AsyncExitStack() as ends:
            for device in (alice, bob):
                ends.push_async_callback(device.close)
            await alice.stay_connected()
            await bob.stay_connected()
            conv = await make_group(alice, bob)
            blob = (await upload(alice, os.urandom(SIZE))).blob
            await bob.has(conv, (await alice.deliver(conv, file(blob))).seq)
            hosts["listener"].impair(delay_ms=40, rate_kbit=4_000, queue_ms=1_000)
            await asyncio.sleep(5)
            alone, made_up_alone = await while_it(asyncio.sleep(5), page)
            beside, made_up = await while_it(download(bob, conv, blob), page)
        print(f"{alone:.1f} frames a second and {made_up_alone:.1%} of the sound made up, {beside:.1f} and {made_up:.1%} beside a download")
        assert beside > 0.7 * alone, "the picture gives way to a download"
        assert made_up < made_up_alone + 0.05, "the sound gives way to a download"
    alice.check()
    bob.check()
