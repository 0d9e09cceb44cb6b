"""`convene admin`, by running the real binary: beside a server and without one. API keys that it makes, used by LiveKit's
server SDK."""

from __future__ import annotations

import json
import os
import secrets
import stat
import subprocess
from pathlib import Path

import aiohttp
import pytest
from conftest import BINARY, start_server
from livekit import api

PHONE = "+8613800138000"


def admin(data: Path, *words: str, stdin: str = "", fails: bool = False):
    done = subprocess.run([BINARY, "admin", "--json", "--data-dir", data, *words], input=stdin, capture_output=True, text=True, timeout=30)
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else json.loads(done.stdout)


async def sign_in(server, password: str, phone: str = PHONE):
    body = {"phone": phone, "password": password, "device": {"id": secrets.token_hex(16)}}
    async with aiohttp.ClientSession() as http, http.post(f"{server.http}/v1/auth/sign-in", json=body) as answer:
        return answer.status, await answer.json()


async def me(server, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as http, http.get(f"{server.http}/v1/me", headers=headers) as answer:
        return answer.status


async def test_the_first_minute_of_a_deployment_and_the_last_of_an_account(tmp_path):
    data = tmp_path / "data"
    # No server yet.
    assert admin(data, "create-user", PHONE, "Ana", "--password-stdin", stdin="correct horse battery\n") == {"answer": "user", "id": 1}
    admin(data, "create-organisation", "acme", "Acme Ltd.", "--owner", PHONE)
    admin(data, "create-user", "+8613800138001", "Bo")
    server = start_server(tmp_path)
    try:
        # The same commands, asked of the server that runs.
        assert stat.S_IMODE(os.stat(data / "admin.sock").st_mode) == 0o600
        assert "account_exists" in admin(data, "create-user", PHONE, "Eve", fails=True)
        status, answer = await sign_in(server, "correct horse battery")
        assert status == 200, answer
        assert answer["account"]["consent_needed"]
        token = answer["access_token"]
        assert await me(server, token) == 200
        made = admin(data, "reset-password", PHONE)
        assert made["sessions"] == 1
        assert await me(server, token) == 401
        assert (await sign_in(server, "correct horse battery"))[0] == 401
        status, answer = await sign_in(server, made["password"])
        assert status == 200
        token = answer["access_token"]
        admin(data, "disable", "1")
        assert await me(server, token) == 401
        assert (await sign_in(server, made["password"]))[1]["code"] == "account_disabled"
        admin(data, "enable", "1")
        assert (await sign_in(server, made["password"]))[0] == 200
        assert "last_owner" in admin(data, "erase", "1", "--yes", fails=True)
        receipt = admin(data, "erase", "+8613800138001", "--yes")["receipt"]
        assert admin(data, "check-receipt", receipt)["account"] == 2
        assert "bad_value" in admin(data, "check-receipt", receipt.replace("a2.", "a1."), fails=True)
        assert "not_found" in admin(data, "erase", "2", "--yes", fails=True)
        users = admin(data, "list", "users")["users"]
        assert [(user["state"], user["name"]) for user in users] == [("active", "Ana"), ("erased", "")]
        assert PHONE not in json.dumps(users)
    finally:
        assert server.stop() == 0
    # And without it again.
    assert admin(data, "list", "organisations")["organisations"][0]["members"] == 1
    log = server.log.read_text(errors="replace")
    assert not [text for text in (PHONE[1:], made["password"], "correct horse", token) if text in log]


async def test_a_key_of_an_organisation_opens_its_rooms_only_and_ends_at_once(tmp_path):
    data = tmp_path / "data"
    server = start_server(tmp_path)
    try:
        admin(data, "create-user", PHONE, "Ana")
        for name in ("acme", "other"):
            admin(data, "create-organisation", name, name.title(), "--owner", PHONE)
        key = admin(data, "create-key", "acme", "backend", "--scope", "rooms")
        prefix = key["room_prefix"]
        foreign = admin(data, "create-key", "other", "backend", "--scope", "rooms")
        client = api.LiveKitAPI(server.http, key["id"], key["secret"])
        others = api.LiveKitAPI(server.http, foreign["id"], foreign["secret"])
        operator = api.LiveKitAPI(server.http, "devkey", "secret")
        try:
            room = await client.room.create_room(api.CreateRoomRequest(name=f"{prefix}standup"))
            assert room.name == f"{prefix}standup"
            await operator.room.create_room(api.CreateRoomRequest(name="anybody"))
            assert [found.name for found in (await client.room.list_rooms(api.ListRoomsRequest())).rooms] == [f"{prefix}standup"]
            # The other organisation neither sees it nor may touch it, by any method that names a room.
            assert not (await others.room.list_rooms(api.ListRoomsRequest())).rooms
            named = f"{prefix}standup"
            for attempt in (
                others.room.create_room(api.CreateRoomRequest(name=named)),
                others.room.delete_room(api.DeleteRoomRequest(room=named)),
                others.room.list_participants(api.ListParticipantsRequest(room=named)),
                others.room.remove_participant(api.RoomParticipantIdentity(room=named, identity="x")),
                others.room.update_room_metadata(api.UpdateRoomMetadataRequest(room=named, metadata="x")),
                client.room.delete_room(api.DeleteRoomRequest(room="anybody")),
            ):
                with pytest.raises(api.TwirpError) as refused:
                    await attempt
                assert refused.value.code in ("permission_denied", "unauthenticated"), refused.value
            # A token for a seat: good in its own rooms.
            for name, want in ((named, 200), ("anybody", 403)):
                token = (
                    api.AccessToken(key["id"], key["secret"])
                    .with_identity("bot")
                    .with_grants(api.VideoGrants(room_join=True, room=name))
                    .to_jwt()
                )
                async with aiohttp.ClientSession() as http, http.get(f"{server.http}/rtc/validate", params={"access_token": token}) as answer:
                    assert answer.status == want, await answer.text()
            forged = api.LiveKitAPI(server.http, key["id"], foreign["secret"])
            with pytest.raises(api.TwirpError):
                await forged.room.list_rooms(api.ListRoomsRequest())
            await forged.aclose()
            admin(data, "revoke-key", "acme", key["id"])
            with pytest.raises(api.TwirpError) as refused:
                await client.room.list_rooms(api.ListRoomsRequest())
            assert refused.value.code == "unauthenticated"
            # Revoked after a restart as well; the other one is not.
            server.stop()
            server.launch()
            # Their connections ended with the process.
            await client.aclose()
            await others.aclose()
            client = api.LiveKitAPI(server.http, key["id"], key["secret"])
            others = api.LiveKitAPI(server.http, foreign["id"], foreign["secret"])
            with pytest.raises(api.TwirpError):
                await client.room.list_rooms(api.ListRoomsRequest())
            await others.room.create_room(api.CreateRoomRequest(name=f"{foreign['room_prefix']}again"))
        finally:
            for one in (client, others, operator):
                await one.aclose()
    finally:
        assert server.stop() == 0
