"""Many chat clients at once, each in a conversation with others, and what must hold of them whatever happened between."""

from __future__ import annotations

import asyncio
import random

from im_client import Device, make_group


async def gather(work, at_once: int = 32) -> list:
    """Like asyncio.gather, so many at a time."""
    turn = asyncio.Semaphore(at_once)

    async def one(item):
        async with turn:
            return await item

    return await asyncio.gather(*(one(item) for item in work))


class Crowd:
    """Senders that write numbered messages to shared groups and never give up; every Ack is remembered."""

    def __init__(self, server, org: str, size: int, quic: int, groups: int = 4, homes=(None,)):
        kinds = ["quic"] * quic + ["websocket"] * (size - quic)
        self.devices = [Device(server, f"sender{n}", org, kind, homes[n % len(homes)]) for n, kind in enumerate(kinds)]
        self.server, self.org, self.groups, self.convs = server, org, groups, []
        self.sent: dict[int, int] = dict.fromkeys(range(size), 0)
        self.acked: list[tuple[int, int, str, object]] = []  # conversation, sender, words, Ack

    async def gather(self) -> None:
        """Everybody connects, and each group has a part of them."""
        await gather(device.stay_connected() for device in self.devices)
        for n in range(self.groups):
            self.convs.append(await make_group(*self.devices[n::self.groups]))

    def conv_of(self, number: int) -> int:
        return self.convs[number % self.groups]

    async def one_message(self, number: int, within_s: float = 60) -> None:
        device, conv = self.devices[number], self.conv_of(number)
        words = f"{number}:{self.sent[number]}"
        self.sent[number] += 1
        ack = await device.deliver(conv, words, within_s=within_s)
        self.acked.append((conv, number, words, ack))

    async def talk(self, number: int, stop: asyncio.Event, pause_s: float = 0.1) -> None:
        while not stop.is_set():
            await self.one_message(number)
            await asyncio.sleep(random.uniform(0, 2 * pause_s))

    async def settled(self, within_s: float = 60) -> None:
        """Everybody has everything that was acknowledged, by push, sync and fetch as they came."""
        tops = {conv: max((ack.seq for where, _, _, ack in self.acked if where == conv), default=0) for conv in self.convs}
        for number, device in enumerate(self.devices):
            await device.has(self.conv_of(number), tops[self.conv_of(number)], within_s)

    def check(self) -> None:
        """No loss, no duplicate, no gap, order kept."""
        for device in self.devices:
            device.check()
        for conv in self.convs:
            members = [n for n in range(len(self.devices)) if self.conv_of(n) == conv]
            log = self.devices[members[0]].logs[conv]
            assert sorted(log.events) == list(range(log.base + 1, log.cursor + 1)), "a gap"
            for n in members[1:]:
                other = self.devices[n].logs[conv]
                low = min(log.cursor, other.cursor)
                assert other.bytes()[:low - other.base] == log.bytes()[:low - log.base], "two devices differ"
            texts = log.texts()
            assert len(texts) == len(set(texts)), "a message is there twice"
            for where, number, words, ack in self.acked:
                if where == conv:
                    assert log.events[ack.seq].body.text.text == words, f"{words} was acknowledged at {ack.seq}"
            for n in members:
                own = [int(words.split(":")[1]) for words in texts if words.startswith(f"{n}:")]
                assert own == sorted(own), f"the messages of sender {n} changed places"

    async def fresh_look(self) -> None:
        """A device that was never there before finds the same by sync and fetch alone."""
        for n in range(self.groups):
            seen = Device(self.server, self.devices[n].name, self.org, self.devices[n].transport, self.devices[n].home)
            session = await seen.connect()
            mine = self.devices[n].logs[self.convs[n]]
            assert seen.logs[self.convs[n]].bytes()[:mine.cursor - mine.base] == mine.bytes(), "a new device sees another log"
            session.close()
            seen.check()

    async def close(self) -> None:
        for device in self.devices:
            await device.close()

