"""A call of browsers beside a crowd that wants more video than the server's core forwards: the crowd's gives way."""

from __future__ import annotations

import asyncio
import os
import subprocess
import urllib.error
from contextlib import contextmanager

import pytest
from browser import all_decode, chromium, join, open_page, sample, until
from conftest import ROOT, start_server
from playwright.async_api import expect
from test_web_client import lobby

PEOPLE = ["ada", "grace"]
VIDEO = {"width": 320, "height": 180, "fps": 15, "bitrate": 300_000}
SERVER_CORE, OTHER_CORE = 0, 1
CROWDED = "crowded"
# Its packets a second are about twice what a core forwards.
CROWD = ["--room", CROWDED, "--subscribers", "300", "--target-pps", "1600000", "--seconds", "600"]


@pytest.fixture
def alone(tmp_path):
    """A server with a core of its own; everything else, these tests as well, is on another one."""
    before = os.sched_getaffinity(0)
    if not {SERVER_CORE, OTHER_CORE} <= before:
        pytest.skip("two cores are needed")
    server = start_server(tmp_path, "--workers", "1", core=SERVER_CORE)
    os.sched_setaffinity(0, {OTHER_CORE})
    yield server
    os.sched_setaffinity(0, before)
    assert server.process.poll() is None, server.log.read_text()[-4000:]
    panics = server.metric("convene_room_panics_total")
    assert server.stop() == 0
    assert panics == 0, "a room panicked"


@contextmanager
def crowd(server):
    """Its clients are nice: that they read late costs nobody else anything."""
    command = ["nice", "-n", "15", str(ROOT / "target/release/crowd"), "--port-base", str(server.base), *CROWD]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith("joined")
        yield
    finally:
        process.kill()
        process.wait()


async def went(pages, seconds: float) -> dict[str, dict[str, float]]:
    """What each page heard and saw of the other in a span: shares of its audio that were made up, pictures a second, seconds
    frozen."""
    before = {name: await sample(page) for name, page in pages.items()}
    await asyncio.sleep(seconds)
    found = {}
    for name, page in pages.items():
        after = await sample(page)

        def grown(kind: str, *keys: str) -> list[float]:
            (was,), (now,) = before[name].inbound(kind).values(), after.inbound(kind).values()
            return [now.get(key, 0) - was.get(key, 0) for key in keys]

        made_up, silent, all_of_it = grown("audio", "concealedSamples", "silentConcealedSamples", "totalSamplesReceived")
        pictures, frozen = grown("video", "framesDecoded", "totalFreezesDuration")
        found[name] = {"made_up": (made_up - silent) / all_of_it, "pictures": pictures / seconds, "frozen": frozen}
    return found


async def test_a_call_goes_on_beside_a_crowd(alone, room_name):
    async with chromium() as browser:
        pages = {name: await open_page(browser) for name in PEOPLE}
        for name, page in pages.items():
            await join(page, alone, name, room_name, **VIDEO)
        await until(lambda: all_decode(pages, 1), "both see each other", 40)

        async def times(event: str) -> float:
            return alone.metrics().get(f'convene_sfu_bandwidth_events_total{{event="{event}"}}', 0)

        async def refuses_rooms() -> bool:
            try:
                alone.open(f"{alone.ops}/readyz/rooms")
                return False
            except urllib.error.HTTPError as refusal:
                return refusal.code == 503

        print("calm", await went(pages, 2))
        with crowd(alone):
            # Somebody who comes late to the crowd, with the web client.
            late = await lobby(browser, alone, f"x&token={alone.token('late', CROWDED, can_publish=False)}")
            coming = asyncio.create_task(went(pages, 6))
            await until(refuses_rooms, "rooms are refused", 20)
            first = await coming
            print("while it comes", first)
            await until(lambda: times("cpu_shed"), "somebody gets less video", 20)
            await late.get_by_role("button", name="Join", exact=True).click()
            await expect(late.locator(".lk-participant-tile[data-paused]")).to_be_visible()
            then = await went(pages, 6)
            print("then", then)
        for name, page in pages.items():
            assert first[name]["made_up"] < 0.15 and then[name]["made_up"] < 0.05, "speech goes on"
            assert first[name]["pictures"] > VIDEO["fps"] / 3 and then[name]["pictures"] > VIDEO["fps"] / 2, "and so do pictures"
            assert (await page.evaluate("streamStates()")) == ["active"]
            assert (await page.evaluate("events()")) == [], "nobody had to connect again"
        assert alone.metrics()['convene_sfu_dropped_total{reason="late_video"}'] > 0

        async def takes_rooms() -> bool:
            return not await refuses_rooms()

        await until(takes_rooms, "rooms are taken again", 20)
        for page in pages.values():
            await page.evaluate("leave()")
