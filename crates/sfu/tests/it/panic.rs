//! A panic costs the room it happened in, and nothing else on the same worker.

use std::time::Duration;

use convene_sfu::{Error, Event, Handle, PeerOptions};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);

fn peer(handle: &Handle) -> PeerOptions {
    PeerOptions { peer: handle.new_peer_id(), label: "test".to_owned(), reserve_sections: false, we_offer: false }
}

#[tokio::test]
async fn a_panic_ends_one_room() {
    let (handle, workers, metrics) = crate::node(None);
    let (doomed, mut last_words) = handle.open_room("doomed").await.unwrap();
    let (other, _events) = handle.open_room("other").await.unwrap();
    doomed.add_peer(peer(&handle)).await.unwrap();
    other.add_peer(peer(&handle)).await.unwrap();

    doomed.inject_panic().await.unwrap();

    let event = timeout(SOON, last_words.recv()).await.unwrap();
    assert!(matches!(event, Some(Event::Failed)), "{event:?}");
    assert!(timeout(SOON, last_words.recv()).await.unwrap().is_none(), "the channel ends after the last words");
    assert!(matches!(doomed.add_peer(peer(&handle)).await, Err(Error::Closed)));
    other.add_peer(peer(&handle)).await.unwrap();
    let (again, _events) = handle.open_room("doomed").await.unwrap();
    again.add_peer(peer(&handle)).await.unwrap();

    handle.stop().await;
    tokio::task::spawn_blocking(|| workers.join()).await.unwrap();
    assert_eq!(metrics.room_panics.get(), 1, "counted on the worker's way out");
}
