//! Retention carried out, a step at a time: an `Erase` event, the tombstones it says, and how far retention has come, in one
//! transaction. So a crash leaves nothing half done, and the next step begins where the last one ended.

use convene_im_core::rules::{self, Actor, Context, Sweep, Swept, Taken};
use convene_proto::im;
use convene_types::{ClientId, ConvId, Seq, UserId};

use super::Work;
use super::append::{Entry, hash_of};
use crate::error::{Fault, StoreError, unknown_conversation};
use crate::ops::{Appended, Outcome};
use crate::rows;

impl Work<'_> {
    pub(super) fn sweep_log(&mut self, conv: ConvId, before_ms: i64) -> Result<Outcome, Fault> {
        let row = self.cache.conv(self.conn, conv)?.ok_or_else(unknown_conversation)?;
        let (head, mut sweep) = (row.conv.head, Sweep::new(row.swept, before_ms));
        let more = self.gather(conv, head, &mut sweep)?;
        let Swept { to, erase, bodies } = sweep.finish();
        let appended = erase.map(|body| self.append_erasure(conv, head, to, body)).transpose()?;
        if appended.is_none() {
            self.cache.change_conv(conv, |row| row.swept = to);
        }
        Ok(Outcome::Swept { appended, bodies, more })
    }

    /// Offers events until the step is full, which it answers, or the log is young.
    fn gather(&mut self, conv: ConvId, head: Seq, sweep: &mut Sweep) -> Result<bool, StoreError> {
        while sweep.wanted() <= head {
            let seq = sweep.wanted();
            let event = rows::load_event(self.conn, conv, seq)?;
            let event = event.ok_or(StoreError::DamagedEvent { conv: conv.0, seq: seq.0 })?;
            let edits = self.edits_of(conv, seq)?;
            match sweep.take(&event, &edits) {
                Taken::In => {}
                Taken::Young => return Ok(false),
                Taken::Full => return Ok(true),
            }
        }
        Ok(false)
    }

    fn append_erasure(&mut self, conv: ConvId, head: Seq, to: Seq, body: im::Body) -> Result<Appended, Fault> {
        rules::check(&body)?;
        let row = self.cache.conv(self.conn, conv)?.ok_or_else(unknown_conversation)?;
        let context = Context {
            conv: &row.conv,
            actor: Actor::Server,
            target: None,
            users: &[],
            now_ms: self.now_ms,
            policy: self.policy,
        };
        let decision = rules::decide(&context, body)?;
        // Nobody sends it twice: what it erases is decided by the transaction that does it.
        let client_id = ClientId(hash_of(b"retention", conv.0, &head.next().0.to_be_bytes()));
        let appended = self.write(Entry { conv, sender: UserId(0), client_id, decision })?;
        let bump = self.bump;
        self.cache.change_conv(conv, |row| (row.swept, row.swept_bump) = (to, bump));
        Ok(Appended { swept: to, ..appended })
    }
}
