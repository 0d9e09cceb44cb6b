"""Who may ask what: every kind of frame, and every kind of event, by everybody who might try. The tables are checked
against `im.proto`, so that a kind that is added there has to be added here."""

from __future__ import annotations

import hashlib

import pytest
from im_blobs import begin, upload
from im_client import Device, Refused, make_group, new_id, open_raw, text
from im_proto import pb

FAR = 4_000_000_000_000
MISSING = 999_999_999
PEOPLE = ("anonymous", "foreign", "stranger", "removed", "member", "admin", "owner")
# What a server says: a client does not, whoever it is.
SERVER = {"welcome", "ack", "sync_reply", "fetch_reply", "done", "created", "users", "members_page", "receipts", "blob_status",
          "blob_done", "blob_data", "blob_link", "error", "deliver", "deliver_user", "goodbye", "call_state"}


def row(foreign, stranger, removed, member="ok", admin="ok", owner="ok", anonymous="HELLO_EXPECTED"):
    """What each is answered: `ok`, or the code."""
    return dict(zip(PEOPLE, (anonymous, foreign, stranger, removed, member, admin, owner)))


def all_of(answer):
    return row(*[answer] * 6)


HIDDEN = "UNKNOWN_CONVERSATION"
# `foreign` is of another organisation, `stranger` of the same one and never was in the group.
FRAMES = {
    "hello": row(*["HELLO_EXPECTED"] * 6, anonymous="UNAUTHENTICATED"),
    "send": row(HIDDEN, HIDDEN, "NOT_A_MEMBER"),
    "sync": all_of("ok"),
    "fetch": row(HIDDEN, HIDDEN, "ok"),
    "read": row(HIDDEN, HIDDEN, "ok"),
    "create": row("UNKNOWN_USER", "ok", "ok"),
    "change_settings": row(HIDDEN, HIDDEN, "ok"),
    "find_users": row("none", "ok", "ok"),
    "get_members": row(HIDDEN, HIDDEN, "NOT_A_MEMBER"),
    "get_receipts": row(HIDDEN, HIDDEN, "NOT_A_MEMBER"),
    "watch_presence": all_of("ok"),
    "blob_begin": all_of("ok"),
    "blob_part": all_of("UNKNOWN_UPLOAD"),
    "blob_commit": all_of("UNKNOWN_UPLOAD"),
    "blob_get": row(HIDDEN, HIDDEN, "ok"),
    "blob_url": row(HIDDEN, HIDDEN, "ok"),
    "ping": all_of("ok"),
    # It has no answer, and nobody who is not in it is heard.
    "hint": row(*["silence"] * 6, anonymous="HELLO_EXPECTED"),
} | {kind: all_of("MALFORMED") for kind in SERVER}

NO, ADMINS = "FORBIDDEN", ("FORBIDDEN", "ok", "ok")


def members(member="ok", admin="ok", owner="ok"):
    return row(HIDDEN, HIDDEN, "NOT_A_MEMBER", member, admin, owner)


# What each may put into the group's log; the target is a message of the owner.
EVENTS = {
    "text": members(),
    "location": members(),
    "card": members(),
    "custom": members(),
    # There is no such blob, which is looked at first.
    "voice": row(HIDDEN, HIDDEN, *["UNKNOWN_BLOB"] * 4),
    "image": members(),
    "file": members(),
    "edit": members(NO, NO, "ok"),
    "recall": members(*ADMINS),
    "react": members(),
    "pin": members(*ADMINS),
    "members": members(*ADMINS),
    "group": members(*ADMINS),
    "mute": members(*ADMINS),
    "call": members(NO, NO, NO),
    "erase": members(NO, NO, NO),
    "tombstone": members(NO, NO, NO),
}


def test_no_kind_is_missing():
    assert set(FRAMES) == {field.name for field in pb.Frame.DESCRIPTOR.oneofs_by_name["body"].fields}
    assert set(EVENTS) == {field.name for field in pb.Body.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert all(set(answers) == set(PEOPLE) for answers in (FRAMES | EVENTS).values())


class Cast:
    """A group of four, whom one has left; one who never was in it; one of another organisation."""

    async def meet(self, people):
        self.owner, self.admin, self.member = await people("owner"), await people("admin"), await people("member")
        self.removed, self.stranger = await people("removed"), await people("stranger")
        self.newcomer, self.foreign = await people("newcomer"), await people("foreign", org="elsewhere")
        self.conv = await make_group(self.owner, self.admin, self.member, self.removed)
        await self.change(role=[pb.Member(user=self.admin.me.id, role=pb.ROLE_ADMIN)])
        self.content = b"GIF89a" + b"\x01" * 100
        self.file = (await upload(self.owner, self.content)).blob
        await self.owner.session.send(self.conv, pb.Body(file=pb.File(blob=self.file)))
        self.seq = (await self.owner.session.send(self.conv, "hello")).seq
        await self.removed.has(self.conv, self.seq)
        await self.change(remove=[self.removed.me.id])
        return self

    async def change(self, **change):
        await self.owner.session.send(self.conv, pb.Body(members=pb.MemberChange(**change)))

    def frame(self, kind: str):
        conv, seq = self.conv, self.seq
        return {
            "hello": lambda: pb.Hello(version=1, device_id=b"\x01" * 16),
            "send": lambda: pb.Send(conv=conv, client_id=new_id(), body=text("hi")),
            "sync": lambda: pb.Sync(),
            "fetch": lambda: pb.Fetch(conv=conv),
            "read": lambda: pb.Read(conv=conv, seq=seq),
            "create": lambda: pb.Create(client_id=new_id(), kind=pb.CONVERSATION_KIND_GROUP, members=[self.stranger.me.id, self.member.me.id]),
            "change_settings": lambda: pb.ChangeSettings(settings=pb.Settings(conv=conv, pinned=True)),
            "find_users": lambda: pb.FindUsers(ids=[self.owner.me.id]),
            "get_members": lambda: pb.GetMembers(conv=conv),
            "get_receipts": lambda: pb.GetReceipts(conv=conv, seq=seq),
            "watch_presence": lambda: pb.WatchPresence(users=[self.owner.me.id]),
            "blob_begin": lambda: begin(new_id()),
            "blob_part": lambda: pb.BlobPart(upload_id=new_id(), data=b"x"),
            "blob_commit": lambda: pb.BlobCommit(upload_id=new_id()),
            "blob_get": lambda: pb.BlobGet(id=self.file.id, conv=conv),
            "blob_url": lambda: pb.BlobUrl(id=self.file.id, conv=conv),
            "hint": lambda: pb.Hint(typing=pb.Typing(conv=conv)),
        }.get(kind, lambda: pb.Frame.DESCRIPTOR.fields_by_name[kind].message_type._concrete_class())()

    def event(self, kind: str):
        at = {"target": self.seq}
        return {
            "text": lambda: text("hi"),
            "location": lambda: pb.Body(location=pb.Location(label="here")),
            "card": lambda: pb.Body(card=pb.Card(user=self.owner.me.id)),
            "custom": lambda: pb.Body(custom=pb.Custom(type="com.example.x")),
            "voice": lambda: pb.Body(voice=pb.Voice(blob=pb.BlobRef(id=hashlib.sha256(b"none").digest()))),
            "image": lambda: pb.Body(image=pb.Image(blob=self.picture)),
            "file": lambda: pb.Body(file=pb.File(blob=self.file)),
            "edit": lambda: pb.Body(edit=pb.Edit(text="changed"), **at),
            "recall": lambda: pb.Body(recall=pb.Recall(), **at),
            "react": lambda: pb.Body(react=pb.React(emoji="+"), **at),
            "pin": lambda: pb.Body(pin=pb.Pin(), **at),
            "members": lambda: pb.Body(members=pb.MemberChange(add=[pb.Member(user=self.newcomer.me.id, role=pb.ROLE_MEMBER)])),
            "group": lambda: pb.Body(group=pb.GroupChange(title="Other")),
            "mute": lambda: pb.Body(mute=pb.MemberMute(users=[self.member.me.id], until_ms=1)),
            "call": lambda: pb.Body(call=pb.CallRecord(call_id="x")),
            "erase": lambda: pb.Body(erase=pb.Erase(ranges=[pb.SeqRange(first=1, last=1)], reason=pb.ERASE_REASON_RETENTION)),
            "tombstone": lambda: pb.Body(tombstone=pb.Tombstone(kind=1)),
        }[kind]()


async def answer_to(device: Device, kind: str, message) -> str:
    if kind == "hint":
        device.session.post(hint=message)
        return "silence"
    try:
        replies = await device.session.post(**{kind: message}).all()
    except Refused as refused:
        return refused.code
    return "none" if kind == "find_users" and not replies[-1].users else "ok"


async def test_every_frame_by_everybody(people):
    cast = await Cast().meet(people)
    wrong = []
    for kind, want in FRAMES.items():
        for who in PEOPLE[1:]:
            got = await answer_to(getattr(cast, who), kind, cast.frame(kind))
            if got != want[who]:
                wrong.append(f"{kind} by {who}: {got} instead of {want[who]}")
    assert not wrong, "\n".join(wrong)


async def test_every_frame_by_nobody(server, people):
    cast, wrong = await Cast().meet(people), []
    for kind, want in FRAMES.items():
        carrier, lane, _ = await open_raw(server)
        try:
            await lane.request(**{kind: cast.frame(kind)})
            got = "ok"
        except Refused as refused:
            got = refused.code
        carrier.close()
        if got != want["anonymous"]:
            wrong.append(f"{kind}: {got} instead of {want['anonymous']}")
    assert not wrong, "\n".join(wrong)


async def test_every_event_by_everybody(people):
    cast, wrong = await Cast().meet(people), []
    picture = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64
    for who in ("owner", "admin", "member", "removed", "stranger", "foreign"):
        blob = (await upload(getattr(cast, who), picture, "image/png")).blob
        cast.picture = blob
    for kind, want in EVENTS.items():
        for who in PEOPLE[1:]:
            cast.seq = (await cast.owner.session.send(cast.conv, "a target")).seq
            await getattr(cast, "member").has(cast.conv, cast.seq)
            got = "ok"
            try:
                await getattr(cast, who).session.send(cast.conv, cast.event(kind))
            except Refused as refused:
                got = refused.code
            if got == "ok" and kind == "members":
                await cast.change(remove=[cast.newcomer.me.id])
            if got != want[who]:
                wrong.append(f"{kind} by {who}: {got} instead of {want[who]}")
    assert not wrong, "\n".join(wrong)
