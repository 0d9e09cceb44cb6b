//! The lowest delay of the last while: what the path takes without a queue.

/// How long it is remembered, in two halves; longer mistakes a new route or drifting clocks for a queue.
const HALF_US: i64 = 5_000_000;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowest {
    since_us: i64,
    before: f64,
    current: f64,
}

impl Default for Lowest {
    fn default() -> Self {
        Self { since_us: i64::MIN, before: f64::INFINITY, current: f64::INFINITY }
    }
}

impl Lowest {
    /// A delay, in ms.
    pub(super) fn add(&mut self, at_us: i64, delay: f64) {
        if at_us.saturating_sub(self.since_us) > HALF_US {
            (self.since_us, self.before, self.current) = (at_us, self.current, delay);
        }
        self.current = self.current.min(delay);
    }

    /// In ms; infinite before the first.
    pub(super) fn get(&self) -> f64 {
        self.before.min(self.current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_forgotten_in_halves() {
        let mut lowest = Lowest::default();
        lowest.add(0, 7.0);
        for (ms, delay, want) in [(100, 9.0, 7.0), (5_100, 9.0, 7.0), (9_900, 8.0, 7.0), (10_200, 9.0, 8.0)] {
            lowest.add(ms * 1_000, delay);
            assert_eq!(lowest.get(), want, "{ms}");
        }
    }
}
