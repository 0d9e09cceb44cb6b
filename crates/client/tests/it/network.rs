//! Networks without UDP, networks that change, and sessions that end.

use convene_client::{Source, Transport, Update, Ways, body};
use convene_proto::im::Code;
use convene_types::UserId;

use crate::harness::{Device, Server};

async fn connected(device: &mut Device) -> (Transport, bool, u64) {
    device
        .until("session", |update| match update {
            Update::Connected { transport, early, me } => Some((transport, early, me.id)),
            _other => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_udp_a_websocket_carries_everything() {
    let server = Server::start().await;
    server.close_udp();
    let mut ana = server.client("ana").await;
    let bob = server.client("bob").await.synced().await;
    assert_eq!(connected(&mut ana).await.0, Transport::WebSocket);
    assert!(server.udp_was_tried());
    let conv = ana.client.create_direct("bob").await.unwrap();
    ana.client.send(conv, body::text("through TCP")).await.unwrap();
    bob.shows(conv, &["through TCP"]).await;
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let source = Source::Bytes { name: "data.bin".to_owned(), bytes: bytes.clone() };
    ana.client.send_file(conv, source, "all of it").await.unwrap();
    crate::blobs::arrives(&bob, conv, &bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quic_is_taken_where_it_works_and_resumed_without_a_round_trip() {
    let server = Server::start().await;
    let mut ana = server.client("ana").await;
    let (transport, early, me) = connected(&mut ana).await;
    assert_eq!((transport, early), (Transport::Quic, false));
    ana.client.synced().await.unwrap();
    server.handle().end_sessions(UserId(me), None, Code::GoingAway);
    let (transport, early, _) = connected(&mut ana).await;
    assert_eq!((transport, early), (Transport::Quic, true));
    ana.client.synced().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_over_another_address() {
    let server = Server::start().await;
    let bob = server.client("bob").await.synced().await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = server.config("ana", dir.path());
    config.ways = Ways::Quic;
    let client = convene_client::Client::open(config).await.unwrap();
    let mut ana = Device { updates: client.updates(), client, dir: crate::harness::Dir::Temporary(dir) };
    let conv = ana.client.create_direct("bob").await.unwrap();
    let bytes: Vec<u8> = (0..6_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let source = Source::Bytes { name: "data.bin".to_owned(), bytes: bytes.clone() };
    let id = ana.client.send_file(conv, source, "").await.unwrap();
    let mut rebinds = 0;
    loop {
        let client = ana.client.clone();
        let rebind = ana
            .until("an upload that goes on", |update| match update {
                Update::UploadProgress { done, total, .. } if rebinds < 3 && done * 4 > total * rebinds => Some(true),
                Update::Sent { client_id, .. } if client_id == id => Some(false),
                Update::Disconnected { reason, .. } => panic!("the session ended: {reason}"),
                _other => None,
            })
            .await;
        if !rebind {
            break;
        }
        rebinds += 1;
        client.rebind().await.unwrap();
    }
    assert_eq!(rebinds, 3, "all while it was uploading");
    crate::blobs::arrives(&bob, conv, &bytes).await;
}
