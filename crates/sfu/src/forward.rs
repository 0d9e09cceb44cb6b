//! The way out: subscriber-outer, packet-inner; rewrite and seal into one arena, one GSO send per subscriber and run of
//! equal sizes.

use std::time::Instant;

use convene_types::RoomId;

use crate::network::Network;
use crate::socket::{Path, Sent};
use crate::worker::Worker;

/// The largest UDP payload; one send carries at most this.
const MAX_SEND_BYTES: usize = 65_507 - 1_500;

/// Room for the largest packet plus its tag behind the last sealed byte.
const MAX_PACKET_BYTES: usize = 2_048;

/// Sealed packets of one subscriber, waiting for one send.
pub(crate) struct Outbox {
    arena: Vec<u8>,
    end: usize,
    segment: usize,
    segments: usize,
    /// The last packet was shorter than the segment: nothing can follow it in the same send.
    closed: bool,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { arena: vec![0; MAX_SEND_BYTES + 2 * MAX_PACKET_BYTES], end: 0, segment: 0, segments: 0, closed: false }
    }

    /// Where the next packet is written and sealed.
    fn spare(&mut self) -> &mut [u8] {
        self.arena.get_mut(self.end..).unwrap_or_default()
    }

    /// Takes the `length` bytes just written at [`Self::spare`]; sends what was gathered when they cannot join it.
    fn push(&mut self, length: usize, network: &mut Network, path: Path) -> Option<(Sent, usize, usize)> {
        let joins =
            self.segments == 0 || (!self.closed && length <= self.segment && self.segments < network.max_segments());
        let full = self.end + length > MAX_SEND_BYTES;
        let outcome = if joins && !full { None } else { Some(self.send_moving_tail(length, network, path)) };
        if self.segments == 0 {
            self.segment = length;
        }
        self.closed = length < self.segment;
        self.segments += 1;
        self.end += length;
        outcome
    }

    /// Sends everything before the packet at `end`, then moves that packet to the front.
    fn send_moving_tail(&mut self, length: usize, network: &mut Network, path: Path) -> (Sent, usize, usize) {
        let tail = self.end;
        let outcome = self.send(network, path);
        self.arena.copy_within(tail..tail + length, 0);
        outcome
    }

    /// Sends what is gathered: outcome, datagrams, bytes.
    fn send(&mut self, network: &mut Network, path: Path) -> (Sent, usize, usize) {
        let contents = self.arena.get(..self.end).unwrap_or_default();
        let outcome = (network.send(path, contents, self.segment), self.segments, self.end);
        (self.end, self.segment, self.segments, self.closed) = (0, 0, 0, false);
        outcome
    }
}

impl Worker {
    /// Sends everything a room has for its subscribers.
    pub(crate) fn flush_room(&mut self, now: Instant, id: RoomId, since: Instant) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.due = false;
        let mut wrote = false;
        while let Some(peer) = room.core.next_subscriber() {
            let session = self.sessions.get_mut(&peer);
            let Some((session, path)) = session.and_then(|session| session.path().map(|path| (session, path))) else {
                while room.core.write_next(now, self.outbox.spare()).is_some() {}
                continue;
            };
            while let Some(length) = room.core.write_next(now, self.outbox.spare()) {
                match session.peer.protect_rtp(self.outbox.spare(), length) {
                    Ok(sealed) => {
                        wrote = true;
                        if let Some((sent, datagrams, bytes)) = self.outbox.push(sealed, &mut self.network, path) {
                            self.counters.sent(sent, datagrams, bytes);
                        }
                    }
                    Err(_) => self.counters.dropped("seal_failed"),
                }
            }
            if self.outbox.segments > 0 {
                let (sent, datagrams, bytes) = self.outbox.send(&mut self.network, path);
                self.counters.sent(sent, datagrams, bytes);
            }
        }
        if wrote {
            self.counters.forwarded(since.elapsed());
        }
        self.after_room_input(now, id);
    }
}
