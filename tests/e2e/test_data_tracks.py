"""Data tracks between LiveKit's SDKs: frames of an application, for who asks for them."""

from __future__ import annotations

import asyncio

import pytest
from browser import chromium, join, open_page
from browser import until as seen
from livekit import rtc
from livekit.rtc._proto.room_pb2 import SimulateScenarioKind
from sdk import Person, people, until
from test_network import pytestmark as needs_namespaces, scene

# One packet, and one that is cut into seven.
SMALL, LARGE = 200, 100_000


class Reader:
    """Follows data tracks by name as they come, and as they come again."""

    def __init__(self, person: Person):
        self.tracks: dict[str, rtc.RemoteDataTrack] = {}
        self.gone: list[str] = []
        self.followed: set[str] = set()
        self.frames: list[tuple[str, int, int, int | None]] = []
        self.tasks = person.tasks
        person.room.on("data_track_published", self._published)
        person.room.on("data_track_unpublished", self.gone.append)

    def _published(self, track: rtc.RemoteDataTrack):
        self.tracks[track.info.name] = track
        if track.info.name in self.followed:
            self._start(track)

    async def follow(self, name: str):
        self.followed.add(name)
        if track := self.tracks.get(name):
            self._start(track)
        await until(lambda: name in self.tracks, f"{name} is published")

    def _start(self, track: rtc.RemoteDataTrack):
        self.tasks.append(asyncio.create_task(self._read(track)))

    async def _read(self, track: rtc.RemoteDataTrack):
        async for frame in track.subscribe():
            whole = len(set(frame.payload)) == 1
            self.frames.append((track.info.name, len(frame.payload), frame.payload[0] if whole else -1, frame.user_timestamp))


def frame(size: int, fill: int, stamp: int | None = None) -> rtc.DataTrackFrame:
    return rtc.DataTrackFrame(payload=bytes([fill]) * size, user_timestamp=stamp)


async def pushed_until(push, condition, what: str):
    """A subscription takes a moment, and what is pushed before it is lost: pushes until something comes."""

    async def pushing():
        while True:
            push()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(pushing())
    try:
        await until(condition, what)
    finally:
        task.cancel()


@pytest.mark.parametrize("single", [True, False], ids=["one-connection", "two-connections"])
async def test_frames_reach_who_asks(server, room_name, single):
    async with people(server, room_name, single, "robot", "viewer", "other") as (robot, viewer, other):
        reader, stranger = Reader(viewer), Reader(other)
        pose = await robot.room.local_participant.publish_data_track(name="pose")
        scan = await robot.room.local_participant.publish_data_track(name="scan")
        assert pose.info.sid.startswith("DTR_") and pose.is_published()
        await reader.follow("pose")
        await reader.follow("scan")
        await pushed_until(lambda: pose.try_push(frame(SMALL, 1)), lambda: reader.frames, "the first frame")
        for number in range(2, 102):
            pose.try_push(frame(SMALL, number, stamp=number * 1_000))
            await asyncio.sleep(0.01)
        await until(lambda: reader.frames[-1][2] == 101, "the last frame")
        late = [row for row in reader.frames if row[2] > 1]
        assert late == [("pose", SMALL, number, number * 1_000) for number in range(2, 102)]
        await pushed_until(lambda: scan.try_push(frame(LARGE, 9)), lambda: ("scan", LARGE, 9, None) in reader.frames,
                           "a frame of several packets, whole")
        assert not stranger.frames and set(stranger.tracks) == {"pose", "scan"}
        await pose.unpublish()
        await until(lambda: pose.info.sid in reader.gone, "the viewer is told of the end")
        assert scan.is_published()


async def test_a_browser_and_an_sdk(server, room_name):
    async with chromium() as browser, people(server, room_name, True, "robot") as (robot,):
        pages = {"one": await open_page(browser), "two": await open_page(browser)}
        reader = Reader(robot)
        for name, page in pages.items():
            await join(page, server, name, room_name, publish=False, single=name == "one")
        pose = await robot.room.local_participant.publish_data_track(name="pose")
        for page in pages.values():
            await page.wait_for_function("dataTracks().includes('pose')")
            await page.evaluate("void followData('pose')")

        async def got(page):
            return await page.evaluate("dataFrames()")

        for page in pages.values():
            await pushed_until_async(lambda: pose.try_push(frame(LARGE, 5, stamp=77)), lambda page=page: got(page))
            assert (await got(page))[0][:4] == ["pose", LARGE, 5, 77]

        for name, page in pages.items():
            await page.evaluate("([name]) => publishData(name)", [name])
            await reader.follow(name)

            async def push(name=name, page=page):
                await page.evaluate("([name, size]) => pushFrame(name, size, 3, 4)", [name, LARGE])

            while not any(row == (name, LARGE, 3, 4) for row in reader.frames):
                await push()
                await asyncio.sleep(0.05)
        # A name is taken once; the one that has it is unharmed.
        refused = await pages["one"].evaluate("publishData('one').then(() => '', (error) => error.reasonName ?? String(error))")
        assert refused, "a second track of that name"
        await pages["one"].evaluate("unpublishData('one')")
        assert not await pages["one"].evaluate("isPublished('one')")
        await until(lambda: reader.gone, "the SDK is told of the end")
        await robot.leave()
        for page in pages.values():
            await page.wait_for_function("dataFrames().some(([name, what]) => name === 'pose' && what === 'over')")


async def pushed_until_async(push, condition):
    async def again():
        push()
        return await condition()

    await seen(again, "a frame in the browser", 20)


@pytest.mark.parametrize("scenario", [SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT, SimulateScenarioKind.SIMULATE_FULL_RECONNECT],
                         ids=["resume", "full"])
@pytest.mark.parametrize("who", ["robot", "viewer"])
async def test_frames_go_on_after_a_reconnect(server, room_name, scenario, who):
    """Of a publisher who joins anew others see the old track end and a new one begin, as with LiveKit's server."""
    async with people(server, room_name, True, "robot", "viewer") as (robot, viewer):
        reader = Reader(viewer)
        pose = await robot.room.local_participant.publish_data_track(name="pose")
        await reader.follow("pose")
        await pushed_until(lambda: pose.try_push(frame(SMALL, 1)), lambda: reader.frames, "the first frame")
        one = {"robot": robot, "viewer": viewer}[who]
        await one.room.simulate_scenario(scenario)
        await until(lambda: "reconnected" in one.log, "it is back", 30)

        def push():
            try:
                pose.try_push(frame(SMALL, 2))
            except rtc.PushFrameError:
                pass  # the connection that is made anew

        await pushed_until(push, lambda: any(row[2] == 2 for row in reader.frames), "frames after it")


async def test_who_may_not_publish_is_refused(server, room_name):
    async with people(server, room_name, True, "viewer") as (viewer,):
        reader = Reader(viewer)
        mute = await Person("mute").connect(server, room_name, True, can_publish_data=False)
        with pytest.raises(Exception, match="unauthorized"):
            await mute.room.local_participant.publish_data_track(name="pose")
        await mute.leave()
        assert not reader.tracks


@needs_namespaces
@pytest.mark.parametrize(("size", "per_s"), [(10_000, 50), (70_000, 7)], ids=["small", "large"])
async def test_a_narrow_path_gets_fewer_frames_and_not_old_ones(tmp_path, room_name, size, per_s):
    """4 Mbit/s of frames for somebody behind 1 Mbit/s: what cannot go is not sent, and the other receiver has all of them."""
    async with scene(tmp_path, "robot", "narrow", "wide") as (hosts, server, pages):
        for name, page in pages.items():
            await join(page, server, name, room_name, publish=False)
        await pages["robot"].evaluate("publishData('scan')")
        for name in ("narrow", "wide"):
            await pages[name].wait_for_function("dataTracks().includes('scan')")
            await pages[name].evaluate("void followData('scan')")
        hosts["narrow"].impair(rate_kbit=1_000, queue_ms=300, delay_ms=20)
        span_s = 10
        await pages["robot"].evaluate("([bytes, per, span]) => pushFrames('scan', bytes, per, span)", [size, per_s, span_s])
        ages = lambda name: pages[name].evaluate("dataFrames().map(row => row[4])")

        async def wide_has_them():
            return len(await ages("wide")) > 0.9 * per_s * span_s

        await seen(wide_has_them, "the other receiver has all of them")
        await asyncio.sleep(2)
        narrow, wide = await ages("narrow"), await ages("wide")
        print(f"narrow: {len(narrow)} frames, {sorted(narrow)[len(narrow) // 2]} ms old; wide: {len(wide)}, oldest {max(wide)} ms")
        assert len(wide) > 0.9 * per_s * span_s, f"{len(wide)} frames"
        fitting = 1_000_000 / 8 / size * span_s
        assert len(narrow) > 0.5 * fitting, f"{len(narrow)} frames of {fitting:.0f} that fit"
        later = sorted(narrow[len(narrow) // 2:])
        assert later[len(later) // 2] < 2_000, f"frames are {later} ms old"
