//! [`Room`]: the tracks and subscribers of one room, and everything that goes in and out.

mod bandwidth;
mod control;
mod equalise;
mod feedback;
mod flush;
mod hold;
mod ingest;
mod measure;
mod pipe;
mod quality;
mod relocate;
mod repair;
mod report;
mod select;
mod timers;
mod way;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

use convene_rtp::ext;
use convene_types::{Mid, PeerId, TrackId};
use rustc_hash::FxHashMap;
use slab::Slab;

use self::repair::Seconds;
use crate::ceiling::Ceiling;
use crate::config::Config;
use crate::event::Event;
use crate::floor::Floor;
use crate::publisher::Publisher;
use crate::quality::Rating;
use crate::speakers::Speakers;
use crate::stats::Stats;
use crate::subscriber::Subscriber;
use crate::subscription::{Ended, Pending};
use crate::track::Track;
use crate::write::Block;

pub use flush::{Show, Sink};
pub use pipe::Again;
pub use relocate::Moved;

/// One room's forwarding state.
///
/// Input: `handle_rtp`, `handle_rtcp`, `handle_timeout` and the control calls. Output: `next_subscriber` with
/// `write` until it has nothing, then `poll_rtcp`, `poll_event` and `poll_timeout`.
#[derive(Debug)]
pub struct Room {
    config: Config,
    epoch: Instant,
    tracks: Slab<Track>,
    publishers: Slab<Publisher>,
    subscribers: Slab<Subscriber>,
    track_places: FxHashMap<TrackId, usize>,
    publisher_places: FxHashMap<PeerId, usize>,
    subscriber_places: FxHashMap<PeerId, usize>,
    /// Packets since the last flush, in order of arrival, and the count of those of earlier batches.
    batch: Vec<Pending>,
    batch_base: u64,
    /// Packets that have to be written for the batch, as far as `take_owed` has not told of them.
    owed: u64,
    /// One per packet of the batch.
    blocks: Vec<Block>,
    /// By `Shape`.
    shapes: Vec<(ext::Map, Mid)>,
    /// The batch up to here has its padding.
    equalised: usize,
    /// Tracks with packets in the batch whose subscribers are not in `active` yet.
    dirty: Vec<usize>,
    /// Subscribers that may have something to send.
    active: VecDeque<usize>,
    ceiling: Ceiling,
    /// The one that `write` writes for.
    current: Option<usize>,
    urgent: bool,
    rtcp: VecDeque<(PeerId, Vec<u8>)>,
    events: VecDeque<Event>,
    /// Subscribers whose sender report is due at the next tick.
    report_soon: Vec<usize>,
    /// Track and subscriber of subscriptions that have to be selected again after the flush.
    stranded: Vec<(usize, usize)>,
    pli_wanted: bool,
    nack_due: Option<Instant>,
    seconds: Seconds,
    /// A probe under way wants its next helping.
    probe_due: Option<Instant>,
    /// Subscribers with a probe under way.
    probing: Vec<usize>,
    /// Something waits for its turn on a narrow path, and may go from then on.
    pace_due: Option<Instant>,
    /// Subscribers for whom something waits so.
    paced: Vec<usize>,
    /// Subscribers whose path loses packets.
    lossy: Vec<usize>,
    /// Track and layer of layers that are held.
    held: Vec<(usize, u8)>,
    next_tick: Option<Instant>,
    ticks: u64,
    active_until: Instant,
    speakers: Speakers,
    floor: Floor,
    /// What was told of each peer's connection.
    rated: FxHashMap<PeerId, Rating>,
    ended: FxHashMap<PeerId, Ended>,
    stats: Stats,
}

impl Room {
    /// An empty room; `now` is the zero of its clocks.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            epoch: now,
            tracks: Slab::new(),
            publishers: Slab::new(),
            subscribers: Slab::new(),
            track_places: FxHashMap::default(),
            publisher_places: FxHashMap::default(),
            subscriber_places: FxHashMap::default(),
            batch: Vec::new(),
            batch_base: 0,
            owed: 0,
            blocks: Vec::new(),
            equalised: 0,
            shapes: Vec::new(),
            dirty: Vec::new(),
            active: VecDeque::new(),
            ceiling: Ceiling::Open,
            current: None,
            urgent: false,
            rtcp: VecDeque::new(),
            events: VecDeque::new(),
            report_soon: Vec::new(),
            stranded: Vec::new(),
            pli_wanted: false,
            nack_due: None,
            seconds: Seconds::default(),
            probe_due: None,
            probing: Vec::new(),
            pace_due: None,
            paced: Vec::new(),
            lossy: Vec::new(),
            held: Vec::new(),
            next_tick: None,
            ticks: 0,
            active_until: now,
            speakers: Speakers::default(),
            floor: Floor::default(),
            rated: FxHashMap::default(),
            ended: FxHashMap::default(),
            stats: Stats::default(),
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Counters since the room began.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
