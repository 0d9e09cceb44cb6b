//! Two devices of a user end with the same log, whatever each has missed.

use convene_client::{Update, body};
use prost::Message as _;

use crate::harness::{DEADLINE, Device, Server};

/// The log of a device, as bytes, once it has `count` events.
async fn log(device: &Device, conv: u64, count: u64) -> Vec<Vec<u8>> {
    let whole = async {
        loop {
            let log = device.client.log(conv).await.unwrap();
            if log.last().is_some_and(|event| event.seq >= count) && log.len() as u64 == count {
                return log.iter().map(|event| event.encode_to_vec()).collect();
            }
            let before = log.first().map(|event| event.seq);
            device.client.messages(conv, before, 100).await.unwrap();
        }
    };
    tokio::time::timeout(DEADLINE, whole).await.expect("the whole log, in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_end_with_equal_logs_by_push_sync_and_paging() {
    let server = Server::start().await;
    let mut always = server.client("ana").await.synced().await;
    let bob = server.client("bob").await.synced().await;
    let sometimes = server.client("ana").await.synced().await;
    let conv = always.client.create_group("team", &["bob"]).await.unwrap();
    let path = sometimes.dir().to_path_buf();
    let mut last = 0;
    for n in 0..150_u64 {
        if n == 40 {
            sometimes.client.shutdown().await;
        }
        let sender = if n % 3 == 0 { &bob } else { &always };
        sender.client.send(conv, body::text(format!("message {n}"))).await.unwrap();
    }
    for (body, sender) in [
        (body::react(5, "👍", false), &bob),
        (body::react(6, "👍", false), &bob),
        (body::react(6, "👍", true), &bob),
        (body::pin(7, false), &always),
    ] {
        sender.client.send(conv, body).await.unwrap();
    }
    let own = always
        .until("an own message", |update| match update {
            Update::Sent { seq, .. } => Some(seq),
            _other => None,
        })
        .await;
    always.client.send(conv, body::edit(own, "edited")).await.unwrap();
    let recalled = always
        .until("another own message", |update| match update {
            Update::Sent { seq, .. } => Some(seq),
            _other => None,
        })
        .await;
    always.client.send(conv, body::recall(recalled)).await.unwrap();
    let settled = async {
        while !(always.client.outgoing(None).await.unwrap().is_empty()
            && bob.client.outgoing(None).await.unwrap().is_empty())
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, settled).await.expect("all sent");
    // What bob said last may be on its way to her still.
    for device in [&always, &bob] {
        last = last.max(device.client.log(conv).await.unwrap().last().unwrap().seq);
    }
    let back = server.client_in("ana", &path).await.synced().await;
    let fresh = server.client("ana").await.synced().await;
    let want = log(&always, conv, last).await;
    assert_eq!(want, log(&bob, conv, last).await, "another member");
    assert_eq!(want, log(&back, conv, last).await, "a device that was away");
    assert_eq!(want, log(&fresh, conv, last).await, "a device that is new");
    for device in [&always, &back, &fresh] {
        let page = device.client.messages(conv, Some(own + 1), 1).await.unwrap();
        let folded = &page.messages[0].folded;
        assert_eq!(folded.edited.as_ref().map(|(text, _)| text.as_str()), Some("edited"));
    }
    let unread = |list: Vec<convene_client::Conversation>| list.iter().map(|one| one.unread).sum::<u64>();
    assert_eq!(unread(back.client.conversations().await.unwrap()), unread(fresh.client.conversations().await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_was_made_is_here_when_its_number_is() {
    let server = Server::start().await;
    let _bob = server.client("bob").await.synced().await;
    let ana = server.client("ana").await.synced().await;
    for n in 0..10 {
        let conv = ana.client.create_group(&format!("group {n}"), &["bob"]).await.unwrap();
        assert!(ana.client.conversations().await.unwrap().iter().any(|known| known.conv == conv));
        assert!(ana.client.messages(conv, None, 10).await.unwrap().complete);
    }
    let unknown = ana.client.create_direct("nobody").await.unwrap_err();
    assert!(unknown.to_string().contains("nobody of that name"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_on_one_device_is_read_on_the_other() {
    let server = Server::start().await;
    let bob = server.client("bob").await.synced().await;
    let one = server.client("ana").await.synced().await;
    let other = server.client("ana").await.synced().await;
    let conv = bob.client.create_direct("ana").await.unwrap();
    for text in ["a", "b", "c"] {
        bob.client.send(conv, body::text(text)).await.unwrap();
    }
    one.shows(conv, &["a", "b", "c"]).await;
    other.shows(conv, &["a", "b", "c"]).await;
    assert_eq!(other.client.conversations().await.unwrap()[0].unread, 3);
    let newest = one.client.log(conv).await.unwrap().last().unwrap().seq;
    one.client.mark_read(conv, newest).await.unwrap();
    let read = async {
        while other.client.conversations().await.unwrap()[0].unread > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("read on the other device");
    let receipts = bob.client.receipts(conv, newest).await.unwrap();
    assert_eq!((receipts.members, receipts.readers), (1, 1));
    assert_eq!(bob.client.members(conv).await.unwrap().len(), 2);
}
