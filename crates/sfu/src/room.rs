//! One room as its worker keeps it: the forwarding core, its members, and the way to its owner.

use std::collections::VecDeque;
use std::time::Instant;

use convene_peer::sdp::CodecParams;
use convene_sfu_core as core;
use convene_types::{PeerId, TrackId};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::handle::{Channel, Event};
use crate::pipe::Branch;

/// Transports in one room: 1,000 subscribers are benched on one worker, publishers and the second transport of the
/// two-connection mode come on top.
pub(crate) const MAX_PEERS_PER_ROOM: usize = 4_000;

/// Events kept while the owner's channel is full. An owner this far behind for this long is stuck: the oldest are
/// dropped and counted, and the owner is told nothing it could act on late.
const MAX_EVENT_BACKLOG: usize = 4_096;

/// What the worker keeps of a published track beside what the core knows.
pub(crate) struct TrackEntry {
    pub(crate) publisher: PeerId,
    pub(crate) codecs: Vec<CodecParams>,
    /// It may go out as RED.
    pub(crate) redundant: bool,
    /// For other workers that import it.
    pub(crate) spec: core::TrackSpec,
    pub(crate) muted: bool,
    /// Workers that its packets are piped to.
    pub(crate) branches: Vec<Branch>,
    /// The worker that its packets are piped from.
    pub(crate) home: Option<usize>,
    /// What its home knows of the demand here.
    pub(crate) told: Option<Option<u8>>,
}

impl TrackEntry {
    /// A track of a publisher here.
    pub(crate) fn new(spec: core::TrackSpec, codecs: Vec<CodecParams>, redundant: bool) -> Self {
        let publisher = spec.publisher;
        Self { publisher, codecs, redundant, spec, muted: false, branches: Vec::new(), home: None, told: None }
    }
}

/// See the module.
pub(crate) struct RoomState {
    pub(crate) core: core::Room,
    pub(crate) members: Vec<PeerId>,
    pub(crate) tracks: FxHashMap<TrackId, TrackEntry>,
    /// Other workers have a part of it.
    pub(crate) is_piped: bool,
    pub(crate) due: bool,
    pub(crate) name: String,
    /// What the registry knows of the core's counters.
    pub(crate) exported: core::Stats,
    /// RTP packets of the last sample, in and out.
    pub(crate) packets: u64,
    /// Its video is thrown away where it comes late.
    pub(crate) gives_way: bool,
    /// Which worker this is, for the owner.
    worker: usize,
    events: mpsc::Sender<(usize, Event)>,
    backlog: VecDeque<Event>,
    /// Panics where its packets go out.
    #[cfg(test)]
    pub(crate) faulty: bool,
}

impl RoomState {
    pub(crate) fn new(
        name: String,
        worker: usize,
        events: mpsc::Sender<(usize, Event)>,
        loudest: u16,
        now: Instant,
    ) -> Self {
        let config = core::Config { loudest: usize::from(loudest), ..core::Config::default() };
        Self {
            core: core::Room::new(config, now),
            members: Vec::new(),
            tracks: FxHashMap::default(),
            is_piped: false,
            due: false,
            name,
            exported: core::Stats::default(),
            packets: 0,
            gives_way: false,
            worker,
            events,
            backlog: VecDeque::new(),
            #[cfg(test)]
            faulty: false,
        }
    }

    pub(crate) fn packets_since_sample(&self) -> u64 {
        let (now, then) = (self.core.stats(), &self.exported);
        now.packets_in + now.packets_out - then.packets_in - then.packets_out
    }

    /// Tells the owner. `false`: an event was lost, because the owner is far behind or gone.
    pub(crate) fn emit(&mut self, event: Event) -> bool {
        self.retry_backlog();
        if self.backlog.is_empty() {
            return match self.events.try_send((self.worker, event)) {
                Ok(()) => true,
                Err(TrySendError::Closed(_)) => false,
                Err(TrySendError::Full((_, event))) => self.keep(event),
            };
        }
        self.keep(event)
    }

    /// Sends what waited, in order.
    pub(crate) fn retry_backlog(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            if let Err(TrySendError::Full((_, event))) = self.events.try_send((self.worker, event)) {
                self.backlog.push_front(event);
                return;
            }
        }
    }

    /// Its last words.
    pub(crate) fn failed(&mut self) {
        self.emit(Event::Failed);
    }

    fn keep(&mut self, event: Event) -> bool {
        let lossy = matches!(
            event,
            Event::Speakers(_) | Event::Measured(_) | Event::Data { channel: Channel::Lossy | Channel::Tracks, .. }
        );
        if lossy || self.backlog.len() >= MAX_EVENT_BACKLOG {
            return false;
        }
        self.backlog.push_back(event);
        true
    }
}
