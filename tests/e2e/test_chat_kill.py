"""kill -9 at any instant: what was acknowledged is there, at its seq, once. CONVENE_TEST_KILLS sets how often."""

from __future__ import annotations

import asyncio
import os
import random
import time

import pytest
from conftest import start_server
from im_crowd import Crowd

KILLS = int(os.environ.get("CONVENE_TEST_KILLS", "10"))
SENDERS = 64
QUIC_SENDERS = 16  # aioquic costs about twenty times the processor of a WebSocket


@pytest.mark.timeout(120 + 12 * KILLS)
async def test_nothing_acknowledged_is_lost(tmp_path):
    seed = int(os.environ.get("CONVENE_TEST_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}, {KILLS} kills")
    rng = random.Random(seed)
    server = start_server(tmp_path)
    crowd = Crowd(server, "kills", SENDERS, QUIC_SENDERS, groups=8)
    try:
        await crowd.gather()
        stop = asyncio.Event()
        talks = [asyncio.create_task(crowd.talk(n, stop)) for n in range(SENDERS)]
        for kill in range(KILLS):
            before = len(crowd.acked)
            deadline = time.monotonic() + 30
            while len(crowd.acked) < before + SENDERS:  # so each life of the server takes messages
                assert time.monotonic() < deadline, f"only {len(crowd.acked) - before} acknowledged after kill {kill}"
                await asyncio.sleep(0.01)
            await asyncio.sleep(rng.uniform(0, 0.8))
            server.kill()
            await asyncio.to_thread(server.launch)
        stop.set()
        await asyncio.wait_for(asyncio.gather(*talks), 90)
        await crowd.settled()
        crowd.check()
        await crowd.fresh_look()
        again = sum(ack.duplicate for _, _, _, ack in crowd.acked)
        print(f"{len(crowd.acked)} acknowledged, {again} of them at a repeat, "
              f"{sum(device.connects for device in crowd.devices)} sessions")
        assert len(crowd.acked) == sum(crowd.sent.values())
    finally:
        await crowd.close()
        assert server.stop() == 0
