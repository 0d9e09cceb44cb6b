//! What is written without a server is sent when there is one, once and in order.

use convene_client::{Client, Config, DeviceId, Error, Update, body};

use crate::harness::Server;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_offline_survives_the_client_and_is_sent_in_order() {
    let mut server = Server::start().await;
    let bob = server.client("bob").await.synced().await;
    let ana = server.client("ana").await.synced().await;
    let conv = ana.client.create_direct("bob").await.unwrap();
    ana.client.send(conv, body::text("zero")).await.unwrap();
    ana.shows(conv, &["zero"]).await;
    server.stop().await;
    let dir = ana.dir;
    ana.client.shutdown().await;
    let path = match &dir {
        crate::harness::Dir::Temporary(dir) => dir.path().to_path_buf(),
        crate::harness::Dir::Kept(dir) => dir.clone(),
    };

    let offline = server.client_in("ana", &path).await;
    offline.shows(conv, &["zero"]).await;
    for text in ["one", "two", "three"] {
        offline.client.send(conv, body::text(text)).await.unwrap();
    }
    assert_eq!(offline.client.outgoing(Some(conv)).await.unwrap().len(), 3);
    offline.client.shutdown().await;
    assert_eq!(offline.client.me().await, Err(Error::Closed));

    server.resume().await;
    let back = server.client_in("ana", &path).await;
    bob.shows(conv, &["zero", "one", "two", "three"]).await;
    back.shows(conv, &["zero", "one", "two", "three"]).await;
    assert_eq!(back.client.outgoing(None).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_restart_loses_nothing_and_doubles_nothing() {
    let mut server = Server::start().await;
    let bob = server.client("bob").await.synced().await;
    let mut ana = server.client("ana").await.synced().await;
    let conv = ana.client.create_direct("bob").await.unwrap();
    ana.client.send(conv, body::text("before")).await.unwrap();
    bob.shows(conv, &["before"]).await;
    server.stop().await;
    ana.until("end", |update| matches!(update, Update::Disconnected { .. }).then_some(())).await;
    ana.client.send(conv, body::text("during")).await.unwrap();
    bob.client.send(conv, body::text("during too")).await.unwrap();
    server.resume().await;
    ana.client.reconnect().await.unwrap();
    ana.until("session", |update| matches!(update, Update::Connected { .. }).then_some(())).await;
    bob.client.reconnect().await.unwrap();
    ana.client.send(conv, body::text("after")).await.unwrap();
    let texts = |log: Vec<convene_proto::im::Event>| log.iter().filter_map(crate::harness::text_of).collect::<Vec<_>>();
    let both = async {
        loop {
            let (a, b) = (ana.client.log(conv).await.unwrap(), bob.client.log(conv).await.unwrap());
            if a == b && texts(a.clone()).len() == 4 {
                return a;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let log = tokio::time::timeout(crate::harness::DEADLINE, both).await.unwrap();
    let mut texts = texts(log);
    texts.sort();
    assert_eq!(texts, ["after", "before", "during", "during too"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_open_once_and_belongs_to_one_user() {
    let server = Server::start().await;
    let ana = server.client("ana").await.synced().await;
    let second = convene_client::Client::open(server.config("ana", ana.dir())).await;
    assert!(matches!(&second, Err(Error::Database(text)) if text.contains("another client")), "{second:?}");
    let path = ana.dir().to_path_buf();
    ana.client.shutdown().await;
    let mut eve = server.client_in("eve", &path).await;
    let (reason, retry) = eve
        .until("refusal", |update| match update {
            Update::Disconnected { reason, retry_in } => Some((reason, retry_in)),
            _other => None,
        })
        .await;
    assert!(reason.contains("belongs to ana"), "{reason}");
    assert_eq!(retry, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_offline_is_read_everywhere_after_the_client_is_back() {
    let mut server = Server::start().await;
    let bob = server.client("bob").await.synced().await;
    let other = server.client("ana").await.synced().await;
    let ana = server.client("ana").await.synced().await;
    let conv = bob.client.create_direct("ana").await.unwrap();
    for text in ["one", "two"] {
        bob.client.send(conv, body::text(text)).await.unwrap();
    }
    ana.shows(conv, &["one", "two"]).await;
    other.shows(conv, &["one", "two"]).await;
    server.stop().await;
    let dir = ana.dir().to_path_buf();
    ana.client.shutdown().await;

    let offline = server.client_in("ana", &dir).await;
    let newest = offline.client.log(conv).await.unwrap().last().unwrap().seq;
    offline.client.mark_read(conv, newest).await.unwrap();
    let unread = async |device: &crate::harness::Device| device.client.conversations().await.unwrap()[0].unread;
    assert_eq!((unread(&offline).await, unread(&other).await), (0, 2));
    offline.client.shutdown().await;

    server.resume().await;
    let back = server.client_in("ana", &dir).await;
    let read = async {
        while unread(&other).await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::harness::DEADLINE, read).await.expect("read on the other device, in time");
    assert_eq!(unread(&back).await, 0);
    assert_eq!(bob.client.receipts(conv, newest).await.unwrap().readers, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_of_the_device_and_the_organisation_that_it_was_opened_for() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let device: DeviceId = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
    let config = |device, organisation: &str| Config {
        device,
        organisation: organisation.to_owned(),
        ..server.config("ana", dir.path())
    };
    let ana = Client::open(config(Some(device), "")).await.unwrap();
    ana.synced().await.unwrap();
    assert_eq!(ana.device(), device);
    ana.shutdown().await;
    assert_eq!(DeviceId::kept_in(dir.path()), Ok(device));
    // Named later on, and this is the same user: from then on it is the one that is named.
    for organisation in ["acme", ""] {
        let ana = Client::open(config(None, organisation)).await.unwrap();
        ana.synced().await.unwrap();
        assert_eq!(ana.device(), device);
        ana.shutdown().await;
    }
    for (device, organisation) in [(Some(DeviceId([1; 16])), ""), (None, "emca")] {
        let refused = Client::open(config(device, organisation)).await;
        assert!(matches!(refused, Err(Error::Foreign(_))), "{refused:?}");
    }
}
