//! What a room tells its owner.

use convene_types::{Codec, PeerId, TrackId};

use crate::quality::Rating;

/// Taken by [`crate::Room::poll_event`], in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Who speaks, loudest first, 0.0..=1.0 linear; whoever is not listed does not. Only when it changes.
    Speakers(Vec<(TrackId, f32)>),
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
