"""LiveKit's server API library against our Twirp RoomService: 11 methods and their effect in a live room."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from livekit import api
from sdk import Person, hears, loudness_within, people, until


@pytest.fixture
async def service(server):
    client = api.LiveKitAPI(server.http, "devkey", "secret")
    yield client.room
    await client.aclose()


async def test_rooms_are_created_listed_and_deleted(server, service, room_name):
    created = await service.create_room(api.CreateRoomRequest(name=room_name, metadata="m", max_participants=2, empty_timeout=60))
    assert (created.name, created.metadata, created.max_participants) == (room_name, "m", 2)
    assert created.sid.startswith("RM_")
    listed = await service.list_rooms(api.ListRoomsRequest(names=[room_name]))
    assert [room.sid for room in listed.rooms] == [created.sid]
    alice = await Person("alice").connect(server, room_name, True)
    await service.delete_room(api.DeleteRoomRequest(room=room_name))
    await until(lambda: "disconnected" in alice.log, "alice is sent away when the room is deleted")
    assert not (await service.list_rooms(api.ListRoomsRequest(names=[room_name]))).rooms
    await alice.leave()


async def test_room_limit_holds(server, service, room_name):
    await service.create_room(api.CreateRoomRequest(name=room_name, max_participants=1))
    async with people(server, room_name, True, "alice"):
        with pytest.raises(Exception):
            await Person("bob").connect(server, room_name, True)


async def test_participants_are_seen_changed_and_removed(server, service, room_name):
    async with people(server, room_name, True, "alice", "bob") as (alice, bob):
        listed = await service.list_participants(api.ListParticipantsRequest(room=room_name))
        assert sorted(p.identity for p in listed.participants) == ["alice", "bob"]
        one = await service.get_participant(api.RoomParticipantIdentity(room=room_name, identity="alice"))
        assert one.sid == alice.room.local_participant.sid
        await service.update_participant(api.UpdateParticipantRequest(
            room=room_name, identity="alice", metadata="chair", name="Alice the Chair"))
        await until(lambda: "participant_metadata_changed" in bob.log, "bob sees the metadata")
        await until(lambda: "participant_name_changed" in bob.log, "bob sees the name")
        await service.update_room_metadata(api.UpdateRoomMetadataRequest(room=room_name, metadata="agenda"))
        await until(lambda: bob.room.metadata == "agenda", "bob sees the room's metadata")
        await service.remove_participant(api.RoomParticipantIdentity(room=room_name, identity="alice"))
        await until(lambda: "disconnected" in alice.log, "alice is removed")
        await until(lambda: "participant_disconnected" in bob.log, "bob sees her go")


async def test_tracks_are_muted_and_subscriptions_changed(server, service, room_name):
    async with people(server, room_name, True, "alice", "bob") as (alice, bob):
        publication = await alice.publish_microphone()
        track = await until(lambda: bob.tracks.get("alice:audio"), "bob is subscribed")
        assert await hears(track)

        async def subscribe(wanted: bool):
            await service.update_subscriptions(api.UpdateSubscriptionsRequest(
                room=room_name, identity="bob", track_sids=[publication.sid], subscribe=wanted))
            await asyncio.sleep(1)

        # This SDK has no event for a subscription that the server ends, so the sound is judged.
        await subscribe(False)
        # What its jitter buffer had is played first.
        for _ in range(10):
            if await loudness_within(track, 1) < 100:
                break
        assert await loudness_within(track, 2) < 100
        await subscribe(True)
        assert await hears(bob.tracks["alice:audio"])
        muted = await service.mute_published_track(api.MuteRoomTrackRequest(
            room=room_name, identity="alice", track_sid=publication.sid, muted=True))
        assert muted.track.muted
        await until(lambda: "track_muted" in bob.log, "bob sees the mute")


async def test_data_is_sent_by_the_server(server, service, room_name):
    async with people(server, room_name, True, "alice", "bob") as (alice, bob):
        await asyncio.sleep(0.5)
        await service.send_data(api.SendDataRequest(
            room=room_name, data=b"hello", kind=api.DataPacket.Kind.RELIABLE, topic="t", destination_identities=["bob"]))
        packet = (await until(lambda: bob.data, "bob gets the data"))[0]
        assert (packet.data, packet.topic, packet.participant) == (b"hello", "t", None)
        await asyncio.sleep(0.3)
        assert not alice.data


async def test_what_is_not_there_is_said_cleanly(server):
    client = api.LiveKitAPI(server.http, "devkey", "secret")
    for call in (
        client.egress.list_egress(api.ListEgressRequest()),
        client.ingress.list_ingress(api.ListIngressRequest()),
        client.sip.list_sip_dispatch_rule(api.ListSIPDispatchRuleRequest()),
        client.agent_dispatch.list_dispatch(room_name="r"),
    ):
        with pytest.raises(api.TwirpError) as refused:
            await call
        assert refused.value.code == "unimplemented"
    await client.aclose()


async def test_grants_are_needed(server, room_name):
    stranger = server.token("stranger", room_name)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {stranger}"}) as http:
        for method in ("CreateRoom", "ListRooms", "DeleteRoom", "ListParticipants", "GetParticipant", "RemoveParticipant",
                       "MutePublishedTrack", "UpdateParticipant", "UpdateSubscriptions", "SendData", "UpdateRoomMetadata"):
            async with http.post(f"{server.http}/twirp/livekit.RoomService/{method}", json={"room": room_name}) as reply:
                body = await reply.json()
                assert reply.status in (401, 403), (method, reply.status)
                assert body["code"] in ("unauthenticated", "permission_denied"), method


async def test_what_went_over_each_track_is_told_during_the_call_and_after_it(server, room_name):
    token = api.AccessToken("devkey", "secret").with_grants(api.VideoGrants(room_admin=True, room=room_name)).to_jwt()

    async def history(**asked) -> list[dict]:
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"{server.http}/history/rooms/{room_name}", params=asked) as reply:
                assert reply.status == 200, await reply.text()
                return (await reply.json())["stays"]

    async def tracks_of(identity: str) -> list[dict]:
        return [track for stay in await history() if stay["identity"] == identity for track in stay["tracks"]]

    async with people(server, room_name, True, "alice", "bob") as (alice, bob):
        await alice.publish_microphone()
        await until(lambda: bob.tracks.get("alice:audio"), "bob is subscribed")
        deadline = asyncio.get_running_loop().time() + 40
        while not (await tracks_of("alice") and await tracks_of("bob")):
            assert asyncio.get_running_loop().time() < deadline, await history()
            await asyncio.sleep(0.5)
    stays = {stay["identity"]: stay for stay in await history()}
    # Leaving, the SDK closes its transport as well, and either may be heard of first.
    assert {stays["alice"]["reason"], stays["bob"]["reason"]} <= {"client_initiated", "media_failure"}
    [sent], [received] = stays["alice"]["tracks"], stays["bob"]["tracks"]
    assert (sent["published"], sent["kind"], sent["mime_type"]) == (True, "audio", "audio/opus")
    assert (received["published"], received["publisher"], received["sid"]) == (False, "alice", sent["sid"])
    assert sent["packets"] > 100 and received["packets"] > 100 and received["loss"] < 0.05
    [stay] = await history(identity="bob")
    assert any(sample["down_kbps"] > 5 for sample in stay["samples"]), stay
