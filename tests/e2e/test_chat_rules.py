"""What a conversation allows and promises: repeats, refusals, membership, cursors, receipts, hints. By the aioquic
and aiohttp clients of `im_client.py`."""

from __future__ import annotations

import asyncio

import pytest
from im_client import Refused, make_direct, make_group, new_id, refused, text
from im_proto import pb

MISSING = 999_999_999


async def test_a_repeat_has_the_same_seq(people):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_group(alice, bob)
    client_id = new_id()
    acks = await asyncio.gather(*(alice.session.send(conv, "once", client_id) for _ in range(10)))
    assert len({ack.seq for ack in acks}) == 1 and sum(not ack.duplicate for ack in acks) == 1
    again = await (await people("alice")).session.send(conv, "once", client_id)
    assert (again.seq, again.duplicate, again.at_ms) == (acks[0].seq, True, acks[0].at_ms)
    error = await refused("CONFLICT", alice.session.send(conv, "something else", client_id))
    assert error.error.client_id == client_id and error.error.conv == conv
    other = await bob.session.send(conv, "an id is unique to its sender only", client_id)
    assert other.seq == acks[0].seq + 1 and not other.duplicate
    assert (await bob.has(conv, other.seq)).texts() == ["once", "an id is unique to its sender only"]


async def test_create_can_be_repeated(people):
    alice, bob, carol = await people("alice"), await people("bob"), await people("carol")
    group = pb.Create(client_id=new_id(), kind=pb.CONVERSATION_KIND_GROUP, title="G", members=[bob.me.id])
    made = await asyncio.gather(*(alice.session.request(create=group) for _ in range(4)))
    assert len({reply.conv for reply in made}) == 1 and sum(not reply.duplicate for reply in made) == 1
    assert await make_direct(alice, bob) == await make_direct(bob, alice) != await make_direct(alice, carol)
    other = pb.Create(client_id=new_id(), kind=pb.CONVERSATION_KIND_GROUP, members=[MISSING])
    await refused("UNKNOWN_USER", alice.session.request(create=other))


async def test_organisations_do_not_meet(people):
    alice, stranger = await people("alice"), await people("stranger", org="another-organisation")
    assert not (await alice.session.request(find_users=pb.FindUsers(ids=[stranger.me.id], names=["stranger"]))).users
    create = pb.Create(client_id=new_id(), kind=pb.CONVERSATION_KIND_DIRECT, members=[stranger.me.id])
    await refused("UNKNOWN_USER", alice.session.request(create=create))
    found = (await alice.session.request(find_users=pb.FindUsers(ids=[alice.me.id], names=["alice", "nobody"]))).users
    assert {user.id for user in found} == {alice.me.id}


async def test_who_never_was_in_it_learns_nothing(people):
    alice, bob, eve = await people("alice"), await people("bob"), await people("eve")
    conv = await make_group(alice, bob)
    seq = (await alice.session.send(conv, "secret")).seq
    session = eve.session
    for number in (conv, MISSING):
        await refused("UNKNOWN_CONVERSATION", session.send(number, "let me in"))
        await refused("UNKNOWN_CONVERSATION", session.bulk(fetch=pb.Fetch(conv=number)))
        await refused("UNKNOWN_CONVERSATION", session.request(read=pb.Read(conv=number, seq=1)))
        await refused("UNKNOWN_CONVERSATION", session.request(get_members=pb.GetMembers(conv=number)))
        await refused("UNKNOWN_CONVERSATION", session.request(get_receipts=pb.GetReceipts(conv=number, seq=seq)))
        settings = pb.Settings(conv=number, pinned=True)
        await refused("UNKNOWN_CONVERSATION", session.request(change_settings=pb.ChangeSettings(settings=settings)))
    session.carrier.hint(pb.Hint(typing=pb.Typing(conv=conv, kind=pb.TYPING_KIND_TEXT)))
    await eve.sync()
    await (await people("eve")).sync()
    assert conv not in eve.logs and not eve.heads
    assert not [hint for hint in bob.hints if hint.HasField("typing")]


async def test_who_left_receives_nothing_more(people):
    alice, bob, carol = await people("alice"), await people("bob"), await people("carol")
    conv = await make_group(alice, bob, carol)
    await alice.session.send(conv, "for all")
    out = await alice.session.send(conv, pb.Body(members=pb.MemberChange(remove=[bob.me.id])))
    after = [await alice.session.send(conv, f"without bob {n}") for n in range(5)]
    await carol.has(conv, after[-1].seq)
    await bob.has(conv, out.seq)  # the last thing they see is that they are out
    await bob.until(lambda: any(event.left.conv == conv and event.left.seq == out.seq for event in bob.user_events), "Left")
    await refused("NOT_A_MEMBER", bob.session.send(conv, "I protest"))
    page = (await bob.session.bulk(fetch=pb.Fetch(conv=conv, after=0)))[0]
    assert page.head == out.seq and [event.seq for event in page.events][-1] == out.seq
    later = await people("bob")
    delta = later.heads[conv]
    assert delta.head == out.seq and delta.role == pb.ROLE_UNSPECIFIED and later.logs[conv].cursor == out.seq
    assert later.logs[conv].bytes() == bob.logs[conv].bytes()
    assert bob.logs[conv].cursor == out.seq, "a push came after the end"


async def test_history_is_hidden_unless_given(people):
    alice, bob, carol = await people("alice"), await people("bob"), await people("carol")
    conv = await make_group(alice)
    await alice.session.send(conv, "before")
    add = [pb.Member(user=bob.me.id, role=pb.ROLE_MEMBER), pb.Member(user=carol.me.id, role=pb.ROLE_MEMBER, with_history=True)]
    added = await alice.session.send(conv, pb.Body(members=pb.MemberChange(add=add)))
    last = await alice.session.send(conv, "after")
    assert (await bob.has(conv, last.seq)).texts() == ["after"]
    assert bob.logs[conv].base == added.seq - 1
    await carol.has(conv, last.seq)
    assert carol.logs[conv].texts() == ["before", "after"]
    page = (await bob.session.bulk(fetch=pb.Fetch(conv=conv, after=0)))[0]
    assert page.floor == added.seq - 1 and page.events[0].seq == added.seq
    assert bob.unread(conv) == bob.unread_by_ord(conv) == 1


async def test_only_the_sender_edits(people):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_group(alice, bob)
    seq = (await alice.session.send(conv, "mine")).seq
    edit = pb.Body(edit=pb.Edit(text="changed"), target=seq)
    await refused("FORBIDDEN", bob.session.send(conv, edit))
    await refused("FORBIDDEN", bob.session.send(conv, pb.Body(recall=pb.Recall(), target=seq)))
    edited = await alice.session.send(conv, edit)
    for target in (edited.seq, MISSING):
        await refused("BAD_TARGET", alice.session.send(conv, pb.Body(edit=pb.Edit(text="no message"), target=target)))
    await bob.has(conv, edited.seq)
    assert bob.logs[conv].events[edited.seq].body.target == seq


async def test_a_recalled_message_is_gone_for_all(people):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_group(alice, bob)
    seq = (await bob.session.send(conv, "regretted words")).seq
    recall = await alice.session.send(conv, pb.Body(recall=pb.Recall(), target=seq))  # an owner may
    await bob.has(conv, recall.seq)
    await alice.has(conv, recall.seq)
    late = await people("bob")
    assert late.logs[conv].events[seq].body.tombstone == pb.Tombstone(kind=1, reason=pb.ERASE_REASON_RECALLED)
    assert late.logs[conv].bytes() == bob.logs[conv].bytes() == alice.logs[conv].bytes()
    assert not any(b"regretted" in event for event in late.logs[conv].bytes())


async def test_roles_hold(people):
    alice, bob, carol = await people("alice"), await people("bob"), await people("carol")
    conv = await make_group(alice, bob, carol)
    change = lambda **kind: pb.Body(members=pb.MemberChange(**kind))
    await refused("FORBIDDEN", bob.session.send(conv, change(remove=[carol.me.id])))
    await refused("FORBIDDEN", bob.session.send(conv, change(role=[pb.Member(user=bob.me.id, role=pb.ROLE_OWNER)])))
    await refused("FORBIDDEN", bob.session.send(conv, pb.Body(group=pb.GroupChange(title="Bob's"))))
    await refused("LAST_OWNER", alice.session.send(conv, change(remove=[alice.me.id])))
    await alice.session.send(conv, change(role=[pb.Member(user=bob.me.id, role=pb.ROLE_ADMIN)]))
    await bob.session.send(conv, pb.Body(group=pb.GroupChange(muted=True)))
    await refused("MUTED", carol.session.send(conv, "hush"))
    await bob.session.send(conv, "admins may")
    await refused("FORBIDDEN", bob.session.send(conv, pb.Body(group=pb.GroupChange(dissolved=True))))
    last = await alice.session.send(conv, pb.Body(group=pb.GroupChange(dissolved=True)))
    await refused("DISSOLVED", alice.session.send(conv, "anybody?"))
    assert (await carol.has(conv, last.seq)).cursor == last.seq
    await carol.session.bulk(fetch=pb.Fetch(conv=conv))


@pytest.mark.parametrize(("body", "code"), [
    (pb.Body(), "MALFORMED"),
    (pb.Body(text=pb.Text(text="x" * 70_000)), None),
    (pb.Body(text=pb.Text(text="x" * 20_000)), "TOO_LONG"),
    (pb.Body(text=pb.Text(text="x"), mentions=range(1, 102)), "TOO_LONG"),
    (pb.Body(react=pb.React(emoji="x" * 33), target=1), "TOO_LONG"),
    (pb.Body(tombstone=pb.Tombstone(kind=1)), ("FORBIDDEN", "MALFORMED")),
    (pb.Body(call=pb.CallRecord(call_id="x")), ("FORBIDDEN", "MALFORMED")),
    (pb.Body(erase=pb.Erase(ranges=[pb.SeqRange(first=1, last=1)])), ("FORBIDDEN", "MALFORMED")),
    (pb.Body(text=pb.Text(text="answer"), reply_to=MISSING), "BAD_TARGET"),
    (pb.Body(file=pb.File(blob=pb.BlobRef(id=bytes(32)))), "UNKNOWN_BLOB"),
    (pb.Body(file=pb.File(blob=pb.BlobRef(id=bytes(31)))), "MALFORMED"),
], ids=lambda value: value.WhichOneof("kind") or "empty" if isinstance(value, pb.Body) else str(value))
async def test_bodies_that_are_refused_leave_no_trace(people, body, code):
    alice = await people("alice")
    conv = await make_group(alice)
    head = alice.logs[conv].cursor
    if code is None:  # longer than a frame: framing is lost
        session = alice.session
        session.post(send=pb.Send(conv=conv, client_id=new_id(), body=body))
        await alice.until(lambda: not session.alive, "the session ends")
        await alice.connect()
    else:
        with pytest.raises(Refused) as caught:
            await alice.session.send(conv, body)
        assert caught.value.code in code if isinstance(code, tuple) else caught.value.code == code
    assert (await alice.session.send(conv, "next")).seq == head + 1


async def test_short_and_missing_ids(people):
    alice = await people("alice")
    conv = await make_group(alice)
    for client_id in (b"", b"short", bytes(17)):
        await refused("MALFORMED", alice.session.request(send=pb.Send(conv=conv, client_id=client_id, body=text("x"))))
    await refused("MALFORMED", alice.session.request(send=pb.Send(conv=conv, client_id=new_id())))


async def test_cursors_do_not_pass_the_head(people):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_group(alice, bob)
    head = (await alice.session.send(conv, "head")).seq
    await refused("BEYOND_HEAD", bob.session.request(read=pb.Read(conv=conv, seq=head + 1)))
    cursor = pb.Cursor(conv=conv, seq=head + 100)
    await refused("BEYOND_HEAD", bob.session.request(sync=pb.Sync(cursors=[cursor])))
    await refused("BEYOND_HEAD", bob.session.request(sync=pb.Sync(useq=1_000_000)))
    await bob.session.request(read=pb.Read(conv=conv, seq=head))
    await bob.session.request(read=pb.Read(conv=conv, seq=1))
    await bob.sync()
    assert (await people("bob")).reads[conv][0] == head, "a cursor only rises"


async def test_unread_is_one_number_on_every_device(people):
    alice, phone, laptop = await people("alice"), await people("bob"), await people("bob")
    conv = await make_group(alice, phone)
    acks = [await alice.session.send(conv, f"{n}") for n in range(10)]
    await alice.session.send(conv, pb.Body(react=pb.React(emoji="👍"), target=acks[0].seq))  # not countable
    silent = pb.Body(custom=pb.Custom(type="org.example.poll", data=b"x", silent=True))
    last = await alice.session.send(conv, silent)
    for device in (phone, laptop):
        await device.has(conv, last.seq)
        assert device.unread(conv) == device.unread_by_ord(conv) == 10
    await phone.session.request(read=pb.Read(conv=conv, seq=acks[3].seq))
    for device in (phone, laptop):
        await device.until(lambda device=device: device.reads.get(conv, (0,))[0] == acks[3].seq, "the read cursor")
        assert device.unread(conv) == device.unread_by_ord(conv) == 6
    own = await phone.session.send(conv, "an own message reads all before it")
    for device in (phone, laptop):
        await device.has(conv, own.seq)
        await device.until(lambda device=device: device.unread(conv) == device.unread_by_ord(conv) == 0, "nothing unread")
    fresh = await people("bob")
    assert fresh.reads[conv] == (own.seq, own.ord) and fresh.unread(conv) == 0
    assert fresh.useq == phone.useq == laptop.useq


async def test_settings_reach_the_other_device(people):
    phone, laptop = await people("bob"), await people("bob")
    conv = await make_group(phone)
    await laptop.until(lambda: conv in laptop.logs, "the group")
    settings = pb.Settings(conv=conv, pinned=True, muted_until_ms=-1, draft="half a thou")
    await phone.session.request(change_settings=pb.ChangeSettings(settings=settings))
    await laptop.until(lambda: any(event.settings == settings for event in laptop.user_events), "the settings")
    assert (await people("bob")).heads[conv].settings == settings


async def test_read_by_k_of_n(people):
    owner, readers = await people("owner"), [await people(f"reader{n}") for n in range(9)]
    conv = await make_group(owner, *readers)
    seqs = [(await owner.session.send(conv, f"{n}")).seq for n in range(9)]
    for number, reader in enumerate(readers):  # the nth has read n + 1 messages
        await reader.session.request(read=pb.Read(conv=conv, seq=seqs[number]))
    ids = [reader.me.id for reader in readers]
    for number, seq in enumerate(seqs):
        for unread, want in ((False, ids[number:]), (True, ids[:number])):
            found, after = [], 0
            while True:
                ask = pb.GetReceipts(conv=conv, seq=seq, after=after, limit=2, unread=unread)
                page = await owner.session.request(get_receipts=ask)
                assert (page.members, page.readers) == (9, 9 - number)
                found += page.users
                if not page.more:
                    break
                after = page.users[-1]
            assert found == sorted(want)
    members = await owner.session.request(get_members=pb.GetMembers(conv=conv))
    assert members.total == 10 and {m.user: m.read_seq for m in members.members if m.user in ids} == dict(zip(ids, seqs))


async def test_who_is_removed_counts_no_more(people):
    owner, one, two = await people("owner"), await people("one"), await people("two")
    conv = await make_group(owner, one, two)
    seq = (await owner.session.send(conv, "read me")).seq
    await one.session.request(read=pb.Read(conv=conv, seq=seq))
    await owner.session.send(conv, pb.Body(members=pb.MemberChange(remove=[one.me.id])))
    receipts = await owner.session.request(get_receipts=pb.GetReceipts(conv=conv, seq=seq))
    assert (receipts.members, receipts.readers) == (1, 0)


@pytest.mark.parametrize("transport", ["quic", "websocket"])
async def test_hints(people, transport):
    alice, bob = await people("alice", transport=transport), await people("bob", transport=transport)
    conv = await make_group(alice, bob)
    typing = pb.Typing(conv=conv, user=MISSING, kind=pb.TYPING_KIND_VOICE)  # the server says who it is
    alice.session.carrier.hint(pb.Hint(typing=typing))
    seen = await bob.until(lambda: [hint.typing for hint in bob.hints if hint.HasField("typing")], "typing")
    assert seen[0] == pb.Typing(conv=conv, user=alice.me.id, kind=pb.TYPING_KIND_VOICE)
    seq = (await alice.session.send(conv, "hello")).seq
    await bob.session.request(read=pb.Read(conv=conv, seq=seq))
    receipt = pb.Hint(receipt=pb.Receipt(conv=conv, user=bob.me.id, seq=seq))
    await alice.until(lambda: receipt in alice.hints, "the receipt")


async def test_presence(people):
    alice, bob, eve = await people("alice"), await people("bob"), await people("eve", org="elsewhere")
    states = lambda user: [hint.presence.online for hint in alice.hints if hint.presence.user == user]
    await alice.session.request(watch_presence=pb.WatchPresence(users=[bob.me.id, eve.me.id]))
    await alice.until(lambda: states(bob.me.id) == [True], "bob is there")
    second = await people("bob")
    second.session.close()
    await asyncio.sleep(0.3)
    assert states(bob.me.id)[-1], "one of two devices went"
    bob.session.close()
    await alice.until(lambda: not states(bob.me.id)[-1], "bob is gone")
    assert [hint.presence for hint in alice.hints if hint.HasField("presence")][-1].last_seen_ms > 0
    await bob.connect()
    await alice.until(lambda: states(bob.me.id)[-1], "bob is back")
    assert not states(eve.me.id)


async def test_a_flood_is_slowed_and_nothing_is_lost(people):
    alice, bob = await people("alice"), await people("bob")
    conv = await make_group(alice, bob)
    sends = [pb.Send(conv=conv, client_id=new_id(), body=text(f"{n}")) for n in range(3_000)]
    pending = [alice.session.post(send=send) for send in sends]
    acked, flooded, waits = {}, [], set()
    for send, reply in zip(sends, pending):
        try:
            acked[send.client_id] = (await reply.one()).seq
        except Refused as error:
            assert error.code == "FLOOD" and error.error.client_id == send.client_id
            flooded.append(send)
            waits.add(error.error.retry_after_ms)
    assert flooded, "3,000 messages at once were all taken"
    assert 0 not in waits
    assert alice.session.alive
    await asyncio.sleep(min(max(waits), 5_000) / 1000)
    acked[flooded[0].client_id] = (await alice.session.request(send=flooded[0])).seq
    log = await bob.has(conv, max(acked.values()), 30)
    assert {event.client_id: seq for seq, event in log.events.items() if event.body.HasField("text")} == acked
