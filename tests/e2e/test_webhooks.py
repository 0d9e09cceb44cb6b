"""Webhooks of the configuration and of organisations, taken by LiveKit's own receiver: in its format, signed so that it
believes them, in order, after an outage too; and not when they are forged, replayed or meant for somebody else. Of calls and
messages they tell whoever asked for it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import aiohttp
import jwt
import pytest
from accounts import Login, Problem
from aiohttp import web
from conftest import BINARY, start_server
from im_proto import pb
from livekit import api
from sdk import people, until
from test_people_story import Story


class Receiver:
    """An endpoint. `status` is what it answers; what it was sent is in `got`, whatever it answered."""

    def __init__(self) -> None:
        self.status, self.got, self.runner, self.port = 200, [], None, 0

    async def start(self) -> Receiver:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        await self.runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def _take(self, request: web.Request) -> web.Response:
        assert request.headers["content-type"] == "application/webhook+json"
        self.got.append(((await request.read()).decode(), request.headers["authorization"]))
        return web.Response(status=self.status)

    def said(self, key: str, secret: str) -> list[dict]:
        """The same whole: what LiveKit's format has no place for as well."""
        self.events(key, secret)
        return [json.loads(body) for body, _ in self.got]

    def events(self, key: str, secret: str) -> list:
        """What LiveKit's receiver makes of it."""
        receiver = api.WebhookReceiver(api.TokenVerifier(key, secret))
        return [receiver.receive(body, token) for body, token in self.got]


@pytest.fixture
async def receiver():
    made = await Receiver().start()
    yield made
    await made.stop()


async def test_livekits_receiver_believes_what_it_is_told(tmp_path, monkeypatch, receiver, room_name):
    monkeypatch.setenv("CONVENE_WEBHOOKS_URLS", receiver.url)
    server = start_server(tmp_path)
    try:
        async with people(server, room_name, True, "alice") as (alice,):
            await alice.publish_microphone()
            await until(lambda: len(receiver.got) >= 3, "alice is in and publishes")
        service = api.LiveKitAPI(server.http, "devkey", "secret")
        await service.room.delete_room(api.DeleteRoomRequest(room=room_name))
        await service.aclose()
        await until(lambda: len(receiver.got) >= 6, "the room is over")
        events = receiver.events("devkey", "secret")
        assert [event.event for event in events] == [
            "room_started", "participant_joined", "track_published", "track_unpublished", "participant_left", "room_finished"]
        assert {event.room.name for event in events} == {room_name}
        assert len({event.id for event in events}) == len(events)
        assert {event.participant.identity for event in events if event.participant.identity} == {"alice"}
        published = events[2].track
        assert published.sid and published.sid == events[3].track.sid
        assert all(abs(event.created_at - time.time()) < 60 for event in events)
        assert server.metrics()['convene_webhooks_total{outcome="delivered"}'] == 6

        # Whoever changes a body, or has another key, is not believed.
        body, token = receiver.got[0]
        ours = api.WebhookReceiver(api.TokenVerifier("devkey", "secret"))
        with pytest.raises(Exception, match="hash"):
            ours.receive(body.replace(room_name, "other"), token)
        with pytest.raises(Exception, match="hash"):
            ours.receive(receiver.got[1][0], token)
        claims = jwt.decode(token, "secret", algorithms=["HS256"])
        for forged in (jwt.encode(claims, "guess", algorithm="HS256"), jwt.encode(claims | {"iss": "other"}, "secret", algorithm="HS256")):
            with pytest.raises(Exception):
                ours.receive(body, forged)
        # A replay is good for minutes only; its id was seen before.
        assert 0 < claims["exp"] - time.time() <= 300
        stale = jwt.encode(claims | {"exp": int(time.time()) - 120, "nbf": int(time.time()) - 420}, "secret", algorithm="HS256")
        with pytest.raises(Exception):
            ours.receive(body, stale)
    finally:
        assert server.stop() == 0


async def test_the_end_of_rooms_is_told_when_the_server_stops(tmp_path, monkeypatch, receiver, room_name):
    monkeypatch.setenv("CONVENE_WEBHOOKS_URLS", receiver.url)
    server = start_server(tmp_path)
    async with people(server, room_name, True, "alice") as (alice,):
        await alice.publish_microphone()
        await until(lambda: len(receiver.got) >= 3, "alice is in and publishes")
        assert server.stop() == 0
    # What was noted too late to be sent goes out after the next start.
    server.launch()
    try:
        # One that this receiver took while the server ended comes twice.
        told = lambda: {event.event for event in receiver.events("devkey", "secret")}
        await until(lambda: len(told()) >= 6, "the room is over")
        assert told() == {"room_started", "participant_joined", "track_published", "track_unpublished", "participant_left", "room_finished"}
    finally:
        assert server.stop() == 0


def waiting(server) -> int:
    """Events that wait to be delivered, as the database has them."""
    with closing(sqlite3.connect(f"file:{server.data_dir / 'chat.db'}?mode=ro", uri=True)) as database:
        return database.execute("SELECT count(*) FROM webhook_outbox").fetchone()[0]


async def test_a_receiver_that_was_down_gets_all_of_it_in_order(tmp_path, monkeypatch, receiver):
    monkeypatch.setenv("CONVENE_WEBHOOKS_URLS", receiver.url)
    receiver.status = 503
    server = start_server(tmp_path)
    service = api.LiveKitAPI(server.http, "devkey", "secret")
    names = [f"room-{number}" for number in range(5)]
    try:
        for name in names[:3]:
            await service.room.create_room(api.CreateRoomRequest(name=name))
        await until(lambda: receiver.got, "it is tried")
        await until(lambda: waiting(server) == 3, "all of it is noted, which a room does not wait for")
        # kill -9: what waits is on disk.
        server.kill()
        await receiver.stop()
        receiver.got.clear()
        server.launch()
        for name in names[3:]:
            await service.room.create_room(api.CreateRoomRequest(name=name))
        receiver.status = 200
        await receiver.start()
        await until(lambda: len(receiver.got) >= 5, "all is delivered", 60)
        events = receiver.events("devkey", "secret")
        assert [(event.event, event.room.name) for event in events[:5]] == [("room_started", name) for name in names]
        assert server.metric("convene_webhooks_total") >= 5
    finally:
        await service.aclose()
        server.kill()


def admin(data: Path, *words: str, stdin: str = "") -> dict:
    done = subprocess.run([BINARY, "admin", "--json", "--data-dir", data, *words], input=stdin, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


class Owner:
    """Somebody who owns an organisation, signed in over REST."""

    def __init__(self, server, http: aiohttp.ClientSession, number: int) -> None:
        self.server, self.http, self.phone, self.token, self.org = server, http, f"+861380013800{number}", "", 0

    async def begin(self, name: str) -> Owner:
        data = self.server.data_dir
        admin(data, "create-user", self.phone, name, "--password-stdin", stdin="correct horse battery\n")
        self.org = admin(data, "create-organisation", name, name, "--owner", self.phone)["id"]
        device = {"id": secrets.token_hex(16)}
        status, answer = await self.call("POST", "/v1/auth/sign-in", {"phone": self.phone, "password": "correct horse battery", "device": device})
        assert status == 200, answer
        self.token = answer["access_token"]
        return self

    async def call(self, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.http.request(method, f"{self.server.http}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json() if answer.content_length else {}


async def test_an_organisation_is_told_of_its_own_rooms(tmp_path, receiver):
    server = start_server(tmp_path)
    try:
        async with aiohttp.ClientSession() as http:
            acme, other = await Owner(server, http, 1).begin("acme"), await Owner(server, http, 2).begin("other")
            base = f"/v1/organisations/{acme.org}"
            status, key = await acme.call("POST", f"{base}/keys", {"title": "backend", "scopes": ["rooms"]})
            assert status == 201, key
            status, listed = await acme.call("GET", f"{base}/keys")
            assert [one["id"] for one in listed["keys"]] == [key["id"]] and key["secret"] not in json.dumps(listed)
            status, hook = await acme.call("POST", f"{base}/webhooks", {"url": receiver.url, "key": key["id"], "events": ["rooms"]})
            assert status == 201, hook
            # Nobody else sees or touches any of it: for them there is no such organisation.
            for method, path, body in (
                ("GET", f"{base}/keys", None),
                ("POST", f"{base}/keys", {"title": "x", "scopes": ["rooms"]}),
                ("DELETE", f"{base}/keys/{key['id']}", None),
                ("GET", f"{base}/webhooks", None),
                ("POST", f"{base}/webhooks", {"url": receiver.url, "key": key["id"], "events": ["rooms"]}),
                ("DELETE", f"{base}/webhooks/{hook['id']}", None),
                ("POST", f"{base}/webhooks/{hook['id']}/test", None),
                ("DELETE", f"/v1/organisations/{other.org}/webhooks/{hook['id']}", None),
                ("POST", f"/v1/organisations/{other.org}/webhooks", {"url": receiver.url, "key": key["id"], "events": ["rooms"]}),
            ):
                assert (await other.call(method, path, body))[0] == 404, (method, path)
            status, tested = await acme.call("POST", f"{base}/webhooks/{hook['id']}/test")
            assert (status, tested) == (200, {"delivered": True})
            service = api.LiveKitAPI(server.http, key["id"], key["secret"])
            operator = api.LiveKitAPI(server.http, "devkey", "secret")
            await operator.room.create_room(api.CreateRoomRequest(name="somebody-elses"))
            await operator.room.create_room(api.CreateRoomRequest(name=f"o{other.org}:room"))
            await service.room.create_room(api.CreateRoomRequest(name=f"{key['room_prefix']}standup"))
            await until(lambda: len(receiver.got) >= 2, "the event of its own room")
            events = receiver.events(key["id"], key["secret"])
            assert [(event.event, event.room.name) for event in events] == [("test", ""), ("room_started", f"{key['room_prefix']}standup")]
            receiver.status = 500
            assert not (await acme.call("POST", f"{base}/webhooks/{hook['id']}/test"))[1]["delivered"]
            # Revoked: at once, for the SDK and for what it signs.
            assert (await acme.call("DELETE", f"{base}/keys/{key['id']}"))[0] == 204
            with pytest.raises(api.TwirpError):
                await service.room.list_rooms(api.ListRoomsRequest())
            tested = (await acme.call("POST", f"{base}/webhooks/{hook['id']}/test"))[1]
            assert "API key" in tested["error"]
            assert (await acme.call("DELETE", f"{base}/webhooks/{hook['id']}"))[0] == 204
            assert (await acme.call("GET", f"{base}/webhooks"))[1] == {"webhooks": []}
            await service.aclose()
            await operator.aclose()
    finally:
        assert server.stop() == 0


async def test_an_organisation_is_told_of_its_calls_and_of_messages_if_it_wants(tmp_path, receiver):
    server = start_server(tmp_path)
    listener = await Receiver().start()
    try:
        story = await Story(server).open()
        ana, bo, conv, base = story.ana, story.bo, story.conv, f"/v1/organisations/{story.org}"
        key = ana.post(f"{base}/keys", {"title": "backend", "scopes": ["rooms"]})
        sign = (key["id"], key["secret"])
        hook = ana.post(f"{base}/webhooks", {"url": receiver.url, "key": key["id"], "events": ["rooms", "calls"]})
        await story.desk.session.send(conv, "nobody is told of this")
        ana.post(f"{base}/webhooks", {"url": listener.url, "key": key["id"], "events": ["messages"]})

        # Calls and their rooms, which are the organisation's: its key sees them as well.
        call = ana.post("/v1/calls", {"conversation": conv})["id"]
        bo.post(f"/v1/calls/{call}/accept")
        seat = bo.post(f"/v1/calls/{call}/join")
        assert seat["room"] == f"{key['room_prefix']}call-{call}"
        one, other = await asyncio.gather(ana.sit(f"/v1/calls/{call}/join"), bo.take(seat))
        service = api.LiveKitAPI(server.http, *sign)
        seen = await service.room.list_rooms(api.ListRoomsRequest(names=[seat["room"]]))
        assert [room.name for room in seen.rooms] == [seat["room"]]
        await until(lambda: sum("participant_joined" in body for body, _ in receiver.got) == 2, "both are in")
        bo.post(f"/v1/calls/{call}/hangup")
        await until(lambda: {"call_ended", "room_finished"} <= {event["event"] for event in receiver.said(*sign)}, "the call is over")
        told = receiver.said(*sign)
        calls = [event for event in told if event["event"].startswith("call_")]
        assert [event["event"] for event in calls] == ["call_started", "call_answered", "call_ended"]
        assert len({event["id"] for event in told}) == len(told)
        assert {(event["call"]["id"], event["conversation"], event["organisation"]) for event in calls} == {(call, conv, story.org)}
        ended = calls[-1]["call"]
        assert (ended["outcome"], ended["caller"]) == ("ended", story.desk.me.id)
        assert all(0 < person["joined_ms"] <= person["left_ms"] for person in ended["people"])
        assert {event["room"]["name"] for event in told if "room" in event} == {seat["room"]}
        # What a program reads of it is the same.
        assert read(server, f"/v1/calls/{call}", *sign)["outcome"] == "ended"
        await asyncio.gather(one.leave(), other.leave())

        # Messages, to whoever asked for them; and nothing of what was recalled before it could be delivered.
        listener.status = 503
        first = (await story.desk.session.send(conv, "shall we talk?")).seq
        slip = (await story.desk.session.send(conv, "what a fool")).seq
        await story.desk.session.send(conv, pb.Body(target=slip, recall=pb.Recall()))
        await until(lambda: listener.got, "it is tried")
        listener.got.clear()
        listener.status = 200
        await until(lambda: len(listener.got) >= 3, "all of it is delivered", 30)
        told = listener.said(*sign)
        assert [(event["event"], event["conversation"]) for event in told] == [("message", conv)] * 3
        messages = [event["message"] for event in told]
        assert [message["kind"] for message in messages] == ["text", "erased", "recall"]
        assert (messages[0]["seq"], messages[0]["sender"], messages[0]["content"]) == (first, story.desk.me.id, {"text": "shall we talk?"})
        assert messages[2]["target"] == slip and not any("fool" in body for body, _ in listener.got)
        assert not any('"message"' in body for body, _ in receiver.got)

        # With the organisation its keys are gone, and what waits for them.
        ana.post(f"{base}/dissolve", {"title": "Hangzhou Instruments"})
        with pytest.raises(api.TwirpError):
            await service.room.list_rooms(api.ListRoomsRequest())
        with pytest.raises(Problem) as caught:
            read(server, f"/v1/calls/{call}", *sign)
        assert caught.value.code == "unauthenticated", hook
        await service.aclose()
        await story.close()
    finally:
        await listener.stop()
        assert server.stop() == 0


def read(server, path: str, key: str, secret: str) -> dict:
    """What a program reads with a token that it signs itself."""
    program = Login(server, "")
    now = int(time.time())
    program.access = jwt.encode({"iss": key, "aud": "convene-api", "nbf": now, "exp": now + 600}, secret, algorithm="HS256")
    return program.get(path)


async def test_outside_of_development_no_webhook_leads_inside(tmp_path, receiver):
    server = start_server(tmp_path)
    server.stop()
    server.command = [word for word in server.command if word != "--dev"]
    os.environ["CONVENE_KEYS"] = "backend:" + secrets.token_hex(32)
    try:
        server.launch()
        async with aiohttp.ClientSession() as http:
            acme = await Owner(server, http, 1).begin("acme")
            base = f"/v1/organisations/{acme.org}"
            key = (await acme.call("POST", f"{base}/keys", {"title": "backend", "scopes": ["rooms"]}))[1]
            for url in (receiver.url, receiver.url.replace("http:", "https:"), "https://169.254.169.254/latest", "https://[::1]/", "ftp://example.com/"):
                status, problem = await acme.call("POST", f"{base}/webhooks", {"url": url, "key": key["id"], "events": ["rooms"]})
                assert (status, problem["code"]) == (422, "bad_value"), url
            # A name is looked at when it is used: where it leads may change.
            inside = {"url": f"https://localhost:{receiver.port}/hook", "key": key["id"], "events": ["rooms"]}
            status, hook = await acme.call("POST", f"{base}/webhooks", inside)
            assert status == 201, hook
            tested = (await acme.call("POST", f"{base}/webhooks/{hook['id']}/test"))[1]
            assert not tested["delivered"] and "may not go" in tested["error"]
            assert not receiver.got
    finally:
        del os.environ["CONVENE_KEYS"]
        assert server.stop() == 0
