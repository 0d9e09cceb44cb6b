"""Codes go out through the providers of text messages: signed, in the configured order, and by the next one when one fails."""

from __future__ import annotations

import secrets
import subprocess

import aiohttp
import pytest
from conftest import BINARY, start_server
from sms_providers import Providers


@pytest.fixture
async def providers():
    made = await Providers().start()
    yield made
    await made.stop()


@pytest.fixture
def serve(tmp_path, monkeypatch):
    made = []

    def start(environment: dict[str, str]):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        made.append(start_server(tmp_path, "--log", "trace"))
        return made[-1]

    yield start
    for server in made:
        assert server.stop() == 0


def data_dir(server) -> str:
    return server.command[server.command.index("--data-dir") + 1]


async def ask(server, phone: str, purpose: str = "register") -> tuple[int, dict]:
    body = {"phone": phone, "purpose": purpose, "device_id": secrets.token_hex(16)}
    async with aiohttp.ClientSession() as http, http.post(f"{server.http}/v1/auth/codes", json=body) as answer:
        return answer.status, await answer.json()


async def register(server, phone: str, code: str, name: str) -> tuple[int, dict]:
    body = {"phone": phone, "code": code, "display_name": name, "consent": "1", "device": {"id": secrets.token_hex(16)}}
    async with aiohttp.ClientSession() as http, http.post(f"{server.http}/v1/auth/register", json=body) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("provider", ["aliyun", "tencent", "webhook"])
async def test_what_a_provider_verifies_lets_somebody_register(providers, serve, provider):
    server = serve(providers.environment(provider))
    phone = "+8613800138000"
    assert (await ask(server, phone))[0] == 202
    assert not providers.forged
    [(by, number, code)] = providers.taken
    assert (by, number) == (provider, phone)
    status, answer = await register(server, phone, code, "Ana")
    assert status == 201, answer
    # At TRACE, with everything that libraries say: neither the number, nor the code, nor a secret or token.
    log = server.log.read_text(errors="replace")
    hidden = [phone, phone.removeprefix("+"), phone.removeprefix("+86"), answer["access_token"], answer["refresh_token"], "aliyun-secret", "tencent-secret"]
    assert not [text for text in hidden if text in log]
    # Six digits also turn up in times and ports: only where they stand alone are they the code.
    assert not [line for line in log.splitlines() if f'"{code}"' in line or f"code={code}" in line]


async def test_the_next_provider_is_asked_when_one_is_down(providers, serve):
    server = serve(providers.environment("aliyun,tencent,webhook"))
    providers.down = {"aliyun", "tencent"}
    assert (await ask(server, "+8613800138001"))[0] == 202
    assert providers.asked == ["aliyun", "tencent", "webhook"]
    assert [taken[:2] for taken in providers.taken] == [("webhook", "+8613800138001")]
    # Those that failed rest: the one that works is asked first.
    assert (await ask(server, "+8613800138002"))[0] == 202
    assert providers.asked[3:] == ["webhook"]
    metrics = server.metrics()
    assert metrics['convene_sms_total{outcome="sent",provider="webhook"}'] == 2
    assert metrics['convene_sms_total{outcome="failed",provider="aliyun"}'] == 1


async def test_all_down_is_said_and_nobody_is_half_registered(providers, serve):
    server = serve(providers.environment("aliyun,webhook"))
    providers.down = {"aliyun", "webhook"}
    phone = "+8613800138003"
    status, problem = await ask(server, phone)
    assert (status, problem["code"]) == (503, "sms_unavailable")
    # Nobody has the code, so nobody can use it; and no account was made on the way.
    status, problem = await register(server, phone, "000000", "Bo")
    assert (status, problem["code"]) == (422, "bad_code")
    listed = subprocess.run([BINARY, "admin", "--data-dir", data_dir(server), "list", "users"], capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == "nobody has an account"
    # They come back: others register, and this number once its gap is over.
    providers.down = set()
    status, problem = await ask(server, phone)
    assert (status, problem["code"]) == (429, "too_many_requests")
    assert (await ask(server, "+8613800138004"))[0] == 202
