//! What a room keeps of a peer that publishes, beyond its tracks.

use std::time::Instant;

use convene_types::{PeerId, Ssrc};

use crate::queue::Queue;
use crate::twcc::Recorder;

/// One publishing peer.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) peer: PeerId,
    /// Indices of its tracks.
    pub(crate) tracks: Vec<usize>,
    pub(crate) twcc: Recorder,
    /// Whether its path is full.
    pub(crate) queue: Queue,
    /// An SSRC that it sends with, for TWCC feedback.
    pub(crate) media_ssrc: Option<Ssrc>,
    /// The canonical name under which all its tracks go out: receivers play streams of one name in step
    /// (RFC 3550 §6.5.1).
    pub(crate) cname: String,
    /// Loss (0..=1) and jitter in ms of what it sends, as of the last report to it.
    pub(crate) uplink: Option<(f64, f64)>,
    /// Its packets come out of a pipe: its home room reports to it and rates it.
    pub(crate) piped: bool,
}

impl Publisher {
    pub(crate) fn new(peer: PeerId, epoch: Instant) -> Self {
        Self {
            peer,
            tracks: Vec::new(),
            twcc: Recorder::new(epoch),
            queue: Queue::default(),
            media_ssrc: None,
            cname: format!("{peer}"),
            uplink: None,
            piped: false,
        }
    }
}
