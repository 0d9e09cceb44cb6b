//! When to connect again: full jitter over a doubling span, so that clients of a restarted server do not come at once.
//! Not here: the clock.

use std::time::Duration;

use rand::{Rng, RngExt as _};

/// Span of the first attempt. Lower reconnects sooner and hits a restarting server harder.
const FIRST: Duration = Duration::from_secs(1);
/// Longest span: how long somebody may wait who comes back from a tunnel, halved by chance.
const MAX: Duration = Duration::from_secs(60);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait before the next attempt; `at_least` is what the server asked for.
    pub(crate) fn next(&mut self, rng: &mut impl Rng, at_least: Duration) -> Duration {
        let span = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        at_least.saturating_add(span.mul_f64(rng.random::<f64>()))
    }

    /// A session was opened.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn spans_double_up_to_the_longest_and_begin_again() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::default();
        let spans = [1, 2, 4, 8, 16, 32, 60, 60, 60].map(Duration::from_secs);
        for span in spans {
            let delay = backoff.next(&mut rng, Duration::ZERO);
            assert!(delay <= span, "{delay:?} of {span:?}");
        }
        backoff.reset();
        assert!(backoff.next(&mut rng, Duration::ZERO) <= FIRST);
    }

    #[test]
    fn clients_of_one_server_do_not_come_at_once() {
        let delays: Vec<_> = (0..1000)
            .map(|seed| Backoff::default().next(&mut StdRng::seed_from_u64(seed), Duration::from_secs(2)))
            .collect();
        for tenth in 0..10_u32 {
            let from = Duration::from_secs(2) + FIRST * tenth / 10;
            let count = delays.iter().filter(|delay| (from..from + FIRST / 10).contains(*delay)).count();
            assert!((50..200).contains(&count), "{count} of 1000 in tenth {tenth}");
        }
    }

    #[test]
    fn a_million_failures_do_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert!(backoff.next(&mut StdRng::seed_from_u64(3), Duration::ZERO) <= MAX);
    }
}
