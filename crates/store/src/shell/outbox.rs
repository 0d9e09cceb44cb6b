//! Tells whoever delivers webhooks that something waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

use crate::webhooks::Enqueued;

/// The outbox of webhooks, for the one who empties it.
#[derive(Debug, Default)]
pub struct Outbox {
    filled: Notify,
    full: AtomicU64,
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

    /// After the commit.
    pub(super) fn note(&self, enqueued: Enqueued) {
        self.full.fetch_add(enqueued.full.into(), Relaxed);
        if enqueued != Enqueued::default() {
            self.filled.notify_one();
        }
    }
}
