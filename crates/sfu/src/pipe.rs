//! Rooms over several workers: what goes from one worker to another.
//!
//! A track lives on its publisher's worker. Each other worker with subscribers of it gets every packet once, decrypted and
//! refcounted, through one bounded queue a worker, and serves its own subscribers from its own history. Back come requests
//! for keyframes and for packets that the queue had no room for, and which layers are wanted.
//!
//! Nothing here knows that the other end is a thread: what crosses is plain data with ids, so that a connection to another
//! node can take the queue's place.

use std::sync::Arc;

use bytes::Bytes;
use convene_peer::sdp::CodecParams;
use convene_sfu_core::TrackSpec;
use convene_types::{PeerId, Pt, RoomId, TrackId};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::demux::Name;
use crate::socket::Path;
use crate::waker::Waker;

/// Packets on their way to one worker. At 100,000 packets a second through pipes it is 80 ms; more would only be delay that
/// a late worker cannot make up for.
pub(crate) const MAX_PIPED: usize = 8_192;

/// Messages in a row before the worker's other work gets a turn.
pub(crate) const MAX_PIPED_PER_TURN: usize = 1_024;

/// Messages that may not be lost and wait for room in the queue. Each room has a few for each of its tracks.
const MAX_HELD: usize = 65_536;

/// What one worker tells another.
pub(crate) enum Piped {
    /// A packet of a publisher, as it came in.
    Rtp { room: RoomId, track: TrackId, layer: u8, rtx_media_pt: Option<Pt>, packet: Bytes },
    /// Reports of a publisher on what it sends.
    Reports { room: RoomId, publisher: PeerId, packet: Bytes },
    /// What a branch wants of a publisher.
    Feedback { room: RoomId, publisher: PeerId, from: usize, packet: Bytes },
    /// Layers that a branch forwards, a bit each; `None`: it has no subscribers of the track.
    Demand { room: RoomId, track: TrackId, from: usize, layers: Option<u8> },
    /// The track is over.
    Ended { room: RoomId, track: TrackId },
    /// What came for a peer that went on to the other worker.
    Datagram { peer: PeerId, path: Path, bytes: Bytes },
    /// By what else such a peer is known from now on.
    Named { peer: PeerId, name: Name },
    /// Such a peer has left.
    Left { peer: PeerId },
}

impl Piped {
    /// The room that a panic on the way would be the fault of; that of a peer is found on the way.
    pub(crate) const fn room(&self) -> Option<RoomId> {
        match self {
            Self::Rtp { room, .. }
            | Self::Reports { room, .. }
            | Self::Feedback { room, .. }
            | Self::Demand { room, .. }
            | Self::Ended { room, .. } => Some(*room),
            Self::Datagram { .. } | Self::Named { .. } | Self::Left { .. } => None,
        }
    }
}

/// A track as another worker gets to know it.
pub(crate) struct Exported {
    pub(crate) spec: TrackSpec,
    pub(crate) codecs: Vec<CodecParams>,
    pub(crate) redundant: bool,
    pub(crate) muted: bool,
    pub(crate) home: usize,
}

/// Another end of a pipe, as a track's home keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) worker: usize,
    /// `None`: nobody there is subscribed at the moment, and nothing is sent.
    pub(crate) layers: Option<u8>,
}

/// The way to another worker.
#[derive(Clone)]
pub(crate) struct PipeSender {
    pub(crate) queue: mpsc::Sender<Piped>,
    pub(crate) waker: Arc<Waker>,
}

/// One worker's ends of all pipes.
pub(crate) struct Pipes {
    own: usize,
    /// By worker.
    to: Vec<PipeSender>,
    inbox: mpsc::Receiver<Piped>,
    /// Workers to wake when the turn ends.
    woken: Vec<bool>,
    held: Vec<(usize, Piped)>,
}

impl Pipes {
    pub(crate) fn new(own: usize, to: Vec<PipeSender>, inbox: mpsc::Receiver<Piped>) -> Self {
        let woken = vec![false; to.len()];
        Self { own, to, inbox, woken, held: Vec::new() }
    }

    pub(crate) const fn own(&self) -> usize {
        self.own
    }

    pub(crate) fn poll(&mut self) -> Option<Piped> {
        self.inbox.try_recv().ok()
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Sends what may be lost. `false`: it was.
    pub(crate) fn send(&mut self, worker: usize, message: Piped) -> bool {
        self.try_send(worker, message).is_ok()
    }

    /// Sends what may not be lost; it waits where the queue is full. `false`: even that is full.
    pub(crate) fn tell(&mut self, worker: usize, message: Piped) -> bool {
        let waits = self.held.iter().any(|(to, _)| *to == worker);
        let message = match waits {
            true => message,
            false => match self.try_send(worker, message) {
                Ok(()) => return true,
                Err(message) => message,
            },
        };
        if self.held.len() >= MAX_HELD {
            return false;
        }
        self.held.push((worker, message));
        true
    }

    /// Ends a turn: what waited goes where there is room, and whoever has something new is woken once.
    pub(crate) fn end_turn(&mut self) {
        for (worker, message) in std::mem::take(&mut self.held) {
            self.tell(worker, message);
        }
        for (woken, sender) in self.woken.iter_mut().zip(&self.to) {
            if std::mem::take(woken) {
                sender.waker.wake();
            }
        }
    }

    fn try_send(&mut self, worker: usize, message: Piped) -> Result<(), Piped> {
        let Some(sender) = self.to.get(worker) else { return Ok(()) };
        match sender.queue.try_send(message) {
            Ok(()) => {
                if let Some(woken) = self.woken.get_mut(worker) {
                    *woken = true;
                }
                Ok(())
            }
            Err(TrySendError::Full(message)) => Err(message),
            Err(TrySendError::Closed(_)) => Ok(()), // that worker has ended: nobody misses it
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pipe_loses_packets_and_keeps_what_must_not_be_lost_in_order() {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let (queue, inbox) = mpsc::channel(2);
        let (_other, none) = mpsc::channel(1);
        let mut far = Pipes::new(1, Vec::new(), inbox);
        let mut near = Pipes::new(0, vec![PipeSender { queue, waker }], none);
        let (room, packet) = (RoomId(1), Bytes::from_static(b"x"));
        let rtp =
            |number| Piped::Rtp { room, track: TrackId(number), layer: 0, rtx_media_pt: None, packet: packet.clone() };
        assert!(near.send(0, rtp(1)) && near.send(0, rtp(2)) && !near.send(0, rtp(3)));
        assert!(near.tell(0, Piped::Ended { room, track: TrackId(4) }));
        assert!(near.tell(0, Piped::Ended { room, track: TrackId(5) }));
        let mut seen = Vec::new();
        for _ in 0..4 {
            while let Some(message) = far.poll() {
                seen.push(match message {
                    Piped::Rtp { track, .. } | Piped::Ended { track, .. } => track.0,
                    Piped::Reports { .. } | Piped::Feedback { .. } | Piped::Demand { .. } => 0,
                    Piped::Datagram { .. } | Piped::Named { .. } | Piped::Left { .. } => 0,
                });
            }
            near.end_turn();
        }
        assert_eq!(seen, [1, 2, 4, 5]);
        assert!(near.held.is_empty() && !far.is_ready());
    }
}
