//! Plain counters, exported by `im`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) batches: AtomicU64,
    pub(super) ops: AtomicU64,
    pub(super) refusals: AtomicU64,
    pub(super) failed_batches: AtomicU64,
    pub(super) failed_reads: AtomicU64,
    pub(super) writes_refused: AtomicU64,
    pub(super) reads_refused: AtomicU64,
    pub(super) reads: AtomicU64,
    pub(super) commit_us: AtomicU64,
    pub(super) max_commit_us: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_us: AtomicU64,
    pub(super) max_sync_us: AtomicU64,
    pub(super) failed_syncs: AtomicU64,
    pub(super) wal_bytes: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    pub(super) forced_checkpoints: AtomicU64,
    pub(super) panics: AtomicU64,
}

/// Counters since the start, but for `wal_bytes`, which is how it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatsSnapshot {
    /// Transactions.
    pub batches: u64,
    /// Operations in them, refused ones too.
    pub ops: u64,
    /// Operations the rules refused.
    pub refusals: u64,
    /// Transactions that were rolled back.
    pub failed_batches: u64,
    /// Questions the database failed to answer.
    pub failed_reads: u64,
    /// Operations that found the queue full or the store stopped.
    pub writes_refused: u64,
    /// Questions that found the queue full or the store stopped.
    pub reads_refused: u64,
    /// Questions answered.
    pub reads: u64,
    /// Time spent in transactions, without their syncs.
    pub commit: Duration,
    /// The longest of them.
    pub max_commit: Duration,
    /// Syncs of the WAL; each covers what was committed since the one before.
    pub syncs: u64,
    /// Time spent in them.
    pub sync: Duration,
    /// The longest of them.
    pub max_sync: Duration,
    /// Those that failed. Nothing is written after one until all that was is safely in the database.
    pub failed_syncs: u64,
    /// What of the WAL is in use.
    pub wal_bytes: u64,
    /// Checkpoints beside the writer.
    pub checkpoints: u64,
    /// Checkpoints the writer had to wait for, because the WAL was at its bound.
    pub forced_checkpoints: u64,
    /// Mistakes of ours that cost one batch or question.
    pub panics: u64,
}

impl Stats {
    pub(super) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Relaxed);
    }

    pub(super) fn committed(&self, ops: usize, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Self::add(&self.batches, 1);
        Self::add(&self.ops, u64::try_from(ops).unwrap_or(u64::MAX));
        Self::add(&self.commit_us, us);
        self.max_commit_us.fetch_max(us, Relaxed);
    }

    pub(super) fn synced(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Self::add(&self.syncs, 1);
        Self::add(&self.sync_us, us);
        self.max_sync_us.fetch_max(us, Relaxed);
    }

    pub(super) fn snapshot(&self) -> StatsSnapshot {
        StatsSnapshot {
            batches: self.batches.load(Relaxed),
            ops: self.ops.load(Relaxed),
            refusals: self.refusals.load(Relaxed),
            failed_batches: self.failed_batches.load(Relaxed),
            failed_reads: self.failed_reads.load(Relaxed),
            writes_refused: self.writes_refused.load(Relaxed),
            reads_refused: self.reads_refused.load(Relaxed),
            reads: self.reads.load(Relaxed),
            commit: Duration::from_micros(self.commit_us.load(Relaxed)),
            max_commit: Duration::from_micros(self.max_commit_us.load(Relaxed)),
            syncs: self.syncs.load(Relaxed),
            sync: Duration::from_micros(self.sync_us.load(Relaxed)),
            max_sync: Duration::from_micros(self.max_sync_us.load(Relaxed)),
            failed_syncs: self.failed_syncs.load(Relaxed),
            wal_bytes: self.wal_bytes.load(Relaxed),
            checkpoints: self.checkpoints.load(Relaxed),
            forced_checkpoints: self.forced_checkpoints.load(Relaxed),
            panics: self.panics.load(Relaxed),
        }
    }
}
