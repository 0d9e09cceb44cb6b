"""How long this machine stood still while a test measured by the clock: nobody who is measured is to blame for that."""

from __future__ import annotations

import asyncio
import time

TICK_S = 0.02
# Later than this a tick is late because nobody ran, and not because somebody else did.
LATE_S = 0.05


class Standstill:
    """`async with Standstill() as still:`; `still.s` grows by what ticks of this loop are late. So nothing in it may block the
    loop, or that counts as well."""

    def __init__(self):
        self.s = 0.0

    async def __aenter__(self) -> Standstill:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_):
        self._watching.cancel()

    async def _watch(self):
        while True:
            begin = time.monotonic()
            await asyncio.sleep(TICK_S)
            late = time.monotonic() - begin - TICK_S
            self.s += late if late > LATE_S else 0.0
