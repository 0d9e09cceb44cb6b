//! Figures of several rounds, and latencies within one.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// One figure over the rounds of a run: a neighbour on the machine shows as a wide one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Lowest round.
    pub min: f64,
    /// Middle round; of an even number the upper one.
    pub median: f64,
    /// Highest round.
    pub max: f64,
}

impl Spread {
    /// Over the rounds' figures, in any order.
    #[must_use]
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = rounds.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        Self { min: at(0), median: at(sorted.len() / 2), max: at(sorted.len().saturating_sub(1)) }
    }
}

/// Latencies of one round, within 1 %.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        // Up to an hour in nanoseconds, two digits: the arguments are within the crate's bounds.
        let longest = Duration::from_secs(3600).as_nanos() as u64;
        Self(Histogram::new_with_max(longest, 2).expect("valid bounds of a histogram"))
    }
}

impl Latency {
    /// Adds one.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The value below which this share of them lies, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_sorted() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of([5.0]), Spread { min: 5.0, median: 5.0, max: 5.0 });
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn quantiles_are_within_a_hundredth() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|ms| latency.record(Duration::from_millis(ms)));
        let rows = [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)];
        for (share, want) in rows {
            let got = latency.quantile_ms(share);
            assert!((got - want).abs() <= want / 100.0, "{share}: {got}");
        }
    }
}
