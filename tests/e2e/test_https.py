"""The HTTP port with a certificate of its own: what browsers, programs and strangers find there."""

from __future__ import annotations

import asyncio
import datetime
import ssl

import aiohttp
import pytest
from browser import chromium
from conftest import start_server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from test_web_client import DESKTOP, enter, sees

# A name, because browsers trust every address of the loopback, with TLS or without.
NAME = "convene.test"
SILENT = 40


def certificate(folder) -> dict[str, str]:
    """Vouches for itself; where it is."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths = {"certificate": folder / "chain.pem", "certificate_key": folder / "key.pem"}
    paths["certificate"].write_bytes(made.public_bytes(pem))
    paths["certificate_key"].write_bytes(key.private_bytes(pem, *plain))
    return {setting: str(path) for setting, path in paths.items()}


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A server with TLS, and whom to trust to reach it."""
    folder = tmp_path_factory.mktemp("https")
    files = certificate(folder)
    config = folder / "convene.toml"
    config.write_text("[http]\n" + "".join(f'{setting} = "{path}"\n' for setting, path in files.items()))
    server = start_server(folder, "--config", str(config))
    yield server, ssl.create_default_context(cafile=files["certificate"])
    assert server.stop() == 0


async def test_a_call_of_two_browsers(secure, room_name):
    server, _ = secure
    flags = ["--ignore-certificate-errors", f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    async with chromium(*flags) as browser:
        pages = []
        for _ in range(2):
            context = await browser.new_context(viewport=DESKTOP, permissions=["camera", "microphone"])
            pages.append(await context.new_page())
        ana, ben = pages
        sockets = []
        ana.on("websocket", lambda socket: sockets.append(socket.url))
        for page, name in (ana, "Ana"), (ben, "Ben"):
            await page.goto(f"https://{NAME}:{server.base}/#room={room_name}")
            assert await page.evaluate("isSecureContext")
            await enter(page, name)
        await sees(ana, 2)
        await sees(ben, 2)
        assert any(url.startswith(f"wss://{NAME}:{server.base}/rtc") for url in sockets), sockets


async def test_programs_find_everything_under_https(secure, room_name):
    server, trusted = secure
    site = f"https://localhost:{server.base}"
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{site}/", ssl=trusted) as page:
            assert page.status == 200 and "<title>" in await page.text()
        seat = {"room": room_name, "name": "ana"}
        async with http.post(f"{site}/dev/token", json=seat, ssl=trusted, headers={"x-forwarded-proto": "http"}) as answer:
            assert (await answer.json())["url"] == f"wss://localhost:{server.base}"
        token = server.token("ana", room_name)
        async with http.ws_connect(f"{site}/rtc?access_token={token}&protocol=15", ssl=trusted) as socket:
            joined = await socket.receive(timeout=10)
            assert joined.type is aiohttp.WSMsgType.BINARY
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(f"{site}/")  # nobody vouches for it but itself


async def raw(server, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.base)
    writer.write(said)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_strangers_are_told_and_keep_nobody_waiting(secure):
    server, trusted = secure
    assert b"400 Bad Request" in (told := await raw(server, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")) and b"https" in told
    # A record that says handshake and is none: the end, with or without an alert (RFC 8446 §6).
    assert (await raw(server, b"\x16\x03\x01\x00\x05hello"))[:1] in (b"", b"\x15")
    silent = [await asyncio.open_connection("127.0.0.1", server.base) for _ in range(SILENT)]
    async with aiohttp.ClientSession() as http:
        async with http.get(f"https://localhost:{server.base}/", ssl=trusted) as page:
            assert page.status == 200
    for _, writer in silent:
        writer.close()
    counted = server.metrics()
    for outcome in "done", "plain", "failed":
        assert counted[f'convene_http_tls_handshakes_total{{outcome="{outcome}"}}'] >= 1, outcome
