"""Somebody with LiveKit's SDK in a process of their own, which can be killed: publishes a camera and says when they see one.

    guest.py WEBSOCKET-URL TOKEN
"""

import asyncio
import sys

from livekit import rtc
from sdk import Person


async def main(url: str, token: str) -> None:
    guest = Person("guest")
    await guest.room.connect(url, token, rtc.RoomOptions(auto_subscribe=True, single_peer_connection=True))
    await guest.publish_camera(simulcast=False, width=160, height=90, fps=10)
    print("joined", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
