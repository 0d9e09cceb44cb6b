//! Retention: looks through the conversations now and then for what their organisations keep no longer, and has the store
//! take it out, a step at a time.
//!
//! What goes is decided by `im-core` (`rules::Sweep`), and done by the store in one transaction a step; from there the event
//! reaches devices as any other. Whatever a stop or a full queue cuts off is found by the next pass.

use std::time::Duration;

use convene_im_core::model::Refusal;
use convene_im_core::rules;
use convene_proto::im::Code;
use convene_store::{Op, Outcome};
use convene_types::{ConvId, OrgId};
use rustc_hash::FxHashMap;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::login::unexpected;
use crate::shared::now_ms;
use crate::start::Handle;

/// How often conversations are looked through. What is too old changes once a day, and a policy may change at any time: it
/// takes hold this much later at most. Each conversation of an organisation with retention costs a row and an event.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How soon a pass that was cut off is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// After a step the store is left alone for so many times as long as the step took: a backlog of years takes a fifth of its
/// time at most.
const REST: u32 = 4;

/// Looks through the conversations until the task is aborted.
pub(crate) async fn run(handle: Handle) {
    loop {
        let wait = match handle.sweep_messages(now_ms()).await {
            Ok(0) => EVERY,
            Ok(bodies) => {
                info!(bodies, "retention has taken what was too old");
                EVERY
            }
            Err(refusal) => {
                warn!(%refusal, "retention was cut off; it goes on in a minute");
                AGAIN
            }
        };
        sleep(wait).await;
    }
}

impl Handle {
    /// Takes out of all conversations what their organisations keep no longer at `now_ms`, and tells whoever is online.
    /// Answers how many bodies went.
    pub async fn sweep_messages(&self, now_ms: i64) -> Result<u64, Refusal> {
        let kept = self.shared.store.read(|reader| Ok(Ok(reader.retentions()?))).await?;
        let cutoffs: FxHashMap<OrgId, i64> =
            kept.into_iter().map(|(org, days)| (org, rules::cutoff_ms(now_ms, days))).collect();
        let (mut after, mut bodies) = (Some(ConvId(0)), 0);
        while let Some(from) = after.take().filter(|_| !cutoffs.is_empty()) {
            let asked = cutoffs.clone();
            let overdue = self.shared.store.read(move |reader| Ok(Ok(reader.overdue(from, &asked)?))).await?;
            for (conv, org) in overdue.convs {
                if let Some(cutoff) = cutoffs.get(&org) {
                    bodies += self.sweep_conversation(conv, *cutoff).await?;
                }
            }
            after = overdue.next;
        }
        Ok(bodies)
    }

    async fn sweep_conversation(&self, conv: ConvId, before_ms: i64) -> Result<u64, Refusal> {
        let mut all = 0;
        loop {
            if self.shared.fanout.is_full(conv) {
                return Err(Refusal::new(Code::Unavailable, "the server is behind with telling others"));
            }
            let begun = Instant::now();
            let outcome = self.publish(Op::Sweep { conv, before_ms }).await?;
            let Outcome::Swept { bodies, more, .. } = outcome else { return Err(unexpected(&outcome)) };
            let bodies = u64::try_from(bodies).unwrap_or(0);
            self.shared.metrics.im_swept.inc_by(bodies);
            all += bodies;
            sleep(begun.elapsed() * REST).await;
            if !more {
                return Ok(all);
            }
        }
    }
}
