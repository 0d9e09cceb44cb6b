//! The way out: subscriber-outer, packet-inner; rewrite and seal into one arena, one GSO send per subscriber and run of
//! equal sizes. Packets of many subscribers are sealed before any is sent: the code and tables of the kernel and ours would
//! otherwise drive each other out of the caches at each subscriber.

use std::time::Instant;

use convene_peer::Peer;
use convene_sfu_core::Sink;
use convene_types::{PeerId, RoomId};
use rustc_hash::FxHashMap;

use crate::counters::Counters;
use crate::network::Network;
use crate::session::Session;
use crate::socket::{MAX_SEGMENT_BYTES, Path};
use crate::worker::Worker;

/// The largest UDP payload; one send carries at most this.
const MAX_SEND_BYTES: usize = 65_507 - 1_500;

/// Room for the largest packet plus its tag behind the last sealed byte.
const MAX_PACKET_BYTES: usize = 2_048;

/// What is sealed before it is sent: it should stay in the second-level cache until the kernel has copied it.
const ARENA_BYTES: usize = 128 * 1024;

/// Sends that wait for each other at most: the first of them is late by the sealing of the others, some 20 us.
const MAX_RUNS: usize = 64;

/// Subscribers whose memory is brought into the cache together.
const TOUCH: usize = 16;

/// Packets of one subscriber that leave with one send.
#[derive(Debug)]
struct Run {
    path: Path,
    start: usize,
    len: usize,
    segment: usize,
    segments: usize,
}

/// Sealed packets that wait for their sends.
#[derive(Debug)]
pub(crate) struct Outbox {
    arena: Vec<u8>,
    end: usize,
    runs: Vec<Run>,
    /// The last run takes more: it is of this subscriber, and no packet of it was shorter than its segment.
    open: bool,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { arena: vec![0; ARENA_BYTES], end: 0, runs: Vec::with_capacity(MAX_RUNS), open: false }
    }

    /// What comes next is of another subscriber.
    fn next_subscriber(&mut self) {
        self.open = false;
    }

    /// Where the next packet is written and sealed.
    fn spare(&mut self) -> &mut [u8] {
        self.arena.get_mut(self.end..).unwrap_or_default()
    }

    /// Whether there may be no room for another packet.
    fn is_full(&self) -> bool {
        self.end + MAX_PACKET_BYTES > self.arena.len() || self.runs.len() >= MAX_RUNS
    }

    /// Takes the `len` bytes just written at [`Self::spare`].
    fn push(&mut self, path: Path, len: usize, max_segments: usize) {
        let start = self.end;
        self.end += len;
        if let Some(run) = self.runs.last_mut().filter(|_| self.open)
            && len <= run.segment
            && run.segment <= MAX_SEGMENT_BYTES
            && run.segments < max_segments
            && run.len + len <= MAX_SEND_BYTES
        {
            (run.len, run.segments) = (run.len + len, run.segments + 1);
            // UDP_SEGMENT: only the last datagram of a send may be shorter.
            self.open = len == run.segment;
            return;
        }
        self.runs.push(Run { path, start, len, segment: len, segments: 1 });
        self.open = true;
    }

    /// Sends everything.
    fn send(&mut self, network: &mut Network, counters: &mut Counters) {
        for run in self.runs.drain(..) {
            let contents = self.arena.get(run.start..run.start + run.len).unwrap_or_default();
            counters.sent(network.send(run.path, contents, run.segment), run.segments, run.len);
        }
        (self.end, self.open) = (0, false);
    }
}

/// Seals the packets of one subscriber.
struct Sealing<'a> {
    peer: &'a mut Peer,
    path: Path,
    max_segments: usize,
    outbox: &'a mut Outbox,
    network: &'a mut Network,
    counters: &'a mut Counters,
    wrote: bool,
}

impl Sink for Sealing<'_> {
    fn space(&mut self) -> &mut [u8] {
        self.outbox.spare()
    }

    fn take(&mut self, len: usize) {
        match self.peer.protect_rtp(self.outbox.spare(), len) {
            Ok(sealed) => {
                self.wrote = true;
                self.outbox.push(self.path, sealed, self.max_segments);
            }
            Err(_) => self.counters.dropped("seal_failed"),
        }
        if self.outbox.is_full() {
            self.outbox.send(self.network, self.counters);
        }
    }
}

/// What is for a subscriber whose path is not known yet.
struct Lost<'a>(&'a mut Outbox);

impl Sink for Lost<'_> {
    fn space(&mut self) -> &mut [u8] {
        self.0.spare()
    }

    fn take(&mut self, _len: usize) {}
}

impl Worker {
    /// Sends everything a room has for its subscribers.
    pub(crate) fn flush_room(&mut self, now: Instant, id: RoomId, since: Instant) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.due = false;
        #[cfg(test)]
        assert!(!room.faulty, "asked to panic by a test");
        let mut wrote = false;
        let max_segments = self.network.max_segments();
        let mut touched = 0_usize;
        while let Some(peer) = room.core.next_subscriber() {
            if touched == 0 {
                touched = touch(room.core.upcoming(TOUCH), &self.sessions);
            }
            touched = touched.saturating_sub(1);
            let session = self.sessions.get_mut(&peer);
            let Some((session, path)) = session.and_then(|session| session.path().map(|path| (session, path))) else {
                room.core.write(now, &mut Lost(&mut self.outbox));
                continue;
            };
            self.outbox.next_subscriber();
            let mut sealing = Sealing {
                peer: &mut session.peer,
                path,
                max_segments,
                outbox: &mut self.outbox,
                network: &mut self.network,
                counters: &mut self.counters,
                wrote: false,
            };
            room.core.write(now, &mut sealing);
            wrote |= sealing.wrote;
        }
        self.outbox.send(&mut self.network, &mut self.counters);
        if wrote {
            self.counters.forwarded(since.elapsed());
        }
        self.after_room_input(now, id);
    }
}

/// Brings what sealing for these peers needs into the cache, in one pass for each step from pointer to pointer; how many
/// there are.
fn touch(peers: impl Iterator<Item = PeerId>, sessions: &FxHashMap<PeerId, Box<Session>>) -> usize {
    let mut group = [None; TOUCH];
    let mut count = 0;
    for (slot, peer) in group.iter_mut().zip(peers) {
        *slot = sessions.get(&peer);
        count += 1;
    }
    for depth in 0..=2 {
        let sum = group.iter().flatten().fold(0, |sum, session| sum ^ session.touch(depth));
        std::hint::black_box(sum);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::{MAX_RUNS, Outbox};
    use crate::socket::Path;

    /// Segment and number of packets of each send.
    fn sends(outbox: &Outbox) -> Vec<(usize, usize)> {
        outbox.runs.iter().map(|run| (run.segment, run.segments)).collect()
    }

    fn path(port: u16) -> Path {
        Path { remote: ([127, 0, 0, 1], port).into(), local_ip: None, via: None }
    }

    #[test]
    fn packets_of_one_size_share_a_send_that_a_shorter_one_ends() {
        let mut outbox = Outbox::new();
        for len in [1_200, 1_200, 700, 1_200, 1_300] {
            outbox.push(path(1), len, 64);
        }
        assert_eq!(sends(&outbox), [(1_200, 3), (1_200, 1), (1_300, 1)]);
        assert_eq!(outbox.runs.iter().map(|run| run.start).collect::<Vec<_>>(), [0, 3_100, 4_300]);
    }

    #[test]
    fn what_an_interface_may_not_take_in_one_piece_leaves_alone() {
        let mut outbox = Outbox::new();
        for len in [1_232, 1_232, 1_233, 1_233, 1_200] {
            outbox.push(path(1), len, 64);
        }
        assert_eq!(sends(&outbox), [(1_232, 2), (1_233, 1), (1_233, 1), (1_200, 1)]);
    }

    #[test]
    fn a_send_is_of_one_subscriber_and_no_longer_than_the_kernel_takes() {
        let mut outbox = Outbox::new();
        outbox.push(path(1), 100, 2);
        outbox.next_subscriber();
        for _ in 0..3 {
            outbox.push(path(2), 100, 2);
        }
        assert_eq!(sends(&outbox), [(100, 1), (100, 2), (100, 1)]);
        assert_eq!(outbox.runs.iter().map(|run| run.path.remote.port()).collect::<Vec<_>>(), [1, 2, 2]);
    }

    #[test]
    fn it_is_full_before_a_packet_might_not_fit() {
        let mut outbox = Outbox::new();
        while !outbox.is_full() {
            outbox.push(path(1), 1_400, 64);
        }
        assert!(outbox.end <= outbox.arena.len(), "the last one fitted");
        let mut outbox = Outbox::new();
        for _ in 0..MAX_RUNS {
            assert!(!outbox.is_full());
            outbox.next_subscriber();
            outbox.push(path(1), 100, 64);
        }
        assert!(outbox.is_full());
    }
}
