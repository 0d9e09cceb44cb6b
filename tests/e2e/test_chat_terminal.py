"""`convene chat` as somebody uses it: two terminals, a server that dies, a client that dies. Nothing is lost or doubled."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
import sound
from accounts import Login, Problem, next_code
from conftest import BINARY, Server, start_server
from test_admin import admin

DEADLINE_S = 40
COLUMNS = 110


class Terminal:
    """A `convene chat` on a terminal of its own; what it shows is in `screen`. `user`: of a development server; without one, it
    is whoever has signed in."""

    def __init__(self, server: Server, home: Path, user: str, *args: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        who = ["--dev", "--user", user] if user else []
        command = [str(BINARY), "chat", "--server", server.http, *who, *args]
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

    def wait(self, status: int = 0) -> str:
        """Lets it end by itself; answers all it has shown."""
        deadline = time.monotonic() + DEADLINE_S
        while self.read(0.1):
            assert time.monotonic() < deadline, f"it does not end:\n{self.screen}"
        assert self.process.wait(timeout=15) == status, self.screen
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
        # By name: a machine that stands still for half a second has it go over to a WebSocket.
        opened.append(Terminal(server, tmp_path / "home", user, "--transport", "quic", *args))
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


PHONES = {"Ana": "+8613800138000", "Bo": "+8613800138001"}
PASSWORD = "five quiet herons at dusk"


class SignedIn:
    """Somebody with an account, and the sign-in that their `convene chat` keeps."""

    def __init__(self, server: Server, home: Path, name: str) -> None:
        self.server, self.home, self.name, self.opened = server, home, name, []

    def terminal(self, *args: str) -> Terminal:
        self.opened.append(Terminal(self.server, self.home, "", *args))
        return self.opened[-1]

    def says(self, *args: str) -> str:
        """What a command shows that ends well."""
        return self.terminal(*args).wait().strip()

    def login(self, *args: str) -> str:
        before = self.server.log.stat().st_size
        terminal = self.terminal("login", PHONES[self.name], *args)
        terminal.until("Code from the message")
        terminal.type(next_code(self.server.log, before))
        return terminal.wait()

    @property
    def file(self) -> Path:
        [path] = self.home.rglob("sign-in.json")
        return path

    @property
    def kept(self) -> dict:
        return json.loads(self.file.read_text())

    def change(self, **fields) -> None:
        self.file.write_text(json.dumps(self.kept | fields))

    def api(self) -> Login:
        login = Login(self.server, PHONES[self.name])
        login.access = self.kept["access_token"]
        return login


@pytest.mark.timeout(150)
def test_two_people_with_accounts(tmp_path):
    server = start_server(tmp_path)
    admin(server.data_dir, "create-user", PHONES["Ana"], "Ana")
    admin(server.data_dir, "create-user", PHONES["Bo"], "Bo", "--password-stdin", stdin=f"{PASSWORD}\n")
    admin(server.data_dir, "create-organisation", "hangzhou", "Hangzhou Instruments", "--owner", PHONES["Ana"])
    ana, bo = (SignedIn(server, tmp_path / name, name) for name in PHONES)
    try:
        assert "convene chat login" in ana.terminal("list").wait(1), "it says what to do"
        shown = ana.login()
        assert "signed in as Ana" in shown and "in the name of Hangzhou Instruments" in shown, shown
        assert ana.file.stat().st_mode & 0o777 == 0o600
        assert "in no organisation yet" in bo.login()
        ana.api().post(f"/v1/organisations/{ana.kept['organisation']['id']}/invitations", {"phone": PHONES["Bo"]})
        [invited] = bo.api().get("/v1/me/invitations")["invitations"]
        bo.api().post(f"/v1/me/invitations/{invited['id']}/accept")

        # One sends, the other reads, by the names that people have.
        conv = ana.says("direct", "Bo")
        assert conv.isdigit(), conv
        ana.says("send", "Bo", "hello")
        assert [row[1:] for row in messages(bo.terminal("read", "Ana").wait())][-1:] == [("Ana", "hello")]
        # Who signed in before they were in any organisation finds colleagues in the only one.
        assert "organisation" not in bo.kept or bo.kept["organisation"] is None
        assert bo.says("direct", "Ana") == conv
        assert bo.kept["organisation"]["title"] == "Hangzhou Instruments"
        devices = {person.name: person.kept["device"] for person in (ana, bo)}

        # The access token expires: the next command renews it, and the one after goes on with that.
        first = bo.kept
        bo.change(expires_ms=0)
        bo.says("send", "Ana", "hello yourself")
        second = bo.kept
        # (Access tokens of one second are the same ones: what one says is signed, and a second is what its time counts.)
        assert second["refresh_token"] != first["refresh_token"] and second["expires_ms"] > time.time() * 1000
        bo.says("send", "Ana", "and again")
        assert bo.kept == second
        # The server stands still while it is asked for the next one. Who leaves is told what is waited for, and need not.
        bo.change(expires_ms=0)
        server.process.send_signal(signal.SIGSTOP)
        try:
            desk = bo.terminal()
            desk.until("/help tells")
            desk.process.send_signal(signal.SIGINT)
            desk.until("the sign-in is being renewed; Ctrl-C does not wait")
            desk.process.send_signal(signal.SIGINT)
            desk.wait()
        finally:
            server.process.send_signal(signal.SIGCONT)
        bo.says("send", "Ana", "and on")
        # The server takes it no more before it should have expired: renewed as well, in the open session of a program.
        ana.change(access_token="of another time")
        desk = ana.terminal("--transport", "quic")
        desk.until(r"connected \(QUIC\)")
        assert ana.kept["access_token"] != "of another time"
        desk.type("/open Bo")
        desk.until("Bo: and on")

        # Another organisation: the profile speaks for the one that it has a copy of.
        ana.api().post("/v1/organisations", {"title": "Herons"})
        desk.type("/quit")
        desk.wait()
        assert "speaks for Hangzhou Instruments" in ana.terminal("--organisation", "Herons", "list").wait(1)
        ana.says("--organisation", "Hangzhou Instruments", "send", "Bo", "still here")
        assert "Ana: still here" in bo.says("read", "Ana")
        assert devices == {person.name: person.kept["device"] for person in (ana, bo)}

        # Signed out at the server, too, which an open program hears of.
        desk = bo.terminal("--transport", "quic")
        desk.until(r"connected \(QUIC\)")
        refresh = {"refresh_token": bo.kept["refresh_token"]}
        access = bo.api()
        assert "signed out" in bo.says("logout")
        desk.until("sign in again: nobody is signed in here")
        desk.kill()
        assert not list(bo.home.rglob("sign-in.json"))
        for refused in (lambda: access.get("/v1/me"), lambda: Login(server, "").post("/v1/auth/refresh", refresh)):
            with pytest.raises(Problem) as caught:
                refused()
            assert caught.value.status == 401
        assert "nobody is signed in here" in bo.terminal("list").wait(1)

        # By password, on a pipe; the same directory goes on with what it has.
        command = [str(BINARY), "chat", "--server", server.http, "login", PHONES["Bo"], "--password"]
        env = os.environ | {"XDG_DATA_HOME": str(bo.home)}
        done = subprocess.run(command, input=f"{PASSWORD}\n", env=env, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and "in the name of Hangzhou Instruments" in done.stdout, done
        assert bo.kept["device"] == devices["Bo"]
        # On a terminal it is not shown, and nobody else takes the directory over.
        terminal = bo.terminal("login", PHONES["Ana"], "--password")
        terminal.until("Password: ")
        terminal.type("not to be seen")
        assert "not to be seen" not in terminal.wait(1) and "number or the password is wrong" in terminal.screen
        assert bo.kept["account"]["display_name"] == "Bo" and "Ana: still here" in bo.says("read", "Ana")
        # Ended from elsewhere: the next command that needs the server says so.
        bo.api().post("/v1/auth/sign-out")
        assert "sign in again" in bo.terminal("list").wait(1)
        assert not list(bo.home.rglob("sign-in.json"))
    finally:
        for terminal in (*ana.opened, *bo.opened):
            if terminal.process.poll() is None:
                terminal.kill()
        assert server.stop() == 0
