//! A store that fails under a running service: sends are refused and may be repeated, reads go on, nothing that was
//! acknowledged is lost, and it recovers by itself.

use convene_proto::im::{self, Code, frame::Body};

use super::client::{Client, Lane, random_id, say};
use super::harness::{Harness, free};

/// Sends that are tried while nothing can be stored: some may still fit into pages that are there.
const TRIES: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_sends_and_answers_reads_until_there_is_space() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut bob = Client::socket(&harness, "bob", 1).await;
    let conv = ana.group(&[&bob]).await;
    let before = ana.say(conv, "before").await;
    assert!(harness.store.with_engine(|engine| engine.set_max_pages(1).unwrap()));

    let sends: Vec<im::Send> = (0..TRIES).map(|n| long(conv, n)).collect();
    let (mut acked, mut refused) = (Vec::new(), 0_u64);
    for send in &sends {
        match ana.ask(Body::Send(send.clone())).await {
            Body::Ack(ack) => acked.push(ack),
            Body::Error(error) => {
                assert_eq!((error.code(), error.conv), (Code::Unavailable, conv));
                assert!(error.client_id == send.client_id && error.retry_after_ms > 0, "{error:?}");
                refused += 1;
            }
            reply => panic!("{reply:?}"),
        }
    }
    assert!(refused > 0, "there was room for all");
    harness.counted(&format!("convene_refused_total{{code=\"unavailable\"}} {refused}")).await;
    let fetch = im::Fetch { conv, after: before.seq - 1, ..im::Fetch::default() };
    let Body::FetchReply(page) = Lane::open(&ana).await.ask(Body::Fetch(fetch)).await else { panic!("no page") };
    assert_eq!(page.events.first().map(|event| event.seq), Some(before.seq));
    assert_eq!(bob.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
    let mut other = Client::quic(&harness, "bob", 2).await; // known already: signing in writes nothing
    assert!(matches!(other.ask(Body::Sync(im::Sync::default())).await, Body::SyncReply(_)));

    harness.store.with_engine(|engine| engine.set_max_pages(0).unwrap());
    let known: Vec<_> = acked.iter().map(|ack| (ack.client_id.clone(), ack.seq)).collect();
    for send in sends {
        let Body::Ack(ack) = ana.ask(Body::Send(send)).await else { panic!("space, and yet refused") };
        let first = known.iter().find(|(id, _)| *id == ack.client_id).map(|(_, seq)| *seq);
        assert_eq!(first.is_some(), ack.duplicate);
        assert!(first.is_none_or(|seq| seq == ack.seq), "acknowledged at {first:?} and at {}", ack.seq);
        acked.push(ack);
    }
    let last = acked.iter().map(|ack| ack.seq).max().unwrap();
    assert_eq!(last, before.seq + u64::try_from(TRIES).unwrap(), "a refused send left a trace");
    let seen = bob.delivered(conv, last).await;
    assert_eq!(seen.last().unwrap().seq, last);
}

fn long(conv: u64, n: usize) -> im::Send {
    let Body::Send(send) = say(conv, &format!("{n} {}", "x".repeat(12_000))) else { panic!("a send") };
    im::Send { client_id: random_id(), ..send }
}
