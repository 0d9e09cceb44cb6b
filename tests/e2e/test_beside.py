"""What somebody sends and downloads in chat does not disturb the call that they are in: over a slow path with a long queue both
share the queue. Sent and downloaded by our web client, and by others in the browser's own network namespace. What somebody else
downloads there, who gives way to nobody, leaves the call a picture; and two who are in it behind the same path do so to each other."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import netns
from browser import all_decode, join, open_page, sample, until
from conftest import BINARY
from im_blobs import download, file, upload
from im_client import Device, make_group
from playwright.async_api import expect
from test_network import LAYERED, VIDEO, pytestmark, scene  # noqa: F401: it skips this file, too
from test_web_chat import names, row, sign_in, start_with

SIZE = 4_000_000
SLOW = {"delay_ms": 40, "queue_ms": 1_000}


@asynccontextmanager
async def call(tmp_path, room: str, filmed: bool = False):
    """One who speaks and one who listens; `filmed`: a picture in two sizes. Yields (hosts, server, pages)."""
    async with scene(tmp_path, "speaker", "listener", filmed=filmed) as (hosts, server, pages):
        await join(pages["speaker"], server, "speaker", room, **(LAYERED if filmed else VIDEO))
        await join(pages["listener"], server, "listener", room, publish=False)

        async def shown() -> bool:
            return (await sample(pages["listener"])).inbound("video").get("speaker", {}).get("framesDecoded", 0) > 30

        await until(shown, "a picture", 30)
        yield hosts, server, pages


def concealed(sound: dict) -> float:
    """Seconds of it that were made up, silence left out."""
    return (sound["concealedSamples"] - sound.get("silentConcealedSamples", 0)) / 48_000


async def seen(page) -> dict[str, float]:
    """What the page has shown and played of the speaker."""
    stats = await sample(page)
    sound = stats.inbound("audio")["speaker"]
    return {
        "at": time.monotonic(),
        "frames": stats.inbound("video")["speaker"]["framesDecoded"],
        "concealed": concealed(sound),
    }


async def while_it(moves, page) -> tuple[float, float]:
    """Frames a second, and the part of the sound that was made up, until it is done."""
    before = await seen(page)
    await moves
    after = await seen(page)
    change = {name: after[name] - before[name] for name in before}
    return change["frames"] / change["at"], change["concealed"] / change["at"]


async def judge(page, what: str, moves) -> None:
    """The call goes on as it did before."""
    await asyncio.sleep(5)
    alone, made_up_alone = await while_it(asyncio.sleep(5), page)
    begun = time.monotonic()
    beside, made_up = await while_it(moves, page)
    took = time.monotonic() - begun
    print(f"{alone:.1f} frames a second and {made_up_alone:.1%} of the sound made up, {beside:.1f} and {made_up:.1%} beside {what} of {took:.1f} s")
    assert beside > 0.7 * alone, f"the picture gives way to {what}"
    assert made_up < made_up_alone + 0.05, f"the sound gives way to {what}"


async def test_a_call_beside_a_download(tmp_path, room_name):
    async with call(tmp_path, room_name) as (hosts, server, pages):
        alice = Device(server, "alice", home=hosts["speaker"])
        bob = Device(server, "bob", home=hosts["listener"])
        async with AsyncExitStack() as ends:
            for device in (alice, bob):
                ends.push_async_callback(device.close)
            await alice.stay_connected()
            await bob.stay_connected()
            conv = await make_group(alice, bob)
            blob = (await upload(alice, os.urandom(SIZE))).blob
            await bob.has(conv, (await alice.deliver(conv, file(blob))).seq)
            hosts["listener"].impair(**SLOW, rate_kbit=4_000)
            await judge(pages["listener"], "a download", download(bob, conv, blob))
    alice.check()
    bob.check()


async def test_a_call_beside_what_the_web_client_sends_and_downloads(tmp_path, room_name):
    report = tmp_path / "report.bin"
    report.write_bytes(os.urandom(SIZE))
    async with call(tmp_path, room_name) as (hosts, server, pages):
        ana_name, bo_name = names("ana", "bo")
        ana, bo = [
            await sign_in(await pages[person].context.browser.new_context(), server, name)
            for person, name in (("speaker", ana_name), ("listener", bo_name))
        ]
        await start_with(ana, bo_name)
        await row(bo, ana_name).click()

        async def send() -> None:
            await ana.locator('input[type="file"]').set_input_files([report])
            await expect(bo.locator("a[download]")).to_be_visible(timeout=90_000)

        hosts["speaker"].impair(**SLOW, rate_kbit=2_000, narrow="up")
        await judge(pages["listener"], "an upload", send())
        hosts["speaker"].impair(delay_ms=0, rate_kbit=0)
        hosts["listener"].impair(**SLOW, rate_kbit=4_000)

        address = await bo.locator("a[download]").get_attribute("href")
        get = "async (address) => (await (await fetch(address)).arrayBuffer()).byteLength"

        async def fetch() -> None:
            assert await bo.evaluate(get, address) == SIZE

        await judge(pages["listener"], "a download", fetch())


async def test_a_call_beside_what_convene_chat_downloads(tmp_path, room_name):
    """It begins faster than others: the queue is there within a tenth of a second, and no picture is paused for it."""
    report = tmp_path / "report.bin"
    report.write_bytes(os.urandom(SIZE))
    async with call(tmp_path, room_name) as (hosts, server, pages):

        async def chat(host: str, user: str, *args: str) -> str:
            command = ["ip", "netns", "exec", hosts[host].name, str(BINARY), "chat", "--server", server.http, "--dev", "--insecure"]
            env = os.environ | {"XDG_DATA_HOME": str(tmp_path / "home")}
            process = await asyncio.create_subprocess_exec(*command, "--user", user, *args, env=env, stdout=-1, stderr=-1)
            out, err = await process.communicate()
            assert process.returncode == 0, err.decode()
            return out.decode()

        await chat("listener", "bob", "list")
        conv = (await chat("speaker", "ana", "direct", "bob")).strip()
        await chat("speaker", "ana", "file", conv, str(report))
        [seq] = [line.split()[0] for line in (await chat("listener", "bob", "read", "ana")).splitlines() if report.name in line]
        hosts["listener"].impair(**SLOW, rate_kbit=4_000)
        got = tmp_path / "got.bin"
        await judge(pages["listener"], "a download", chat("listener", "bob", "save", "ana", seq, str(got)))
    assert got.read_bytes() == report.read_bytes()


@contextmanager
def bulk(home: netns.Host, to: netns.Host):
    """Sends as much as gets through, by CUBIC, which fills the queue. Yields a function that says how many bytes have."""
    with netns.inside(home):
        listener = socket.create_server((home.address, 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    with netns.inside(to):
        receiver = socket.create_connection(listener.getsockname())
    sender, _ = listener.accept()
    got = 0

    def send() -> None:
        try:
            while True:
                sender.sendall(bytes(65_536))
        except OSError:
            pass  # it is over

    def receive() -> None:
        nonlocal got
        while part := receiver.recv(65_536):
            got += len(part)

    threads = [threading.Thread(target=work) for work in (send, receive)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: got
    finally:
        for end in (sender, receiver):
            end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for end in (listener, sender, receiver):
            end.close()


async def test_a_call_beside_somebody_elses_download(tmp_path, room_name):
    async with call(tmp_path, room_name, filmed=True) as (hosts, server, pages):
        hosts["listener"].impair(delay_ms=20, queue_ms=500, rate_kbit=3_000)
        await asyncio.sleep(5)
        with bulk(hosts["server"], hosts["listener"]) as got:
            await asyncio.sleep(14)  # until it has filled the queue, and the server knows whose it is
            before = got()
            frames, made_up = await while_it(asyncio.sleep(12), pages["listener"])
            theirs = (got() - before) * 8 / 12 / 1e3
        print(f"{frames:.1f} frames a second, {made_up:.1%} of the sound made up, the download has {theirs:.0f} kbit/s")
        assert frames > 3, "the picture gives way to a download"
        assert theirs > 1_000, "the download gives way to the picture"
        assert server.metrics()['convene_sfu_bandwidth_events_total{event="rival_found"}'] > 0


async def test_two_viewers_behind_one_path(tmp_path, room_name):
    """Neither takes the other's share of the queue for that of somebody who does not give way, and fills it."""
    span = 30
    async with scene(tmp_path, "ana", "bo", "home", filmed=True) as (hosts, server, pages):
        viewers = {"cy": pages["home"], "di": await open_page(pages["home"].context.browser)}
        for name in ("ana", "bo"):
            await join(pages[name], server, name, room_name, **LAYERED)
        for name, page in viewers.items():
            await join(page, server, name, room_name, publish=False)
        await until(lambda: all_decode(viewers, 2), "both see both", 30)
        hosts["home"].impair(delay_ms=20, queue_ms=300, rate_kbit=2_200)
        await asyncio.sleep(5)
        before = await together(viewers)
        await asyncio.sleep(span)
        frozen, made_up = [(after - start) / span / 4 for after, start in zip(await together(viewers), before, strict=True)]
        print(f"pictures frozen for {frozen:.1%} of the time, {made_up:.1%} of the sound made up")
        assert frozen < 0.12 and made_up < 0.03


async def together(viewers: dict) -> tuple[float, float]:
    """Seconds for which pictures stood still, and of sound that was made up, of all that they get."""
    stats = [await sample(page) for page in viewers.values()]
    pictures = [row for each in stats for row in each.inbound("video").values()]
    sounds = [row for each in stats for row in each.inbound("audio").values()]
    frozen = sum(row.get("totalFreezesDuration", 0) for row in pictures)
    return frozen, sum(map(concealed, sounds))
