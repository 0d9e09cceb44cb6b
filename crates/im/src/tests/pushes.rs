//! What others are told without asking: events, hints, and repairs for who could not keep up.

use convene_proto::im::{self, frame::Body, hint};
use convene_proto::limits::MAX_WATCHED_USERS;

use super::client::{Client, From, say, send};
use super::harness::{DEADLINE, Harness, free};
use crate::Limits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_does_not_read_is_caught_up_and_delays_nobody() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut bob = Client::quic(&harness, "bob", 1).await;
    // Its streams are flow controlled by 1 MiB windows: what is said is more than those and the outbox together.
    let (connection, endpoint) = super::client::connect(&harness).await;
    let slow = Lazy::sign_in(&harness, &connection).await;
    let conv = ana.group(&[&bob]).await;
    let add = im::MemberChange {
        add: vec![im::Member { user: slow.user, role: im::Role::Member.into(), ..im::Member::default() }],
        ..im::MemberChange::default()
    };
    let add = im::Body { kind: Some(im::body::Kind::Members(add)), ..im::Body::default() };
    let Body::Ack(added) = ana.ask(send(conv, add)).await else { panic!("no ack") };
    let text = "x".repeat(12_000);
    let mut last = 0;
    for _ in 0..30 {
        let mut rids = Vec::new();
        for _ in 0..20 {
            rids.push(ana.post(say(conv, &text)).await);
        }
        for rid in rids {
            let Body::Ack(ack) = ana.reply(rid).await else { panic!("no ack") };
            last = ack.seq;
        }
    }
    bob.delivered(conv, last).await;
    let seen = slow.read_all(&connection, conv, last).await;
    assert_eq!(seen, (added.seq..=last).collect::<Vec<_>>());
    assert!(harness.metrics.im_repairs.get() > 0, "the outbox held all of it");
    drop(endpoint);
}

/// A client that signs in and then reads nothing for a while.
struct Lazy {
    user: u64,
    _control: (quinn::SendStream, quinn::RecvStream),
}

impl Lazy {
    async fn sign_in(harness: &Harness, connection: &quinn::Connection) -> Self {
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        let hello = Body::Hello(super::client::hello(&harness.token("lazy"), 9));
        send.write_all(&convene_proto::frame::encode(&convene_proto::frame::of(1, hello))).await.unwrap();
        let mut decoder = convene_proto::Decoder::default();
        let frame = loop {
            decoder.push(&recv.read_chunk(4096, true).await.unwrap().unwrap().bytes);
            if let Some(frame) = decoder.next_frame().unwrap() {
                break frame;
            }
        };
        let Some(Body::Welcome(welcome)) = frame.body else { panic!("no welcome") };
        Self { user: welcome.me.unwrap().id, _control: (send, recv) }
    }

    /// Reads the feed of this conversation up to `last`; answers the seqs.
    async fn read_all(&self, connection: &quinn::Connection, conv: u64, last: u64) -> Vec<u64> {
        let mut recv = connection.accept_uni().await.unwrap();
        let (mut decoder, mut seqs, mut to) = (convene_proto::Decoder::default(), Vec::new(), None);
        while to != Some(last) {
            let chunk = tokio::time::timeout(DEADLINE, recv.read_chunk(65_536, true)).await.unwrap().unwrap().unwrap();
            decoder.push(&chunk.bytes);
            while let Some(frame) = decoder.next_frame().unwrap() {
                let Some(Body::Deliver(deliver)) = frame.body else { panic!("on a feed: {frame:?}") };
                assert_eq!(deliver.conv, conv);
                assert!(to.is_none_or(|to| to == deliver.from), "a hole: {to:?}, then {}", deliver.from);
                to = Some(deliver.to);
                seqs.extend(deliver.events.iter().map(|event| event.seq));
            }
        }
        seqs
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_in_later_is_not_told_what_was_before() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut eve = Client::quic(&harness, "eve", 1).await;
    let conv = ana.group(&[]).await;
    let secret = ana.say(conv, "before").await;
    let add = im::MemberChange {
        add: vec![im::Member { user: eve.me.id, role: im::Role::Member.into(), ..im::Member::default() }],
        ..im::MemberChange::default()
    };
    let add = im::Body { kind: Some(im::body::Kind::Members(add)), ..im::Body::default() };
    let Body::Ack(added) = ana.ask(send(conv, add)).await else { panic!("no ack") };
    let after = ana.say(conv, "after").await;
    let seen = eve.delivered(conv, after.seq).await;
    assert_eq!(seen.first().unwrap().seq, added.seq);
    assert!(seen.iter().all(|event| event.seq > secret.seq));
    let joined = eve
        .until(|_, frame| match &frame.body {
            Some(Body::DeliverUser(deliver)) => deliver.events.first().and_then(|event| event.kind.clone()),
            _ => None,
        })
        .await;
    assert_eq!(joined, im::user_event::Kind::Joined(im::Joined { conv, floor: added.seq - 1 }));
}

fn hint(from: From, frame: &im::Frame) -> Option<(From, hint::Kind)> {
    match &frame.body {
        Some(Body::Hint(hint)) => Some((from, hint.kind.clone()?)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_receipts_and_presence_are_told_to_whom_they_concern() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut bob = Client::socket(&harness, "bob", 1).await;
    let mut eve = Client::quic(&harness, "eve", 1).await;
    let conv = ana.group(&[&bob]).await;
    let typing = im::Typing { conv, user: 0, kind: im::TypingKind::Voice.into() };
    for client in [&mut eve, &mut ana] {
        // The stranger's comes first: had it been told, it would be seen first.
        let hint = Body::Hint(im::Hint { kind: Some(hint::Kind::Typing(typing)) });
        client.send(convene_proto::frame::encode(&convene_proto::frame::of(0, hint))).await;
        client.ask(Body::Ping(im::Ping {})).await;
    }
    let (_, told) = bob.until(hint).await;
    assert_eq!(told, hint::Kind::Typing(im::Typing { user: ana.me.id, ..typing }));

    let ack = ana.say(conv, "read me").await;
    bob.ask(Body::Read(im::Read { conv, seq: ack.seq })).await;
    let (from, told) = ana.until(hint).await;
    assert_eq!(
        (from, told),
        (From::Datagram, hint::Kind::Receipt(im::Receipt { conv, user: bob.me.id, seq: ack.seq }))
    );

    let zoe = harness.token("zoe");
    let zoe_id = Client::quic_with(&harness, super::client::hello(&zoe, 1)).await.me.id;
    harness.counted("convene_im_sessions{transport=\"quic\"} 2").await;
    let watch = im::WatchPresence { users: vec![bob.me.id, zoe_id] };
    assert_eq!(ana.ask(Body::WatchPresence(watch)).await, Body::Done(im::Done {}));
    let presence = |user: u64, online: bool| {
        move |_: From, frame: &im::Frame| match hint(From::Datagram, frame)?.1 {
            hint::Kind::Presence(told) if (told.user, told.online) == (user, online) => Some(told.last_seen_ms),
            _ => None,
        }
    };
    assert_eq!(ana.until(presence(bob.me.id, true)).await, 0);
    assert!(ana.until(presence(zoe_id, false)).await > 0);
    let zoe = Client::quic_with(&harness, super::client::hello(&zoe, 1)).await;
    ana.until(presence(zoe_id, true)).await;
    drop(zoe);
    assert!(ana.until(presence(zoe_id, false)).await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_are_watched_as_the_protocol_says() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let bob = Client::quic(&harness, "bob", 1).await;
    // Most of them are nobody, of which nothing is said.
    let nobody = 1_000_000..1_000_000 + MAX_WATCHED_USERS as u64 - 2;
    let users = [bob.me.id].into_iter().chain(nobody).chain([bob.me.id]).collect();
    assert_eq!(ana.ask(Body::WatchPresence(im::WatchPresence { users })).await, Body::Done(im::Done {}));
    let (_, told) = ana.until(hint).await;
    assert_eq!(told, hint::Kind::Presence(im::Presence { user: bob.me.id, online: true, last_seen_ms: 0 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_very_large_group_gets_head_bumps() {
    let harness = Harness::new(Limits { push_members: 1, ..free() }).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut bob = Client::quic(&harness, "bob", 1).await;
    let conv = ana.group(&[&bob]).await;
    let mut last = ana.say(conv, "0").await;
    for n in 1..50 {
        last = ana.say(conv, &format!("{n}")).await;
    }
    let mut bumps = 0;
    loop {
        let (_, hint::Kind::Head(head)) = bob.until(hint).await else { panic!("another hint") };
        bumps += 1;
        assert_eq!(head.conv, conv);
        if head.seq == last.seq {
            assert_eq!(head.ord, last.ord);
            break;
        }
    }
    assert!(bumps < 30, "{bumps} bumps for 50 messages");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_other_devices_follow_the_read_cursor() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut bob = Client::quic(&harness, "bob", 1).await;
    let mut tablet = Client::quic(&harness, "bob", 2).await;
    let conv = ana.group(&[&bob]).await;
    let ack = ana.say(conv, "x").await;
    bob.ask(Body::Read(im::Read { conv, seq: ack.seq })).await;
    let read = tablet
        .until(|from, frame| match &frame.body {
            Some(Body::DeliverUser(deliver)) if from == From::Control => {
                deliver.events.iter().find_map(|event| match &event.kind {
                    Some(im::user_event::Kind::Read(read)) => Some(*read),
                    _ => None,
                })
            }
            _ => None,
        })
        .await;
    assert_eq!((read.conv, read.seq, read.ord), (conv, ack.seq, ack.ord));
}
