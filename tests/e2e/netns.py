"""Hosts of our own: network namespaces joined by a bridge, each on a `cable` that can be impaired."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

SEED = 1
CLONE_NEWNET = 0x40000000
# Duplicate address detection (RFC 4862 §5.4) of links to come.
DAD = "/proc/sys/net/ipv6/conf/default/accept_dad"
_names = itertools.count()


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


class Host:
    """A namespace; clients have a cable to the bridge of the server's namespace."""

    def __init__(self, name: str, address: str):
        self.name, self.address, self.cable = name, address, None
        self.prefix = ("ip", "netns", "exec", name)
        run("ip", "netns", "add", name)
        # A second after a link comes up its IPv6 address is found to be nobody else's: Chromium takes that for a change of the
        # network, and whatever it was fetching fails.
        run(*self.prefix, "sh", "-c", f"! [ -e {DAD} ] || echo 0 > {DAD}")
        run(*self.prefix, "ip", "link", "set", "lo", "up")

    def plug_in(self, server: "Host", seed: int) -> None:
        far = f"{self.name}-c"
        command = [sys.executable, str(Path(__file__).with_name("cable.py")), self.name, "eth0", server.name, far, str(seed)]
        self.cable = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        assert self.cable.stdout.readline() == "ready\n"
        run(*server.prefix, "ip", "link", "set", far, "master", "br0", "up")
        run(*self.prefix, "ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        run(*self.prefix, "ip", "link", "set", "eth0", "up")
        run(*self.prefix, "ip", "route", "add", "default", "via", server.address)

    def gain_ipv6(self) -> str:
        """A second address, which it returns: that of IPv4 with another prefix."""
        address, device = f"fd77::{self.address.rpartition('.')[2]}", "eth0" if self.cable else "br0"
        run(*self.prefix, "ip", "addr", "add", f"{address}/64", "dev", device)
        return address

    def impair(self, **order) -> None:
        """See `cable.py`, e.g. `impair(loss=0.05, delay_ms=50)`."""
        self.cable.stdin.write(json.dumps(order) + "\n")
        assert self.cable.stdout.readline() == "done\n"

    def wrapper(self, folder: Path, program: str) -> str:
        """A script that runs `program` inside this host, for launchers that take one executable."""
        script = folder / f"{self.name}-{Path(program).name}"
        script.write_text(f'#!/bin/sh\nexec ip netns exec {self.name} {program} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return str(script)

    def remove(self) -> None:
        if self.cable:
            self.cable.stdin.close()
            self.cable.wait(timeout=5)
        subprocess.run(("ip", "netns", "del", self.name), capture_output=True)


@contextmanager
def network(*clients: str):
    """A server host at 10.77.0.1 and one host a client, all on one bridge. Yields {name: Host}."""
    tag = f"cv{os.getpid() % 10_000}{next(_names)}"
    hosts: dict[str, Host] = {}
    try:
        server = hosts["server"] = Host(f"{tag}s", "10.77.0.1")
        run(*server.prefix, "ip", "link", "add", "br0", "type", "bridge")
        run(*server.prefix, "ip", "addr", "add", f"{server.address}/24", "dev", "br0")
        run(*server.prefix, "ip", "link", "set", "br0", "up")
        for index, client in enumerate(clients):
            hosts[client] = Host(f"{tag}{index}", f"10.77.0.{index + 2}")
            hosts[client].plug_in(server, SEED + index)
        yield hosts
    finally:
        for host in hosts.values():
            host.remove()


@contextmanager
def inside(host: "Host"):
    """Sockets that this thread makes meanwhile belong to the host; they keep working afterwards. Nothing may be awaited."""
    libc = ctypes.CDLL(None, use_errno=True)
    home, target = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{host.name}", os.O_RDONLY)
    try:
        assert libc.setns(target, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(home, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(target)
        os.close(home)


def available() -> bool:
    """Whether this user may make namespaces and TAP devices."""
    try:
        with network("probe"):
            return True
    except (AssertionError, OSError):
        return False
