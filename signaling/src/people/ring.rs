//! Calls at work: what the book decides is told to devices, written into logs, and carried out in rooms.

use std::sync::Arc;
use std::time::Duration;

use convene_accounts::apikey::{org_of_room, room_prefix};
use convene_accounts::webhook::Kinds;
use convene_api::Error;
use convene_calls::{Book, Call, New, Refusal, Standing};
use convene_im::wire as im;
use convene_store::calls::Recorded;
use convene_store::{Op, Outcome, told, webhooks};
use convene_types::{CallId, OrgId, UserId};
use parking_lot::MutexGuard;

use super::{People, answer, hex, now_ms, refusal, unhex};

/// Pauses between tries to write down how a call ended. After the last one the row stays open, and the next start of the
/// server ends it as interrupted.
const RETRIES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
];

/// The name of a call's room: one of its organisation's.
pub(super) fn room_of(org: OrgId, call: CallId) -> String {
    format!("{}call-{}", room_prefix(org), hex(&call.0))
}

/// The call whose room it is by its name.
pub(super) fn call_of(room: &str) -> Option<CallId> {
    let name = room.strip_prefix(&room_prefix(org_of_room(room)?))?;
    name.strip_prefix("call-").and_then(unhex).map(CallId)
}

impl People {
    /// Begins a call: into the log first, then to the devices. The conversation's call that is on is answered instead.
    pub(super) async fn ring(&self, new: New) -> Result<Call, Error> {
        let id = new.id;
        let begun = self.inner.book.lock().begin(new, now_ms());
        let call = match begun {
            Ok(call) => call,
            Err(Refusal::Exists(other)) => {
                let known = self.inner.book.lock().get(other).cloned();
                return known.ok_or_else(|| refusal::of_call(&Refusal::NotNow));
            }
            Err(refused) => return Err(refusal::of_call(&refused)),
        };
        self.inner.begun.notify_one();
        if let Err(refused) = self.write_down(&call, answer::begun(&call)).await {
            self.inner.book.lock().forget(id);
            return Err(refusal::of_chat(&refused));
        }
        let book = self.inner.book.lock();
        // It may have changed meanwhile; or be over at once, as everybody is busy.
        let call = book.get(id).cloned().unwrap_or(call);
        self.tell(&book, &call);
        Ok(call)
    }

    /// Does something to a call that is on, and tells of it. Answers it as it is afterwards.
    pub(super) fn change(
        &self,
        id: CallId,
        work: impl FnOnce(&mut Call) -> Result<(), Refusal>,
    ) -> Result<Option<Call>, Refusal> {
        let mut book = self.inner.book.lock();
        let is_answered = |call: &Call| call.answered_ms.is_some();
        let before = book.get(id).is_some_and(is_answered);
        let changed = book.change(id, work)?;
        if let Some(call) = &changed {
            if !before && is_answered(call) {
                self.tell_programs(call);
            }
            self.tell(&book, call);
        }
        Ok(changed)
    }

    /// Sends somebody out of all calls that `is_meant` says.
    pub(super) fn send_away(&self, user: UserId, is_meant: impl Fn(&Call) -> bool) {
        let mut book = self.inner.book.lock();
        let meant: Vec<_> = book.with(user).filter(|call| is_meant(call)).map(|call| call.id).collect();
        for id in meant {
            let removed = book.change(id, |call| {
                call.remove(user, now_ms());
                Ok(())
            });
            if let Ok(Some(call)) = removed {
                // The last they hear of it: they ring no more, and learn nothing further.
                self.inner.chat.show_call(&[user], call.id, answer::state(&call), false);
                self.tell(&book, &call);
            }
        }
    }

    /// Time has passed.
    pub(super) fn pass(&self) {
        let mut book = self.inner.book.lock();
        for call in book.handle_timeout(now_ms()) {
            self.tell(&book, &call);
        }
    }

    /// Tells everybody in a call how it stands, and keeps that for the next start of the server; when it is over, writes it
    /// down and ends its room. The book is held meanwhile, so that devices and store hear of changes in their order.
    pub(super) fn tell(&self, _book: &MutexGuard<'_, Book>, call: &Call) {
        let stays = |standing: Standing| standing != Standing::Removed;
        let people = call.people.iter().filter(|(_, person)| stays(person.standing)).map(|(user, _)| *user);
        let people: Vec<_> = people.collect();
        let state = answer::state(call);
        if call.over.is_none() {
            // Where the store does not take it the call goes on, and would not after a stop of the server.
            self.inner.store.write(Op::KeepCall { id: call.id, state: state.clone() }, drop);
        }
        self.inner.chat.show_call(&people, call.id, state, call.over.is_none());
        if call.over.is_some() {
            let (people, call) = (self.clone(), call.clone());
            tokio::spawn(async move { people.finish(&call).await });
        }
    }

    /// Puts it into the outbox of webhooks that a call was answered. Its begin and its end are put there where they are written
    /// down. Handed over before anything that comes later, while the book is held: a receiver hears of it in between.
    fn tell_programs(&self, call: &Call) {
        if !self.inner.store.outbox().may_be_wanted() {
            return;
        }
        let (org, conv, at_ms) = (call.org, call.conv, call.answered_ms.unwrap_or_default());
        let body = told::call(org, conv, told::Moment::Answered, &answer::record(call), at_ms);
        let op = webhooks::Op::Enqueue { org: Some(org), kind: Kinds::CALLS, body };
        let metrics = Arc::clone(&self.inner.metrics);
        self.inner.store.write(Op::Webhook(op), move |done| {
            if done.is_err() {
                metrics.webhooks.with_label_values(&["lost"]).inc();
            }
        });
    }

    async fn finish(&self, call: &Call) {
        let _ = self.inner.rooms.delete(&room_of(call.org, call.id)).await; // nobody had come
        for pause in RETRIES {
            match self.write_down(call, answer::record(call)).await {
                Ok(_) => return,
                Err(refused) if refused.code == im::Code::Unavailable => tokio::time::sleep(pause).await,
                Err(refused) => return tracing::error!(%refused, "the end of a call is not written down"),
            }
        }
        tracing::error!("the end of a call is not written down: the store does not take it");
    }

    async fn write_down(&self, call: &Call, record: im::CallRecord) -> Result<Outcome, convene_im::Refusal> {
        let (org, conv, id) = (call.org, call.conv, call.id);
        self.inner.chat.publish(Op::Call { org, conv, id, record }).await
    }

    /// Calls that were on when the server stopped go on: whoever was in one may come back, and devices ring on. Those of
    /// which nothing was kept are over.
    pub(super) async fn take_up(&self) {
        let open = self.inner.store.ask(|reader| reader.open_calls()).await.unwrap_or_default();
        for call in open {
            let Recorded { id, org, conv, record } = call.begun.clone();
            if !answer::kept(call).is_some_and(|call| self.resume(call.resumed(now_ms()))) {
                let record = im::CallRecord { outcome: im::CallOutcome::Interrupted.into(), ..record };
                if let Err(refused) = self.inner.chat.publish(Op::Call { org, conv, id, record }).await {
                    tracing::error!(%refused, "the end of an interrupted call is not written down");
                }
            }
        }
    }

    /// `false`: there is no place for it.
    fn resume(&self, call: Call) -> bool {
        let mut book = self.inner.book.lock();
        let resumed = book.resume(call.clone());
        if resumed {
            self.inner.begun.notify_one();
            self.tell(&book, &call);
        }
        resumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_room_and_by_no_other() {
        let id = CallId([0xab; 16]);
        let room = room_of(OrgId(7), id);
        assert_eq!((room.as_str(), call_of(&room)), (format!("o7:call-{}", "ab".repeat(16)).as_str(), Some(id)));
        for other in
            ["", "o7:room-12", "o7:call-", "o7:call-ab", "call-", &room["o7:".len()..], &room.replace("o7", "o07")]
        {
            assert_eq!(call_of(other), None, "{other}");
        }
    }
}
