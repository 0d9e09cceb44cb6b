//! Notices about seats that could not be read when they were due, because the store was busy. What they tell of is stored
//! and was answered as made: the store is asked again until it answers. [`crate::changes`] puts them here.

use std::sync::Arc;
use std::time::Duration;

use convene_types::{AccountId, OrgId};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::Inner;
use crate::consequences::Part;

/// Notices that wait, 24 bytes each: as many changes as one listener may be behind with. More are lost, and the log says so:
/// groups of departments follow within a minute all the same, and who was renamed is seen so by whoever looks anew.
const MAX_OWED: usize = 4_096;
/// After a try that was refused: as long as callers are told to wait. Less would ask a store that fails in a loop.
const AGAIN: Duration = Duration::from_secs(1);

/// A notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Where.
    pub(crate) org: OrgId,
    /// Whose seat.
    pub(crate) account: AccountId,
    /// What of it is another.
    pub(crate) part: Part,
}

/// Takes notices.
pub(crate) struct Owed {
    notices: mpsc::Sender<Notice>,
}

impl Owed {
    /// And where they come out.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Notice>) {
        let (notices, waiting) = mpsc::channel(MAX_OWED);
        (Self { notices }, waiting)
    }

    pub(crate) fn put(&self, notice: Notice) {
        let Notice { org, account, part } = notice;
        if self.notices.try_send(notice).is_err() {
            tracing::error!(%org, %account, ?part, "too many changes wait for a busy store: one is told to nobody");
        }
    }
}

/// Tells them until the service is gone.
pub(crate) fn start(inner: &Arc<Inner>, mut waiting: mpsc::Receiver<Notice>) {
    let inner = Arc::downgrade(inner);
    tokio::spawn(async move {
        while let Some(notice) = waiting.recv().await {
            let Some(inner) = inner.upgrade() else { return };
            if inner.tell_of_seat(notice).await.is_err() {
                // Behind the others: a seat that cannot be read at all holds up none of them.
                inner.owed.put(notice);
                drop(inner);
                sleep(AGAIN).await;
            }
        }
    });
}
