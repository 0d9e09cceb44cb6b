//! What went over each track of each transport since it was last asked: for the history that outlives a call.

use convene_types::{PeerId, TrackId};

/// One track on one transport, in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// The transport.
    pub peer: PeerId,
    /// The track.
    pub track: TrackId,
    /// The peer publishes it; else it receives it.
    pub published: bool,
    /// Packets of media in the span, repeats not counted; of what is published those of all layers.
    pub packets: u32,
    /// Their bytes without headers of UDP and IP.
    pub bytes: u64,
    /// Part that was lost before repair, 0..=1: the mean of the reports in the span.
    pub loss: f32,
    /// The mean of the reports in the span.
    pub jitter_ms: f32,
    /// As of the last report; 0: not known.
    pub round_trip_ms: f32,
    /// The highest layer that goes out to the peer, or comes from it.
    pub layer: u8,
    /// It does not fit the path and is paused.
    pub starved: bool,
}

/// Means of what reports say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reports {
    count: u32,
    loss: f32,
    jitter_ms: f32,
}

impl Reports {
    pub(crate) fn add(&mut self, loss: f32, jitter_ms: f32) {
        self.count += 1;
        self.loss += loss;
        self.jitter_ms += jitter_ms;
    }

    /// Loss and jitter; begins anew.
    pub(crate) fn take(&mut self) -> (f32, f32) {
        let Self { count, loss, jitter_ms } = std::mem::take(self);
        let count = count.max(1) as f32;
        (loss / count, jitter_ms / count)
    }
}
