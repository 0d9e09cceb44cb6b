//! The target that the delay asks for: down to what arrives when a queue grows, up with what arrives otherwise
//! (draft-ietf-rmcat-gcc-02 §5.5, with growth bound to what was seen to arrive).

use super::acked::Acked;
use super::probe::Pace;
use super::trend::Usage;

/// Part of what arrives that is taken when a queue grows: below it, so that the queue empties.
const DECREASE: f64 = 0.85;
/// The target falls by no more than this at once. An SFU mostly sends far less than the target, so that one false alarm
/// would cost nearly all of it; a true one is repeated with the next feedback, which may take a quarter of a second. Where
/// the queue is long, it is true at once.
const MAX_FALL: f64 = 0.5;
/// Growth in a second where no limit is near: slow, because probes do the large steps.
const GROWTH: f64 = 0.08;
/// Part of a known limit that growth goes up to. What is above is found by probes alone: they fill a queue for a tenth of a
/// second, while a layer too many fills it until somebody sees it.
const BELOW_LIMIT: f64 = 0.95;
/// How far the target may stand above what arrives and still grow: beyond it nothing tells whether it is true.
const MAX_AHEAD: f64 = 1.5;
const MAX_AHEAD_BITS: f64 = 10_000.0;
/// A hurried probe that found more than this many times a limit seen lately is believed when the next one says so too.
const CONTRADICTS: f64 = 1.2;
/// After a decrease the queue empties first.
const HOLD_US: i64 = 300_000;
/// How long the rate at which a queue grew is remembered, if no probe says more.
const LIMIT_US: i64 = 30_000_000;
/// The longest time that one step of growth stands for.
const MAX_STEP_US: i64 = 200_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Aimd {
    target: f64,
    /// What arrived when a queue last grew or a probe was slowed down, and when.
    limit: Option<(f64, i64)>,
    /// What a hurried probe found beyond the limit, until the next one has told.
    claim: Option<f64>,
    hold_until_us: i64,
    updated_us: Option<i64>,
}

impl Aimd {
    pub(super) fn new(start: f64) -> Self {
        Self { target: start, limit: None, claim: None, hold_until_us: i64::MIN, updated_us: None }
    }

    pub(super) fn target(&self) -> f64 {
        self.target
    }

    /// A probe arrived at this rate; what of it is believed. `None`: nothing yet.
    pub(super) fn raise(&mut self, now_us: i64, found: f64, pace: Pace) -> Option<f64> {
        let beyond = self.limit.is_some_and(|(limit, at)| now_us - at < LIMIT_US && found > limit * CONTRADICTS);
        let found = match self.claim.take() {
            Some(claimed) if beyond => found.min(claimed),
            None if beyond && pace == Pace::Hurried => {
                self.claim = Some(found);
                return None;
            }
            _ => found,
        };
        let slowed = pace == Pace::Slowed;
        self.target = self.target.max(found);
        self.limit = match self.limit {
            Some((limit, _)) if slowed => Some((limit.max(found), now_us)),
            None if slowed => Some((found, now_us)),
            limit => limit.filter(|(limit, _)| *limit > found),
        };
        Some(found)
    }

    /// What was seen to be a limit was none.
    pub(super) fn forget_limit(&mut self) {
        (self.limit, self.claim) = (None, None);
    }

    /// `needed`: what runs needs that much, unless the queue is full.
    pub(super) fn update(&mut self, now_us: i64, usage: Usage, acked: &Acked, needed: f64) {
        let step_us = now_us - self.updated_us.replace(now_us).unwrap_or(now_us);
        match usage {
            Usage::Over => self.fall(now_us, acked, needed.max(self.target * MAX_FALL)),
            Usage::Deep => self.fall(now_us, acked, needed),
            Usage::Full => self.fall(now_us, acked, 0.0),
            Usage::Normal if now_us >= self.hold_until_us => self.grow(now_us, step_us.min(MAX_STEP_US), acked),
            Usage::Normal | Usage::Under => {}
        }
    }

    fn fall(&mut self, now_us: i64, acked: &Acked, least: f64) {
        // Where too little arrived to say (a path that has just begun), half is the guess.
        let arriving = acked.short().or(acked.long()).unwrap_or(self.target / 2.0);
        self.target = self.target.min((arriving * DECREASE).max(least));
        self.limit = Some((arriving, now_us));
        self.hold_until_us = now_us + HOLD_US;
    }

    fn grow(&mut self, now_us: i64, step_us: i64, acked: &Acked) {
        let Some(arriving) = acked.long() else { return };
        self.limit = self.limit.filter(|(_, at)| now_us - at < LIMIT_US);
        let below = self.limit.map_or(f64::INFINITY, |(limit, _)| limit * BELOW_LIMIT);
        let most = (arriving * MAX_AHEAD + MAX_AHEAD_BITS).min(below);
        if self.target < most {
            self.target = (self.target * (1.0 + GROWTH * step_us as f64 / 1e6)).min(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two seconds of arrivals at this rate.
    fn arriving(bits: f64) -> Acked {
        let mut acked = Acked::new();
        (0..200).for_each(|index| acked.add(index * 10_000, (bits / 800.0) as u16));
        acked
    }

    #[test]
    fn goes_down_to_what_arrives_and_up_no_further_than_it_shows() {
        // (start, what arrives, usage, seconds, target at least, at most)
        let rows = [
            (2e6, 1e6, Usage::Over, 0, 0.99e6, 1.01e6),
            (2e6, 1e6, Usage::Over, 1, 0.8e6, 0.9e6),
            (9e6, 1e6, Usage::Over, 0, 4.4e6, 4.6e6),
            (9e6, 1e6, Usage::Deep, 0, 0.8e6, 0.9e6),
            (0.5e6, 1e6, Usage::Over, 1, 0.49e6, 0.5e6),
            (1e6, 1e6, Usage::Under, 10, 0.99e6, 1.01e6),
            (1e6, 1e6, Usage::Normal, 2, 1.1e6, 1.2e6),
            (1e6, 1e6, Usage::Normal, 60, 1.45e6, 1.55e6),
            (3e6, 1e6, Usage::Normal, 60, 2.99e6, 3.01e6),
        ];
        for (start, rate, usage, seconds, least, most) in rows {
            let (acked, mut aimd) = (arriving(rate), Aimd::new(start));
            (0..=seconds * 10).for_each(|tick| aimd.update(tick * 100_000, usage, &acked, 0.0));
            let target = aimd.target();
            assert!((least..=most).contains(&target), "{start} {rate} {usage:?} {seconds}: {target}");
        }
    }

    #[test]
    fn a_queue_that_is_not_full_leaves_what_runs_what_it_needs() {
        let acked = arriving(0.2e6);
        let after = |usage| {
            let mut aimd = Aimd::new(1e6);
            (0..10).for_each(|tick| aimd.update(tick * 100_000, usage, &acked, 0.3e6));
            aimd.target()
        };
        assert_eq!((after(Usage::Over), after(Usage::Deep)), (0.3e6, 0.3e6));
        assert!(after(Usage::Full) < 0.18e6);
        let mut below = Aimd::new(0.1e6);
        below.update(0, Usage::Over, &acked, 0.3e6);
        assert_eq!(below.target(), 0.1e6, "what needs more does not make it more");
    }

    #[test]
    fn is_careful_where_a_queue_grew_until_a_probe_shows_more() {
        let acked = arriving(1e6);
        let mut aimd = Aimd::new(1e6);
        aimd.update(0, Usage::Over, &acked, 0.0);
        aimd.raise(0, 0.9e6, Pace::Slowed);
        (1..=20).for_each(|tick| aimd.update(tick * 100_000, Usage::Normal, &acked, 0.0));
        assert!((0.94e6..0.96e6).contains(&aimd.target()), "{}", aimd.target());
        assert_eq!(aimd.raise(2_000_000, 3e6, Pace::Hurried), None);
        assert!(aimd.target() < 1e6, "what was held back says little");
        aimd.raise(2_400_000, 1e6, Pace::Slowed);
        aimd.raise(2_800_000, 3e6, Pace::Hurried);
        assert!(aimd.target() < 1.1e6, "the one between saw the limit");
        aimd.raise(3_200_000, 4e6, Pace::Even);
        assert_eq!((aimd.target(), aimd.limit), (3e6, None));
    }
}
