//! Whether the queue is somebody else's. A download fills whatever queue there is until that overflows (RFC 9438): giving way to
//! it empties nothing, and whoever goes on giving way ends with nothing.
//!
//! Two signs together tell it from a path that got slower. The queue stays (`standing`) although far less is sent than came through
//! when it began to grow. And of more, more comes through, while a path whose queue is ours lets through its rate and no more, whatever
//! is sent. Whoever has about half of the path gains too little by a probe to prove that anybody else is there, and gives way
//! again: that is as much as is fair.
//!
//! While somebody is there, only loss tells to send less (`losses`), and it counts as the path's, not as one of our making.

use super::acked::Acked;
use super::probe::{Found, Pace};
use super::prober::MIN_TRIED;

/// Part of what came through at the beginning that is far less.
const GAVE_WAY: f64 = 0.75;
/// How much more is tried, and at which gain it is believed.
const TRIED: f64 = 1.6;
const GAINED: f64 = 1.2;
/// A proof this old is tried again: the path may have got slower as well.
const PROOF_US: i64 = 3_000_000;
/// So long after a queue last grew somebody is believed to be there still; what grows later is another one.
const QUIET_US: i64 = 10_000_000;
/// So long whoever was there is remembered.
const MEMORY_US: i64 = 30_000_000;
/// So many probes that gain nothing show that the queue is ours. Time between two of them, and after the last.
const TRIES: u8 = 2;
const AGAIN_US: i64 = 700_000;
const PAUSE_US: i64 = 5_000_000;
/// A probe of which less came through met a queue that overflowed: it says nothing.
const THROUGH: f64 = 0.8;
/// A queue that has stood for so long is that of somebody who does not give way: whoever does, as another call or another viewer
/// of ours behind the same bottleneck, has let it empty by then. Where somebody is known to be there, it stands after this long.
const STOOD_US: i64 = 3_000_000;
const STANDS_US: i64 = 700_000;
/// Part of what came through at the beginning that is ours in any case: that was no more than the path carries.
const FAIR: f64 = 0.5;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rivalry {
    /// The most that arrived while the queue grew, since it began to.
    most: Option<f64>,
    grew_us: i64,
    /// Since when far less arrives than that.
    gave_way_us: Option<i64>,
    /// When it was last proven that somebody is there, if nothing has spoken against it, and if something has.
    proven_us: Option<i64>,
    met_us: Option<i64>,
    not_before_us: i64,
    /// Probes that gained nothing since.
    failed: u8,
    /// What arrives, where a probe might tell.
    wanted: Option<f64>,
    /// What arrived when one that may began.
    trial: Option<f64>,
}

impl Rivalry {
    /// The queue grows.
    pub(super) fn grows(&mut self, now_us: i64, acked: &Acked) {
        let Some(arriving) = acked.short() else { return };
        let is_new = now_us - std::mem::replace(&mut self.grew_us, now_us) > QUIET_US;
        match self.most.as_mut().filter(|_| !is_new) {
            Some(most) => *most = most.max(arriving),
            None => {
                let met_us = self.met_us;
                *self = Self { most: Some(arriving), grew_us: now_us, met_us, ..Self::default() };
            }
        }
    }

    /// Feedback came; the queue has stood for so long, and a probe is under way or none.
    pub(super) fn look(&mut self, now_us: i64, stood_us: i64, acked: &Acked, is_idle: bool) {
        if is_idle && self.trial.take().is_some() {
            self.not_before_us = now_us + AGAIN_US; // nobody told of it
        }
        let (Some(most), Some(arriving)) = (self.most, acked.short()) else { return };
        let gave_way = arriving < most * GAVE_WAY;
        self.gave_way_us = gave_way.then(|| self.gave_way_us.unwrap_or(now_us));
        let is_due = match self.proven_us {
            Some(proven) => stood_us > STANDS_US && now_us - proven > PROOF_US,
            None => self.gave_way_us.is_some_and(|since| stood_us.min(now_us - since) > STOOD_US),
        };
        let is_due = is_due && now_us - self.grew_us < QUIET_US;
        self.wanted = Some(arriving).filter(|_| is_due && self.trial.is_none() && now_us >= self.not_before_us);
    }

    /// Bits per second at which a probe might tell, where so much is `desired`.
    pub(super) fn wants(&self, desired: f64) -> Option<f64> {
        let is_of_use = |arriving: &f64| self.proven_us.is_some() || desired > arriving * GAINED;
        self.wanted.filter(is_of_use).map(|arriving| (arriving * TRIED).max(MIN_TRIED))
    }

    /// It began.
    pub(super) fn tries(&mut self) {
        self.trial = self.wanted.take();
    }

    /// A probe found this. Bits per second that are ours, where somebody is there.
    pub(super) fn found(&mut self, now_us: i64, found: &Found, stood_us: i64) -> Option<f64> {
        let arriving = self.trial.take()?;
        self.not_before_us = now_us + AGAIN_US;
        if found.through < THROUGH || found.pace == Pace::Hurried {
            return None;
        }
        if found.bits > arriving * GAINED && stood_us > STANDS_US {
            (self.proven_us, self.met_us, self.failed) = (Some(now_us), Some(now_us), 0);
            return self.most.map(|most| found.bits.max(most * FAIR));
        }
        self.failed = self.failed % TRIES + 1;
        if self.failed == TRIES {
            (self.most, self.proven_us, self.not_before_us) = (Some(arriving), None, now_us + PAUSE_US);
        }
        None
    }

    /// Whether somebody was there lately: what is lost at once need not be lost to a path that got slower.
    pub(super) fn was_there(&self, now_us: i64) -> bool {
        self.met_us.is_some_and(|met| now_us - met < MEMORY_US)
    }

    /// Whether the queue is known to be somebody else's.
    pub(super) fn is_there(&self, now_us: i64) -> bool {
        self.proven_us.is_some_and(|proven| now_us - proven.max(self.grew_us) < QUIET_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000;
    const STOOD: i64 = 3_500 * MS;

    /// So much arrives, in bit/s.
    fn arriving(bits: f64) -> Acked {
        let mut acked = Acked::new();
        (0..200).for_each(|index| acked.add(index * 10_000, (bits / 800.0) as u16));
        acked
    }

    /// A probe of which all came.
    fn even(bits: f64) -> Found {
        Found { bits, pace: Pace::Even, through: 1.0, all: true }
    }

    /// A queue that grew while 1 Mbit/s came through, and has stood for 3.5 s of a fifth of that.
    fn suspicious() -> Rivalry {
        let mut rivalry = Rivalry::default();
        rivalry.grows(0, &arriving(1e6));
        rivalry.grows(2_000 * MS, &arriving(0.2e6));
        rivalry.look(-1_500 * MS, 0, &arriving(0.2e6), true);
        rivalry.look(2_000 * MS, STOOD, &arriving(0.2e6), true);
        rivalry
    }

    #[test]
    fn suspects_a_queue_that_stays_where_far_less_is_sent() {
        // (ms since it grew, part of what arrived then, for how many ms that is so, and for how many it has stood, what is tried)
        let rows = [
            (4_000, 0.2, 3_500, 3_500, Some(0.32e6)),
            (4_000, 0.05, 3_500, 3_500, Some(MIN_TRIED)),
            (4_000, 0.9, 3_500, 3_500, None),
            (4_000, 0.2, 3_500, 2_500, None),
            (4_000, 0.2, 2_500, 3_500, None),
            (20_000, 0.2, 3_500, 3_500, None),
        ];
        for (ms, part, given, stood, tried) in rows {
            let mut rivalry = Rivalry::default();
            rivalry.grows(0, &arriving(1e6));
            rivalry.look((ms - given) * MS, stood * MS, &arriving(part * 1e6), true);
            rivalry.look(ms * MS, stood * MS, &arriving(part * 1e6), true);
            let wanted = rivalry.wants(2e6);
            assert!(
                wanted.map_or(tried.is_none(), |wanted| (wanted / tried.unwrap_or(1.0) - 1.0).abs() < 0.01),
                "{ms} {part} {given} {stood}: {wanted:?}"
            );
        }
        assert_eq!(suspicious().wants(0.2e6), None, "more is of no use");
    }

    #[test]
    fn somebody_is_there_where_more_comes_through() {
        // (what the probe found, how it came, how much of it, for how many ms the queue has stood, what is ours, tries that speak against it)
        let rows = [
            (0.30e6, Pace::Slowed, 1.0, 3_500, Some(0.5e6), 0),
            (0.70e6, Pace::Even, 1.0, 3_500, Some(0.7e6), 0),
            (0.22e6, Pace::Slowed, 1.0, 3_500, None, 1),
            (0.30e6, Pace::Slowed, 1.0, 0, None, 1),
            (0.30e6, Pace::Hurried, 1.0, 3_500, None, 0),
            (0.15e6, Pace::Slowed, 0.5, 3_500, None, 0),
        ];
        for (found, pace, through, stood, ours, failed) in rows {
            let mut rivalry = suspicious();
            rivalry.tries();
            let probe = Found { bits: found, pace, through, all: false };
            let got = rivalry.found(2_300 * MS, &probe, stood * MS).map(|bits| (bits / 1e3).round() * 1e3);
            assert_eq!((got, rivalry.failed), (ours, failed), "{found} {pace:?} {through} {stood}");
            assert_eq!(rivalry.is_there(2_300 * MS), ours.is_some());
        }
    }

    #[test]
    fn a_queue_is_ours_after_two_probes_that_gain_nothing() {
        let mut rivalry = suspicious();
        for ms in [2_300, 3_300] {
            rivalry.look(ms * MS, STOOD, &arriving(0.2e6), true);
            rivalry.tries();
            assert_eq!(rivalry.found(ms * MS, &even(0.2e6), STOOD), None);
            rivalry.look((ms + 500) * MS, STOOD, &arriving(0.1e6), true);
            assert_eq!(rivalry.wants(2e6), None, "not at once");
        }
        rivalry.look(4_500 * MS, STOOD, &arriving(0.1e6), true);
        assert_eq!(rivalry.wants(2e6), None);
    }

    #[test]
    fn a_proof_is_tried_again_and_forgotten() {
        let mut rivalry = suspicious();
        rivalry.tries();
        rivalry.found(2_300 * MS, &even(0.3e6), STOOD);
        rivalry.look(5_000 * MS, STOOD, &arriving(0.9e6), true);
        assert_eq!(rivalry.wants(0.0), None, "it is fresh");
        rivalry.look(6_000 * MS, STOOD, &arriving(0.9e6), true);
        assert!(rivalry.wants(0.0).is_some(), "though nothing more is desired");
        rivalry.tries();
        rivalry.look(7_000 * MS, STOOD, &arriving(0.9e6), true);
        assert_eq!(rivalry.trial, None, "nobody told of it");
        assert!(rivalry.is_there(12_000 * MS) && !rivalry.is_there(13_000 * MS));
        assert!(rivalry.was_there(13_000 * MS) && !rivalry.was_there(33_000 * MS));
    }
}
