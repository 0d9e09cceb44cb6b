"""Schemathesis, a tool of strangers, reads the document of the running server and tries what it allows and what it forbids:
no answer may be a fault of the server, and each has to be one that the document describes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
import uuid

import pytest
from accounts import next_code

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Of each route and phase. What this finds at all it finds among the first; more is for an afternoon.
EXAMPLES = 5
DEADLINE_S = 180


def post(server, path: str, body: dict, token: str = "") -> dict:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(server.http + path, json.dumps(body).encode(), headers, method="POST")
    return json.load(server.open(request))


def register(server, phone: str) -> dict:
    device, before = uuid.uuid4().hex, server.log.stat().st_size
    post(server, "/v1/auth/codes", {"phone": phone, "purpose": "register", "device_id": device})
    fields = {"phone": phone, "code": next_code(server.log, before), "display_name": "Ana", "consent": "1", "device": {"id": device}}
    return post(server, "/v1/auth/register", fields)


def run(server, folder, *extra: str, config: str = "") -> None:
    (folder / "schemathesis.toml").write_text(config)
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{server.http}/v1/openapi.json",
        "--checks", CHECKS, "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing",
        "--seed", "1", "--no-color", "--request-timeout", "10", *extra,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert re.search(r"Operations:.*\d+ selected|Test cases:", done.stdout), done.stdout[-2000:]


@pytest.mark.timeout(DEADLINE_S + 30)
def test_anybody_gets_answers_as_described(server, tmp_path):
    run(server, tmp_path)


@pytest.mark.timeout(DEADLINE_S + 30)
def test_somebody_signed_in_gets_answers_as_described(server, tmp_path):
    token = register(server, "+8613812340001")["access_token"]
    org = post(server, "/v1/organisations", {"title": "Acme"}, token)["id"]
    # An organisation that is there, so that what stands behind it in a path is reached.
    config = f'[parameters]\n"path.org" = {org}\n'
    # What would end the session or the organisation that all else needs.
    kept = r"^/v1/(auth/sign-out|organisations/\{org\}/(leave|dissolve))$"
    run(server, tmp_path, "--header", f"Authorization: Bearer {token}", "--exclude-path-regex", kept, config=config)
