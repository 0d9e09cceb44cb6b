"""Starts the real server binary for the tests of this folder, and mints tokens with LiveKit's own library.

The clients here are ones that Convene's authors did not write: Chromium with livekit-client, the Python `livekit` and
`livekit-api` packages, aiortc.
"""

from __future__ import annotations

import base64
import datetime
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import netns
import pytest
from im_client import Device
from livekit import api

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("CONVENE_TEST_BIN", ROOT / "target/release/convene"))
START_DEADLINE_S = 30
# A server's ports lie in a block of its own.
PORTS_A_BLOCK, PORT_BLOCKS = 40, 200
# Locks of the blocks that this process has taken.
TAKEN = []
# Asked for by name only, in `make network` and `make browsers`.
ON_DEMAND = {"CONVENE_TEST_TABLE": "test_network_table.py", "CONVENE_TEST_FIREFOX": "test_firefox.py"}
collect_ignore = [file for variable, file in ON_DEMAND.items() if variable not in os.environ]
# How the run ended.
STATUS = pytest.StashKey[int]()
# No proxy: everything here is on this machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Server:
    """A running `convene serve --dev`."""

    base: int
    process: subprocess.Popen
    log: Path
    host: str = "127.0.0.1"
    command: list[str] = field(default_factory=list)
    # The network namespace it runs in, if any.
    home: netns.Host | None = None
    # What `/im/info` said, and the process that said it.
    info: tuple[subprocess.Popen, dict] | None = None

    @property
    def data_dir(self) -> Path:
        return Path(self.command[self.command.index("--data-dir") + 1])

    @property
    def http(self) -> str:
        return f"http://{self.host}:{self.base}"

    @property
    def ws(self) -> str:
        return f"ws://{self.host}:{self.base}"

    @property
    def ops(self) -> str:
        return f"http://127.0.0.1:{self.base + 3}"

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

    def chat_token(self, user: str, org: str = "test", ttl_s: int = 3600, key: str = "secret", **claims) -> str:
        """Who a chat client is. Made here, so that the format is what the documentation says and not what our code does."""
        now = int(time.time())
        known = {"iss": "devkey", "sub": user, "aud": "convene-chat", "org": org, "name": user.title(), "nbf": now, "exp": now + ttl_s}
        return jwt.encode(known | claims, key, algorithm="HS256")

    def open(self, request: str | urllib.request.Request, timeout: float = 5.0):
        """An HTTP request, from where the server is."""
        with netns.inside(self.home) if self.home else nullcontext():
            return DIRECT.open(request, timeout=timeout)

    def chat_info(self) -> dict:
        """`/im/info`, asked once of each process. `hashes` holds the decoded hashes of the certificate."""
        process = self.process
        if self.info is None or self.info[0] is not process:
            info = json.load(self.open(f"{self.http}/im/info"))
            info["hashes"] = [base64.b64decode(text) for text in info["certificate_hashes"]]
            self.info = process, info
        return self.info[1]

    def launch(self) -> None:
        """Starts the process, again if it was there before, and waits until it serves."""
        self.process = subprocess.Popen(self.command, stdout=self.log.open("ab"), stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.open(f"{self.ops}/readyz", timeout=1).status == 200:
                    return
            except OSError:
                time.sleep(0.02)
        self.process.kill()
        raise RuntimeError(f"server did not start:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """kill -9: nothing is flushed, nothing is said."""
        self.process.kill()
        self.process.wait(timeout=15)

    def metrics(self) -> dict[str, float]:
        """The value of each series, keyed as it is printed."""
        text = self.open(f"{self.ops}/metrics").read().decode()
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    def metric(self, name: str) -> float:
        """The sum of all series of one family."""
        return sum(v for k, v in self.metrics().items() if k == name or k.startswith(name + "{"))

    def rss_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def wakes(self) -> int:
        """How often its threads have gone to sleep so far."""
        statuses = [path.read_text() for path in Path(f"/proc/{self.process.pid}/task").glob("*/status")]
        return sum(int(line.split()[1]) for status in statuses for line in status.splitlines()
                   if line.startswith("voluntary_ctxt_switches"))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)


def free_port_base() -> int:
    """A base whose ports (N, N+1, N+3 tcp; N+2, N+10, N+11 udp) are free, for the rest of this process: another one that
    finds them free as well would have its server fail, and take ours for its own."""
    for base in range(20_000 + os.getpid() % PORT_BLOCKS * PORTS_A_BLOCK, 60_000, PORTS_A_BLOCK):
        taken = (Path(tempfile.gettempdir()) / f"convene-ports-{os.getuid()}-{base}").open("w")
        try:
            fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for offset, kind in [(0, 1), (1, 1), (3, 1), (2, 2), (10, 2), (11, 2)]:
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == 1 else socket.SOCK_DGRAM) as probe:
                    probe.bind(("0.0.0.0", base + offset))
        except OSError:
            taken.close()
            continue
        TAKEN.append(taken)
        return base
    raise RuntimeError("no free port range")


def start_server(tmp: Path, *extra: str, home: netns.Host | None = None, core: int | None = None, files: int | None = None) -> Server:
    """In a network namespace, on one core of the machine, or with so many open files at most."""
    base = free_port_base()
    prefix, host = (home.prefix, home.address) if home else ((), "127.0.0.1")
    if core is not None:
        prefix = ("taskset", "--cpu-list", str(core), *prefix)
    if files is not None:
        prefix = ("prlimit", f"--nofile={files // 2}:{files}", *prefix)
    command = [*prefix, str(BINARY), "serve", "--dev", "--port-base", str(base), "--data-dir", str(tmp / "data"), *extra]
    server = Server(base, None, tmp / f"convene-{base}.log", host, command, home)
    server.launch()
    return server


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


@pytest.fixture
async def people(server, room_name):
    """Makes chat devices in an organisation of the test's own: `await people("alice")`. Each is checked at the end."""
    org, made = f"org{time.monotonic_ns()}", []

    async def person(name: str, connect: bool = True, **options) -> Device:
        device = Device(server, name, options.pop("org", org), **options)
        made.append(device)
        if connect:
            await device.connect()
        return device

    yield person
    for device in made:
        await device.close()
    for device in made:
        device.check()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Leaves without the interpreter's own clean-up.

    The `livekit` wheel has threads that call back into Python. One that does so while the interpreter takes itself down
    aborts the process, and a run in which every test passed ends with 134.
    """
    status = config.stash.get(STATUS, None)
    if status is None:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
