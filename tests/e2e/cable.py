"""A cable between two network namespaces that loses, delays and cuts what it carries, and can re-map ports like a NAT.

It stands in for `tc netem`, which needs a kernel module that many machines lack (ours do): two TAP devices, and this
process carries Ethernet frames between them. Seeded, so that a run can be repeated. Commands are JSON lines on stdin:

    {"loss": 0.05, "burst": 3, "delay_ms": 50, "only": "handshake" | "udp" | null}   both ways; losses come in runs of `burst`
                        frames on average
    {"jitter_ms": 50, "overtakes": 0.05}   the delay varies by so much either way, and so many frames do not wait in line
    {"twice": 0.05}     so many frames arrive twice
    {"cut": true}       nothing passes
    {"mtu": 1280}       UDP in larger packets is dropped without a word where it must not be cut, as in a VPN that tells nobody
                        but looks after TCP (MSS); IPv4 that may be cut passes, as its fragments would; 0: all passes
    {"deny": ["udp/7890", "tcp/7881"]}   nothing passes to or from these ports of the B side (IPv4): a firewall
    {"rate_kbit": 500, "queue_ms": 300, "narrow": "down" | "up"}   towards A, or from it: a bottleneck with a queue that drops
                        what would wait longer; 0: none
    {"hold_ms": 400}    now, once: everything waits for so long and is then let go together, as a radio does
    {"shift": 1000}     UDP source ports of the A side appear shifted by this much at the B side: a NAT that forgot
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import json
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
ETHERNET = 14


def open_tap(namespace: str, name: str) -> int:
    """A TAP device inside a namespace; the descriptor keeps working after we leave it."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    target = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        assert libc.setns(target, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
        assert libc.setns(home, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        return tap
    finally:
        os.close(target)
        os.close(home)


def service(frame: bytes, from_a: bool) -> str:
    """Protocol and B side's port of an IPv4 frame, e.g. `udp/7890`."""
    names = {17: "udp", 6: "tcp"}
    if len(frame) < 38 or frame[12:14] != b"\x08\x00" or frame[23] not in names:
        return ""
    at = 14 + (frame[14] & 0x0F) * 4 + (2 if from_a else 0)
    return f"{names[frame[23]]}/{int.from_bytes(frame[at:at + 2], 'big')}"


def may_not_be_cut(frame: bytes, mtu: int) -> bool:
    """Whether a frame carries UDP in a packet above `mtu`: IPv4 with its DF bit (RFC 791 §3.1), or IPv6."""
    if len(frame) - ETHERNET <= mtu:
        return False
    return (udp_at(frame) is not None and frame[20] & 0x40 != 0) or (frame[12:14] == b"\x86\xdd" and frame[20] == 17)


def udp_at(frame: bytes) -> int | None:
    """Where the UDP header of an IPv4 frame starts."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    return 14 + (frame[14] & 0x0F) * 4


class Cable:
    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.loss, self.delay, self.only, self.cut, self.shift = 0.0, 0.0, None, False, 0
        self.burst, self.losing = 1.0, {True: False, False: False}
        self.jitter, self.overtakes, self.last_due = 0.0, 0.0, {True: 0.0, False: 0.0}
        self.rate, self.queue_s, self.free_at, self.narrow = 0.0, 0.3, 0.0, "down"
        self.deny: list[str] = []
        self.mtu, self.twice = 0, 0.0
        self.queue: list[tuple[float, int, int, bytes]] = []
        self.order = itertools.count()

    def command(self, line: str) -> None:
        order = json.loads(line)
        self.deny, self.mtu = order.get("deny", self.deny), order.get("mtu", self.mtu)
        self.twice = order.get("twice", self.twice)
        self.loss, self.delay = order.get("loss", self.loss), order.get("delay_ms", self.delay * 1e3) / 1e3
        self.burst, self.narrow = order.get("burst", self.burst), order.get("narrow", self.narrow)
        self.jitter, self.overtakes = order.get("jitter_ms", self.jitter * 1e3) / 1e3, order.get("overtakes", self.overtakes)
        self.rate, self.queue_s = order.get("rate_kbit", self.rate / 1e3) * 1e3, order.get("queue_ms", self.queue_s * 1e3) / 1e3
        self.only, self.cut, self.shift = order.get("only", self.only), order.get("cut", self.cut), order.get("shift", self.shift)
        if "hold_ms" in order:
            until = time.monotonic() + order["hold_ms"] / 1e3
            self.last_due = {way: max(due, until) for way, due in self.last_due.items()}

    def loses(self, frame: bytes, from_a: bool) -> bool:
        if self.cut or (self.deny and service(frame, from_a) in self.deny):
            return True
        if self.mtu and may_not_be_cut(frame, self.mtu):
            return True
        at = udp_at(frame)
        if self.only == "udp" and at is None:
            return False
        if self.only == "handshake":
            first = frame[at + 8] if at is not None and len(frame) > at + 8 else 255
            if not (first <= 3 or 20 <= first <= 63):  # RFC 7983: STUN, DTLS
                return False
        return self.is_unlucky(from_a)

    def is_unlucky(self, from_a: bool) -> bool:
        """Gilbert's channel: in its bad state it loses everything, and stays bad for `burst` frames on average."""
        if self.burst <= 1 or self.loss >= 1:
            return self.random.random() < self.loss
        if self.losing[from_a]:
            self.losing[from_a] = self.random.random() >= 1 / self.burst
        else:
            self.losing[from_a] = self.random.random() < self.loss / (1 - self.loss) / self.burst
        return self.losing[from_a]

    def translate(self, frame: bytes, from_a: bool) -> bytes:
        at = udp_at(frame)
        if not self.shift or at is None:
            return frame
        field = at if from_a else at + 2  # source port on the way out, destination port on the way in
        port = int.from_bytes(frame[field:field + 2], "big")
        port = 1024 + (port - 1024 + (self.shift if from_a else -self.shift)) % 64_000
        # UDP over IPv4 allows a zero checksum (RFC 768).
        changed = bytearray(frame)
        changed[field:field + 2] = port.to_bytes(2, "big")
        changed[at + 6:at + 8] = b"\0\0"
        return bytes(changed)

    def leaves(self, frame: bytes, from_a: bool) -> float | None:
        """When the bottleneck has let a frame through; None: its queue is full."""
        now = time.monotonic()
        if from_a != (self.narrow == "up") or not self.rate:
            return now
        start = max(now, self.free_at)
        if start - now > self.queue_s:
            return None
        self.free_at = start + len(frame) * 8 / self.rate
        return self.free_at

    def due(self, leaves: float, from_a: bool) -> float:
        """When a frame that has left arrives. What overtakes is as early as can be; the others keep their order."""
        if self.overtakes and self.random.random() < self.overtakes:
            return leaves + self.delay - self.jitter
        due = leaves + self.delay + (self.random.uniform(-self.jitter, self.jitter) if self.jitter else 0.0)
        self.last_due[from_a] = max(due, self.last_due[from_a])
        return self.last_due[from_a]

    def carry(self, frame: bytes, from_a: bool, to: int) -> None:
        leaves = None if self.loses(frame, from_a) else self.leaves(frame, from_a)
        if leaves is not None:
            entry = (self.due(leaves, from_a), next(self.order), to, self.translate(frame, from_a))
            heapq.heappush(self.queue, entry)

    def deliver(self) -> float | None:
        """Writes what is due; returns the seconds to the next."""
        while self.queue:
            wait = self.queue[0][0] - time.monotonic()
            if wait > 0:
                return wait
            _, _, to, frame = heapq.heappop(self.queue)
            try:
                os.write(to, frame)
            except OSError:
                pass  # the far side is down or its queue is full: lost, as on a real cable
        return None


def main(namespace_a: str, name_a: str, namespace_b: str, name_b: str, seed: str) -> None:
    a, b = open_tap(namespace_a, name_a), open_tap(namespace_b, name_b)
    cable = Cable(int(seed))
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([a, b, sys.stdin], [], [], cable.deliver())
        if sys.stdin in readable:
            line = sys.stdin.readline()
            if not line:
                return
            cable.command(line)
            print("done", flush=True)
        for tap, other in ((a, b), (b, a)):
            if tap in readable:
                for _ in range(64):
                    try:
                        frame = os.read(tap, 65_536)
                        for _ in range(1 + (cable.random.random() < cable.twice)):
                            cable.carry(frame, tap == a, other)
                    except BlockingIOError:
                        break


if __name__ == "__main__":
    main(*sys.argv[1:])
