//! Early data: what may ride in the first flight, and that it replaces nobody before the handshake is done.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body};
use convene_proto::limits::MAX_SYNC_BYTES;
use quinn::{TransportConfig, VarInt};

use super::client::{Client, endpoint, hello, random_id, say};
use super::harness::{Harness, free};
use super::relay::Relay;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_flight_sends_and_replaces_nobody_before_the_handshake() {
    let harness = Harness::new(free()).await;
    let relay = Relay::to(harness.handle.address()).await;
    let (endpoint, config) = endpoint();
    let token = harness.token("ana");
    let first = endpoint.connect_with(config.clone(), relay.address, "localhost").unwrap().await.unwrap();
    let mut ana = Client::over(first, endpoint.clone()).await;
    assert!(matches!(ana.ask(Body::Hello(hello(&token, 1))).await, Body::Welcome(_)));
    let conv = ana.group(&[]).await; // by now the tickets have come
    drop(ana);
    harness.counted("convene_im_sessions{transport=\"quic\"} 0").await;
    let mut old = Client::quic(&harness, "ana", 1).await;

    relay.held.store(true, Ordering::Release);
    let connecting = endpoint.connect_with(config, relay.address, "localhost").unwrap();
    let Ok((connection, accepted)) = connecting.into_0rtt() else { panic!("no ticket") };
    let mut early = Client::over(connection, endpoint.clone()).await;
    let welcome = early.post(Body::Hello(hello(&token, 1))).await;
    let send = early.post(say(conv, "in the first flight")).await;
    let create =
        im::Create { client_id: random_id(), kind: im::ConversationKind::Group.into(), ..im::Create::default() };
    let create = early.post(Body::Create(create)).await;
    harness.counted("convene_im_early_data_total{result=\"accepted\"} 1").await;
    harness.counted("convene_im_early_data_total{result=\"refused\"} 1").await;
    harness.counted("convene_im_sends_total{result=\"ok\"} 1").await;
    assert_eq!(old.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
    assert_eq!(harness.handle.sessions(), 2);

    relay.held.store(false, Ordering::Release);
    assert!(accepted.await);
    assert!(matches!(early.reply(welcome).await, Body::Welcome(_)));
    assert!(matches!(early.reply(send).await, Body::Ack(_)));
    let Body::Error(error) = early.reply(create).await else { panic!("made") };
    assert_eq!(error.code(), Code::TooEarly);
    assert_eq!(old.goodbye().await.code(), Code::Replaced);
    let create =
        im::Create { client_id: random_id(), kind: im::ConversationKind::Group.into(), ..im::Create::default() };
    assert!(matches!(early.ask(Body::Create(create)).await, Body::Created(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_its_devices_while_its_first_long_answer_is_on_the_way() {
    let harness = Harness::new(free()).await;
    let relay = Relay::to(harness.handle.address()).await;
    let (endpoint, mut config) = endpoint();
    let token = harness.token("ana");
    let first = endpoint.connect_with(config.clone(), relay.address, "localhost").unwrap().await.unwrap();
    let mut ana = Client::over(first, endpoint.clone()).await;
    assert!(matches!(ana.ask(Body::Hello(hello(&token, 1))).await, Body::Welcome(_)));
    // 600 KB to catch up with: more than may be queued, written and on the way together.
    for _ in 0..20 {
        let conv = ana.group(&[]).await;
        for _ in 0..2 {
            ana.say(conv, &"x".repeat(15_000)).await;
        }
    }
    drop(ana);
    harness.counted("convene_im_sessions{transport=\"quic\"} 0").await;
    let mut old = Client::quic(&harness, "ana", 1).await;

    // It takes little at a time, as on a slow path, and reads nothing of it.
    let mut slow = TransportConfig::default();
    slow.stream_receive_window(VarInt::from_u32(16 * 1024));
    config.transport_config(Arc::new(slow));
    relay.held.store(true, Ordering::Release);
    let connecting = endpoint.connect_with(config, relay.address, "localhost").unwrap();
    let Ok((connection, accepted)) = connecting.into_0rtt() else { panic!("no ticket") };
    let (mut send, _unread) = connection.open_bi().await.unwrap();
    let sync = Some(im::Sync { budget: MAX_SYNC_BYTES, top: 100, ..im::Sync::default() });
    let hello = im::Hello { sync, ..hello(&token, 1) };
    send.write_all(&frame::encode(&frame::of(1, Body::Hello(hello)))).await.unwrap();
    harness.counted("convene_im_early_data_total{result=\"accepted\"} 1").await;
    assert_eq!(harness.handle.sessions(), 2);

    relay.held.store(false, Ordering::Release);
    assert!(accepted.await);
    assert_eq!(old.goodbye().await.code(), Code::Replaced);
}
