//! What is asked of a room while one of its peers goes from worker to worker.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::start::{Options, start};

fn waits(asked: impl Future<Output = Result<(), Error>>) -> bool {
    pin!(asked).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn nothing_is_told_past_a_peer_that_is_under_way() {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let options = Options {
        bind: local,
        ports: vec![0],
        advertised: vec![local],
        tcp_port: None,
        spread: Spread::ByLoad,
        max_load: 2.0,
        loudest: 0,
        metrics: Arc::new(convene_telemetry::Metrics::new()),
    };
    let (handle, workers) = start(&options).unwrap();
    let (room, _events) = handle.open_room("moving").await.unwrap();
    let (peer, track) = (handle.new_peer_id(), handle.new_track_id());
    let moving = room.shared.moving.write().await;
    assert!(waits(room.set_muted(track, true)), "the other worker would go on forwarding it");
    assert!(waits(room.unpublish(track)), "the peer would stay subscribed to it");
    assert!(waits(room.unsubscribe(peer, track)));
    assert!(waits(room.remove_peer(peer)));
    drop(moving);
    room.set_muted(track, true).await.unwrap();
    room.unpublish(track).await.unwrap();
    handle.stop().await;
    tokio::task::spawn_blocking(|| workers.join()).await.unwrap();
}
