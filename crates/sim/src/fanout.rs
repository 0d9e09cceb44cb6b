//! From commits to outboxes, as `im` does it: lists of members that are loaded late and kept right by the events, what has
//! queued of one conversation in one frame, nothing below a member's floor.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use convene_proto::frame;
use convene_store::{Appended, Reader, StoreError};
use convene_types::{ConvId, Seq, UserId};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    pub(crate) jobs: VecDeque<Appended>,
    lists: BTreeMap<ConvId, BTreeMap<UserId, Seq>>,
    /// Groups with more members get head bumps.
    push_members: usize,
    /// A mistake made on purpose.
    no_floors: bool,
}

/// What to tell whom.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) conv: ConvId,
    pub(crate) to: Seq,
    pub(crate) ord: u64,
    pub(crate) swept: Seq,
    /// Nobody gets the events, only the head.
    pub(crate) head_only: bool,
    /// From where, and the frame.
    pub(crate) receivers: Vec<(UserId, Seq, Bytes)>,
}

impl Fanout {
    pub(crate) fn new(push_members: usize, no_floors: bool) -> Self {
        Self { push_members, no_floors, ..Self::default() }
    }

    /// After a crash.
    pub(crate) fn restarted(&self) -> Self {
        Self::new(self.push_members, self.no_floors)
    }

    /// Forgets a list: there were too many.
    pub(crate) fn forget(&mut self, at: usize) {
        if let Some(conv) = self.lists.keys().nth(at).copied() {
            self.lists.remove(&conv);
        }
    }

    /// The next frame.
    pub(crate) fn next(&mut self, reader: &mut Reader) -> Result<Option<Told>, StoreError> {
        let Some(first) = self.jobs.pop_front() else { return Ok(None) };
        let events = self.batch(first);
        let conv = events[0].conv;
        let list = match self.lists.entry(conv) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(reader.members(conv)?.into_iter().collect()),
        };
        for event in &events {
            list.extend(event.added.iter().copied());
        }
        let removed: Vec<_> = events.iter().flat_map(|event| event.removed.iter().copied()).collect();
        if !self.no_floors {
            list.retain(|user, _| !removed.contains(user));
        }
        let head_only = list.len() > self.push_members;
        let mut receivers: Vec<_> = list.iter().map(|(user, floor)| (*user, *floor)).collect();
        // Whoever has left such a group learns it from the user log.
        if !head_only {
            receivers.extend(removed.iter().map(|user| (*user, Seq(0))));
        }
        let (from, to) = (Seq(events[0].seq.0 - 1), events[events.len() - 1].seq);
        let ord = events[events.len() - 1].ord.0;
        let swept = events.iter().map(|event| event.swept).max().unwrap_or_default();
        let tell = |(user, floor): (UserId, Seq)| {
            let from = if self.no_floors { from } else { floor.max(from) };
            let visible: Vec<_> = events.iter().filter(|e| e.seq > from).map(|e| e.event.clone()).collect();
            (from < to).then(|| (user, from, frame::deliver(conv.0, from.0, to.0, &visible)))
        };
        let receivers = receivers.into_iter().filter_map(tell).collect();
        Ok(Some(Told { conv, to, ord, swept, head_only, receivers }))
    }

    /// What follows in the same conversation. An event that changes members goes alone.
    fn batch(&mut self, first: Appended) -> Vec<Appended> {
        let changes = |event: &Appended| !event.added.is_empty() || !event.removed.is_empty();
        let mut events = vec![first];
        while !changes(&events[events.len() - 1]) {
            let same = |next: &Appended| next.conv == events[0].conv;
            let Some(at) = self.jobs.iter().position(same) else { break };
            if changes(&self.jobs[at]) {
                break;
            }
            events.extend(self.jobs.remove(at));
        }
        events
    }
}
