//! Takes away what says nothing any more: codes, counts, sessions, keys of repeated requests, rows of dissolved organisations.

use std::sync::{Arc, Weak};
use std::time::Duration;

use convene_store::accounts::{Op, Outcome};
use tokio::time::sleep;

use crate::Inner;
use crate::answer::now_s;

/// Between two rounds. What is left over is refused by its time all the same.
const EVERY: Duration = Duration::from_secs(600);
/// Between two steps of a round: the writer has other work.
const STEP: Duration = Duration::from_millis(50);
/// Ended sessions are known for so long, in seconds: a token that was stolen may be used late, and is to be told as stolen.
const REMEMBERED_S: u64 = 30 * 24 * 60 * 60;

/// Sweeps until the service is gone.
pub(crate) fn start(inner: &Arc<Inner>) {
    let inner = Arc::downgrade(inner);
    tokio::spawn(async move {
        loop {
            sleep(EVERY).await;
            if !round(&inner).await {
                return;
            }
        }
    });
}

/// False: the service is gone.
async fn round(inner: &Weak<Inner>) -> bool {
    loop {
        let Some(inner) = inner.upgrade() else { return false };
        let swept = inner.store.account(Op::Sweep { before_s: now_s().saturating_sub(REMEMBERED_S) }).await;
        // A store that is busy is asked again in the next round.
        if !matches!(swept, Ok(Outcome::Swept { more: true })) {
            return true;
        }
        drop(inner);
        sleep(STEP).await;
    }
}
