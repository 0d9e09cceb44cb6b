//! How much of a subscriber's path repeats may take.
//!
//! A queue that overflows loses many packets at once, and all of them are asked for: without a bound the repeats keep the
//! queue full, and what is lost of them is asked for again, long after the media has come down.

use std::time::Instant;

/// Part of the estimate that repeats may take. On a path that loses 20 % at random a quarter is needed.
const PART: f64 = 0.5;
/// What may be repeated at once: this many seconds of that, and this many bytes. A frame lost whole is such a burst.
const BURST_S: f64 = 0.2;
const BURST_BYTES: f64 = 6_000.0;
/// A packet of a picture.
const PACKET_BYTES: f64 = 1_200.0;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    credit: f64,
    at: Option<Instant>,
}

impl Repairs {
    /// Whether a packet may be repeated. `budget`: bits per second that the path carries; `None`: nobody knows, so there is
    /// no bound.
    pub(crate) fn may(&mut self, now: Instant, budget: Option<f64>) -> bool {
        self.earn(now, budget).is_none() || self.credit > 0.0
    }

    /// How many packets may be repeated that perhaps need not: half of what may be repeated at once is left for those that do.
    pub(crate) fn spare(&mut self, now: Instant, budget: Option<f64>) -> usize {
        match self.earn(now, budget) {
            None => usize::MAX,
            Some(most) => ((self.credit - most / 2.0).max(0.0) / PACKET_BYTES) as usize,
        }
    }

    /// Adds what has come free since the last time; the most that there can be. `None`: there is no bound.
    fn earn(&mut self, now: Instant, budget: Option<f64>) -> Option<f64> {
        let Some(rate) = budget.map(|bits| bits * PART / 8.0) else {
            self.at = None;
            return None;
        };
        let most = rate * BURST_S + BURST_BYTES;
        self.credit = match self.at.replace(now) {
            None => most,
            Some(at) => (self.credit + rate * now.saturating_duration_since(at).as_secs_f64()).min(most),
        };
        Some(most)
    }

    /// A packet of this many bytes was repeated.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.credit -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn bounds_the_rate_and_lets_a_burst_pass() {
        let start = Instant::now();
        let repeated = |budget, seconds: u64| {
            let mut repairs = Repairs::default();
            let mut bytes = 0;
            for ms in 0..seconds * 1_000 {
                while repairs.may(start + Duration::from_millis(ms), budget) && bytes < 10_000_000 {
                    repairs.spend(1_000);
                    bytes += 1_000;
                }
            }
            bytes
        };
        assert_eq!(repeated(Some(800e3), 0), 0);
        // 50 kB/s, and 16 kB at once.
        assert!((64_000..=68_000).contains(&repeated(Some(800e3), 1)), "{}", repeated(Some(800e3), 1));
        assert!((514_000..=519_000).contains(&repeated(Some(800e3), 10)));
        assert_eq!(repeated(None, 1), 10_000_000, "nothing is known of the path");
    }

    #[test]
    fn leaves_half_for_what_is_known_to_be_lost() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        assert_eq!(repairs.spare(start, None), usize::MAX);
        assert_eq!(repairs.spare(start, Some(800e3)), 6, "of 16 kB");
        repairs.spend(9_000);
        assert_eq!(repairs.spare(start, Some(800e3)), 0);
        assert!(repairs.may(start, Some(800e3)));
    }
}
