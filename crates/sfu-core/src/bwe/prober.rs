//! Finds out whether the path carries more: for a moment a subscriber is sent more than it needs, and the rate at which
//! that arrives is the answer.
//!
//! What it sends is repeats or padding, which the shell asks for by `due`; whatever else goes out meanwhile is part of it.
//!
//! How much more: three times as much to begin with, then twice, as long as no limit is known. A limit is known when a queue
//! grew, or a probe came in slower than it was sent; from then on little more, until that comes in whole, beyond the limit.

use super::ledger::Packet;
use super::probe::{Found, Probe, TAKEN};

/// How much more than the estimate is tried, first and later.
const FIRST_FACTOR: f64 = 3.0;
const FACTOR: f64 = 2.0;
/// And where a limit is known: as much more as tells whether it is still there. What is sent beyond it is a queue that voices
/// wait in, and twice the estimate for a probe's time would be a tenth of a second of it, often enough for receivers to keep as
/// much in their jitter buffers all the time.
const CAREFUL_FACTOR: f64 = 1.3;
/// What is found beyond this many times the limit shows that it is gone.
const BEYOND_LIMIT: f64 = 1.15;
/// At least this is tried, in bit/s: less is too few packets in a probe's time to tell anything.
pub(super) const MIN_TRIED: f64 = 160_000.0;
/// Probing ends where the estimate covers what is desired by this much, and by this much where no limit is known: a false alarm
/// may take half, and is to cost nothing on a path that has room.
const ENOUGH: f64 = 1.05;
const AMPLE: f64 = 1.75;
/// Pause after a probe that found more, and the shortest and longest after one that did not. A path that gets better is
/// noticed within the longest; it costs 2.4 % of the estimate, 0.7 % where a limit is known.
const PAUSE_UP_US: i64 = 250_000;
const MIN_PAUSE_US: i64 = 1_500_000;
const MAX_PAUSE_US: i64 = 5_000_000;
/// Pause after a queue grew: it empties first.
const PAUSE_CONGESTED_US: i64 = 1_500_000;
/// An answer that has not come by then does not come.
const PATIENCE_US: i64 = 1_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Prober {
    probe: Option<Probe>,
    clusters: u8,
    not_before_us: i64,
    pause_us: i64,
    any_yet: bool,
    /// Bits per second at which the path was last seen to be full, as long as nothing has shown more.
    limit: Option<f64>,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self { probe: None, clusters: 0, not_before_us: i64::MIN, pause_us: MIN_PAUSE_US, any_yet: false, limit: None }
    }

    /// Begins a probe if it is time and more is desired. `true`: it began.
    pub(super) fn begin(&mut self, now_us: i64, estimate: f64, desired: f64) -> bool {
        // First whether there is enough: on a path that has no more, less is tried.
        let (careful, is_enough) = (self.limit.is_some(), estimate >= desired * ENOUGH);
        let goal = desired * if is_enough && !careful { AMPLE } else { ENOUGH };
        if self.probe.is_some() || now_us < self.not_before_us || estimate >= goal {
            return false;
        }
        let factor = match self.any_yet {
            true if careful => CAREFUL_FACTOR,
            true => FACTOR,
            false => FIRST_FACTOR,
        };
        // Slightly above: a rate that arrives whole is known only as far as it was sent.
        let rate = (estimate * factor).max(MIN_TRIED).min(goal / TAKEN);
        self.start(now_us, rate, careful);
        true
    }

    /// Begins one at this rate, whatever came before. `true`: it began.
    pub(super) fn begin_at(&mut self, now_us: i64, rate: f64) -> bool {
        let is_free = self.is_idle();
        if is_free {
            self.start(now_us, rate, false);
        }
        is_free
    }

    fn start(&mut self, now_us: i64, rate: f64, careful: bool) {
        self.any_yet = true;
        self.clusters = if self.clusters == u8::MAX { 1 } else { self.clusters + 1 };
        self.probe = Some(Probe::new(now_us, self.clusters, rate, careful));
    }

    /// Bytes to send now. Whoever asks too late for the last helping gets none, and is not to ask again: `next` must not
    /// stay in the past.
    pub(super) fn due(&mut self, now_us: i64) -> usize {
        self.probe.as_mut().map_or(0, |probe| probe.due(now_us))
    }

    /// Whether the probe under way may be made of packets of full size.
    pub(super) fn takes_large(&self) -> bool {
        self.probe.as_ref().is_some_and(Probe::takes_large)
    }

    /// When `due` has something next.
    pub(super) fn next(&self) -> Option<i64> {
        self.probe.as_ref().and_then(Probe::next)
    }

    /// A packet goes out; the probe it is part of, 0: none.
    pub(super) fn sent(&mut self, now_us: i64, bytes: usize) -> u8 {
        let Some(probe) = self.probe.as_mut().filter(|probe| now_us < probe.end_us()) else { return 0 };
        probe.sent(bytes);
        probe.cluster
    }

    /// A packet of a probe is reported missing.
    pub(super) fn missing(&mut self, cluster: u8, bytes: u16) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.cluster == cluster) {
            probe.missing(bytes);
        }
    }

    /// A packet of a probe arrived; as the ledger knew it before.
    pub(super) fn arrived(&mut self, packet: &Packet, arrival_us: i64) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.cluster == packet.cluster) {
            probe.arrived(packet, arrival_us);
        }
    }

    /// What a probe has found, once its answer is complete.
    pub(super) fn result(&mut self, now_us: i64, newest_arrived_us: i64) -> Option<Found> {
        let probe = self.probe.as_ref()?;
        let end = probe.end_us();
        let complete = newest_arrived_us >= end || probe.is_answered() || now_us > end + PATIENCE_US;
        if now_us < end || !complete {
            return None;
        }
        let mut probe = self.probe.take()?;
        let found = probe.found();
        let up = found.is_some_and(|found| found.all);
        self.pause_us = if up { MIN_PAUSE_US } else { (self.pause_us * 2).min(MAX_PAUSE_US) };
        self.not_before_us = now_us + if up { PAUSE_UP_US } else { self.pause_us };
        let mut found = found?;
        let is_there = self.limit.is_some_and(|limit| found.bits <= limit * BEYOND_LIMIT);
        self.limit = match up {
            true => self.limit.filter(|_| is_there),
            false => Some(found.bits).filter(|_| probe.is_even()),
        };
        if up && probe.careful {
            found.bits *= TAKEN; // so little more may be just what the path carries
        }
        Some(found)
    }

    /// Whether none is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.probe.is_none()
    }

    /// A queue grows where so much arrives: not now. A probe under way is told by nobody.
    pub(super) fn congested(&mut self, now_us: i64, arriving: Option<f64>) {
        self.not_before_us = self.not_before_us.max(now_us + PAUSE_CONGESTED_US);
        self.limit = arriving.or(self.limit);
    }

    /// What was seen to be a limit was none: the next looks soon.
    pub(super) fn forget_limit(&mut self, now_us: i64) {
        (self.limit, self.pause_us) = (None, MIN_PAUSE_US);
        self.not_before_us = now_us + PAUSE_UP_US;
    }

    /// The path was interrupted: what it carries is worth a look soon.
    pub(super) fn interrupt(&mut self) {
        (self.probe, self.pause_us, self.limit) = (None, MIN_PAUSE_US, None);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::{Fate, Origin};
    use super::super::probe::{LENGTH_US, Pace};
    use super::*;

    /// Runs one probe over a link of this rate; what was found.
    fn probe(prober: &mut Prober, now_us: i64, estimate: f64, desired: f64, link: f64) -> Option<Found> {
        assert!(prober.begin(now_us, estimate, desired));
        pass(prober, now_us, link, 0)
    }

    /// The same of one that has begun, over a link that lets go only so often.
    fn pass(prober: &mut Prober, now_us: i64, link: f64, slot_us: i64) -> Option<Found> {
        let mut free_at = now_us as f64;
        let mut now = now_us;
        while let Some(next) = prober.next() {
            now = next;
            let mut due = prober.due(now);
            while due > 0 {
                let cluster = prober.sent(now, 300);
                free_at = free_at.max(now as f64) + 300.0 * 8e6 / link;
                let packet = Packet { sent_us: now, bytes: 300, cluster, fate: Fate::Unknown, origin: Origin::NONE };
                let arrival = if slot_us > 0 { (free_at as i64 / slot_us + 1) * slot_us } else { free_at as i64 };
                prober.arrived(&packet, arrival);
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
            (0.7e6, 0.6e6, 100e6, 1.0e6, 1.2e6),
            (0.05e6, 5e6, 100e6, 0.12e6, 0.16e6),
            (5e6, 50e6, 100e6, 14e6, 16e6),
        ];
        for (estimate, desired, link, least, most) in rows {
            let found = probe(&mut Prober::new(), 1_000, estimate, desired, link).unwrap();
            assert!((least..=most).contains(&found.bits), "{estimate} {desired} {link}: {found:?}");
            assert_eq!(found.pace == Pace::Slowed, link < 1e6, "{link}");
        }
        assert!(!Prober::new().begin(0, 1.6e6, 0.9e6), "it is ample");
    }

    #[test]
    fn a_known_limit_is_looked_at_with_little_more_than_that() {
        // (estimate, link, how often it lets go in us, what is tried), one after the other
        let rows = [
            (1.0e6, 100e6, 0, 3.0e6),
            (2.8e6, 3e6, 0, 5.6e6),
            (2.8e6, 3e6, 0, 3.64e6),
            (2.3e6, 3e6, 0, 2.99e6), // all of it comes, and is what was known
            (2.9e6, 9e6, 0, 3.77e6),
            (3.7e6, 9e6, 0, 7.4e6), // the limit is gone
            (6.0e6, 9e6, 0, 12e6),
            (8.5e6, 9e6, 60_000, 11.05e6),
            (8.5e6, 9e6, 0, 17e6), // so uneven a path tells nothing
        ];
        let mut prober = Prober::new();
        for (index, (estimate, link, slot, tried)) in rows.into_iter().enumerate() {
            let now = 1_000_000_000 * index as i64;
            assert!(prober.begin(now, estimate, 50e6));
            let rate = prober.probe.as_ref().unwrap().rate;
            assert!((rate / tried - 1.0).abs() < 0.01, "{index}: {rate}");
            pass(&mut prober, now, link, slot);
        }
        prober.congested(0, Some(1e6));
        prober.interrupt();
        assert!(prober.limit.is_none(), "another path");
    }

    #[test]
    fn so_much_as_to_be_ample_is_found_out_where_no_limit_is_known() {
        let mut prober = Prober::new();
        assert!(prober.begin(0, 1.2e6, 1e6));
        prober.probe = None;
        prober.congested(0, Some(1.2e6));
        assert!(!prober.begin(PAUSE_CONGESTED_US, 1.2e6, 1e6));
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
        prober.congested(now, None);
        assert!(!prober.begin(now + PAUSE_CONGESTED_US - 1, 1e6, 5e6));
        assert!(prober.begin(now + PAUSE_CONGESTED_US, 1e6, 5e6));
    }
}
