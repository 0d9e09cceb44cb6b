//! What the allocation has given one subscription, and how soon it may give more.
//!
//! Down at once, up with patience: each fall soon after a rise doubles the pause before the next rise, so that a path
//! that is just short of a layer does not make the picture flap. A fall that only makes way for another track is none of
//! the path's, and costs no patience. One for which the layer itself has grown does: that of a screen is small as long as
//! nobody turns the page.

use std::time::{Duration, Instant};

/// Pause after a fall, and its bound.
const MIN_PAUSE: Duration = Duration::from_millis(1_000);
const MAX_PAUSE: Duration = Duration::from_secs(20);
/// A layer that is this many times what it was has grown.
const GROWN: f64 = 1.3;
/// A budget that is this many times the one that was wrong is another matter.
const FAR_MORE: f64 = 1.5;
/// A fall within this time of a rise shows that the rise was wrong.
const WRONG_RISE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Share {
    /// Higher goes first.
    pub(crate) priority: u8,
    limit: Limit,
    pause: Duration,
    rise_after: Option<Instant>,
    rose: Option<Rose>,
    /// The budget on which a rise was wrong last.
    too_little: Option<f64>,
    /// The subscriber was told that the track is paused.
    pub(crate) told_paused: bool,
}

/// The last rise: when, on which budget, and what the layer was, in bit/s.
#[derive(Clone, Copy, Debug)]
struct Rose {
    at: Instant,
    budget: f64,
    rate: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// Nothing is known of the path.
    Free,
    /// Up to this step.
    UpTo(u8),
    /// Nothing: the path is too narrow.
    Starved,
}

/// What a decision changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Rise,
    Fall,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            priority: 0,
            limit: Limit::Free,
            pause: MIN_PAUSE,
            rise_after: None,
            rose: None,
            too_little: None,
            told_paused: false,
        }
    }
}

impl Share {
    /// The highest step allowed; `None`: none is.
    pub(crate) const fn most(&self) -> Option<u8> {
        match self.limit {
            Limit::Free => Some(u8::MAX),
            Limit::UpTo(layer) => Some(layer),
            Limit::Starved => None,
        }
    }

    /// The step given, if one was.
    pub(crate) const fn given(&self) -> Option<u8> {
        match self.limit {
            Limit::UpTo(layer) => Some(layer),
            Limit::Free | Limit::Starved => None,
        }
    }

    pub(crate) const fn is_starved(&self) -> bool {
        matches!(self.limit, Limit::Starved)
    }

    /// Whether more than what is given may be given now, of this budget.
    pub(crate) fn may_rise(&self, now: Instant, budget: f64) -> bool {
        self.rise_after.is_none_or(|after| after <= now) || self.too_little.is_some_and(|much| budget > much * FAR_MORE)
    }

    /// What is asked for or sent is another thing than before: what was decided says nothing of it, and a smaller picture
    /// is no fall.
    pub(crate) fn forget(&mut self) {
        (self.limit, self.rise_after, self.rose, self.too_little) = (Limit::Free, None, None, None);
    }

    /// Nothing is known of the path, or no longer.
    pub(crate) fn free(&mut self) -> Change {
        let before = std::mem::replace(&mut self.limit, Limit::Free);
        self.rise_after = None;
        if before == Limit::Free { Change::None } else { Change::Rise }
    }

    /// Takes a decision, made on a budget for all tracks, and on what the steps are now, in bit/s.
    pub(crate) fn give(&mut self, now: Instant, layer: Option<u8>, budget: f64, rates: &[f64]) -> Change {
        let rate = |step: Option<u8>| step.and_then(|step| rates.get(usize::from(step))).copied().unwrap_or(0.0);
        let present = rate(self.given());
        let limit = layer.map_or(Limit::Starved, Limit::UpTo);
        let rank = |limit: Limit| match limit {
            Limit::Starved => 0,
            Limit::UpTo(layer) => 1 + u16::from(layer),
            Limit::Free => u16::MAX,
        };
        let before = std::mem::replace(&mut self.limit, limit);
        let change = match rank(limit).cmp(&rank(before)) {
            std::cmp::Ordering::Equal => Change::None,
            std::cmp::Ordering::Less => Change::Fall,
            std::cmp::Ordering::Greater => Change::Rise,
        };
        match (change, before) {
            (Change::Rise, _) => self.rose = Some(Rose { at: now, budget, rate: rate(layer) }),
            // The first decision is no fall: nothing was in force before.
            (Change::Fall, Limit::UpTo(_) | Limit::Starved) => self.fall(now, budget, present),
            (Change::Fall, Limit::Free) | (Change::None, _) => {}
        }
        change
    }

    fn fall(&mut self, now: Instant, budget: f64, rate: f64) {
        if self.rose.is_some_and(|rose| budget >= rose.budget && rate < rose.rate * GROWN) {
            return; // another track takes it
        }
        // A rise is wrong once, however many steps the way down has.
        if let Some(rose) = self.rose.take() {
            let wrong = now.saturating_duration_since(rose.at) < WRONG_RISE;
            self.pause = if wrong { (self.pause * 2).min(MAX_PAUSE) } else { MIN_PAUSE };
            self.too_little = wrong.then_some(rose.budget);
        }
        self.rise_after = Some(now + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn making_way_for_another_track_costs_no_patience() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut share = Share::default();
        // (s, layer, budget, whether it may rise behind that)
        let rows = [
            (0, Some(0), 5e5, true),
            (1, Some(1), 5e5, true),
            (2, Some(0), 5e5, true),
            (3, Some(1), 5e5, true),
            (4, Some(0), 4e5, false),
        ];
        for (s, layer, budget, may) in rows {
            share.give(at(s), layer, budget, &[1e5, 4e5]);
            assert_eq!(share.may_rise(at(s), budget), may, "{s}");
        }
    }

    #[test]
    fn a_layer_that_grew_was_a_wrong_rise() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        // (what the layer is when it falls, whether it may rise a second later)
        for (rate, may) in [(4e5, true), (6e5, false)] {
            let mut share = Share::default();
            share.give(at(0), Some(0), 5e5, &[1e5, 4e5]);
            share.give(at(1), Some(1), 5e5, &[1e5, 4e5]);
            share.give(at(2), Some(0), 5e5, &[1e5, rate]);
            assert_eq!(share.may_rise(at(3), 5e5), may, "{rate}");
            assert!(share.may_rise(at(3), 8e5), "far more than what was too little");
        }
    }

    #[test]
    fn rises_with_patience() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut share = Share::default();
        // (ms, layer, what changed, ms at which a rise is allowed again)
        let rows = [
            (0, Some(1), Change::Fall, 0),
            (100, Some(2), Change::Rise, 0),
            (200, Some(2), Change::None, 0),
            (20_000, Some(0), Change::Fall, 21_000),
            (21_000, Some(1), Change::Rise, 21_000),
            (22_000, None, Change::Fall, 24_000),
            (24_000, Some(0), Change::Rise, 24_000),
            (25_000, None, Change::Fall, 29_000),
            (25_100, None, Change::None, 29_000),
            (60_000, Some(2), Change::Rise, 29_000),
            (80_000, Some(1), Change::Fall, 81_000),
            (90_000, Some(2), Change::Rise, 81_000),
            (91_000, Some(1), Change::Fall, 93_000),
            (91_500, Some(0), Change::Fall, 93_500),
        ];
        for (ms, layer, change, rise) in rows {
            let budget = layer.map_or(0.0, |layer| 1.0 + f64::from(layer)); // what there is follows what is given
            assert_eq!(share.give(at(ms), layer, budget, &[]), change, "{ms}");
            assert!(share.may_rise(at(rise), 0.0), "{ms}");
            assert!(rise == 0 || !share.may_rise(at(rise - 1), 0.0), "{ms}");
        }
        share.forget();
        assert!(share.may_rise(at(91_500), 0.0), "the client's own wish is no mistake");
        assert_eq!((share.give(at(91_500), None, 0.0, &[]), share.may_rise(at(91_500), 0.0)), (Change::Fall, true));
        assert_eq!((share.free(), share.free()), (Change::Rise, Change::None));
    }
}
