"""A client that keeps to none of the rules. It speaks LiveKit's protocol over a WebSocket and WebRTC by aiortc, is let in as a
speaker, and goes on sending when that is taken from it; it asks for tracks all the same, and offers them unasked. Nothing of it
reaches the others."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from conftest import start_server
from livekit import api
from livekit.protocol import models, rtc
from sdk import Person, hears, until
from test_people_story import Story
from test_whip_whep import Tone

OUT = 'convene_sfu_rtp_packets_total{direction="out"}'
IN = 'convene_sfu_rtp_packets_total{direction="in"}'
# Packets of 20 ms: three seconds of sound.
ENOUGH = 150


class Stubborn:
    """The client. `got` is what the server said to it."""

    def __init__(self):
        self.connection, self.got, self.offers, self.senders = RTCPeerConnection(), [], 0, []

    async def connect(self, http: aiohttp.ClientSession, url: str, token: str) -> Stubborn:
        query = {"access_token": token, "protocol": "16", "auto_subscribe": "0"}
        self.socket = await http.ws_connect(f"{url}/rtc/v1", params=query)
        self.reader = asyncio.create_task(self._read())
        await until(lambda: self.said("join"), "it is let in")
        return self

    async def _read(self):
        async for message in self.socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                self.got.append(rtc.SignalResponse.FromString(message.data))

    def said(self, kind: str) -> list:
        return [getattr(one, kind) for one in self.got if one.WhichOneof("message") == kind]

    async def ask(self, **request) -> None:
        await self.socket.send_bytes(rtc.SignalRequest(**request).SerializeToString())

    async def announce(self, track: Tone) -> None:
        source = models.TrackSource.MICROPHONE
        await self.ask(add_track=rtc.AddTrackRequest(cid=track.id, name="sound", type=models.TrackType.AUDIO, source=source))

    async def offer(self, track: Tone) -> None:
        """Offers a section with this track, and sends on all of its sections, whatever the answer says."""
        self.senders.append(self.connection.addTrack(track))
        self.offers += 1
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp = self.connection.localDescription.sdp
        await self.ask(offer=rtc.SessionDescription(type="offer", sdp=sdp, id=self.offers))
        answers = lambda: [answer for answer in self.said("answer") if answer.id == self.offers]
        answer = (await until(answers, "an answer"))[0].sdp
        for word in ("inactive", "sendonly", "sendrecv"):
            answer = answer.replace(f"a={word}", "a=recvonly")
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def sent(self) -> list[int]:
        """Packets of each section that have left this machine."""
        reports = [await sender.getStats() for sender in self.senders]
        return [sum(row.packetsSent for row in report.values() if row.type == "outbound-rtp") for report in reports]

    async def send_some(self) -> None:
        """Until each section has sent enough to be heard."""
        before, deadline = await self.sent(), time.monotonic() + 30
        while any(now - then < ENOUGH for now, then in zip(await self.sent(), before)):
            assert time.monotonic() < deadline, f"it does not send: {before}, {await self.sent()}"
            await asyncio.sleep(0.05)

    async def close(self):
        self.reader.cancel()
        await self.socket.close()
        await self.connection.close()


def arrived(server) -> float:
    """Packets that came to the server, those that it dropped among them."""
    return server.metrics().get(IN, 0) + server.metric("convene_sfu_dropped_total")


async def forwarded(server) -> float:
    """Packets that went out, once there are no more of them: workers tell their counters once a second."""
    last, since, deadline = -1.0, time.monotonic(), time.monotonic() + 20
    while time.monotonic() - since < 2.5:
        assert time.monotonic() < deadline, "packets go out all the time"
        now = server.metrics()[OUT]
        last, since = now, (time.monotonic() if now != last else since)
        await asyncio.sleep(0.1)
    return last


async def nothing_is_forwarded(server, client: Stubborn) -> None:
    out, came = await forwarded(server), arrived(server)
    await client.send_some()
    await until(lambda: arrived(server) - came >= ENOUGH, "what it sends comes to the server")
    assert await forwarded(server) == out


async def goes_on_in_vain(server, client: Stubborn, listener: Person, revoke) -> None:
    """The whole of it, once the client is in a room with a listener."""
    first = Tone()
    await client.announce(first)
    await until(lambda: client.said("track_published"), "the server takes the track")
    await client.offer(first)
    track = await until(lambda: next(iter(listener.tracks.values()), None), "the listener has it")
    assert await hears(track)

    await revoke()
    await until(lambda: "track_unpublished" in listener.log, "the others know")
    await nothing_is_forwarded(server, client)

    # It asks for another one, and for the old one to be heard.
    second, published = Tone(), client.said("track_published")
    await client.announce(second)
    refused = (await until(lambda: client.said("request_response"), "a refusal"))[-1]
    assert refused.reason == rtc.RequestResponse.Reason.NOT_ALLOWED
    await client.ask(mute=rtc.MuteTrackRequest(sid=published[0].track.sid, muted=False))
    await until(lambda: len(client.said("request_response")) >= 2, "another refusal")
    # It offers one that nobody has agreed to, and sends that too.
    await client.offer(second)
    await nothing_is_forwarded(server, client)
    assert client.said("track_published") == published
    assert listener.log.count("track_published") == 1 and listener.log.count("track_subscribed") == 1


@pytest.fixture
def server(tmp_path):
    """Its own: packets are counted."""
    instance = start_server(tmp_path)
    yield instance
    assert instance.stop() == 0


async def test_a_grant_that_the_server_api_takes_is_gone(server, room_name):
    service, client, listener = api.LiveKitAPI(server.http, "devkey", "secret"), Stubborn(), Person("bob")
    await listener.connect(server, room_name, True)
    async with aiohttp.ClientSession() as http:
        await client.connect(http, server.ws, server.token("eve", room_name))
        mute = models.ParticipantPermission(can_subscribe=True, can_publish=False, can_publish_data=False)
        request = api.UpdateParticipantRequest(room=room_name, identity="eve", permission=mute)
        await goes_on_in_vain(server, client, listener, lambda: service.room.update_participant(request))
        await client.close()
    await listener.leave()
    await service.aclose()


async def test_whoever_is_muted_in_a_group_is_silent_in_its_meeting(server):
    story = Story(server)
    group = {"kind": "group", "title": "Team", "members": [story.bos_user]}
    conv = story.ana.post("/v1/conversations", group)["id"]
    join, client = f"/v1/rooms/{conv}/join", Stubborn()
    listener = await story.ana.sit(join)
    seat = story.bo.post(join)

    async def mute():
        story.ana.call("PATCH", f"/v1/conversations/{conv}/members/{story.bos_user}", {"muted_until_ms": 2**53})

    async with aiohttp.ClientSession() as http:
        await client.connect(http, seat["url"], seat["token"])
        await goes_on_in_vain(server, client, listener, mute)
        await client.close()
    await listener.leave()
