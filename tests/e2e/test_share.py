"""A shared screen before a narrow path: its pages come one by one, and nobody's voice waits for them."""

from __future__ import annotations

import asyncio

import pytest

from browser import join, sample, stalled, until
from test_network import scene

VIDEO = {"width": 640, "height": 360, "fps": 15, "bitrate": 500_000}
PAGE_S = 4
RATE_HZ = 48_000
SPAN_S = 5 * PAGE_S


def heard(reading) -> dict:
    """What was made up of somebody's voice so far, and how many packets of all pictures were lost."""
    (voice,) = reading.inbound("audio").values()
    pictures = [row for row in reading.rows if row["type"] == "inbound-rtp" and row.get("kind") == "video"]
    return {"made_up": voice["concealedSamples"], "lost": sum(row["packetsLost"] for row in pictures)}


async def test_pages_of_a_shared_screen_come_one_by_one(tmp_path, room_name):
    """A page is 50 to 100 KB, and the path has 1.5 Mbit/s behind a queue of 56 KB."""
    async with scene(tmp_path, "sharer", "viewer") as (hosts, server, pages):
        hosts["viewer"].impair(delay_ms=40, rate_kbit=1_500)
        await join(pages["sharer"], server, "sharer", room_name, **VIDEO)
        await join(pages["viewer"], server, "viewer", room_name, publish=False)
        await pages["sharer"].evaluate(f"sharePages({PAGE_S * 1_000})")
        await pages["viewer"].evaluate("watchPages()")

        async def has_begun():
            return len(await pages["viewer"].evaluate("pagesSeen()")) >= 2

        await until(has_begun, "a second page", 30)
        # The first comes before anything is known of the path.
        await asyncio.sleep(PAGE_S)
        before = heard(await sample(pages["viewer"]))
        no_wonder = await stalled(SPAN_S)
        after = heard(await sample(pages["viewer"]))
        drawn = await pages["sharer"].evaluate("pagesDrawn()")
        seen = await pages["viewer"].evaluate("pagesSeen()")
        took = [min((at - page for at in seen if at > page), default=None) for page in drawn[-6:-1]]
        made_up = (after["made_up"] - before["made_up"]) / (SPAN_S * RATE_HZ)
        lost = after["lost"] - before["lost"]
        print(f"pages seen after {took} ms, {made_up:.1%} of the sound made up, {lost} packets lost")
        if no_wonder:
            pytest.skip("the machine stood still meanwhile")
        assert all(ms is not None and ms < PAGE_S * 1_000 for ms in took), took
        assert made_up <= 0.01 and lost <= 60, (made_up, lost)
