"""What a client hears when it may not join."""

from __future__ import annotations

import aiohttp
import pytest


@pytest.mark.parametrize("path", ["/rtc/validate", "/rtc/v1/validate"])
async def test_validate(server, room_name, path):
    rows = [
        (server.token("a", room_name), 200, None),
        (server.token("a", room_name, ttl_s=-60), 401, "token_expired"),
        ("garbage", 401, None),
        ("", 401, None),
        (server.token("a", room_name, room_join=False), None, "roomJoin"),
    ]
    async with aiohttp.ClientSession() as http:
        for token, status, word in rows:
            async with http.get(f"{server.http}{path}", params={"access_token": token}) as reply:
                text = await reply.text()
                assert reply.headers["Access-Control-Allow-Origin"] == "*"
                assert reply.status == status if status else reply.status in (401, 403), (token, reply.status, text)
                if word:
                    assert word in text, text


async def test_a_bad_token_never_upgrades(server, room_name):
    async with aiohttp.ClientSession() as http:
        for path in ("/rtc", "/rtc/v1"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"{server.ws}{path}?access_token=bad")
            assert refused.value.status == 401


async def test_ops_port(server):
    metrics = server.metrics()
    for family in ("convene_rooms", "convene_participants"):
        assert any(name.startswith(family) for name in metrics), sorted(metrics)[:40]
