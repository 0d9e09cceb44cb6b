"""Firefox in a room with Firefox and with Chromium, judged by getStats."""

from __future__ import annotations

import pytest
from browser import all_decode, chromium, join, open_page, sample, until
from firefox import firefox

VIDEO = {"width": 320, "height": 180, "fps": 15, "bitrate": 300_000}


@pytest.mark.parametrize("single", [True, False], ids=["one-connection", "two-connections"])
async def test_two_firefoxes_and_a_chromium(server, room_name, tmp_path, single):
    async with firefox(tmp_path / "profile") as open_tab, chromium() as browser:
        pages = {"fox": await open_tab(), "vixen": await open_tab(), "chrome": await open_page(browser)}
        for name, page in pages.items():
            await join(page, server, name, room_name, single=single, **VIDEO)
        await until(lambda: all_decode(pages, 2), "everybody sees the two others", 40)
        before = {name: await sample(page) for name, page in pages.items()}

        async def goes_on() -> bool:
            for name, page in pages.items():
                now = await sample(page)
                for other in pages.keys() - {name}:
                    video, was = now.inbound("video")[other], before[name].inbound("video")[other]
                    audio, heard = now.inbound("audio")[other], before[name].inbound("audio")[other]
                    if video["framesDecoded"] < was["framesDecoded"] + 60 or audio["totalAudioEnergy"] <= heard["totalAudioEnergy"]:
                        return False
            return True

        await until(goes_on, "60 more pictures, and sound, of everybody at everybody", 40)
        for page in pages.values():
            await page.evaluate("leave()")
