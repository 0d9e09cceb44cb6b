//! How much one subscriber's path carries, estimated by the sender from transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01, draft-ietf-rmcat-gcc-02).
//!
//! ```text
//! sent -> ledger --feedback--> acked  (what arrives)  ----------+
//!                      +-----> groups -> trend (does a queue    |
//!                      |                 grow?) -------> aimd --+--> estimate
//!                      |         standing (since when is one    |
//!                      |                   there?) ------^      |
//!                      +-----> losses (settled packets) --------+
//!                      +-----> prober (rate of a cluster) ------+ <- rivalry (is the queue ours?)
//!                      +-----> train (spread of a keyframe) ------> how fast much is sent at once, until there is an estimate
//!                      +-----> again (missing, overdue) ----------> what goes out once more
//! ```
//!
//! An SFU differs from an encoder in one way that shapes all of this: it cannot fill the path at will. What it sends
//! moves in steps of whole layers, and is mostly far below what the path carries. So the estimate does not grow by
//! itself beyond what was seen to arrive; it grows by probing, and only while a subscriber could use more.
//!
//! It is not a pacer and knows no tracks: `Room` sends, and `crate::allocate` spends the estimate.
//!
//! Invariants: it reads no clock; it allocates only when its ledger grows or packets are missing or overdue, never per packet;
//! equal input gives equal output to the bit.

mod acked;
mod again;
mod aimd;
mod feedback;
mod groups;
mod late;
mod ledger;
mod losses;
mod lowest;
mod probe;
mod prober;
mod reference;
mod rivalry;
mod silence;
mod standing;
mod train;
mod trend;

use std::time::{Duration, Instant};

use self::acked::Acked;
use self::again::Again;
use self::aimd::Aimd;
use self::groups::Groups;
use self::ledger::Ledger;
pub(crate) use self::ledger::Origin;
use self::losses::Losses;
use self::prober::Prober;
use self::reference::Reference;
use self::rivalry::Rivalry;
use self::standing::Standing;
use self::train::Trains;
use self::trend::Trend;

/// Bytes that a packet has on the wire beyond its plaintext: GCM tag, UDP and IPv4 headers. The path carries those too.
pub(crate) const WIRE_OVERHEAD: usize = 16 + 8 + 20;

/// Taken before anything is known, in bit/s. Enough for a camera's middle layer or a dozen thumbnails; the first probe
/// follows with the first feedback. Higher fills a slow phone's queue for seconds, lower begins every call with a blur.
const START: f64 = 1_500_000.0;

/// The estimate never goes below: audio is sent whatever the path is like, and needs this much.
const FLOOR: f64 = 40_000.0;

/// The estimate never goes above: no subscriber's tracks together need more.
const CEILING: f64 = 200_000_000.0;

/// A client that negotiated feedback and sent none for this long after the first packet sends none.
const SILENT_AFTER_US: i64 = 3_000_000;

/// What a receiver report tells of happened in the last 5 s (RFC 3550 §6.2), and its own way is part of it.
const REPORTED_US: i64 = 6_000_000;

/// So long the estimate is about what the path carries, because it has shown a limit. Otherwise it may be no more than what has
/// been of use, and this many times as much is tried.
const LIMITED_US: i64 = 30_000_000;
const PACE_OF_WIDE: f64 = 2.0;

/// What an estimator did, for counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) overuses: u64,
    pub(crate) probes_up: u64,
    pub(crate) rivals: u64,
    pub(crate) interruptions: u64,
}

/// One subscriber's transport.
#[derive(Debug)]
pub(crate) struct Estimator {
    epoch: Instant,
    ledger: Ledger,
    acked: Acked,
    groups: Groups,
    trend: Trend,
    aimd: Aimd,
    losses: Losses,
    prober: Prober,
    reference: Reference,
    standing: Standing,
    rivalry: Rivalry,
    again: Again,
    trains: Trains,
    /// The number behind the last that feedback told of.
    told: Option<u16>,
    heard_us: Option<i64>,
    /// When the first packet after the last feedback went out.
    unanswered_us: Option<i64>,
    /// A queue, a loss or a probe that found less than it tried has shown a limit; before that the path may carry more.
    known: bool,
    /// When a queue last grew.
    congested_us: Option<i64>,
    /// When a probe was last slowed down.
    slowed_us: Option<i64>,
    /// When the first packet went out.
    began_us: Option<i64>,
    needed: f64,
    tally: Tally,
}

impl Estimator {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            ledger: Ledger::new(),
            acked: Acked::new(),
            groups: Groups::default(),
            trend: Trend::new(),
            aimd: Aimd::new(START),
            losses: Losses::new(),
            prober: Prober::new(),
            reference: Reference::default(),
            standing: Standing::default(),
            rivalry: Rivalry::default(),
            again: Again::default(),
            trains: Trains::default(),
            told: None,
            heard_us: None,
            unanswered_us: None,
            known: false,
            congested_us: None,
            slowed_us: None,
            began_us: None,
            needed: 0.0,
            tally: Tally::default(),
        }
    }

    /// Bits per second that may be sent.
    fn estimate(&self) -> f64 {
        self.aimd.target().min(self.losses.bound()).clamp(FLOOR, CEILING)
    }

    /// Bits per second to plan with. `None`: the client has answered nothing for so long that it never will.
    pub(crate) fn budget(&self, now: Instant) -> Option<f64> {
        let waits = self.began_us.is_none_or(|began| self.micros(now) - began < SILENT_AFTER_US);
        (self.is_grounded() || waits).then(|| self.estimate())
    }

    /// The client has answered: the estimate is one. Clients that negotiate feedback and send none are not held to it.
    pub(crate) fn is_grounded(&self) -> bool {
        self.heard_us.is_some()
    }

    /// Bits per second below which something would be paused that runs. Nothing is for the sake of a short queue: it may be
    /// somebody else's, who would fill it all the same.
    pub(crate) fn need(&mut self, bits: f64) {
        self.needed = bits;
    }

    /// Whether the path has shown a limit.
    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    /// Bits per second to send at where much is to go at once, and so much is `desired` on average. `None`: nothing has shown a
    /// limit of the path.
    pub(crate) fn pacing(&self, now: Instant, desired: f64) -> Option<f64> {
        if self.congested_us.or(self.slowed_us).is_none() {
            let probed = if self.tally.probes_up > 0 { self.estimate() } else { FLOOR };
            return self.trains.carries().map(|bits| bits.max(probed));
        }
        let is_fresh = |at: Option<i64>| at.is_some_and(|at| self.micros(now) - at < LIMITED_US);
        // A probe that was slowed down a little, of a path that has all that is desired, need not have met its limit.
        let is_narrow = is_fresh(self.congested_us) || (is_fresh(self.slowed_us) && self.estimate() < desired);
        Some(self.estimate() * if is_narrow { 1.0 } else { PACE_OF_WIDE })
    }

    /// Whether what a receiver reports lost by now may have been lost to a queue of our own making.
    pub(crate) fn was_congested(&self, now: Instant) -> bool {
        self.congested_us.is_some_and(|at| self.micros(now) - at < REPORTED_US)
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// A packet of this many plaintext bytes goes out; its transport-wide number.
    pub(crate) fn sent(&mut self, now: Instant, bytes: usize, origin: Origin) -> u16 {
        let bytes = bytes + WIRE_OVERHEAD;
        let at = self.micros(now);
        self.began_us.get_or_insert(at);
        self.unanswered_us.get_or_insert(at);
        let cluster = self.prober.sent(at, bytes);
        self.ledger.push(at, bytes, cluster, origin)
    }

    /// What the last feedback told to be missing, where that is likely to be lost; once.
    pub(crate) fn take_missing(&mut self) -> Vec<Origin> {
        self.again.take_missing()
    }

    /// What the client should have told of by now, where its feedback does not come; each packet once.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> Vec<Origin> {
        let now_us = self.micros(now);
        self.again.take_overdue(now_us, &mut self.ledger)
    }

    /// The client's address changed, or ICE was restarted: the path may be another one. The estimate stays until the new
    /// path has said something.
    pub(crate) fn path_changed(&mut self) {
        self.interrupt();
    }

    /// Begins a probe, if it is time and more is `desired` (in bits per second) than is known to fit. `true`: it began.
    pub(crate) fn begin_probe(&mut self, now: Instant, desired: f64) -> bool {
        let now_us = self.micros(now);
        // Where the probe is all that goes out, no feedback follows that could conclude it.
        self.conclude_probe(now_us);
        let Some(rate) = self.rivalry.wants(desired) else {
            return self.prober.begin(now_us, self.estimate(), desired);
        };
        let began = self.prober.begin_at(now_us, rate);
        if began {
            self.rivalry.tries();
        }
        began
    }

    /// Bytes of probing to send now; 0: none.
    pub(crate) fn probe_bytes(&mut self, now: Instant) -> usize {
        self.prober.due(self.micros(now))
    }

    /// Whether a probe may be made of packets of full size.
    pub(crate) fn probe_takes_large(&self) -> bool {
        self.prober.takes_large()
    }

    /// When `probe_bytes` wants to be asked while a probe is under way.
    pub(crate) fn probe_due(&self) -> Option<Instant> {
        self.prober.next().map(|us| self.epoch + Duration::from_micros(u64::try_from(us).unwrap_or(0)))
    }

    /// Forgets what is under way and how delays were.
    fn interrupt(&mut self) {
        self.tally.interruptions += 1;
        self.ledger.forget();
        self.acked = Acked::new();
        self.groups = Groups::default();
        self.trend = Trend::new();
        self.trains = Trains::default();
        self.losses.interrupt();
        self.standing = Standing::default();
        self.rivalry = Rivalry::default();
        self.prober.interrupt();
    }

    fn micros(&self, now: Instant) -> i64 {
        i64::try_from(now.saturating_duration_since(self.epoch).as_micros()).unwrap_or(i64::MAX)
    }
}
