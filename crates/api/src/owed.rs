//! Notices about seats that could not be read when they were due, because the store was busy. What they tell of is stored
//! and was answered as made: the store is asked again until it answers. [`crate::changes`] puts them here.

use std::sync::Arc;
use std::time::Duration;

use convene_accounts::Refusal;
use convene_telemetry::Metrics;
use convene_types::{AccountId, OrgId};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::Inner;
use crate::consequences::Part;

/// Notices that wait, 24 bytes each: as many changes as one listener may be behind with. More are lost, and the log says so:
/// groups of departments follow within a minute all the same, and who was renamed is seen so by whoever looks anew.
const MAX_OWED: usize = 4_096;
/// After tries that were refused: as long as callers are told to wait. Less would ask a store that fails in a loop.
const AGAIN: Duration = Duration::from_secs(1);
/// How often one notice is tried: for five minutes at least. A seat that cannot be read at all would otherwise keep its place for
/// ever, and with [`MAX_OWED`] of them no other notice found one; fewer tries lose what a longer standstill of the store holds up.
const MAX_TRIES: u32 = 300;
/// By this code, those that are lost are counted among what was refused.
const LOST: &str = "changes_owed";

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

/// How often it was tried to tell a notice here.
type Tried = (Notice, u32);

/// Takes notices.
pub(crate) struct Owed {
    notices: mpsc::Sender<Tried>,
    metrics: Arc<Metrics>,
}

impl Owed {
    /// And where they come out.
    pub(crate) fn new(metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<Tried>) {
        let (notices, waiting) = mpsc::channel(MAX_OWED);
        (Self { notices, metrics }, waiting)
    }

    pub(crate) fn put(&self, notice: Notice) {
        self.put_back((notice, 0));
    }

    fn put_back(&self, (notice, tries): Tried) {
        if tries >= MAX_TRIES || self.notices.try_send((notice, tries)).is_err() {
            let Notice { org, account, part } = notice;
            self.metrics.refused.with_label_values(&[LOST]).inc();
            tracing::error!(%org, %account, ?part, tries, "too many changes wait for a busy store: one is told to nobody");
        }
    }

    /// Tries to tell all of these. Those that are refused wait again, behind the others; `true`: there were some.
    async fn tell<F: Future<Output = Result<(), Refusal>>>(
        &self,
        notices: &mut Vec<Tried>,
        tell: impl Fn(Notice) -> F,
    ) -> bool {
        let mut refused = false;
        for (notice, tries) in notices.drain(..) {
            if tell(notice).await.is_err() {
                self.put_back((notice, tries.saturating_add(1)));
                refused = true;
            }
        }
        refused
    }
}

/// Tells them until the service is gone.
pub(crate) fn start(inner: &Arc<Inner>, mut waiting: mpsc::Receiver<Tried>) {
    let inner = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut notices = Vec::new();
        while waiting.recv_many(&mut notices, MAX_OWED).await > 0 {
            let Some(inner) = inner.upgrade() else { return };
            let tell = |notice| {
                let inner = Arc::clone(&inner);
                async move { inner.tell_of_seat(notice).await }
            };
            let refused = inner.owed.tell(&mut notices, tell).await;
            drop(inner);
            if refused {
                sleep(AGAIN).await;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    fn notice(account: u64) -> Notice {
        Notice { org: OrgId(1), account: AccountId(account), part: Part::Role }
    }

    /// The first seats cannot be read at all. How often each was asked for.
    async fn pass(owed: &Owed, waiting: &mut mpsc::Receiver<Tried>, asked: &Mutex<Vec<u64>>, unreadable: u64) -> bool {
        let mut notices = Vec::new();
        waiting.recv_many(&mut notices, MAX_OWED).await;
        let tell = |notice: Notice| async move {
            asked.lock().push(notice.account.0);
            let readable = notice.account.0 >= unreadable;
            if readable { Ok(()) } else { Err(convene_accounts::Code::Unavailable.into()) }
        };
        owed.tell(&mut notices, tell).await
    }

    #[tokio::test]
    async fn a_seat_that_cannot_be_read_holds_up_no_other_one() {
        let (owed, mut waiting) = Owed::new(Arc::default());
        (0..=50).for_each(|account| owed.put(notice(account)));
        let asked = Mutex::default();
        assert!(pass(&owed, &mut waiting, &asked, 50).await, "once, and then it is waited for the store");
        assert_eq!(*asked.lock(), (0..=50).collect::<Vec<_>>());
        owed.put(notice(51));
        assert!(pass(&owed, &mut waiting, &asked, 50).await);
        assert_eq!(asked.lock().last(), Some(&51), "the next pass has those that came meanwhile");
    }

    #[tokio::test]
    async fn a_seat_that_can_never_be_read_loses_its_place_and_is_counted() {
        let metrics = Arc::<Metrics>::default();
        let (owed, mut waiting) = Owed::new(Arc::clone(&metrics));
        let lost = || metrics.refused.with_label_values(&[LOST]).get();
        (0..=MAX_OWED).for_each(|account| owed.put(notice(u64::try_from(account).unwrap())));
        assert_eq!(lost(), 1, "there is no place for more");
        let asked = Mutex::default();
        for _ in 0..MAX_TRIES {
            assert!(pass(&owed, &mut waiting, &asked, u64::MAX).await);
        }
        assert_eq!(lost(), 1 + u64::try_from(MAX_OWED).unwrap());
        assert!(waiting.is_empty());
    }
}
