"""The programs of docs/embedding.md, as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import secrets
import sys
import urllib.request

import pytest
from browser import HERE, ORIGIN, SDK, chromium
from conftest import BINARY, ROOT
from im_client import Device, direct_with, text
from im_proto import pb
from sdk import Person, until

GUIDE = (ROOT / "docs/embedding.md").read_text()
ECHO = BINARY.parent / "examples/echo"
# What section 5 leaves to the reader: what a person reads on their phone, a development server writes into its log.
READ_CODE = """
read_code() {
  "$PYTHON" -c 'import sys, pathlib, accounts; print(accounts.next_code(pathlib.Path(sys.argv[1]), int(sys.argv[2])))' "$LOG" "$BEFORE"
}
"""
PAGE = """<!doctype html>
<script type="importmap">{ "imports": { "livekit-client": "/livekit-client.esm.mjs" } }</script>
<script type="module">import { call } from "/call.js"; window.call = call;</script>"""


def program(section: int, language: str) -> str:
    """The one block in this language of a section."""
    [part] = [part for part in GUIDE.split("\n## ") if part.startswith(f"{section}. ")]
    [block] = re.findall(rf"```{language}\n(.*?)```", part, re.DOTALL)
    return block


@pytest.fixture
def environment(server) -> dict[str, str]:
    """What the beginning of the guide says, of this server."""
    said = dict(re.findall(r"(CONVENE_API_\w+)=(\w+)", GUIDE))
    return {"PATH": os.environ["PATH"], "CONVENE_URL": server.http} | said


@pytest.fixture
def token(environment, monkeypatch):
    """`room_token` of section 1."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    defined = {}
    exec(program(1, "python"), defined)
    return defined["room_token"]


async def start(*command: str, env: dict[str, str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, env=env, stdout=pipe, stderr=asyncio.subprocess.STDOUT)


async def output(*command: str, env: dict[str, str]) -> str:
    """What a program prints that ends well."""
    process = await start(*command, env=env)
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, printed.decode()
    return printed.decode()


async def answer(route):
    path = route.request.url.removeprefix(ORIGIN)
    known = {"": (PAGE, "text/html"), "call.js": (program(2, "js"), "text/javascript")}
    body, kind = known.get(path) or ((SDK / path).read_text(), "text/javascript")
    await route.fulfill(body=body, content_type=kind)


async def test_a_web_page_calls(server, token, room_name):
    async with chromium() as browser:
        pages = []
        for identity in ("ana", "bo"):
            context = await browser.new_context(permissions=["camera", "microphone"])
            await context.route(f"{ORIGIN}**", answer)
            page = await context.new_page()
            await page.goto(ORIGIN)
            await page.wait_for_function("!!window.call")
            await page.evaluate("async ([url, token]) => { await call(url, token); }", [server.ws, token(identity, room_name)])
            pages.append(page)
        for page in pages:
            moves = "[...document.querySelectorAll('video')].some((video) => video.getVideoPlaybackQuality().totalVideoFrames > 15)"
            await page.wait_for_function(moves, timeout=30_000)


async def test_a_program_answers_in_a_call(server, token, room_name, environment):
    bot = await start(sys.executable, "-c", program(3, "python"), env=environment | {"TOKEN": token("bot", room_name)})
    assert await asyncio.wait_for(bot.stdout.readline(), 30) == f"in {room_name}\n".encode()
    ana = await Person("ana").connect(server, room_name, True)
    for said in ("hello", "bye"):
        await ana.room.local_participant.publish_data(said.encode(), destination_identities=["bot"])
        await until(lambda said=said: f"you said {said}".encode() in [packet.data for packet in ana.data], f"an answer to {said}")
    # Not by how its process ends: the SDK's native library has aborted (seen once) as Python was gone already.
    rest = await asyncio.wait_for(bot.stdout.read(), 30)
    assert b"left\n" in rest, rest
    await until(lambda: "participant_disconnected" in ana.log, "it is out of the room")
    await ana.leave()


async def test_a_backend_looks_after_rooms(environment):
    assert "standup 0\n" in await output(sys.executable, "-c", program(4, "python"), env=environment)


async def test_somebody_registers_and_invites(server, environment):
    people = {"PHONE": f"+86137{random.randrange(10 ** 8):08}", "DEVICE": secrets.token_hex(16)}
    log = {"LOG": str(server.log), "BEFORE": str(server.log.stat().st_size), "PYTHON": sys.executable, "PYTHONPATH": str(HERE)}
    script = READ_CODE + program(5, "sh")
    invitation = (await output("bash", "-euo", "pipefail", "-c", script, env=environment | people | log)).split()[-1]
    assert invitation.isdigit(), invitation


@pytest.mark.skipif(not ECHO.exists(), reason="cargo build --release --examples")
async def test_a_bot_on_the_rust_sdk(server, tmp_path):
    bot = await asyncio.create_subprocess_exec(str(ECHO), server.http, "bot", cwd=tmp_path, stdout=asyncio.subprocess.PIPE)
    try:
        assert b"here as" in await asyncio.wait_for(bot.stdout.readline(), 30)
        request = urllib.request.Request(f"{server.http}/dev/chat-token", json.dumps({"user": "ana"}).encode())
        request.add_header("Content-Type", "application/json")
        ana = Device(server, "ana", token=json.load(server.open(request))["token"])
        await ana.connect()
        [user] = (await ana.session.request(find_users=pb.FindUsers(names=["bot"]))).users
        conv = await direct_with(ana, user.id)
        await ana.deliver(conv, text("hello"))
        await ana.until(lambda: "you said hello" in ana.logs[conv].texts(), "the bot answers")
        await ana.close()
        ana.check()
    finally:
        bot.kill()
        await bot.wait()
