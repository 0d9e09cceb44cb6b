"""The HTTP port when more come than there are descriptors for, and people who connect and say nothing."""

from __future__ import annotations

import asyncio
import socket
import time

from conftest import start_server
from sdk import Person, frames_within, until

# The soft limit is half of it, which the server does not leave it at.
FILES = 240
PLACES = FILES * 3 // 4
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
# As the server has it, and what a busy machine adds.
FIRST_REQUEST_S, SLOW_BODY_S, LATE_S = 20, 30, 10


def connect(server, words: bytes) -> socket.socket:
    one = socket.create_connection((server.host, server.base), timeout=5)
    one.sendall(words)
    return one


def is_closed(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return one.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


async def test_strangers_who_say_nothing_take_no_place_for_long(tmp_path, room_name):
    server = start_server(tmp_path, files=FILES)
    refused = lambda code: server.metrics().get(f'convene_refused_total{{code="{code}"}}', 0)
    ana, bo = [await Person(name).connect(server, room_name, single=True) for name in ("ana", "bo")]
    await ana.publish_camera()
    await until(lambda: "ana:video" in bo.tracks, "bo sees ana")
    # One request is asked and answered: it may wait for its next one.
    asked = connect(server, HEAD + b"\r\n")
    await until(lambda: len(asked.recv(65_536)) > 0, "an answer")

    # One says what it wants by drops.
    drops = connect(server, b"POST /v1/auth/codes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
    began = time.monotonic()
    strangers = [connect(server, HEAD) for _ in range(FILES)]
    await until(lambda: server.metric("convene_http_connections") == PLACES, "all places are taken")
    away = FILES - PLACES + 4
    await until(lambda: sum(map(is_closed, strangers)) == away, "who comes then is turned away: two people and two requests were there before")
    assert refused("http_connections") == away and refused("http_silent") == 0
    # Whoever is in goes on, the operator sees it, and the store has what it needs.
    assert await frames_within(bo.tracks["ana:video"], 2) > 10
    assert server.open(f"{server.ops}/readyz").status == 200
    await bo.publish_microphone()
    await until(lambda: "bo:audio" in ana.tracks, "signaling goes on")
    late = connect(server, HEAD)
    await until(lambda: is_closed(late), "still full")

    while not all(is_closed(one) for one in strangers):
        assert time.monotonic() < began + FIRST_REQUEST_S + LATE_S, "they are let go"
        await asyncio.sleep(0.5)
        if not is_closed(drops):
            drops.sendall(b" ")
    assert time.monotonic() > began + FIRST_REQUEST_S - 1
    assert refused("http_silent") == FILES - away
    assert not is_closed(asked), "it waits longer for the next request"
    assert server.open(f"{server.http}/").status == 200
    cy = await Person("cy").connect(server, room_name, single=True)
    await until(lambda: "ana:video" in cy.tracks, "the next one comes in")
    await until(lambda: refused("http_slow_body") == 1, "the drops as well", SLOW_BODY_S + LATE_S - FIRST_REQUEST_S)
    for one in (ana, bo, cy):
        await one.leave()
    assert server.stop() == 0
