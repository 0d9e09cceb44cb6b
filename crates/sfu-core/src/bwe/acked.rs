//! The rate at which packets arrive, by the receiver's clock.

/// Width of a bucket. Finer than feedback is, so that a window's edges cost little.
const BUCKET_US: i64 = 20_000;
/// Buckets kept: the longest window plus the one being filled.
const BUCKETS: usize = 64;
/// The window that a decrease goes by: while a queue is there, packets arrive at the path's rate, so a short look is a
/// sharp one, and a long one would still hold what came before the path got slow.
const SHORT: i64 = 15;
/// The window that growth goes by: a few frames of the slowest video, so that it does not see the gaps between them.
const LONG: i64 = 50;

/// A bucket of which nothing was told: its feedback was lost. It is no time in which nothing came.
const UNTOLD: u32 = u32::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct Acked {
    bytes: [u32; BUCKETS],
    /// The bucket being filled, counted from the receiver's zero; `None`: nothing arrived.
    newest: Option<i64>,
    oldest: i64,
}

impl Acked {
    pub(super) fn new() -> Self {
        Self { bytes: [0; BUCKETS], newest: None, oldest: 0 }
    }

    /// A packet arrived.
    pub(super) fn add(&mut self, arrival_us: i64, bytes: u16) {
        let bucket = arrival_us.div_euclid(BUCKET_US);
        let newest = self.advance(bucket, 0);
        if newest - bucket < BUCKETS as i64 {
            self.put(bucket, |slot| *slot = slot.saturating_add(u32::from(bytes)));
        }
    }

    /// Feedback is missing: what arrived before this time and after the last packet that was told of is not known.
    pub(super) fn untold(&mut self, until_us: i64) {
        let Some(newest) = self.newest else { return };
        let until = until_us.div_euclid(BUCKET_US);
        if newest < until {
            self.put(newest, |slot| *slot = UNTOLD); // it was not over yet
            self.advance(until - 1, UNTOLD);
        }
    }

    /// Opens the buckets up to this one; the newest.
    fn advance(&mut self, bucket: i64, fresh: u32) -> i64 {
        let newest = match self.newest {
            None => {
                self.oldest = bucket;
                bucket
            }
            Some(newest) => newest.max(bucket),
        };
        let first_new = self.newest.map_or(newest, |before| before + 1).max(newest - BUCKETS as i64 + 1);
        (first_new..=newest).for_each(|new| self.put(new, |slot| *slot = fresh));
        self.newest = Some(newest);
        newest
    }

    /// Bits per second lately; `None`: too little has arrived to say.
    pub(super) fn short(&self) -> Option<f64> {
        self.rate(SHORT)
    }

    /// Bits per second over a second.
    pub(super) fn long(&self) -> Option<f64> {
        self.rate(LONG)
    }

    /// Over the whole buckets before the one being filled, if at least half of them were told of.
    fn rate(&self, buckets: i64) -> Option<f64> {
        let newest = self.newest?;
        let from = newest - buckets;
        if from < self.oldest {
            return None;
        }
        let told = (from..newest).filter_map(|bucket| self.get(bucket)).filter(|bytes| *bytes != UNTOLD);
        let (bytes, told) = told.fold((0, 0), |(sum, count), bytes| (sum + u64::from(bytes), count + 1));
        (told * 2 >= buckets).then(|| bytes as f64 * 8.0 * 1e6 / (told * BUCKET_US) as f64)
    }

    fn get(&self, bucket: i64) -> Option<u32> {
        self.bytes.get(bucket.rem_euclid(BUCKETS as i64) as usize).copied()
    }

    fn put(&mut self, bucket: i64, change: impl FnOnce(&mut u32)) {
        if let Some(slot) = self.bytes.get_mut(bucket.rem_euclid(BUCKETS as i64) as usize) {
            change(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_what_arrives() {
        let mut acked = Acked::new();
        assert_eq!(acked.long(), None);
        // 1,000 bytes each 8 ms are 1 Mbit/s; the receiver's clock may begin anywhere.
        let at = |index: i64| -700_000 + index * 8_000;
        for index in 0..30 {
            acked.add(at(index), 1_000);
        }
        assert_eq!(acked.short(), None, "240 ms");
        for index in 30..200 {
            acked.add(at(index), 1_000);
        }
        let near = |rate: Option<f64>, want: f64| rate.is_some_and(|rate| (rate - want).abs() < want * 0.05);
        assert!(near(acked.short(), 1e6) && near(acked.long(), 1e6), "{acked:?}");
        // Half a second at a quarter of it.
        for index in 0..16 {
            acked.add(at(200) + index * 32_000, 1_000);
        }
        assert!(near(acked.short(), 0.25e6), "{:?}", acked.short());
        assert!(acked.long().is_some_and(|rate| rate > 0.5e6));
        // A tenth of a second of which nothing is told.
        acked.untold(at(200) + 600_000);
        acked.add(at(200) + 600_000, 1_000);
        assert!(acked.short().is_some_and(|rate| (0.2e6..0.3e6).contains(&rate)), "{:?}", acked.short());
        acked.untold(at(200) + 900_000);
        acked.add(at(200) + 900_000, 1_000);
        assert_eq!(acked.short(), None, "too little is told");
        // A long silence is no rate of old.
        acked.add(at(200) + 10_000_000, 1_000);
        assert_eq!(acked.long(), Some(0.0));
    }
}
