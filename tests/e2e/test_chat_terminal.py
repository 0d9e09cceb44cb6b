"""`convene chat` as somebody uses it: two terminals, a server that dies, a client that dies. Nothing is lost or doubled."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
import sound
from conftest import BINARY, Server, start_server

DEADLINE_S = 40
COLUMNS = 110


class Terminal:
    """A `convene chat` on a terminal of its own; what it shows is in `screen`."""

    def __init__(self, server: Server, home: Path, user: str, *args: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        command = [str(BINARY), "chat", "--server", server.http, "--dev", "--user", user, *args]
        env = os.environ | {"TERM": "xterm", "XDG_DATA_HOME": str(home)}
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
        os.close(theirs)
        self.fd, self.screen = ours, ""

    def read(self, timeout: float) -> bool:
        """More of what it shows; `False` when it has ended."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return self.process.poll() is None
        try:
            self.screen += os.read(self.fd, 65_536).decode(errors="replace")
        except OSError:  # EIO: nobody has the other side open
            return False
        return True

    def until(self, pattern: str, after: int = 0) -> int:
        """Waits for something to be shown behind the position `after`; answers where it ends."""
        deadline = time.monotonic() + DEADLINE_S
        while not (found := re.compile(pattern).search(self.screen, after)):
            assert self.read(0.1) and time.monotonic() < deadline, f"no {pattern!r} in:\n{self.screen}"
        return found.end()

    def type(self, line: str) -> None:
        os.write(self.fd, f"{line}\n".encode())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=15)
        os.close(self.fd)

    def wait(self) -> str:
        """Lets it end by itself; answers all it has shown."""
        deadline = time.monotonic() + DEADLINE_S
        while self.read(0.1):
            assert time.monotonic() < deadline, f"it does not end:\n{self.screen}"
        assert self.process.wait(timeout=15) == 0, self.screen
        os.close(self.fd)
        return self.screen


def messages(screen: str) -> list[tuple[int, str, str]]:
    """Seq, sender and text of the lines that show messages."""
    rows = re.findall(r"^\s+(\d+) \d\d:\d\d (\w+): ([^\r\n]*)", screen, re.MULTILINE)
    return [(int(seq), sender, text) for seq, sender, text in rows]


@pytest.mark.timeout(150)
def test_two_terminals(tmp_path):
    server = start_server(tmp_path)
    opened: list[Terminal] = []

    def terminal(user: str, *args: str) -> Terminal:
        opened.append(Terminal(server, tmp_path / "home", user, *args))
        return opened[-1]

    try:
        bob = terminal("bob")
        bob.until(r"no conversations yet")
        bob.until(r"connected \(QUIC\)")
        conv = terminal("ana", "direct", "bob").wait().strip()
        assert conv.isdigit(), conv
        ana = terminal("ana")
        ana.until(r"connected \(QUIC\)")
        ana.type("/open bob")
        ana.until("added ana, bob")
        ana.type("hello")
        bob.until(rf"\[{conv}\] +2 \d\d:\d\d ana: hello\r")
        bob.type("/open ana")
        bob.until(r"\n +2 \d\d:\d\d ana: hello\r")
        bob.type("hello yourself")
        ana.until("bob: hello yourself")
        ana.type("/edit 2 hello, edited")
        bob.until(r"2 \d\d:\d\d ana: hello, edited \(edited\)")

        # A voice message: loud and silent in turn, which is to be seen, and a bar while it is uploaded.
        ogg = tmp_path / "beeps.ogg"
        ogg.write_bytes(sound.encode(sound.beeps(4.0), "ogg", bit_rate=64_000))
        ana.type(f"/voice {ogg}")
        ana.until(r"upload .*?(\d[\d.]*) KiB/\1 KiB")
        at = bob.until(r"ana: \[voice 0:04\] ")
        bob.until(r"\r\n", at)
        bars = bob.screen[at:at + 32]
        assert len(set(bars)) > 1 and bars.count(bars[0]) < 32, bars

        # The server dies; both go on writing; one of them dies, too.
        server.kill()
        ana.type("while away 1")
        bob.type("while away, too")
        ana.type("while away 2")
        ana.type("/read")
        ana.until(r"while away 2  \[waiting\]")
        ana.kill()
        shown = len(bob.screen)
        server.launch()
        bob.until("bob: while away, too", shown)
        ana = terminal("ana")
        ana.until("ana: while away 2")
        bob.until("ana: while away 2", shown)
        ana.type("/quit")
        ana.wait()
        bob.type("/quit")
        bob.wait()

        want = {"hello, edited (edited)", "hello yourself", "while away 1", "while away 2", "while away, too"}
        logs = {user: messages(terminal(user, "read", other, "-n", "50").wait()) for user, other in [("ana", "bob"), ("bob", "ana")]}
        assert logs["ana"] == logs["bob"]
        texts = [text for _, _, text in logs["ana"] if text[0] not in "*["]
        assert len(texts) == len(want) and set(texts) == want, "each once"
        assert texts.index("while away 1") < texts.index("while away 2")
    finally:
        for one in opened:
            if one.process.poll() is None:
                one.kill()
        server.stop()
