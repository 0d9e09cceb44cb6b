"""Bad networks, each on a receiver and on a publisher, judged by Chromium: `make network` writes docs/network.md.

Three people: `speaker` sends two layers, `second` sends a small picture and listens, `listener` only listens. Impaired is
either the listener or the speaker. Somebody is always the control, of whom nothing may be noticed: the second's view of the
speaker, or the listener's view of the second. What froze while the machine itself stood still is left out.

Not in `make test`: it takes a quarter of an hour and a quiet machine. test_network.py is the short form.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from browser import join, sample, until
from test_network import LAYERED, VIDEO, pytestmark as needs_namespaces, scene

TABLE = os.environ.get("CONVENE_TEST_TABLE", "")
pytestmark = [needs_namespaces, pytest.mark.timeout(300)]

SETTLE_S, SPAN_S = 6, 40
TICK_S = 0.2
# A tick that took so much longer: the machine stood still, and what froze then says nothing about us.
STOOD_STILL_S = 0.15


@dataclass(frozen=True)
class Scenario:
    name: str
    orders: dict
    # Most of the time that the impaired picture may be frozen, and most of its audio that may be concealed.
    frozen: float = 1.0
    concealed: float = 1.0
    # Seconds of the slow phase and of the one behind it.
    step: tuple[float, float] | None = None


SCENARIOS = [
    Scenario("no impairment", {}, frozen=0.01, concealed=0.01),
    Scenario("1 % loss in bursts", {"loss": 0.01, "burst": 3, "delay_ms": 20}, frozen=0.01, concealed=0.02),
    Scenario("5 % loss in bursts", {"loss": 0.05, "burst": 3, "delay_ms": 20}, frozen=0.01, concealed=0.02),
    Scenario("10 % loss in bursts", {"loss": 0.10, "burst": 3, "delay_ms": 20}, frozen=0.03, concealed=0.02),
    Scenario("20 % loss in bursts", {"loss": 0.20, "burst": 3, "delay_ms": 20}),
    Scenario("delay 100 ± 50 ms, 5 % overtake", {"delay_ms": 100, "jitter_ms": 50, "overtakes": 0.05}, frozen=0.01, concealed=0.02),
    Scenario("4 Mbit/s, 500 kbit/s, 4 Mbit/s", {"delay_ms": 20, "rate_kbit": 4_000}, frozen=0.03, step=(20, 10)),
]


@dataclass
class Picture:
    """What one page's view of somebody did: readings of Chromium's counters."""

    rows: list[tuple[float, dict, dict]] = field(default_factory=list)

    def _did(self, which: int, key: str) -> float:
        return self.rows[-1][which].get(key, 0) - self.rows[0][which].get(key, 0)

    def span(self) -> float:
        return self.rows[-1][0] - self.rows[0][0]

    def frozen(self) -> float:
        """Share of the time that the picture stood, but for what froze while the machine itself stood."""
        ours = 0.0
        for (before, then, _), (at, now, _) in zip(self.rows, self.rows[1:]):
            if at - before < TICK_S + STOOD_STILL_S:
                ours += now.get("totalFreezesDuration", 0) - then.get("totalFreezesDuration", 0)
        return ours / self.span()

    def fps(self) -> float:
        return self._did(1, "framesDecoded") / self.span()

    def concealed(self) -> float:
        heard = self._did(2, "totalSamplesReceived")
        return (self._did(2, "concealedSamples") - self._did(2, "silentConcealedSamples")) / heard if heard else 1.0

    def lost(self) -> float:
        lost, got = self._did(1, "packetsLost"), self._did(1, "packetsReceived")
        return max(0.0, lost / (lost + got)) if lost + got > 0 else 0.0  # what comes twice counts against what is lost

    def width(self) -> int:
        return self.rows[-1][1].get("frameWidth", 0)


class Watch:
    """Reads several views of several pages together."""

    def __init__(self, views: dict[str, tuple[object, str]]):
        self.views = views

    async def run(self, seconds: float) -> tuple[dict[str, Picture], float]:
        """The views, and for how much of the time the machine stood still."""
        pictures, still = {name: Picture() for name in self.views}, 0.0
        start = last = time.monotonic()
        while last - start < seconds:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for name, (page, of) in self.views.items():
                reading = await sample(page)
                row = (now, reading.inbound("video").get(of, {}), reading.inbound("audio").get(of, {}))
                pictures[name].rows.append(row)
            still += max(0.0, now - last - TICK_S - STOOD_STILL_S)
            last = now
        return pictures, still / (last - start)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


HEAD = """# Bad networks

Made by `make network` (`tests/e2e/test_network_table.py`): a server and three Chromiums with fake devices, each in a network
namespace with a cable of its own. A speaker publishes VP8 in two layers (640 and 320 wide, 1,000 and 250 kbit/s of a film with
grain) and Opus with RED, the second one 330 kbit/s and Opus; {span} s of each network, read from Chromium's `getStats`.
*Frozen* is the share of the time in which the impaired picture stood (Chromium's `totalFreezesDuration`), *concealed* the
share of the audio that was made up, silence left out. *Control* is somebody whose path is free, looking at the same moment.
Losses are of whole Ethernet frames both ways, in runs of three on average.
"""
COLUMNS = "| {} | frozen | frames/s | audio concealed | lost | smaller / larger picture after | control frozen |\n|---|---|---|---|---|---|---|\n"


@pytest.fixture(scope="module")
def table():
    """Rows by place; written when all of them are there."""
    rows: dict[str, list[str]] = {"receiver": [], "publisher": []}
    yield rows
    parts = [COLUMNS.format(f"impaired {place}") + "\n".join(lines) + "\n" for place, lines in rows.items() if lines]
    text = "\n".join([HEAD.format(span=SPAN_S), *parts])
    print("\n" + text)
    if TABLE:
        Path(TABLE).write_text(text)


@pytest.mark.parametrize("place", ["receiver", "publisher"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_only_the_impaired_one_notices(tmp_path, room_name, table, scenario, place):
    async with scene(tmp_path, "speaker", "second", "listener", filmed=True) as (hosts, server, pages):
        await join(pages["speaker"], server, "speaker", room_name, **LAYERED)
        await join(pages["second"], server, "second", room_name, **VIDEO)
        await join(pages["listener"], server, "listener", room_name, publish=False)
        views = {
            "impaired": (pages["listener"], "speaker"),
            "control": (pages["second"], "speaker") if place == "receiver" else (pages["listener"], "second"),
        }

        async def wide():
            return all([(await sample(page)).inbound("video").get(of, {}).get("frameWidth", 0) >= 320 for page, of in views.values()])

        await until(wide, "both views have a picture", 30)
        host = hosts["listener" if place == "receiver" else "speaker"]
        host.impair(**scenario.orders, narrow="down" if place == "receiver" else "up")
        await asyncio.sleep(SETTLE_S)  # the change itself is not judged; receiver reports come once a second
        steps = await stepped(host, views, scenario.step) if scenario.step else []
        pictures, still = await Watch(views).run(SPAN_S) if not scenario.step else steps[-1]
        rows, frozen, moved = judged(pictures, steps, views)
        if place == "publisher" and scenario.orders.get("loss"):
            recovered = server.metrics().get('convene_sfu_red_packets_total{what="recovered"}', 0)
            assert recovered > 0, "browsers are asked for RED, which stands in for what the path lost"
        table[place].append(f"| {scenario.name} | {rows} |")
        print(table[place][-1], f"the machine stood still for {percent(still)} of the time")
        control = max(part["control"].frozen() for part, _ in steps or [(pictures, still)])
        assert control <= 0.01, f"the control froze for {percent(control)} of the time"
        assert frozen <= scenario.frozen
        assert pictures["impaired"].concealed() <= scenario.concealed
        if moved:
            down, up = moved
            assert down <= 2.5 and up <= 10, "half a second is the clock of this test and the jitter buffer"


async def stepped(host, views: dict, step: tuple[float, float]) -> list:
    """The three phases of a path that gets slow and fast again."""
    slow_s, fast_s = step
    phases = []
    for rate, seconds in ((4_000, 10), (500, slow_s), (4_000, fast_s + 5)):
        host.impair(rate_kbit=rate)
        phases.append(await Watch(views).run(seconds))
    return phases


def judged(pictures: dict[str, Picture], steps: list, views: dict) -> tuple[str, float, tuple[float, float] | None]:
    """A row of the table, the frozen share, and when the picture got smaller and larger."""
    impaired = [part["impaired"] for part, _ in steps] or [pictures["impaired"]]
    span = sum(picture.span() for picture in impaired)
    frozen = sum(picture.frozen() * picture.span() for picture in impaired) / span
    fps = sum(picture.fps() * picture.span() for picture in impaired) / span
    concealed, lost = max(one.concealed() for one in impaired), max(one.lost() for one in impaired)
    control = max(part["control"].frozen() for part, _ in steps or [(pictures, 0.0)])
    moved = None
    if steps:
        full, (_, slow, fast) = impaired[0].width(), impaired
        down = max((at for at, row, _ in slow.rows if row.get("frameWidth", 0) >= full), default=slow.rows[0][0]) - slow.rows[0][0]
        up = min((at for at, row, _ in fast.rows if row.get("frameWidth", 0) >= full), default=float("inf")) - fast.rows[0][0]
        moved = (down, up)
    widths = f"{moved[0]:.1f} s / {moved[1]:.1f} s" if moved else ""
    cells = [percent(frozen), f"{fps:.1f}", percent(concealed), percent(lost), widths, percent(control)]
    return " | ".join(cells), frozen, moved
