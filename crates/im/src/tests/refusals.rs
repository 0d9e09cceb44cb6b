//! What is refused, with which code, and that the session lives on.

use bytes::Bytes;
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body};

use super::client::{Client, Lane, say};
use super::harness::{Harness, free};
use crate::Limits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_learn_nothing_and_leavers_are_told() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut bob = Client::quic(&harness, "bob", 1).await;
    let mut eve = Client::quic(&harness, "eve", 1).await;
    let conv = ana.group(&[&bob]).await;
    assert_eq!(eve.refused(say(conv, "x")).await, Code::UnknownConversation);
    assert_eq!(eve.refused(say(conv + 1000, "x")).await, Code::UnknownConversation);
    let fetch = Body::Fetch(im::Fetch { conv, ..im::Fetch::default() });
    assert_eq!(eve.refused(fetch).await, Code::UnknownConversation);
    let leave = im::MemberChange { remove: vec![bob.me.id], ..im::MemberChange::default() };
    let leave = im::Body { kind: Some(im::body::Kind::Members(leave)), ..im::Body::default() };
    let Body::Ack(left) = bob.ask(super::client::send(conv, leave)).await else { panic!("no ack") };
    assert_eq!(bob.refused(say(conv, "x")).await, Code::NotAMember);
    let behind = ana.say(conv, "behind his back").await;
    ana.delivered(conv, behind.seq).await;
    let seen = bob.delivered(conv, left.seq).await;
    assert_eq!(seen.last().unwrap().seq, left.seq);
    assert_eq!(bob.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
    harness.counted("convene_im_sends_total{result=\"not_a_member\"} 1").await;
    harness.counted("convene_refused_total{code=\"not_a_member\"} 1").await;
    harness.counted("convene_refused_total{code=\"unknown_conversation\"} 3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_bytes_cost_a_frame_and_a_long_frame_costs_the_session() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    ana.send(Bytes::from_static(&[3, 0xff, 0xff, 0xff])).await;
    assert_eq!(ana.refused(Body::Done(im::Done {})).await, Code::Malformed);
    let Body::Error(error) = ana.reply(0).await else { panic!("no error") };
    assert_eq!(error.code(), Code::Malformed);
    assert_eq!(ana.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
    ana.send(Bytes::from_static(&[0x81, 0x80, 0x04])).await;
    assert_eq!(ana.goodbye().await.code(), Code::FrameTooLarge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_stream_takes_bulk_only() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let conv = ana.group(&[]).await;
    let ack = ana.say(conv, "x").await;
    let mut lane = Lane::open(&ana).await;
    let Body::Error(error) = lane.ask(say(conv, "y")).await else { panic!("taken") };
    assert_eq!(error.code(), Code::WrongStream);
    let Body::FetchReply(page) = lane.ask(Body::Fetch(im::Fetch { conv, ..im::Fetch::default() })).await else {
        panic!("no page")
    };
    assert_eq!((page.from, page.to, page.head), (0, ack.seq, ack.seq));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_told_when_to_come_back() {
    let limits = Limits { device_sends_per_s: 5, ..free() };
    let harness = Harness::new(limits).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut other = Client::quic(&harness, "ana", 2).await;
    let conv = ana.group(&[]).await;
    let mut rids = Vec::new();
    for _ in 0..80 {
        rids.push(ana.post(say(conv, "again")).await);
    }
    let (mut good, mut flood) = (0, 0);
    for rid in rids {
        match ana.reply(rid).await {
            Body::Ack(_) => good += 1,
            Body::Error(error) => {
                assert_eq!((error.code(), error.conv), (Code::Flood, conv));
                assert!((1..=1000).contains(&error.retry_after_ms), "{}", error.retry_after_ms);
                flood += 1;
            }
            reply => panic!("{reply:?}"),
        }
    }
    assert!(good >= 50 && flood >= 1, "{good} taken, {flood} refused");
    other.say(conv, "another device").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_not_flooded_by_many_who_are_each_slow() {
    let limits = Limits { conversation_sends_per_s: 5, ..free() };
    let harness = Harness::new(limits).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut bob = Client::quic(&harness, "bob", 1).await;
    let conv = ana.group(&[&bob]).await;
    let mut refused = [0, 0];
    for _ in 0..200 {
        for (client, count) in [&mut ana, &mut bob].into_iter().zip(&mut refused) {
            if let Body::Error(error) = client.ask(say(conv, "again")).await {
                assert_eq!((error.code(), error.conv), (Code::Flood, conv));
                assert!(error.retry_after_ms > 0);
                *count += 1;
            }
        }
        if refused.iter().all(|count| *count > 0) {
            break;
        }
    }
    assert!(refused.iter().all(|count| *count > 0), "{refused:?}");
    let other = ana.group(&[]).await;
    ana.say(other, "another conversation").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_told_too() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::socket(&harness, "ana", 1).await;
    let rid_0 = frame::encode(&frame::of(0, Body::Ping(im::Ping {})));
    ana.send(rid_0).await;
    let Body::Error(error) = ana.reply(0).await else { panic!("no error") };
    assert_eq!(error.code(), Code::Malformed);
    assert_eq!(ana.refused(say(77, "x")).await, Code::UnknownConversation);
    assert_eq!(ana.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
}
