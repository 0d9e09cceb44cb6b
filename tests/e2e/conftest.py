"""Starts the real server binary for the tests of this folder, and mints tokens with LiveKit's own library.

The clients here are ones that Convene's authors did not write: Chromium with livekit-client, the Python `livekit` and
`livekit-api` packages, aiortc.
"""

from __future__ import annotations

import datetime
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from livekit import api

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("CONVENE_TEST_BIN", ROOT / "target/release/convene"))
START_DEADLINE_S = 30


@dataclass
class Server:
    """A running `convene serve --dev`."""

    base: int
    process: subprocess.Popen
    log: Path
    host: str = "127.0.0.1"

    @property
    def http(self) -> str:
        return f"http://{self.host}:{self.base}"

    @property
    def ws(self) -> str:
        return f"ws://{self.host}:{self.base}"

    @property
    def ops(self) -> str:
        return f"http://{self.host}:{self.base + 3}"

    def token(self, identity: str, room: str, ttl_s: int = 600, **grants) -> str:
        grants = {"room_join": True, "room": room} | grants
        return (
            api.AccessToken("devkey", "secret")
            .with_identity(identity)
            .with_name(identity.title())
            .with_grants(api.VideoGrants(**grants))
            .with_ttl(datetime.timedelta(seconds=ttl_s))
            .to_jwt()
        )

    def metrics(self) -> dict[str, float]:
        """The value of each series, keyed as it is printed."""
        text = urllib.request.urlopen(f"{self.ops}/metrics", timeout=5).read().decode()
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    def metric(self, name: str) -> float:
        """The sum of all series of one family."""
        return sum(v for k, v in self.metrics().items() if k == name or k.startswith(name + "{"))

    def rss_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)


def free_port_base() -> int:
    """A base whose ports (N, N+1, N+3 tcp; N+2, N+10, N+11 udp) are free right now."""
    for base in range(20_000 + os.getpid() % 8_000, 60_000, 40):
        try:
            for offset, kind in [(0, 1), (1, 1), (3, 1), (2, 2), (10, 2), (11, 2)]:
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == 1 else socket.SOCK_DGRAM) as probe:
                    probe.bind(("0.0.0.0", base + offset))
            return base
        except OSError:
            continue
    raise RuntimeError("no free port range")


def start_server(tmp: Path, *extra: str, prefix: tuple[str, ...] = (), host: str = "127.0.0.1") -> Server:
    base = free_port_base()
    log = tmp / f"convene-{base}.log"
    command = [*prefix, str(BINARY), "serve", "--dev", "--port-base", str(base), "--data-dir", str(tmp / "data"), *extra]
    process = subprocess.Popen(command, stdout=log.open("wb"), stderr=subprocess.STDOUT)
    server = Server(base, process, log, host)
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if prefix or urllib.request.urlopen(f"{server.ops}/readyz", timeout=1).status == 200:
                return server
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"server did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    instance = start_server(tmp_path_factory.mktemp("convene"))
    yield instance
    assert instance.process.poll() is None, f"server died:\n{instance.log.read_text()[-4000:]}"
    panics = instance.metric("convene_room_panics_total")
    assert instance.stop() == 0
    assert panics == 0, "a room panicked during the tests"


@pytest.fixture
def room_name(request) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{request.node.name}-{time.monotonic_ns()}".lower())
