"""Starts `gst_client.py`, GStreamer's `webrtcbin`, from the folder that `make e2e` unpacks it into."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

from conftest import ROOT

FOLDER = ROOT / "target/tools/gstreamer"
PROGRAM = Path(__file__).with_name("gst_client.py")
PYTHON = "/usr/bin/python3"


def environment(tmp: Path) -> dict[str, str]:
    """Where everything is; the list of plugins is made anew, once a folder `tmp`."""
    assert FOLDER.exists(), "`make e2e` puts GStreamer there"
    libraries = next((FOLDER / "usr/lib").glob("*-linux-gnu"))
    return os.environ | {
        "LD_LIBRARY_PATH": str(libraries),
        "GI_TYPELIB_PATH": f"{libraries}/girepository-1.0:/usr/lib/{libraries.name}/girepository-1.0",
        "PYTHONPATH": str(FOLDER / "usr/lib/python3/dist-packages"),
        "GST_PLUGIN_SYSTEM_PATH_1_0": str(libraries / "gstreamer-1.0"),
        "GST_PLUGIN_SCANNER": str(libraries / "gstreamer1.0/gstreamer-1.0/gst-plugin-scanner"),
        "GST_REGISTRY": str(tmp / "gstreamer.registry"),
    }


class Client:
    """A running one. `video` and `audio`: buffers decoded so far."""

    def __init__(self, role: str, process: asyncio.subprocess.Process, log: Path):
        self.role, self.process, self.log = role, process, log
        self.state, self.video, self.audio, self.ended = "new", 0, 0, None
        self.listener = asyncio.create_task(self._listen())

    async def _listen(self):
        async for line in self.process.stdout:
            said = json.loads(line)
            assert "error" not in said, f"{self.role}: {said['error']}"
            vars(self).update(said)

    def check(self) -> bool:
        """Whether it runs; fails with what went wrong, if it did."""
        if self.listener.done() and not self.listener.cancelled():
            self.listener.result()
        return self.process.returncode is None

    async def leave(self) -> None:
        """It says goodbye to the server, and ends."""
        self.process.stdin.close()
        await asyncio.wait_for(self.listener, 15)
        assert await self.process.wait() == 0, self.log.read_text()[-2000:]

    async def kill(self) -> None:
        """kill -9."""
        self.listener.cancel()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def start(server, tmp: Path, role: str, identity: str, room: str, codec: str = "VP8") -> Client:
    """`role`: "publish" or "play". It runs on the server's host."""
    url = f"{server.http}/{'whip' if role == 'publish' else 'whep'}/{room}"
    log = tmp / f"gst-{identity}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(server.home.prefix if server.home else ()), PYTHON, str(PROGRAM), role, url, server.token(identity, room), codec,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, env=environment(tmp))
    return Client(role, process, log)


@asynccontextmanager
async def running(*args, **options):
    """`start`, and killed at the end if it runs still."""
    client = await start(*args, **options)
    try:
        yield client
    finally:
        await client.kill()
