//! All calls that are on, and who is in which.

use std::collections::HashMap;

use convene_types::{CallId, ConvId, UserId};

use crate::call::Call;
use crate::model::{New, Refusal};

/// Calls at the same time. Each is up to about 10 KiB.
pub const MAX_CALLS: usize = 20_000;

/// The calls that are on. One that is over leaves it.
#[derive(Clone, Debug, Default)]
pub struct Book {
    calls: HashMap<CallId, Call>,
    by_conv: HashMap<ConvId, CallId>,
}

impl Book {
    /// Begins a call. Who is in another one is not rung; a conversation has one call at a time.
    pub fn begin(&mut self, new: New, now_ms: i64) -> Result<Call, Refusal> {
        if let Some(id) = self.by_conv.get(&new.conv) {
            return Err(Refusal::Exists(*id));
        }
        if self.calls.len() >= MAX_CALLS {
            return Err(Refusal::Full);
        }
        if let Some(id) = self.call_of(new.caller.user, new.id) {
            return Err(Refusal::InAnother(id));
        }
        let call = Call::begin(new, |user| self.calls.values().any(|call| call.has(user)), now_ms)?;
        if call.over.is_none() {
            self.by_conv.insert(call.conv, call.id);
            self.calls.insert(call.id, call.clone());
        }
        Ok(call)
    }

    /// Takes in a call that was on when the server stopped, as [`Call::resumed`] makes it. `false`: another one is on in its
    /// conversation, or there are too many.
    pub fn resume(&mut self, call: Call) -> bool {
        let room = self.calls.len() < MAX_CALLS && !self.by_conv.contains_key(&call.conv);
        if room {
            self.by_conv.insert(call.conv, call.id);
            self.calls.insert(call.id, call);
        }
        room
    }

    /// Whether no call is on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// A call that is on.
    #[must_use]
    pub fn get(&self, id: CallId) -> Option<&Call> {
        self.calls.get(&id)
    }

    /// The call of a conversation.
    #[must_use]
    pub fn of_conversation(&self, conv: ConvId) -> Option<&Call> {
        self.by_conv.get(&conv).and_then(|id| self.calls.get(id))
    }

    /// Another call that somebody is in.
    #[must_use]
    pub fn call_of(&self, user: UserId, but: CallId) -> Option<CallId> {
        self.calls.values().find(|call| call.id != but && call.has(user)).map(|call| call.id)
    }

    /// Does something to a call that is on. Answers it as it is afterwards, if that is different from before.
    pub fn change(
        &mut self,
        id: CallId,
        work: impl FnOnce(&mut Call) -> Result<(), Refusal>,
    ) -> Result<Option<Call>, Refusal> {
        let call = self.calls.get_mut(&id).ok_or(Refusal::Over)?;
        let before = call.version;
        work(call)?;
        let changed = (call.version != before).then(|| call.clone());
        if call.over.is_some() {
            self.forget(id);
        }
        Ok(changed)
    }

    /// Takes a call away that could not be written down.
    pub fn forget(&mut self, id: CallId) {
        if let Some(call) = self.calls.remove(&id) {
            self.by_conv.remove(&call.conv);
        }
    }

    /// Time has passed: the calls that have changed by it.
    pub fn handle_timeout(&mut self, now_ms: i64) -> Vec<Call> {
        let due = self.calls.values().filter(|call| call.timeout_ms().is_some_and(|at| at <= now_ms));
        let due: Vec<_> = due.map(|call| call.id).collect();
        let pass = |call: &mut Call| {
            call.handle_timeout(now_ms);
            Ok(())
        };
        due.into_iter().filter_map(|id| self.change(id, pass).ok().flatten()).collect()
    }

    /// Calls that are on and that somebody has anything to do with.
    pub fn with(&self, user: UserId) -> impl Iterator<Item = &Call> {
        self.calls.values().filter(move |call| call.people.contains_key(&user))
    }

    /// All that are on.
    pub fn all(&self) -> impl Iterator<Item = &Call> {
        self.calls.values()
    }
}
