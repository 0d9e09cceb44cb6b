//! A worker without a thread: its turns are taken by hand.

use super::*;

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
