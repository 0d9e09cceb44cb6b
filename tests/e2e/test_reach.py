"""Networks that let less through than a call would like: TCP only, a relay only. Judged by Chromium's decoded frames."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import gst
import netns
import pytest
from browser import CHROMIUM, all_decode, chromium, join, open_page, sample, until
from conftest import ROOT, start_server

VIDEO = {"width": 320, "height": 180, "fps": 15, "bitrate": 300_000}
# Unpacked by `make e2e`.
COTURN = ROOT / "target/tools/coturn/run/turnserver"
TURN_PORT, TURNS_PORT = 3478, 5349
SECRET = "a-secret-of-both-servers"

pytestmark = pytest.mark.skipif(
    not shutil.which("ip") or not netns.available(), reason="needs the right to make network namespaces and TAP devices"
)


@asynccontextmanager
async def scene(tmp_path, *extra: str, flags: tuple[str, ...] = ()):
    """A server, a free client and a confined one; the caller says what confines. Yields (hosts, server, pages)."""
    people = ("free", "confined")
    with netns.network(*people) as hosts:
        server = start_server(tmp_path, "--node-ip", "10.77.0.1", *extra, home=hosts["server"])
        browsers = [chromium(*flags, executable=hosts[name].wrapper(tmp_path, CHROMIUM)) for name in people]
        try:
            opened = [await browser.__aenter__() for browser in browsers]
            pages = {name: await open_page(browser) for name, browser in zip(people, opened, strict=True)}
            yield hosts, server, pages
        finally:
            for browser in browsers:
                await browser.__aexit__(None, None, None)
            server.process.terminate()
            assert server.process.wait(timeout=15) == 0


async def both_see_each_other(pages, server, room: str, single: bool = True) -> None:
    for name, page in pages.items():
        await join(page, server, name, room, **VIDEO, single=single)
    await until(lambda: all_decode(pages, 1), "both decode each other", 40)


@pytest.mark.parametrize("single", [True, False])
async def test_a_call_without_udp_goes_over_tcp(tmp_path, room_name, single):
    async with scene(tmp_path) as (hosts, server, pages):
        hosts["confined"].impair(loss=1.0, only="udp")
        await both_see_each_other(pages, server, room_name, single)
        # Browsers call the protocol of a TCP pair `tcp`, whoever opened it.
        assert all(path.endswith("/tcp") for path in (await sample(pages["confined"])).paths())
        assert all(path.endswith("/udp") for path in (await sample(pages["free"])).paths()), "UDP where there is UDP"
        await keeps_decoding(pages["confined"], "free")


async def test_udp_that_ends_in_the_middle_of_a_call(tmp_path, room_name):
    async with scene(tmp_path) as (hosts, server, pages):
        await both_see_each_other(pages, server, room_name)
        assert (await sample(pages["confined"])).paths() == {"host/udp"}
        hosts["confined"].impair(loss=1.0, only="udp")
        before = (await sample(pages["confined"])).inbound("video")["free"]["framesDecoded"]

        async def back():
            now = await sample(pages["confined"])
            seen = now.inbound("video").get("free", {}).get("framesDecoded", 0)
            return any(path.endswith("/tcp") for path in now.paths()) and seen not in (0, before)

        await until(back, "the picture is back over TCP", 40)
        await keeps_decoding(pages["confined"], "free")


async def test_a_path_for_small_packets_only(tmp_path, room_name):
    """A VPN on the way: GStreamer's packets of 1,400 bytes are larger than what passes in one piece."""
    async with scene(tmp_path) as (hosts, server, pages):
        hosts["confined"].impair(mtu=1280)
        for name, page in pages.items():
            await join(page, server, name, room_name, publish=False)
        async with gst.running(server, tmp_path, "publish", "camera", room_name):
            await until(lambda: all_decode(pages, 1), "both decode it", 20)
            await keeps_decoding(pages["confined"], "camera")


@pytest.mark.parametrize("packets", [1500, 1280])
async def test_a_call_over_ipv6(tmp_path, room_name, packets):
    """Also where the server has learnt that only the smallest packets pass."""
    async with scene(tmp_path, "--http-bind", "::", "--media-bind", "::", "--node-ip", "fd77::1") as (hosts, server, pages):
        addresses = {name: host.gain_ipv6() for name, host in hosts.items()}
        server.host = f"[{addresses['server']}]"
        hosts["confined"].impair(mtu=packets)
        netns.run(*hosts["server"].prefix, *f"ip -6 route add {addresses['confined']} dev br0 mtu {packets}".split())
        await both_see_each_other(pages, server, room_name)
        async with gst.running(server, tmp_path, "publish", "camera", room_name):
            await until(lambda: all_decode(pages, 2), "both decode GStreamer's large packets", 20)
            await keeps_decoding(pages["confined"], "camera")
        await keeps_decoding(pages["free"], "confined")
        assert (await sample(pages["confined"])).ips() == {addresses["confined"]}


@contextmanager
def coturn(host: netns.Host, folder: Path):
    """Debian's coturn with the configuration that we ship, on the server's host."""
    key, chain = folder / "turn.key", folder / "turn.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=turn", "-keyout", key, "-out", chain],
        check=True, capture_output=True,
    )
    assert COTURN.exists(), "`make e2e` puts coturn there"
    config = (ROOT / "configs/coturn.conf").read_text()
    for placeholder, value in {
        "203.0.113.7": host.address, "turn.example.org": "turn", "change-me": SECRET,
        "/etc/coturn/chain.pem": str(chain), "/etc/coturn/key.pem": str(key),
        # Convene has a private address here, as in the network of an office.
        "# allowed-peer-ip=10.0.0.5": f"allowed-peer-ip={host.address}",
    }.items():
        assert placeholder in config, placeholder
        config = config.replace(placeholder, value)
    file = folder / "coturn.conf"
    file.write_text(f"{config}\npidfile={folder}/turn.pid\nuserdb={folder}/turn.db\n")
    log = (folder / "coturn.log").open("wb")
    process = subprocess.Popen([*host.prefix, str(COTURN), "-c", str(file)], stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 10
        probe = ["sh", "-c", f"ss -lnt | grep -q {host.address}:{TURNS_PORT}"]
        while subprocess.run([*host.prefix, *probe]).returncode != 0:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "coturn.log").read_text()[-2000:]
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_call_through_a_relay(tmp_path, room_name, monkeypatch, transport):
    scheme = "turns" if transport == "tls" else "turn"
    port = TURNS_PORT if transport == "tls" else TURN_PORT
    url = f"{scheme}:10.77.0.1:{port}?transport={'udp' if transport == 'udp' else 'tcp'}"
    monkeypatch.setenv("CONVENE_TURN_URLS", url)
    monkeypatch.setenv("CONVENE_TURN_SECRET", SECRET)
    async with scene(tmp_path, flags=("--ignore-certificate-errors",)) as (hosts, server, pages):
        with coturn(hosts["server"], tmp_path):
            media = [f"udp/{server.base + 10 + worker}" for worker in range(8)]
            hosts["confined"].impair(deny=[*media, f"tcp/{server.base + 1}"])
            if transport != "udp":
                hosts["confined"].impair(loss=1.0, only="udp")
            await both_see_each_other(pages, server, room_name)
            assert (await sample(pages["confined"])).paths() == {f"relay/{transport}"}
            await keeps_decoding(pages["confined"], "free")


async def keeps_decoding(page, of: str) -> None:
    """More than a picture that once came."""
    before = (await sample(page)).inbound("video")[of]["framesDecoded"]

    async def more():
        return (await sample(page)).inbound("video")[of]["framesDecoded"] > before + 45

    await until(more, f"frames of {of} go on", 30)
