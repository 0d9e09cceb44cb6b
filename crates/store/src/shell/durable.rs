//! What is committed, and what of it is on the disk. The writer raises the one, `syncer` the other, readers compare.
//!
//! SQLite shows a commit to every reader at once. Here a commit comes before its sync, so that the writer can go on while
//! the disk is busy; what was read therefore leaves the store only when it is on the disk too. Otherwise a power cut could
//! take back an event that somebody has seen, and its seq would be given to another one (I1, I2).
//!
//! Invariant: a number is begun before its commit can be seen, and is on the disk after the sync that covers it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::watch;

#[derive(Debug, Default)]
pub(super) struct Durable {
    /// Commits that may be seen.
    begun: AtomicU64,
    disk: watch::Sender<Disk>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Disk {
    /// All commits up to this one are on it.
    holds: u64,
    /// A sync has failed, and what is held back is not known to be on it.
    fails: bool,
}

impl Durable {
    /// The writer is about to commit something.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, SeqCst);
    }

    /// The last commit that whoever has just read can have seen.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(SeqCst)
    }

    /// Whether this commit is on the disk.
    pub(super) fn holds(&self, commit: u64) -> bool {
        self.disk.borrow().holds >= commit
    }

    /// Everything up to this commit is on the disk.
    pub(super) fn synced(&self, commit: u64) {
        self.disk.send_replace(Disk { holds: commit, fails: false });
    }

    /// A sync has failed.
    pub(super) fn failed(&self) {
        self.disk.send_modify(|disk| disk.fails = true);
    }

    /// Nothing may be written until what is held back is on the disk.
    pub(super) fn fails(&self) -> bool {
        self.disk.borrow().fails
    }

    /// Waits until a commit is on the disk. False: the disk fails, and whether it ever will be is not known.
    pub(super) async fn reached(&self, commit: u64) -> bool {
        if self.holds(commit) {
            return true; // nearly always: no need to subscribe
        }
        let mut disk = self.disk.subscribe();
        // Fails only when the sender is gone, which is this one.
        disk.wait_for(|disk| disk.holds >= commit || disk.fails).await.is_ok_and(|disk| disk.holds >= commit)
    }
}
