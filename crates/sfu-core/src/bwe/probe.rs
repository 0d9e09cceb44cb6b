//! One probe: what went out in its time, and what its arrivals say of the path.

use super::ledger::{Fate, Packet};

/// How long a probe lasts: several frames' time, so that it is more than a queue's first packets, and short enough that
/// what it puts into the queue of a slow path (at twice its rate) is gone after as long again.
pub(super) const LENGTH_US: i64 = 120_000;
/// Time between two helpings. A tenth of a helping is a packet at 1 Mbit/s.
const HELPING_US: i64 = 5_000;
/// A probe below this rate has to be made of small packets, for fewer than ten tell nothing: ten of full size take this much.
const LARGE_PACKETS_FROM: f64 = 800_000.0;
/// Packets that have to arrive to tell a rate.
const MIN_PACKETS: usize = 5;
/// A probe that arrives slower than this part of what was sent has found the path's limit, and this much of the limit is
/// taken.
const LIMIT_FOUND: f64 = 0.9;
pub(super) const TAKEN: f64 = 0.92;
/// The same of a probe that looks whether a known limit is still there. Where it is, little more is tried than the path carries.
const LIMIT_IS_THERE: f64 = 0.97;
/// One that arrived at this part of what was tried found all of that.
const ALL_FOUND: f64 = 0.75;
/// One that arrives faster than it was sent by this much was held back on its way and let go together, by a radio that
/// waited for its slot or a machine that slept: its pace is not the path's.
const HURRIED: f64 = 1.5;
/// Packets of a queue come in one by one. Those of a probe that are so far from that tell of an uneven path, on which a little
/// more than the estimate is too little to tell anything, and receivers keep as much in their buffers anyway.
const UNEVEN_US: f64 = 15_000.0;

/// Part of a probe's bytes left out at each end of its arrivals: there jitter stretches it, in the middle it cancels out.
/// Too few packets have no middle, and the middle of a few large bursts is one of them.
const TRIMMED: f64 = 0.2;
const MIN_TRIMMED: usize = 12;
const MIN_MIDDLE_US: i64 = LENGTH_US / 2;
/// Packets of a probe that are looked at: one at 100 Mbit/s has so many of full size.
const MAX_ARRIVALS: usize = 1_024;

/// How a probe arrived, beside how it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pace {
    /// As it was sent.
    #[default]
    Even,
    /// Slower: this is all there is.
    Slowed,
    /// Faster: it says little.
    Hurried,
}

/// What a probe has found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// Bits per second.
    pub(super) bits: f64,
    pub(super) pace: Pace,
    /// The part of it that arrived.
    pub(super) through: f64,
    /// It is what was tried.
    pub(super) all: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) cluster: u8,
    /// Bits per second that it is to be.
    pub(super) rate: f64,
    /// It looks whether a known limit is still there.
    pub(super) careful: bool,
    from_us: i64,
    sent_bytes: u64,
    /// Bytes that feedback says have not arrived. What it says nothing of is not in here: feedback gets lost too.
    missing_bytes: u64,
    next_us: i64,
    /// What arrived: time and bytes.
    arrivals: Vec<(i64, u16)>,
    /// The same packets, as sent.
    sendings: Vec<(i64, u16)>,
}

impl Probe {
    pub(super) fn new(now_us: i64, cluster: u8, rate: f64, careful: bool) -> Self {
        Self {
            cluster,
            rate,
            careful,
            from_us: now_us,
            sent_bytes: 0,
            missing_bytes: 0,
            next_us: now_us,
            arrivals: Vec::new(),
            sendings: Vec::new(),
        }
    }

    pub(super) const fn end_us(&self) -> i64 {
        self.from_us + LENGTH_US
    }

    /// See `Prober::due`.
    pub(super) fn due(&mut self, now_us: i64) -> usize {
        if now_us < self.next_us {
            return 0;
        }
        self.next_us = now_us + HELPING_US;
        if now_us >= self.end_us() {
            return 0;
        }
        let wanted = self.rate * (self.next_us - self.from_us) as f64 / 8e6;
        (wanted - self.sent_bytes as f64).max(0.0) as usize
    }

    /// When `due` has something next.
    pub(super) fn next(&self) -> Option<i64> {
        (self.next_us < self.end_us()).then_some(self.next_us)
    }

    /// Whether it may be made of packets of full size.
    pub(super) fn takes_large(&self) -> bool {
        self.rate >= LARGE_PACKETS_FROM
    }

    pub(super) const fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    pub(super) fn missing(&mut self, bytes: u16) {
        self.missing_bytes += u64::from(bytes);
    }

    /// A packet of it arrived; as the ledger knew it before.
    pub(super) fn arrived(&mut self, packet: &Packet, arrival_us: i64) {
        if packet.fate == Fate::Missing {
            self.missing_bytes = self.missing_bytes.saturating_sub(u64::from(packet.bytes));
        }
        if self.arrivals.len() < MAX_ARRIVALS {
            self.arrivals.push((arrival_us, packet.bytes));
            self.sendings.push((packet.sent_us, packet.bytes));
        }
    }

    /// Whether feedback told of every packet.
    pub(super) fn is_answered(&self) -> bool {
        self.arrived_bytes() + self.missing_bytes >= self.sent_bytes
    }

    fn arrived_bytes(&self) -> u64 {
        self.arrivals.iter().map(|(_, bytes)| u64::from(*bytes)).sum()
    }

    /// The part of what was told of that arrived.
    fn through(&self) -> f64 {
        let arrived = self.arrived_bytes();
        arrived as f64 / (arrived + self.missing_bytes).max(1) as f64
    }

    /// Whether it came in at one pace, as what leaves a queue does.
    pub(super) fn is_even(&mut self) -> bool {
        self.arrivals.sort_unstable();
        let Some((first, _)) = self.arrivals.first() else { return false };
        let us_per_byte = span(&self.arrivals) as f64 / self.arrived_bytes() as f64;
        let mut passed = 0.0;
        self.arrivals.iter().all(|(at, bytes)| {
            let off = (at - first) as f64 - passed * us_per_byte;
            passed += f64::from(*bytes);
            off.abs() <= UNEVEN_US + f64::from(*bytes) * us_per_byte
        })
    }

    /// What it found. `None`: too little arrived to tell.
    pub(super) fn found(&mut self) -> Option<Found> {
        self.sendings.sort_unstable();
        self.arrivals.sort_unstable();
        let middle = |packets: &[(i64, u16)]| trim(packets).is_some_and(|middle| span(middle) >= MIN_MIDDLE_US);
        let trimmed = middle(&self.sendings);
        let of = |packets| if trimmed { trim(packets).and_then(rate) } else { rate(packets) };
        let (sent, arriving) = (of(&self.sendings)?, of(&self.arrivals)?);
        let through = self.through();
        // By what share of its pace it was slowed down, which is known from the packets that were told of.
        let limited = if self.careful { LIMIT_IS_THERE } else { LIMIT_FOUND };
        let (part, pace) = match arriving / sent {
            part if part < limited => (part * TAKEN, Pace::Slowed),
            part if part > HURRIED => (1.0, Pace::Hurried),
            part => (part.min(1.0), Pace::Even),
        };
        let sent_rate = self.rate.min(self.sent_bytes as f64 * 8e6 / LENGTH_US as f64);
        let bits = sent_rate * through * part;
        let all = bits >= self.rate * ALL_FOUND && !(self.careful && pace == Pace::Slowed);
        Some(Found { bits, pace, through, all })
    }
}

/// Packets in order of time without those at the ends.
fn trim(packets: &[(i64, u16)]) -> Option<&[(i64, u16)]> {
    let ends = (packets.len() as f64 * TRIMMED) as usize;
    packets.get(ends..packets.len() - ends).filter(|_| packets.len() >= MIN_TRIMMED)
}

fn span(packets: &[(i64, u16)]) -> i64 {
    packets.first().zip(packets.last()).map_or(0, |((first, _), (last, _))| last - first)
}

/// Bits per second between the first and the last of packets in order of time.
fn rate(packets: &[(i64, u16)]) -> Option<f64> {
    // The first packet's bytes were there before the time began to count.
    let bytes: u64 = packets.iter().skip(1).map(|(_, bytes)| u64::from(*bytes)).sum();
    let span = span(packets);
    (packets.len() >= MIN_PACKETS && span > 0).then(|| bytes as f64 * 8e6 / span as f64)
}
