//! Token buckets: how often a device, or a conversation, may.

use std::hash::Hash;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

/// So many a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run; 0 counts as 1.
    pub per_second: u32,
    /// After a pause; 0 counts as 1.
    pub burst: u32,
}

impl Rate {
    fn interval(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// A bucket, kept as the time at which it will be full again: an empty pause needs no upkeep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one. `Err`: in so many milliseconds there will be one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), u32> {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + rate.interval();
        let missing = full_at.duration_since(now).saturating_sub(rate.interval() * rate.burst.max(1));
        if missing.is_zero() {
            self.full_at = Some(full_at);
            return Ok(());
        }
        let ms = missing.as_nanos().div_ceil(1_000_000);
        Err(u32::try_from(ms).unwrap_or(u32::MAX))
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// A bucket per key, made when it is needed and dropped when it is full.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    buckets: FxHashMap<K, Bucket>,
    max: usize,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    /// At most `max` of them, 40 bytes each. When all of those are in use, a further key goes unmetered: who holds that
    /// many at once passes other limits before.
    #[must_use]
    pub fn new(rate: Rate, max: usize) -> Self {
        Self { rate, buckets: FxHashMap::default(), max }
    }

    /// Takes one of the key's. `Err`: in so many milliseconds there will be one.
    pub fn take(&mut self, key: K, now: Instant) -> Result<(), u32> {
        if self.buckets.len() >= self.max && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if self.buckets.len() >= self.max {
                return Ok(());
            }
        }
        self.buckets.entry(key).or_default().take(self.rate, now)
    }

    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// None is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}
