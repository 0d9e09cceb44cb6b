"""A door in front of a TCP port: what goes through it can be cut, as a network does that loses its state."""

from __future__ import annotations

import asyncio
import socket
import struct

HOST = "127.0.0.1"
# struct linger {on, 0 seconds}: closing sends a reset (tcp(7), socket(7)).
RESET = struct.pack("ii", 1, 0)


class Door:
    """`async with Door(port) as door`: `door.port` leads to `port`."""

    def __init__(self, inner: int):
        self.inner, self.pairs, self.stale = inner, [], []

    async def __aenter__(self) -> "Door":
        self.server = await asyncio.start_server(self._pass, HOST, 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_) -> None:
        self.server.close()
        self.cut()

    async def _pass(self, reader, writer) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, self.inner)
        pair = (writer, far_writer)
        self.pairs.append(pair)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        if pair in self.pairs:
            self.pairs.remove(pair)
        if far_writer not in self.stale:
            far_writer.close()
        writer.close()

    def cut(self, both: bool = True) -> int:
        """Resets every connection; of those not cut at `both` ends the server hears nothing until the next cut."""
        gone, self.pairs = self.pairs, []
        for writer in self.stale:
            _reset(writer)
        self.stale = [] if both else [far for _, far in gone]
        for near, far in gone:
            _reset(near)
            if both:
                _reset(far)
        return len(gone)


def _reset(writer) -> None:
    if not writer.transport.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def _pump(reader, writer) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # cut
