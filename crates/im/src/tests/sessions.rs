//! Signing in, sending, being told, catching up, and the ways a session ends.

use bytes::Bytes;
use convene_im_core::outbox::Limits as OutboxLimits;
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body};
use convene_proto::limits::MAX_ANNOUNCEMENT_BYTES;
use prost::Message as _;

use super::client::{Carrier, Client, connect, endpoint, hello, say, send};
use super::harness::{DEADLINE, Harness, free};
use super::relay::Relay;
use crate::Limits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_is_acknowledged_delivered_and_synced() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut bob = Client::quic(&harness, "bob", 2).await;
    let mut web = Client::socket(&harness, "bob", 3).await;
    let conv = ana.group(&[&bob]).await;
    let mut last = 0;
    for n in 0..20 {
        let ack = ana.say(conv, &format!("{n}")).await;
        assert!(ack.seq > last && !ack.duplicate);
        last = ack.seq;
    }
    let logs = [ana.delivered(conv, last).await, bob.delivered(conv, last).await, web.delivered(conv, last).await];
    assert_eq!(logs[0], logs[1]);
    assert_eq!(logs[0], logs[2]);

    let mut late = Client::quic_with(
        &harness,
        im::Hello { sync: Some(im::Sync { per_conv: 200, ..im::Sync::default() }), ..hello(&harness.token("bob"), 4) },
    )
    .await;
    let Body::SyncReply(reply) = late.reply(1).await else { panic!("no sync") };
    let delta = reply.conversations.iter().find(|delta| delta.conv == conv).unwrap();
    assert_eq!((delta.head, delta.to, delta.role()), (last, last, im::Role::Member));
    assert_eq!(delta.events, logs[0]);
    harness.counted("convene_im_sends_total{result=\"ok\"} 20").await;
    harness.counted("convene_im_sessions{transport=\"quic\"} 3").await;
    harness.counted("convene_im_sessions{transport=\"websocket\"} 1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_of_megabytes_arrives() {
    const GROUPS: usize = 650;
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    for _ in 0..GROUPS {
        let conv = ana.group(&[]).await;
        let announcement = Some("x".repeat(MAX_ANNOUNCEMENT_BYTES));
        let group = im::body::Kind::Group(im::GroupChange { announcement, ..im::GroupChange::default() });
        ana.post(send(conv, im::Body { kind: Some(group), ..im::Body::default() })).await;
    }
    // Behind the answers of all of them.
    assert_eq!(ana.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
    let sync = im::Sync { per_conv: 1, ..im::Sync::default() };
    let mut late = Client::quic_with(&harness, im::Hello { sync: Some(sync), ..hello(&harness.token("ana"), 2) }).await;
    let (mut known, mut bytes, mut more) = (0, 0, true);
    while more {
        let Body::SyncReply(reply) = late.reply(1).await else { panic!("no sync") };
        known += reply.conversations.len();
        bytes += reply.encoded_len();
        more = reply.more;
    }
    assert_eq!(known, GROUPS);
    assert!(bytes > OutboxLimits::default().control_bytes, "{bytes} would have fitted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_are_answered_in_the_order_of_their_seqs() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let conv = ana.group(&[]).await;
    let mut rids = Vec::new();
    for n in 0..500 {
        rids.push(ana.post(say(conv, &format!("{n}"))).await);
    }
    let mut before = 0;
    for rid in rids {
        let Body::Ack(ack) = ana.reply(rid).await else { panic!("no ack") };
        assert!(ack.seq > before);
        before = ack.seq;
    }
    let said: Vec<_> = ana.delivered(conv, before).await;
    let texts = said.iter().filter_map(|event| match event.body.as_ref()?.kind.as_ref()? {
        im::body::Kind::Text(text) => Some(text.text.clone()),
        _ => None,
    });
    assert!(texts.eq((0..500).map(|n| n.to_string())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_session_of_a_device_ends_the_older_and_no_other() {
    let harness = Harness::new(free()).await;
    let mut old = Client::quic(&harness, "ana", 1).await;
    let mut other = Client::quic(&harness, "ana", 2).await;
    let mut same_device_of_bob = Client::quic(&harness, "bob", 1).await;
    let mut new = Client::quic(&harness, "ana", 1).await;
    assert_eq!(old.goodbye().await.code(), Code::Replaced);
    for client in [&mut other, &mut same_device_of_bob, &mut new] {
        assert_eq!(client.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
    }
    let mut web = Client::socket(&harness, "ana", 1).await;
    assert_eq!(new.goodbye().await.code(), Code::Replaced);
    assert_eq!(web.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
}

/// A client may give an attempt up and begin another one, while the server still signs the first one in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_took_longer_than_the_next_one_does_not_end_it() {
    let harness = Harness::new(free()).await;
    let (connection, endpoint) = connect(&harness).await;
    let mut given_up = Client::over(connection, endpoint).await;
    let mut clients = [Client::quic(&harness, "ana", 1).await, Client::socket(&harness, "bob", 1).await];
    given_up.sign_in(hello(&harness.token("ana"), 1)).await;
    assert_eq!(given_up.goodbye().await.code(), Code::Replaced);
    let (connection, endpoint) = connect(&harness).await;
    let mut later = Client::over(connection, endpoint).await;
    later.sign_in(hello(&harness.token("bob"), 1)).await;
    assert_eq!(clients[1].goodbye().await.code(), Code::Replaced, "that one began later");
    for client in [&mut clients[0], &mut later] {
        assert_eq!(client.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_its_token() {
    let harness = Harness::new(free()).await;
    // Times of tokens are whole seconds, and this machine may stand still for some of them.
    let mut ana = Client::quic_with(&harness, hello(&harness.token_for("ana", "", 6), 1)).await;
    assert_eq!(ana.goodbye().await.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_end_when_the_operator_says_so() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut web = Client::socket(&harness, "ana", 2).await;
    let mut bob = Client::quic(&harness, "bob", 1).await;
    harness.handle.end_sessions(convene_types::UserId(ana.me.id), None, Code::Revoked);
    assert_eq!(ana.goodbye().await.code(), Code::Revoked);
    assert_eq!(web.goodbye().await.code(), Code::Revoked);
    assert_eq!(bob.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_says_goodbye_behind_the_answers() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut web = Client::socket(&harness, "bob", 1).await;
    let conv = ana.group(&[&web]).await;
    let ack = ana.say(conv, "before the end").await;
    harness.server.stop().await;
    for client in [&mut ana, &mut web] {
        let goodbye = client.goodbye().await;
        assert_eq!(goodbye.code(), Code::GoingAway);
        assert!(goodbye.retry_after_ms < 5_000);
    }
    assert_eq!(harness.handle.sessions(), 0);
    assert!(ack.seq > 0);
    harness.store.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_is_forgotten() {
    let harness = Harness::new(free()).await;
    let ana = Client::quic(&harness, "ana", 1).await;
    let bob = Client::quic(&harness, "bob", 1).await;
    let web = Client::socket(&harness, "eve", 1).await;
    harness.counted("convene_im_sessions{transport=\"quic\"} 2").await;
    ana.connection().close(0_u32.into(), b"");
    let Carrier::Quic { mut control, connection, _endpoint } = bob.carrier else { panic!("quic") };
    control.finish().unwrap();
    drop(web);
    harness.counted("convene_im_sessions{transport=\"quic\"} 0").await;
    harness.counted("convene_im_sessions{transport=\"websocket\"} 0").await;
    assert_eq!(harness.handle.sessions(), 0);
    drop((connection, _endpoint));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_more() {
    let harness = Harness::new(Limits { max_sessions: 1, ..free() }).await;
    let _ana = Client::socket(&harness, "ana", 1).await;
    let (connection, endpoint) = connect(&harness).await;
    let mut bob = Client::over(connection, endpoint).await;
    assert_eq!(bob.refused(Body::Hello(hello(&harness.token("bob"), 1))).await, Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_frame_is_a_hello_of_somebody_known() {
    let harness = Harness::new(free()).await;
    let good = hello(&harness.token("ana"), 1);
    let rows = [
        (Body::Ping(im::Ping {}), Code::HelloExpected),
        (Body::Hello(im::Hello { token: "a.b.c".into(), ..good.clone() }), Code::Unauthenticated),
        (Body::Hello(im::Hello { device_id: Bytes::from_static(b"short"), ..good.clone() }), Code::Malformed),
        (Body::Hello(im::Hello { version: 0, ..good.clone() }), Code::UnsupportedVersion),
    ];
    for (first, want) in rows {
        let (connection, endpoint) = connect(&harness).await;
        let mut client = Client::over(connection, endpoint).await;
        assert_eq!(client.refused(first).await, want);
        let closed = client.connection().closed().await;
        let quinn::ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
        assert_eq!(close.error_code, quinn::VarInt::from_u32(u32::try_from(i32::from(want)).unwrap()));
    }
    let mut ana = Client::quic(&harness, "ana", 1).await;
    assert_eq!(ana.refused(Body::Hello(good)).await, Code::HelloExpected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_may_come_in_pieces_and_many_in_one() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let pings: Vec<u8> =
        (100..110).flat_map(|rid| frame::encode(&frame::of(rid, Body::Ping(im::Ping {}))).to_vec()).collect();
    ana.send(Bytes::from(pings.clone())).await;
    for byte in pings {
        ana.send(Bytes::copy_from_slice(&[byte])).await;
    }
    for rid in (100..110).chain(100..110) {
        assert_eq!(ana.reply(rid).await, Body::Done(im::Done {}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_resets_connections_of_the_one_before_it() {
    let harness = Harness::new(free()).await;
    let relay = Relay::to(harness.handle.address()).await;
    let (endpoint, config) = endpoint();
    let connection = endpoint.connect_with(config, relay.address, "localhost").unwrap().await.unwrap();
    let mut ana = Client::over(connection, endpoint).await;
    assert!(matches!(ana.ask(Body::Hello(hello(&harness.token("ana"), 1))).await, Body::Welcome(_)));
    let (next, server) = harness.beside(free()).await;
    relay.turn(next.address()).await;
    ana.post(Body::Ping(im::Ping {})).await;
    let closed = tokio::time::timeout(DEADLINE, ana.connection().closed()).await.unwrap();
    assert_eq!(closed, quinn::ConnectionError::Reset);
    server.stop().await;
}
