"""Two people from their first code to the end of a right, over real HTTP, QUIC and WebRTC: they register, one founds an
organisation and invites the other by number, they chat, one rings, both devices of the other ring, one answers, media flows,
they hang up; and whoever is removed in the middle of a call is out within a second, with a token that is still good."""

from __future__ import annotations

import asyncio
import random
import time

import jwt
import pytest
from accounts import Login, Problem, within
from conftest import start_server
from im_client import make_direct
from im_proto import pb
from sdk import FPS, frames_within, until

PASSWORD = "five quiet herons at dusk"


@pytest.fixture
def server(tmp_path):
    """Its own: what is asked for too often is counted by address."""
    instance = start_server(tmp_path)
    yield instance
    assert instance.stop() == 0


def number() -> str:
    return f"+86138{random.randrange(10 ** 8):08}"


def refused(status: int, code: str, attempt) -> None:
    with pytest.raises(Problem) as caught:
        attempt()
    assert (caught.value.status, caught.value.code) == (status, code), caught.value


class Story:
    """Ana's organisation, with Bo in it."""

    def __init__(self, server):
        self.ana, self.bo = Login(server, number()).register("Ana"), Login(server, number()).register("Bo")
        self.bo.call("PUT", "/v1/me/password", {"new": PASSWORD})
        self.org = self.ana.post("/v1/organisations", {"title": "Hangzhou Instruments"})["id"]
        home = f"/v1/organisations/{self.org}"
        self.department = self.ana.post(f"{home}/departments", {"parent": 0, "name": "Research"})["id"]
        self.ana.post(f"{home}/invitations", {"phone": self.bo.phone, "department": self.department})
        invited = self.bo.get("/v1/me/invitations")["invitations"]
        assert [row["organisation"] for row in invited] == [self.org]
        self.bo.post(f"/v1/me/invitations/{invited[0]['id']}/accept")
        self.member = f"{home}/members/{self.bo.account}"
        self.bos_user = self.ana.get(self.member)["member"]["user"]

    async def open(self):
        """Chat on Ana's phone, and on Bo's phone and tablet; the conversation of the two."""
        self.tablet_login = self.bo.beside(PASSWORD)
        self.desk, self.phone, self.tablet = await self.ana.chat(), await self.bo.chat(), await self.tablet_login.chat()
        assert self.phone.me.id == self.tablet.me.id == self.bos_user
        self.conv = await make_direct(self.desk, self.phone)
        return self

    async def close(self):
        for device in (self.desk, self.phone, self.tablet):
            await device.close()
            device.check()


async def test_the_whole_story(server):
    story = await Story(server).open()
    ana, bo, conv = story.ana, story.bo, story.conv
    seq = (await story.desk.session.send(conv, "shall we talk?")).seq
    for device in (story.phone, story.tablet):
        assert (await device.has(conv, seq)).texts() == ["shall we talk?"]

    call = ana.post("/v1/calls", {"conversation": conv, "video": True})["id"]
    for device in (story.phone, story.tablet):
        await device.until(lambda device=device: device.rings(call), "it rings")
    bo.post(f"/v1/calls/{call}/accept")
    refused(409, "answered_elsewhere", lambda: story.tablet_login.post(f"/v1/calls/{call}/accept"))
    await story.tablet.until(lambda: not story.tablet.rings(call), "the other device stops")
    assert story.tablet.standing(call, story.bos_user) == "ACCEPTED"

    one, other = await asyncio.gather(ana.sit(f"/v1/calls/{call}/join"), bo.sit(f"/v1/calls/{call}/join"))
    await one.publish_camera()
    await other.publish_camera()
    for person in (one, other):
        track = await until(lambda person=person: next(iter(person.tracks.values()), None), "the other's camera")
        await frames_within(track, 2)  # the first keyframe
        assert await frames_within(track, 4) >= 0.6 * 4 * FPS
    bo.post(f"/v1/calls/{call}/hangup")
    await until(lambda: "disconnected" in one.log and "disconnected" in other.log, "the room is over for both")

    record = await story.desk.until(lambda: next((e.body.call for e in story.desk.logs[conv].events.values()
                                                  if e.body.call.outcome == pb.CALL_OUTCOME_ENDED), None), "the record is in the log")
    assert (record.call_id, record.caller, set(record.participants)) == (call, story.desk.me.id, {story.desk.me.id, story.bos_user})
    assert record.duration_ms > 4_000 and all(0 < p.joined_ms < p.left_ms for p in record.people)
    assert story.phone.unread(conv) == 2, "the message and the call, not the ringing"
    assert bo.get(f"/v1/calls/{call}")["outcome"] == "ended"
    await asyncio.gather(one.leave(), other.leave())
    await story.close()


async def test_whoever_is_removed_in_a_call_is_out_within_a_second(server):
    story = await Story(server).open()
    ana, bo, conv = story.ana, story.bo, story.conv
    call = ana.post("/v1/calls", {"conversation": conv})["id"]
    join = f"/v1/calls/{call}/join"
    seat = bo.post(join)
    other, one = await bo.take(seat), await ana.sit(join)
    await other.publish_camera()
    track = await until(lambda: next(iter(one.tracks.values()), None), "Bo's camera")
    assert await frames_within(track, 3) > FPS

    begin = time.monotonic()
    ana.call("DELETE", story.member)
    took = time.monotonic() - begin
    gone = lambda: "participant_disconnected" in one.log and story.phone.goodbyes and story.tablet.goodbyes
    took += await within(1, gone, "out of the room and of chat")
    assert took < 1.5
    for device in (story.phone, story.tablet):
        assert [pb.Code.Name(goodbye.code) for goodbye in device.goodbyes] == ["CODE_REVOKED"]
    await until(lambda: "disconnected" in other.log, "Bo's client knows")
    assert await frames_within(track, 1) <= 2, "nothing of Bo arrives any more"

    # The room token is good for minutes; and neither it nor another one lets Bo in.
    assert jwt.decode(seat["token"], options={"verify_signature": False})["exp"] > time.time() + 300
    with pytest.raises(Exception):
        await bo.take(seat)
    refused(404, "not_found", lambda: bo.post(join))
    refused(404, "not_found", lambda: bo.post(f"/v1/rooms/{conv}/join"))
    await until(lambda: ana.get(f"/v1/calls/{call}")["outcome"] == "ended", "the call is over: nobody is left to talk to")
    await asyncio.gather(one.leave(), other.leave())
    await story.close()
