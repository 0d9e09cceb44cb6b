"""A room over two media workers: who is on which makes no difference to what anybody sees and hears."""

from __future__ import annotations

import pytest
from browser import all_decode, chromium, join, open_page, sample, until
from conftest import start_server

PEOPLE = ["ada", "grace", "barbara"]
VIDEO = {"width": 320, "height": 180, "fps": 15, "bitrate": 300_000}
FRAMES = 60


@pytest.fixture
def spread(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVENE_MEDIA_SPREAD", "true")
    server = start_server(tmp_path, "--workers", "2")
    yield server
    assert server.process.poll() is None, server.log.read_text()[-4000:]
    panics = server.metric("convene_room_panics_total")
    assert server.stop() == 0
    assert panics == 0, "a room panicked"


async def hear_and_see(pages, others: list[str]) -> None:
    """Each page decodes more of each of the others, from here on."""
    before = {name: await sample(page) for name, page in pages.items()}

    async def all_go_on():
        for name, page in pages.items():
            now = await sample(page)
            for other in (one for one in others if one != name):
                video, audio = now.inbound("video").get(other), now.inbound("audio").get(other)
                if not video or not audio:
                    return False
                was_video = before[name].inbound("video").get(other, {}).get("framesDecoded", 0)
                was_audio = before[name].inbound("audio").get(other, {}).get("totalAudioEnergy", 0)
                if video["framesDecoded"] < was_video + FRAMES or audio["totalAudioEnergy"] <= was_audio:
                    return False
        return True

    await until(all_go_on, "everyone decodes everyone", 40)


@pytest.mark.parametrize("single", [True, False], ids=["one-connection", "two-connections"])
async def test_three_people_on_two_workers(spread, room_name, single):
    async with chromium() as browser:
        pages = {name: await open_page(browser) for name in PEOPLE}
        for name, page in pages.items():
            await join(page, spread, name, room_name, single=single, **VIDEO)
        await until(lambda: all_decode(pages, 2), "everyone decodes everyone", 40)

        async def both_used():
            peers = [v for k, v in spread.metrics().items() if k.startswith("convene_sfu_peers{")]
            return len(peers) == 2 and all(peers)

        await until(both_used, "both workers have peers", 5)
        await hear_and_see(pages, PEOPLE)

        async def at_top():
            readings = {name: await sample(page) for name, page in pages.items()}
            return all(v.get("frameWidth") == VIDEO["width"] for r in readings.values() for v in r.inbound("video").values())

        await until(at_top, "layers are switched across the pipe", 20)
        await pages.pop("ada").evaluate("leave()")

        async def gone():
            left = {name: {track["identity"] for track in await page.evaluate("remoteTracks()")} for name, page in pages.items()}
            return left == {"grace": {"barbara"}, "barbara": {"grace"}}

        await until(gone, "who leaves is gone on both workers", 10)
        pages["ada"] = page = await open_page(browser)
        await join(page, spread, "ada", room_name, single=single, **VIDEO)
        await until(lambda: all_decode(pages, 2), "who comes back is seen", 40)
        await hear_and_see(pages, PEOPLE)
        for page in pages.values():
            await page.evaluate("leave()")


def picture(reading, of: str) -> dict:
    return reading.inbound("video").get(of, {})


async def test_who_only_watches_is_moved_and_sees_on(spread, room_name):
    """Spread at once, workers are evened out at once as well: when those leave who are on one of them, somebody of the other
    is moved there."""
    watchers = ["w1", "w2", "w3", "w4"]
    async with chromium() as browser:
        pages = {name: await open_page(browser) for name in ["speaker", *watchers]}
        await join(pages["speaker"], spread, "speaker", room_name, **VIDEO)
        for name in watchers:
            await join(pages[name], spread, name, room_name, publish=False)
        seeing = {name: pages[name] for name in watchers}
        await until(lambda: all_decode(seeing, 1), "everyone sees the speaker", 40)
        assert spread.metrics().get("convene_sfu_peers_moved_total", 0) == 0

        stay = {name: pages[name] for name in ("w2", "w4")}
        before = {name: await sample(page) for name, page in stay.items()}
        for name in ("w1", "w3"):
            await pages.pop(name).evaluate("leave()")

        async def moved():
            return spread.metrics().get("convene_sfu_peers_moved_total", 0) >= 1

        await until(moved, "somebody is moved", 15)

        async def go_on(frames: int):
            """For longer than a peer without checks would live (20 s)."""
            for name, page in stay.items():
                if picture(await sample(page), "speaker")["framesDecoded"] < picture(before[name], "speaker")["framesDecoded"] + frames:
                    return False
            return True

        await until(lambda: go_on(15 * 25), "both see the speaker on", 60)
        for name, page in stay.items():
            now = await sample(page)
            frozen = picture(now, "speaker")["totalFreezesDuration"] - picture(before[name], "speaker")["totalFreezesDuration"]
            heard, had = now.inbound("audio")["speaker"], before[name].inbound("audio")["speaker"]
            concealed = heard["concealedSamples"] - had["concealedSamples"]
            print(f"{name}: frozen for {frozen:.2f} s, {concealed / 48:.0f} ms of audio made up")
            assert frozen <= 2.0, "a reconnect takes as long"
            assert heard["totalAudioEnergy"] > had["totalAudioEnergy"]
            assert (await page.evaluate("events()")) == [], "nobody had to reconnect"

        late = await open_page(browser)
        await join(late, spread, "late", room_name, **VIDEO)
        await until(lambda: all_decode(stay, 2), "who was moved negotiates on", 40)
        for page in [*pages.values(), late]:
            await page.evaluate("leave()")

        async def empty():
            return not any(v for k, v in spread.metrics().items() if k.startswith("convene_sfu_peers{"))

        await until(empty, "nobody is left behind", 20)
