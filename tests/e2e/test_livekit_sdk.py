"""The Python `livekit` client in both signaling modes."""

from __future__ import annotations

import asyncio

import pytest
from livekit import rtc
from livekit.rtc._proto.room_pb2 import SimulateScenarioKind
from sdk import FPS, Person, frames_within, hears, loudness_within, people, until

pytestmark = pytest.mark.parametrize("single", [True, False], ids=["one-connection", "two-connections"])


async def test_publish_and_subscribe(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        await alice.publish_camera()
        await alice.publish_microphone()
        video = await until(lambda: bob.tracks.get("alice:video"), "bob is subscribed to alice's camera")
        audio = await until(lambda: bob.tracks.get("alice:audio"), "bob is subscribed to alice's microphone")
        await frames_within(video, 2)  # the first keyframe
        before = alice.filmed
        frames, loudness = await asyncio.gather(frames_within(video, 4), loudness_within(audio, 4))
        filmed = alice.filmed - before
        assert frames >= 0.8 * filmed > FPS, f"{frames} frames of {filmed} in 4 s"
        assert loudness > 1_000, f"the tone arrives with {loudness:.0f} of 11,300"
        await until(lambda: "local_track_subscribed" in alice.log, "alice hears that she is watched")
        await until(lambda: "active_speakers_changed" in bob.log, "bob sees alice speak")


async def test_late_joiner_gets_what_is_there(server, room_name, single):
    async with people(server, room_name, single, "alice") as (alice,):
        await alice.publish_camera()
        await alice.publish_microphone()
        await asyncio.sleep(1)
        bob = await Person("bob").connect(server, room_name, single)
        video = await until(lambda: bob.tracks.get("alice:video"), "the late joiner is subscribed")
        assert await frames_within(video, 4) > FPS
        await bob.leave()
        await until(lambda: "participant_disconnected" in alice.log, "alice sees bob leave")


@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "lossy"])
async def test_data(server, room_name, single, reliable):
    async with people(server, room_name, single, "alice", "bob", "carol") as (alice, bob, carol):
        await asyncio.sleep(0.5)
        await alice.room.local_participant.publish_data(b"to all", reliable=reliable, topic="t")
        for person in (bob, carol):
            packet = (await until(lambda p=person: p.data, f"{person.identity} gets the data"))[0]
            assert (packet.data, packet.topic, packet.participant.identity) == (b"to all", "t", "alice")
        await alice.room.local_participant.publish_data(
            b"to bob", reliable=reliable, destination_identities=["bob"])
        await until(lambda: len(bob.data) == 2, "bob gets the targeted data")
        await asyncio.sleep(0.5)
        assert [p.data for p in carol.data] == [b"to all"], "targeted data reached a stranger"
        assert not alice.data, "the sender got its own data back"


async def test_reliable_data_keeps_order(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        await asyncio.sleep(0.5)
        sent = [f"{n}".encode() * 50 for n in range(200)]
        for payload in sent:
            await alice.room.local_participant.publish_data(payload, reliable=True)
        await until(lambda: len(bob.data) == len(sent), "all messages arrive")
        assert [p.data for p in bob.data] == sent


async def test_text_stream(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        received = asyncio.get_running_loop().create_future()

        def handler(reader, identity):
            async def read():
                received.set_result((identity, await reader.read_all()))

            bob.tasks.append(asyncio.create_task(read()))

        bob.room.register_text_stream_handler("chat", handler)
        await asyncio.sleep(0.5)
        text = "grüße " * 10_000  # several chunks
        await alice.room.local_participant.send_text(text, topic="chat")
        assert await asyncio.wait_for(received, 15) == ("alice", text)


async def test_byte_stream(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        received = asyncio.get_running_loop().create_future()

        def handler(reader, identity):
            async def read():
                received.set_result((identity, b"".join([chunk async for chunk in reader])))

            bob.tasks.append(asyncio.create_task(read()))

        bob.room.register_byte_stream_handler("files", handler)
        await asyncio.sleep(0.5)
        payload = bytes(range(256)) * 400
        writer = await alice.room.local_participant.stream_bytes("picture.bin", topic="files", total_size=len(payload))
        await writer.write(payload)
        await writer.aclose()
        assert await asyncio.wait_for(received, 15) == ("alice", payload)


async def test_rpc(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        @bob.room.local_participant.register_rpc_method("greet")
        async def greet(call: rtc.RpcInvocationData) -> str:
            return f"hello {call.caller_identity}: {call.payload}"

        await asyncio.sleep(0.5)
        answer = await alice.room.local_participant.perform_rpc(
            destination_identity="bob", method="greet", payload="ping", response_timeout=10)
        assert answer == "hello alice: ping"


async def test_mute_and_unmute(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        publication = await alice.publish_microphone()
        await until(lambda: bob.tracks.get("alice:audio"), "bob is subscribed")
        publication.track.mute()
        await until(lambda: "track_muted" in bob.log, "bob sees the mute")
        publication.track.unmute()
        await until(lambda: "track_unmuted" in bob.log, "bob sees the unmute")
        assert await hears(bob.tracks["alice:audio"])


async def test_unpublish(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        publication = await alice.publish_camera()
        await until(lambda: bob.tracks.get("alice:video"), "bob is subscribed")
        await alice.room.local_participant.unpublish_track(publication.sid)
        await until(lambda: "track_unpublished" in bob.log, "bob sees the track go")
        bob.tracks.clear()
        await alice.publish_camera()
        video = await until(lambda: bob.tracks.get("alice:video"), "bob is subscribed to the second camera")
        assert await frames_within(video, 4) > FPS


async def test_metadata(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        await asyncio.sleep(0.3)
        # The SDK says nothing of the refusal, so what the others see is judged.
        await alice.room.local_participant.set_metadata("not allowed by the token")
        await asyncio.sleep(0.5)
        assert "participant_metadata_changed" not in bob.log
        assert bob.room.remote_participants["alice"].metadata == ""
        carol = await Person("carol").connect(server, room_name, single, can_update_own_metadata=True)
        await carol.room.local_participant.set_metadata("raised hand")
        await until(lambda: "participant_metadata_changed" in bob.log, "bob sees the metadata")
        assert bob.room.remote_participants["carol"].metadata == "raised hand"
        await carol.leave()


async def test_same_identity_takes_over(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        second = await Person("alice").connect(server, room_name, single)
        await until(lambda: "disconnected" in alice.log, "the first alice is sent away")
        assert [p.identity for p in bob.room.remote_participants.values()] == ["alice"]
        await second.leave()


async def test_full_reconnect(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        await alice.publish_camera()
        await until(lambda: bob.tracks.get("alice:video"), "bob is subscribed")
        bob.tracks.clear()
        await alice.room.simulate_scenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
        await until(lambda: "reconnected" in alice.log, "alice is back", 20)
        video = await until(lambda: bob.tracks.get("alice:video"), "her camera is back at bob's", 20)
        assert await frames_within(video, 5) > FPS


async def test_resume_after_the_websocket_is_cut(server, room_name, single):
    async with people(server, room_name, single, "alice", "bob") as (alice, bob):
        await alice.publish_camera()
        video = await until(lambda: bob.tracks.get("alice:video"), "bob is subscribed")
        await frames_within(video, 2)
        before, counting = alice.filmed, asyncio.create_task(frames_within(video, 6))
        await alice.room.simulate_scenario(SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT)
        await until(lambda: "reconnected" in alice.log, "alice resumed", 20)
        frames, filmed = await counting, alice.filmed - before
        assert frames >= 0.8 * filmed > FPS, f"media paused during the resume: {frames} frames of {filmed}"
        assert "participant_disconnected" not in bob.log, "bob saw alice leave: that was no resume"
        assert "track_unsubscribed" not in bob.log
        await alice.publish_microphone()  # signaling works after the resume
        await until(lambda: bob.tracks.get("alice:audio"), "a track published after the resume arrives")
