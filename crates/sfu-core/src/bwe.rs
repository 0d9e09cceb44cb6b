//! How much one subscriber's path carries, estimated by the sender from transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01, draft-ietf-rmcat-gcc-02).
//!
//! ```text
//! sent -> ledger --feedback--> acked  (what arrives)  ----------+
//!                      +-----> groups -> trend (does a queue    |
//!                      |                 grow?) -------> aimd --+--> estimate
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
mod groups;
mod late;
mod ledger;
mod losses;
mod probe;
mod prober;
mod reference;
mod rivalry;
mod silence;
mod train;
mod trend;

use std::time::{Duration, Instant};

use convene_rtp::rtcp::TransportCc;

use self::acked::Acked;
use self::again::Again;
use self::aimd::Aimd;
use self::groups::Groups;
pub(crate) use self::ledger::Origin;
use self::ledger::{Fate, Ledger};
use self::losses::Losses;
use self::probe::Pace;
use self::prober::Prober;
use self::reference::Reference;
use self::rivalry::Rivalry;
use self::train::Trains;
use self::trend::{Trend, Usage};

/// Bytes that a packet has on the wire beyond its plaintext: GCM tag, UDP and IPv4 headers. The path carries those too.
pub(crate) const WIRE_OVERHEAD: usize = 16 + 8 + 20;

/// Taken before anything is known, in bit/s. Enough for a camera's middle layer or a dozen thumbnails; the first probe
/// follows with the first feedback. Higher fills a slow phone's queue for seconds, lower begins every call with a blur.
const START: f64 = 1_500_000.0;

/// The estimate never goes below: audio is sent whatever the path is like, and needs this much.
const FLOOR: f64 = 40_000.0;

/// The estimate never goes above: no subscriber's tracks together need more.
const CEILING: f64 = 200_000_000.0;

/// Feedback comes every 50 to 250 ms while packets do. After a pause this long the path was interrupted (ICE restart, tunnel, sleep): what
/// was lost in it says nothing about its rate.
const INTERRUPTED_AFTER_US: i64 = 1_000_000;

/// A client that negotiated feedback and sent none for this long after the first packet sends none.
const SILENT_AFTER_US: i64 = 3_000_000;

/// What a receiver report tells of happened in the last 5 s (RFC 3550 §6.2), and its own way is part of it.
const REPORTED_US: i64 = 6_000_000;

/// So long the estimate is about what the path carries, because it has shown a limit. Otherwise it may be no more than what has
/// been of use, and this many times as much is tried.
const LIMITED_US: i64 = 30_000_000;
const PACE_OF_WIDE: f64 = 2.0;

/// Unit of the feedback's deltas (§3.1).
const DELTA_US: i64 = 250;

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

    /// Feedback of the client. `true`: the estimate fell.
    pub(crate) fn feedback(&mut self, now: Instant, feedback: &TransportCc<'_>) -> bool {
        let now_us = self.micros(now);
        let before = self.estimate();
        // Of the pauses that we make ourselves nothing is to be learnt.
        let interrupted = self.unanswered_us.take().is_some_and(|since| now_us - since > INTERRUPTED_AFTER_US);
        self.heard_us = Some(now_us);
        self.ledger.grounded();
        if interrupted {
            self.interrupt();
        }
        let usage = self.take_arrivals(feedback);
        self.again.heard(now_us, self.ledger.newest_arrived());
        let losses = &mut self.losses;
        let (mut settled, mut gone) = (0_u32, 0_u32);
        self.ledger.settle(|lost| {
            losses.count(lost);
            (settled, gone) = (settled + 1, gone + u32::from(lost));
        });
        self.trend.heed_loss(gone, settled);
        let usage = self.heed(now_us, usage);
        self.aimd.update(now_us, usage, &self.acked, self.needed);
        self.losses.update(now_us, self.aimd.target(), &self.acked, self.needed);
        self.conclude_probe(now_us);
        self.known |= self.losses.bound().is_finite();
        self.estimate() < before
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

    fn conclude_probe(&mut self, now_us: i64) {
        let Some((found, pace)) = self.prober.result(now_us, self.ledger.newest_arrived()) else { return };
        self.known |= !self.prober.found_all();
        if pace == Pace::Slowed {
            self.slowed_us = Some(now_us);
        }
        let ours = self.rivalry.found(now_us, found, pace, self.prober.through(), self.trend.standing_ms());
        if ours.is_some() {
            self.tally.rivals += 1;
            self.aimd.forget_limit();
        }
        if self.rivalry.is_there(now_us) {
            self.prober.forget_limit(now_us);
        }
        let (found, pace) = ours.map_or((found, pace), |ours| (ours, Pace::Even));
        let before = self.estimate();
        let Some(believed) = self.aimd.raise(now_us, found, pace) else { return };
        self.tally.probes_up += u64::from(believed > before);
        self.losses.raise(believed);
    }

    /// What of it is ours to heed, where a queue grows.
    fn heed(&mut self, now_us: i64, usage: Usage) -> Usage {
        if usage.is_over() {
            self.tally.overuses += 1;
            self.known = true;
            self.rivalry.grows(now_us, &self.acked);
        }
        self.rivalry.look(now_us, self.trend.standing_ms(), &self.acked, self.prober.is_idle());
        if self.rivalry.is_there(now_us) {
            return Usage::Normal; // it grows whatever we do
        }
        if !usage.is_over() {
            return usage;
        }
        self.prober.congested(now_us, self.acked.short());
        self.congested_us = Some(now_us);
        if self.rivalry.was_there(now_us) { usage.min(Usage::Deep) } else { usage }
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
        self.rivalry = Rivalry::default();
        self.prober.interrupt();
    }

    fn take_arrivals(&mut self, feedback: &TransportCc<'_>) -> Usage {
        let mut arrival_us = self.reference.micros(feedback.reference_time_64ms);
        let mut skipped = self.is_behind_a_gap(feedback);
        for (seq, delta) in feedback.arrivals() {
            let Some(delta) = delta else {
                if let Some(packet) = self.ledger.reported(seq.0) {
                    self.prober.missing(packet.cluster, packet.bytes);
                    self.again.missing(&packet);
                }
                continue;
            };
            arrival_us += i64::from(delta) * DELTA_US;
            if std::mem::take(&mut skipped) {
                self.acked.untold(arrival_us);
            }
            let Some(packet) = self.ledger.arrived(seq.0) else { continue };
            if packet.fate == Fate::Arrived {
                continue; // told twice
            }
            if packet.fate == Fate::Missing {
                self.again.came();
            }
            self.acked.add(arrival_us, packet.bytes);
            if packet.cluster != 0 {
                // A probe makes a queue on purpose.
                self.prober.arrived(&packet, arrival_us);
                self.groups.skip();
                self.trains.end();
                continue;
            }
            self.trains.arrived(packet.sent_us, arrival_us, packet.bytes);
            if let Some(delta) = self.groups.add(packet.sent_us, arrival_us) {
                self.trend.add(&delta);
            }
        }
        self.trend.verdict()
    }

    /// Whether feedback before this one is missing. Numbers that were told of may be told of again: libwebrtc does so where
    /// packets overtook each other.
    fn is_behind_a_gap(&mut self, feedback: &TransportCc<'_>) -> bool {
        let newer = |one: u16, than: u16| (1..1 << 15).contains(&one.wrapping_sub(than));
        let (base, end) = (feedback.base_seq.0, feedback.base_seq.0.wrapping_add(feedback.count));
        let before = self.told;
        if before.is_none_or(|told| newer(end, told)) {
            self.told = Some(end);
        }
        before.is_some_and(|told| newer(base, told))
    }

    fn micros(&self, now: Instant) -> i64 {
        i64::try_from(now.saturating_duration_since(self.epoch).as_micros()).unwrap_or(i64::MAX)
    }
}
