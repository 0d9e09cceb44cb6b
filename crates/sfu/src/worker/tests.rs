//! A worker without a thread: its turns are taken by hand.

use convene_sfu_core::TrackSpec;
use convene_types::{MediaKind, TrackId};

use super::*;
use crate::handle::{Error, Msid, PeerOptions, Subscription};
use crate::room::TrackEntry;
use crate::session::MAX_SUBSCRIPTIONS_PER_PEER;

pub(crate) fn worker() -> Worker {
    let poll = mio::Poll::new().unwrap();
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).unwrap());
    let (_commander, commands) = mpsc::channel(1);
    let (_pipe, inbox) = mpsc::channel(1);
    Worker::new(Parts {
        index: 0,
        poll,
        waker,
        network: Network::new(0, Arc::from(Vec::new())),
        commands,
        identity: Arc::new(Identity::generate().unwrap()),
        candidates: Vec::new(),
        tcp_candidates: Vec::new(),
        open_rooms: Arc::default(),
        load: Arc::default(),
        pipes: Pipes::new(0, Vec::new(), inbox),
        metrics: Arc::new(convene_telemetry::Metrics::new()),
        loudest: 0,
    })
}

/// A track of somebody's whose codecs are not known.
pub(crate) fn entry(track: TrackId) -> TrackEntry {
    let (publisher, kind, exts) = (PeerId(9), MediaKind::Audio, convene_rtp::ext::Map::default());
    let spec = TrackSpec { track, publisher, kind, pts: Vec::new(), layers: 1, exts, rtx: false, nack: false };
    TrackEntry::new(spec, Vec::new(), false)
}

#[test]
fn whoever_is_subscribed_has_a_section_or_is_asked_for_one() {
    const MOST: usize = MAX_SUBSCRIPTIONS_PER_PEER;
    for we_offer in [false, true] {
        let (mut worker, now) = (worker(), Instant::now());
        let (id, (events, _owner)) = (PeerId(1), mpsc::channel(8));
        let mut room = RoomState::new(String::new(), 0, events, 0, now);
        let tracks: Vec<TrackId> = (1..=MOST as u64 + 1).map(TrackId).collect();
        tracks.iter().for_each(|track| drop(room.tracks.insert(*track, entry(*track))));
        worker.rooms.insert(RoomId(1), room);
        let options = PeerOptions { peer: id, label: String::new(), reserve_sections: false, we_offer };
        worker.add_peer(now, RoomId(1), &options).unwrap();
        let mut subscribe = |track: TrackId| worker.subscribe(now, id, Subscription { track, msid: Msid::default() });
        let taken = tracks.iter().filter(|track| subscribe(**track).is_ok()).count();
        let refused = subscribe(TrackId(MOST as u64 + 1));
        assert!(matches!(refused, Err(Error::Limit { limit: "subscriptions_per_peer" })) && taken == MOST);
        let peer = &worker.sessions[&id].peer;
        let placed = peer.sections().iter().filter(|section| section.outgoing.is_some()).count();
        assert_eq!(placed + peer.missing_sections().0 as usize, MOST);
    }
}

#[test]
fn rooms_behind_one_that_panics_on_the_way_out_are_sent_in_the_next_turn() {
    let (mut worker, now) = (worker(), Instant::now());
    let (events, _owner) = mpsc::channel(8);
    for id in 1..=4 {
        worker.rooms.insert(RoomId(id), RoomState::new(String::new(), 0, events.clone(), 0, now));
        worker.mark_due(now, RoomId(id));
    }
    worker.rooms.get_mut(&RoomId(2)).unwrap().faulty = true;

    let later = now + GATHER;
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| worker.flush_if_due(later)));
    assert!(outcome.is_err());
    worker.handle_panic();
    let mut left: Vec<(u64, bool)> = worker.rooms.iter().map(|(id, room)| (id.0, room.due)).collect();
    left.sort_unstable();
    assert_eq!(left, [(1, false), (3, true), (4, true)], "the first was sent, the second has ended");

    assert_eq!(worker.sleep_for(later), Duration::ZERO, "nobody waits for another packet");
    worker.flush_if_due(later);
    assert!(worker.rooms.values().all(|room| !room.due) && worker.due.is_empty());
    assert_eq!(worker.gather_since, None);
    worker.mark_due(later, RoomId(3));
    assert_eq!((worker.due.len(), worker.gather_since), (1, Some(later)), "and it is entered again");
}
