"""The server ends in mid-call and is started again, as for an upgrade or after a crash: everybody is back, sees and hears the
others, and had nothing to do for it. Calls that people rang for go on as the same call."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack

import pytest
from browser import chromium, join, open_page, sample
from browser import until as holds
from conftest import start_server
from playwright.async_api import expect
from sdk import Seer, hears, until
from test_web_chat import online, row
from web_people import BO, in_call, pictures_move, ringing, two

PICTURE = {"width": 320, "height": 180, "bitrate": 200_000, "fps": 15}
# More than a jitter buffer holds.
FRAMES = 8
# Clients try again after 0.3, 1.2, 2.7, 4.8 and then each 7 s, and one more.
WITHIN_S = 60
# Whoever is lost counts as in a call of people for so long.
RETURN_S = 20
# Long enough that the first tries meet nobody.
AWAY_S = 1.0

pytestmark = pytest.mark.timeout(240)


class Program(Seer):
    """LiveKit's SDK."""

    async def seen(self) -> dict[str, int]:
        return dict(self.frames)

    async def returns(self) -> int:
        return self.log.count("reconnected")


class Viewer:
    """A page with livekit-client."""

    def __init__(self, identity: str, page):
        self.identity, self.page = identity, page

    async def seen(self) -> dict[str, int]:
        videos = (await sample(self.page)).inbound("video")
        return {identity: row.get("framesDecoded", 0) for identity, row in videos.items()}

    async def returns(self) -> int:
        return sum(event.startswith("Reconnected") for event in await self.page.evaluate("events()"))


async def sees(one, others: set[str]) -> None:
    """From here on decodes pictures of all the others."""
    since = await one.seen()

    async def further():
        now = await one.seen()
        return all(now.get(other, 0) >= since.get(other, 0) + FRAMES for other in others)

    await holds(further, f"{one.identity} sees everybody", WITHIN_S)


async def comes_back(one, others: set[str], before: int) -> float:
    start = time.monotonic()

    async def back():
        return await one.returns() > before

    await holds(back, f"{one.identity} is back", WITHIN_S)
    await sees(one, others)
    return time.monotonic() - start


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
async def test_a_call_goes_on_with_the_next_server(tmp_path, room_name, how):
    server = start_server(tmp_path)
    async with AsyncExitStack() as stack:
        everyone = []
        for identity, single in (("ana", True), ("bo", False)):
            one = await Program(identity).connect(server, room_name, single)
            stack.push_async_callback(one.leave)
            await one.publish_camera()
            await one.publish_microphone()
            everyone.append(one)
        for identity, single in (("cy", True), ("dee", False)):
            # A browser each: tabs of one that let go of Chromium's camera and take it again at once get no picture any more.
            page = await open_page(await stack.enter_async_context(chromium()))
            await join(page, server, identity, room_name, single=single, **PICTURE)
            everyone.append(Viewer(identity, page))
        others = {one.identity: {other.identity for other in everyone} - {one.identity} for one in everyone}
        await asyncio.gather(*(sees(one, others[one.identity]) for one in everyone))

        before = [await one.returns() for one in everyone]
        if how == "SIGTERM":
            assert server.stop() == 0
        else:
            server.kill()
        await asyncio.sleep(AWAY_S)
        server.launch()
        back = (comes_back(one, others[one.identity], count) for one, count in zip(everyone, before, strict=True))
        times = await asyncio.gather(*back)
        print(f"{how}: pictures of all others after {', '.join(f'{at:.1f}' for at in times)} s")
        ana, bo = everyone[:2]
        assert await hears(ana.tracks["bo:audio"]) and await hears(bo.tracks["ana:audio"])
        await until(lambda: server.metric("convene_participants") == len(everyone), "nobody is there twice")
    assert server.stop() == 0


async def test_a_call_of_people_goes_on_as_the_same_call(tmp_path):
    server = start_server(tmp_path)
    async with chromium() as browser, chromium() as other:
        ana, bo, _ = await two(browser, server, other)
        await ana.get_by_label("Find people").fill("zw")
        await ana.get_by_role("link", name=BO).click()
        await ana.get_by_role("region", name=BO).get_by_role("button", name="Message").click()
        await ana.get_by_role("button", name="Video call").click()
        await expect(ringing(bo)).to_be_visible()
        # In the room, with all that she sends: what a stop cuts off while it begins is for her to turn on again.
        await expect(ana.get_by_role("button", name="Turn camera off")).to_be_visible()
        # It rings on.
        server.kill()
        server.launch()
        await asyncio.gather(online(ana), online(bo))
        await ringing(bo).get_by_role("button", name="Accept", exact=True).click()
        await in_call(ana, bo)
        for page in (ana, bo):
            await pictures_move(page)
        # Ana's chat does not come back, so that nobody tells her how the call stands.
        await ana.route("**/im/**", lambda route: route.abort())
        await ana.route_web_socket("**/im", lambda socket: socket.close())
        assert server.stop() == 0
        for page in (ana, bo):
            await expect(page.get_by_text("Reconnecting…")).to_be_visible()
        await asyncio.sleep(AWAY_S)
        server.launch()
        await in_call(ana, bo)
        for page in (ana, bo):
            await pictures_move(page)
        await ana.get_by_role("button", name="Leave", exact=True).click()
        # It ends as any other: for both, sooner than for somebody who is lost, and is written down once.
        await expect(bo.get_by_role("button", name="Video call")).to_be_visible(timeout=RETURN_S * 500)
        await ana.unroute_all()
        await ana.reload()
        await row(ana, BO).click()
        for page, whose in ((ana, "Your video call"), (bo, "Video call by Ana")):
            await expect(page.get_by_role("log")).to_contain_text(re.compile(rf"{whose}, \d:\d\d"))
            await expect(page.get_by_role("log").get_by_text(whose)).to_have_count(1)
    assert server.stop() == 0
