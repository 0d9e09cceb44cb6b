"""People with accounts, over real HTTP: codes are read where a development server writes them, in its log."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
import urllib.error
import urllib.request
from pathlib import Path

import livekit.rtc as rtc
from im_client import Device
from sdk import Person
from standstill import Standstill

CODE = re.compile(r"a code, in place of a message.*code=\"?(\d{6})")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def code_in(log: Path, before: int) -> re.Match | None:
    """The first code that a server has written behind so many bytes of its log."""
    return CODE.search(COLOURS.sub("", log.read_bytes()[before:].decode(errors="replace")))


def next_code(log: Path, before: int) -> str:
    """That code, once it is there."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := code_in(log, before):
            return found.group(1)
        time.sleep(0.05)
    raise AssertionError("no code in the log")


class Problem(Exception):
    """A refusal: problem+json."""

    def __init__(self, status: int, body: dict):
        super().__init__(f"{status} {body}")
        self.status, self.code = status, body.get("code")


class Login:
    """Somebody signed in on one device."""

    def __init__(self, server, phone: str):
        self.server, self.phone, self.device = server, phone, secrets.token_hex(16)
        self.access = ""

    def call(self, method: str, path: str, body=None, **headers):
        """The JSON that is answered, or `Problem`."""
        if self.access:
            headers["Authorization"] = f"Bearer {self.access}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server.http + path, data, headers, method=method)
        try:
            with self.server.open(request, timeout=15) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            assert error.headers.get_content_type() == "application/problem+json", error.headers
            raise Problem(error.code, json.load(error)) from None
        return json.loads(text) if text else None

    def get(self, path: str):
        return self.call("GET", path)

    def post(self, path: str, body=None, **headers):
        return self.call("POST", path, body, **headers)

    def code(self, purpose: str) -> str:
        """Asks for a code and reads it in the log."""
        before = self.server.log.stat().st_size
        self.post("/v1/auth/codes", {"phone": self.phone, "purpose": purpose, "device_id": self.device})
        return next_code(self.server.log, before)

    def register(self, name: str) -> "Login":
        body = {"phone": self.phone, "code": self.code("register"), "display_name": name, "consent": "1", "device": {"id": self.device}}
        return self._enter(self.post("/v1/auth/register", body))

    def beside(self, password: str) -> "Login":
        """The same person on another device, by password: a second code within a minute would be too much."""
        other = Login(self.server, self.phone)
        body = {"phone": self.phone, "password": password, "device": {"id": other.device}}
        return other._enter(other.post("/v1/auth/sign-in", body))

    def _enter(self, answer: dict) -> "Login":
        self.access, self.session = answer["access_token"], answer["session_id"]
        self.account, self.name = answer["account"]["id"], answer["account"]["display_name"]
        return self

    async def chat(self) -> Device:
        """A chat session of this device. `device.calls` has the latest state of each call."""
        device = ChatDevice(self.server, self.name, token=self.access)
        device.id = bytes.fromhex(self.device)
        await device.connect()
        return device

    async def sit(self, path: str) -> Person:
        """Takes the seat that `path` gives, with LiveKit's SDK."""
        return await self.take(self.post(path))

    async def take(self, seat: dict) -> Person:
        person = Person(self.name)
        options = rtc.RoomOptions(auto_subscribe=True, single_peer_connection=True)
        await person.room.connect(seat["url"], seat["token"], options)
        return person


class ChatDevice(Device):
    """A device that also keeps what it is told of calls."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.calls = {}

    def _handle_push(self, frame, place, carrier):
        if frame.HasField("call_state"):
            state = frame.call_state
            known = self.calls.get(state.call_id)
            if known is None or known.version < state.version:
                self.calls[state.call_id] = state
            self.changed.set()
            return
        super()._handle_push(frame, place, carrier)

    def standing(self, call: str, user: int) -> str:
        """How somebody stands in a call, as this device knows."""
        from im_proto import pb

        people = self.calls[call].people if call in self.calls else []
        return next((pb.CallStanding.Name(person.standing)[len("CALL_STANDING_"):] for person in people if person.user == user), "")

    def rings(self, call: str) -> bool:
        """What a client does: it rings while its user is rung."""
        return self.standing(call, self.me.id) == "RINGING"


async def within(seconds: float, condition, what: str) -> float:
    """How long it took until `condition()` held, without what this machine stood still."""
    begin = time.monotonic()
    async with Standstill() as still:
        while not condition():
            assert time.monotonic() - begin - still.s < seconds, f"not within {seconds} s: {what}"
            await asyncio.sleep(0.01)
        return time.monotonic() - begin - still.s
