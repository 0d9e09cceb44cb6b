"""Files up and down by the chat protocol, as `im.proto` says."""

from __future__ import annotations

import hashlib

from im_proto import pb


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def begin(data: bytes, mime: str = "application/octet-stream", **fields):
    return pb.BlobBegin(sha256=digest(data), size=len(data), mime=mime, **fields)


async def put(lane, data: bytes, status, part: int) -> None:
    """The parts from where the upload stands, all on their way at once."""
    pieces = [(at, data[at:at + part]) for at in range(status.offset, len(data), part)]
    waiting = [lane.post(blob_part=pb.BlobPart(upload_id=status.upload_id, offset=at, data=piece, sha256=digest(piece)))
               for at, piece in pieces]
    for (at, piece), reply in zip(pieces, waiting):
        assert (await reply.one()).offset == at + len(piece)


async def upload(device, data: bytes, mime: str = "application/octet-stream", **fields):
    """On a bulk lane of its own; gives BlobDone."""
    session = device.session
    async with session.carrier.bulk_lanes:
        lane = session.carrier.lane()
        status = await lane.request(blob_begin=begin(data, mime, **fields))
        if not status.complete:
            await put(lane, data, status, session.welcome.limits.max_part_bytes)
        done = await lane.request(blob_commit=pb.BlobCommit(upload_id=status.upload_id))
        lane.finish()
        return done


async def download(device, conv: int, blob, offset: int = 0, length: int = 0) -> bytes:
    pieces = await device.session.bulk(blob_get=pb.BlobGet(id=blob.id, conv=conv, offset=offset, length=length))
    at = offset
    for piece in pieces:
        assert piece.offset == at and piece.total == blob.size
        at += len(piece.data)
    return b"".join(piece.data for piece in pieces)


def file(blob, name: str = "report.bin"):
    return pb.Body(file=pb.File(blob=pb.BlobRef(id=blob.id, size=blob.size, name=name)))
