//! What a room tells its owner.

use convene_types::{Codec, PeerId, TrackId};

use crate::flow::Flow;
use crate::quality::Rating;

/// Taken by [`crate::Room::poll_event`], in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Who speaks: the dominant one first, then the loudest first; whoever is not listed does not. Only when it changes.
    Speakers(Vec<Speaker>),
    /// First media packet of a track came in.
    TrackStarted {
        /// Which.
        track: TrackId,
        /// What its payload is.
        codec: Codec,
    },
    /// A subscriber's path became too narrow for a track, which is paused, or is wide enough again.
    StreamState {
        /// Receiver.
        peer: PeerId,
        /// Which.
        track: TrackId,
        /// Which of the two.
        paused: bool,
    },
    /// What went over each track of each transport in the last ten seconds.
    Measured(Vec<Flow>),
    /// Connections whose rating changed.
    Quality(Vec<(PeerId, Rating)>),
    /// First media packet of a track went out to a subscriber.
    TrackFlowing {
        /// Receiver.
        peer: PeerId,
        /// Which.
        track: TrackId,
    },
}

/// One active speaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speaker {
    /// The audio track.
    pub track: TrackId,
    /// 0.0..=1.0, linear.
    pub level: f32,
    /// Whose turn it is, of those who are published on this worker: one at most.
    pub dominant: bool,
}
