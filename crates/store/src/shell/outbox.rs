//! Tells whoever delivers webhooks that something waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

use crate::webhooks::Enqueued;

/// The outbox of webhooks, for the one who empties it.
#[derive(Debug, Default)]
pub struct Outbox {
    filled: Notify,
    full: AtomicU64,
    /// There are no endpoints at all.
    idle: AtomicBool,
}

impl Outbox {
    /// Something was put into it since this was last asked, or is now.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Events that were not taken since this was last asked, because too much waited for their endpoint.
    #[must_use]
    pub fn take_full(&self) -> u64 {
        self.full.swap(0, Relaxed)
    }

    /// Whether there may be an endpoint that is told of something.
    #[must_use]
    pub fn may_be_wanted(&self) -> bool {
        !self.idle.load(Relaxed)
    }

    /// After the commit, before it is answered: who has made an endpoint finds that it is told. `idle`: there are none.
    pub(super) fn note(&self, enqueued: Enqueued, idle: bool) {
        self.idle.store(idle, Relaxed);
        self.full.fetch_add(enqueued.full.into(), Relaxed);
        if enqueued != Enqueued::default() {
            self.filled.notify_one();
        }
    }
}
