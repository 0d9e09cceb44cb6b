//! Finds out whether the path carries more: for a moment a subscriber is sent more than it needs, and the rate at which
//! that arrives is the answer.
//!
//! What it sends is repeats or padding, which the shell asks for by `due`; whatever else goes out meanwhile is part of it.

use super::ledger::{Fate, Packet};

/// How long a probe lasts: several frames' time, so that it is more than a queue's first packets, and short enough that
/// what it puts into the queue of a slow path (at twice its rate) is gone after as long again.
const LENGTH_US: i64 = 120_000;
/// Time between two helpings. A tenth of a helping is a packet at 1 Mbit/s.
const HELPING_US: i64 = 5_000;
/// How much more than the estimate is tried, first and later.
const FIRST_FACTOR: f64 = 3.0;
const FACTOR: f64 = 2.0;
/// At least this is tried, in bit/s: less is too few packets in a probe's time to tell anything.
const MIN_TRIED: f64 = 160_000.0;
/// A probe below this rate has to be made of small packets for the same reason: ten of full size take this much.
const LARGE_PACKETS_FROM: f64 = 800_000.0;
/// Probing ends where the estimate covers what is desired by this much.
const ENOUGH: f64 = 1.05;
/// Pause after a probe that found more, and the shortest and longest after one that did not. A path that gets better is
/// noticed within the longest; it costs 2.4 % of the estimate.
const PAUSE_UP_US: i64 = 250_000;
const MIN_PAUSE_US: i64 = 1_500_000;
const MAX_PAUSE_US: i64 = 5_000_000;
/// Pause after a queue grew: it empties first.
const PAUSE_CONGESTED_US: i64 = 1_500_000;
/// An answer that has not come by then does not come.
const PATIENCE_US: i64 = 1_000_000;
/// Packets that have to arrive to tell a rate.
const MIN_PACKETS: usize = 5;
/// A probe that arrived at this part of what was tried was worth it: the next follows soon.
const UP_FOUND: f64 = 0.75;
/// A probe that arrives slower than this part of what was sent has found the path's limit, and this much of the limit is
/// taken.
const LIMIT_FOUND: f64 = 0.9;
/// One that arrives faster than it was sent by this much was held back on its way and let go together, by a radio that
/// waited for its slot or a machine that slept: its pace is not the path's.
const HURRIED: f64 = 1.5;
const TAKEN: f64 = 0.92;

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

/// A probe and what arrived of it.
#[derive(Debug)]
struct Probe {
    cluster: u8,
    rate: f64,
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

/// See the module.
#[derive(Debug)]
pub(super) struct Prober {
    probe: Option<Probe>,
    clusters: u8,
    not_before_us: i64,
    pause_us: i64,
    any_yet: bool,
    /// The last one found what it tried.
    found_all: bool,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self {
            probe: None,
            clusters: 0,
            not_before_us: i64::MIN,
            pause_us: MIN_PAUSE_US,
            any_yet: false,
            found_all: true,
        }
    }

    /// Begins a probe if it is time and more is desired. `true`: it began.
    pub(super) fn begin(&mut self, now_us: i64, estimate: f64, desired: f64) -> bool {
        if self.probe.is_some() || now_us < self.not_before_us || estimate >= desired * ENOUGH {
            return false;
        }
        let factor = if self.any_yet { FACTOR } else { FIRST_FACTOR };
        self.any_yet = true;
        self.clusters = if self.clusters == u8::MAX { 1 } else { self.clusters + 1 };
        self.probe = Some(Probe {
            cluster: self.clusters,
            // Slightly above: a rate that arrives whole is known only as far as it was sent.
            rate: (estimate * factor).max(MIN_TRIED).min(desired * ENOUGH / TAKEN),
            from_us: now_us,
            sent_bytes: 0,
            missing_bytes: 0,
            next_us: now_us,
            arrivals: Vec::new(),
            sendings: Vec::new(),
        });
        true
    }

    /// Bytes to send now. Whoever asks too late for the last helping gets none, and is not to ask again: `next` must not
    /// stay in the past.
    pub(super) fn due(&mut self, now_us: i64) -> usize {
        let Some(probe) = self.probe.as_mut().filter(|probe| probe.next_us <= now_us) else { return 0 };
        probe.next_us = now_us + HELPING_US;
        if now_us >= probe.from_us + LENGTH_US {
            return 0;
        }
        let wanted = probe.rate * (now_us - probe.from_us + HELPING_US) as f64 / 8e6;
        (wanted - probe.sent_bytes as f64).max(0.0) as usize
    }

    /// Whether the probe under way may be made of packets of full size.
    pub(super) fn takes_large(&self) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.rate >= LARGE_PACKETS_FROM)
    }

    /// When `due` has something next.
    pub(super) fn next(&self) -> Option<i64> {
        self.probe
            .as_ref()
            .map(|probe| probe.next_us)
            .filter(|next| self.probe.as_ref().is_some_and(|probe| *next < probe.from_us + LENGTH_US))
    }

    /// A packet goes out; the probe it is part of, 0: none.
    pub(super) fn sent(&mut self, now_us: i64, bytes: usize) -> u8 {
        let Some(probe) = self.probe.as_mut().filter(|probe| now_us < probe.from_us + LENGTH_US) else { return 0 };
        probe.sent_bytes += bytes as u64;
        probe.cluster
    }

    /// A packet of a probe is reported missing.
    pub(super) fn missing(&mut self, cluster: u8, bytes: u16) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.cluster == cluster) {
            probe.missing_bytes += u64::from(bytes);
        }
    }

    /// A packet of a probe arrived; as the ledger knew it before.
    pub(super) fn arrived(&mut self, packet: &Packet, arrival_us: i64) {
        let Packet { sent_us, bytes, cluster, fate, .. } = *packet;
        let Some(probe) = self.probe.as_mut().filter(|probe| probe.cluster == cluster) else { return };
        if fate == Fate::Missing {
            probe.missing_bytes = probe.missing_bytes.saturating_sub(u64::from(bytes));
        }
        if probe.arrivals.len() < MAX_ARRIVALS {
            probe.arrivals.push((arrival_us, bytes));
            probe.sendings.push((sent_us, bytes));
        }
    }

    /// The rate that a probe found, once its answer is complete, and at which pace it came.
    pub(super) fn result(&mut self, now_us: i64, newest_arrived_us: i64) -> Option<(f64, Pace)> {
        let probe = self.probe.as_mut()?;
        let end = probe.from_us + LENGTH_US;
        let complete = newest_arrived_us >= end || probe.is_answered() || now_us > end + PATIENCE_US;
        if now_us < end || !complete {
            return None;
        }
        let (found, tried) = (probe.found(), probe.rate);
        self.probe = None;
        let up = found.is_some_and(|(found, _)| found >= tried * UP_FOUND);
        self.found_all = up;
        self.pause_us = if up { MIN_PAUSE_US } else { (self.pause_us * 2).min(MAX_PAUSE_US) };
        self.not_before_us = now_us + if up { PAUSE_UP_US } else { self.pause_us };
        found
    }

    /// Whether the last one found what it tried, as far as that can be told.
    pub(super) fn found_all(&self) -> bool {
        self.found_all
    }

    /// A queue grows: not now. A probe under way is told by nobody.
    pub(super) fn congested(&mut self, now_us: i64) {
        self.not_before_us = self.not_before_us.max(now_us + PAUSE_CONGESTED_US);
    }

    /// The path was interrupted: what it carries is worth a look soon.
    pub(super) fn interrupt(&mut self) {
        (self.probe, self.pause_us) = (None, MIN_PAUSE_US);
    }
}

impl Probe {
    /// Whether feedback told of every packet.
    fn is_answered(&self) -> bool {
        self.arrived_bytes() + self.missing_bytes >= self.sent_bytes
    }

    fn arrived_bytes(&self) -> u64 {
        self.arrivals.iter().map(|(_, bytes)| u64::from(*bytes)).sum()
    }

    fn found(&mut self) -> Option<(f64, Pace)> {
        self.sendings.sort_unstable();
        self.arrivals.sort_unstable();
        let middle = |packets: &[(i64, u16)]| trim(packets).is_some_and(|middle| span(middle) >= MIN_MIDDLE_US);
        let trimmed = middle(&self.sendings);
        let of = |packets| if trimmed { trim(packets).and_then(rate) } else { rate(packets) };
        let (sent, arriving) = (of(&self.sendings)?, of(&self.arrivals)?);
        let arrived = self.arrived_bytes();
        let through = arrived as f64 / (arrived + self.missing_bytes) as f64;
        // By what share of its pace it was slowed down, which is known from the packets that were told of.
        let (part, pace) = match arriving / sent {
            part if part < LIMIT_FOUND => (part * TAKEN, Pace::Slowed),
            part if part > HURRIED => (1.0, Pace::Hurried),
            part => (part.min(1.0), Pace::Even),
        };
        let sent_rate = self.rate.min(self.sent_bytes as f64 * 8e6 / LENGTH_US as f64);
        Some((sent_rate * through * part, pace))
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

#[cfg(test)]
mod tests {
    use super::super::ledger::Origin;
    use super::*;

    /// Runs one probe over a link of this rate with the given media beside it; what was found.
    fn probe(prober: &mut Prober, now_us: i64, estimate: f64, desired: f64, link: f64) -> Option<(f64, Pace)> {
        assert!(prober.begin(now_us, estimate, desired));
        let mut free_at = now_us as f64;
        let mut now = now_us;
        while let Some(next) = prober.next() {
            now = next;
            let mut due = prober.due(now);
            while due > 0 {
                let cluster = prober.sent(now, 300);
                free_at = free_at.max(now as f64) + 300.0 * 8e6 / link;
                let packet = Packet { sent_us: now, bytes: 300, cluster, fate: Fate::Unknown, origin: Origin::NONE };
                prober.arrived(&packet, free_at as i64);
                due = due.saturating_sub(300);
            }
        }
        now += 200_000;
        assert_eq!(prober.sent(now, 300), 0, "over");
        prober.result(now, now)
    }

    #[test]
    fn finds_what_the_path_carries() {
        // (estimate, desired, link, found at least, at most)
        let rows = [
            (0.5e6, 5e6, 100e6, 1.4e6, 1.6e6),
            (0.5e6, 5e6, 0.6e6, 0.5e6, 0.62e6),
            (0.5e6, 0.6e6, 100e6, 0.6e6, 0.7e6),
            (0.05e6, 5e6, 100e6, 0.12e6, 0.16e6),
            (5e6, 50e6, 100e6, 14e6, 16e6),
        ];
        for (estimate, desired, link, least, most) in rows {
            let (found, pace) = probe(&mut Prober::new(), 1_000, estimate, desired, link).unwrap_or_default();
            assert!((least..=most).contains(&found), "{estimate} {desired} {link}: {found}");
            assert_eq!(pace == Pace::Slowed, link < 1e6, "{link}");
        }
        assert!(!Prober::new().begin(0, 1e6, 0.9e6), "it is enough");
    }

    #[test]
    fn is_over_for_whoever_asks_too_late() {
        for late in [0, 1, 500_000] {
            let mut prober = Prober::new();
            assert!(prober.begin(1_000, 0.5e6, 5e6));
            assert!(prober.due(1_000) > 0);
            assert_eq!((prober.due(1_000 + LENGTH_US + late), prober.next()), (0, None), "{late}");
        }
    }

    #[test]
    fn becomes_rarer_in_vain_and_quick_when_it_finds_more() {
        let mut prober = Prober::new();
        let mut now = 0;
        let mut pauses = Vec::new();
        for link in [1e6, 1e6, 1e6, 1e6, 100e6, 100e6] {
            probe(&mut prober, now, 1e6, 5e6, link);
            let from = now;
            while !prober.begin(now, 1e6, 5e6) {
                now += 10_000;
            }
            prober.probe = None;
            pauses.push((now - from) / 1_000_000);
        }
        assert_eq!(pauses, [3, 5, 5, 5, 0, 0]);
        prober.congested(now);
        assert!(!prober.begin(now + PAUSE_CONGESTED_US - 1, 1e6, 5e6));
        assert!(prober.begin(now + PAUSE_CONGESTED_US, 1e6, 5e6));
    }
}
