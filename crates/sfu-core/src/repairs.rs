//! How much of a subscriber's path repeats may take.
//!
//! A queue that overflows loses many packets at once, and all of them are asked for: without a bound the repeats keep the
//! queue full, and what is lost of them is asked for again, long after the media has come down.
//!
//! Of a client that tells nothing of its path nobody knows what that carries. It gets as much in repeats as in media: a packet
//! that asks is small, and may ask for many large ones.

use std::time::{Duration, Instant};

/// Part of the estimate that repeats may take. On a path that loses 20 % at random a quarter is needed.
const PART: f64 = 0.5;
/// What may be repeated at once: this many seconds of that, and this many bytes. A frame lost whole is such a burst.
const BURST_S: f64 = 0.2;
const BURST_BYTES: f64 = 6_000.0;
/// What may be repeated at once beside a second of media to somebody of whose path nothing is known: two seconds of 1 Mbit/s,
/// for those who were away. Once, as it comes free with the media; less would leave them with a hole.
const UNKNOWN_BURST_BYTES: f64 = 256_000.0;
const SECOND: Duration = Duration::from_secs(1);
/// A packet of a picture.
const PACKET_BYTES: f64 = 1_200.0;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    credit: f64,
    at: Option<Instant>,
    /// The path was known then.
    known: bool,
    /// Bytes of media a second as of late, those since, and since when.
    usual: f64,
    went: usize,
    since: Option<Instant>,
}

impl Repairs {
    /// Whether a packet may be repeated. `budget`: bits per second that the path carries; `None`: nobody knows.
    pub(crate) fn may(&mut self, now: Instant, budget: Option<f64>) -> bool {
        self.earn(now, budget);
        self.credit > 0.0
    }

    /// How many packets may be repeated that perhaps need not: half of what may be repeated at once is left for those that do.
    pub(crate) fn spare(&mut self, now: Instant, budget: Option<f64>) -> usize {
        if budget.is_none() {
            return usize::MAX;
        }
        let most = self.earn(now, budget);
        ((self.credit - most / 2.0).max(0.0) / PACKET_BYTES) as usize
    }

    /// Adds what has come free since the last time; the most that there can be.
    fn earn(&mut self, now: Instant, budget: Option<f64>) -> f64 {
        let (rate, most) = match budget.map(|bits| bits * PART / 8.0) {
            Some(rate) => (rate, rate * BURST_S + BURST_BYTES),
            None => {
                let rate = self.usual.max(self.went as f64);
                (rate, rate + UNKNOWN_BURST_BYTES)
            }
        };
        let same = std::mem::replace(&mut self.known, budget.is_some()) == budget.is_some();
        let before = self.at.replace(now).filter(|_| same);
        self.credit = match before {
            None => most,
            Some(at) => (self.credit + rate * now.saturating_duration_since(at).as_secs_f64()).min(most),
        };
        most
    }

    /// A packet of media went out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.went += bytes;
    }

    /// Once a second, or more often.
    pub(crate) fn close_second(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(*self.since.get_or_insert(now));
        if passed >= SECOND {
            self.usual = std::mem::take(&mut self.went) as f64 / passed.as_secs_f64();
            self.since = Some(now);
        }
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
    }

    #[test]
    fn who_tells_nothing_gets_as_much_again_as_it_gets() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        let mut repeated = [0; 10];
        for ms in 0..10_000 {
            let now = start + Duration::from_millis(ms);
            if ms.is_multiple_of(20) {
                repairs.close_second(now);
                repairs.sent(2_000);
            }
            while repairs.may(now, None) {
                repairs.spend(1_000);
                repeated[ms as usize / 1_000] += 1_000;
            }
        }
        assert!((256_000..460_000).contains(&repeated[0]), "{repeated:?}");
        assert!(repeated[1..].iter().all(|bytes| (90_000..=110_000).contains(bytes)), "{repeated:?}");
        assert!(repairs.may(start + Duration::from_secs(10), Some(800e3)), "what is known of it has its own bound");
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
