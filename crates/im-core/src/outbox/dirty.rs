//! Book of the conversations whose events were not queued: how far the device is, and how far it has to come.

use std::collections::VecDeque;

use convene_types::{ConvId, Seq};
use rustc_hash::FxHashMap;

/// What is known of a log behind the part that a repair has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There may be more of it: it was read up to a bound, or could not be read.
    Unknown,
    /// Nothing that the user may see. A log that ends before what was pushed is one the user was taken out of.
    Nothing,
}

/// What a device is owed of one log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dirty<P> {
    /// It has this, or was sent it.
    pub after: P,
    /// It has to come here.
    pub target: P,
    /// `target` when the repair under way began.
    pub asked: P,
}

impl<P: Copy + Ord> Dirty<P> {
    pub(super) fn new(after: P, target: P) -> Self {
        Self { after, target, asked: target }
    }

    /// Notes a repair up to `to`. Whether nothing is owed any more.
    pub(super) fn is_done(&mut self, to: P, rest: Rest) -> bool {
        self.after = self.after.max(to);
        // The read began after `asked` was committed: a log that ends below it ends there for this user.
        self.after >= self.target || (rest == Rest::Nothing && self.target == self.asked)
    }
}

/// All dirty conversations of a device. At most `max` of them.
#[derive(Debug)]
pub(super) struct Book {
    entries: FxHashMap<ConvId, Entry>,
    /// Those that wait for their repair, the oldest first. Each once.
    waiting: VecDeque<ConvId>,
    repairing: Option<ConvId>,
    max: usize,
}

#[derive(Debug)]
struct Entry {
    dirty: Dirty<Seq>,
    /// It may be repaired when so many frames are out: those of its own that were queued before are among them.
    fence: u64,
}

impl Book {
    pub(super) fn new(max: usize) -> Self {
        Self { entries: FxHashMap::default(), waiting: VecDeque::new(), repairing: None, max }
    }

    /// Whether the conversation is dirty; then all that a push does is to raise its target.
    pub(super) fn raise(&mut self, conv: ConvId, to: Seq) -> bool {
        let Some(entry) = self.entries.get_mut(&conv) else { return false };
        entry.dirty.target = entry.dirty.target.max(to);
        true
    }

    /// `false`: no room.
    pub(super) fn insert(&mut self, conv: ConvId, dirty: Dirty<Seq>, fence: u64) -> bool {
        if self.entries.len() >= self.max {
            return false;
        }
        self.entries.insert(conv, Entry { dirty, fence });
        self.waiting.push_back(conv);
        true
    }

    /// The next repair, if none is under way and the frames queued before are out, of which `popped` are.
    pub(super) fn begin(&mut self, popped: u64) -> Option<(ConvId, Seq)> {
        let conv = *self.waiting.front()?;
        let entry = self.entries.get_mut(&conv)?;
        if self.repairing.is_some() || popped < entry.fence {
            return None;
        }
        self.waiting.pop_front();
        self.repairing = Some(conv);
        entry.dirty.asked = entry.dirty.target;
        Some((conv, entry.dirty.after))
    }

    pub(super) fn end(&mut self, conv: ConvId, to: Seq, rest: Rest) {
        if self.repairing != Some(conv) {
            return;
        }
        self.repairing = None;
        let Some(entry) = self.entries.get_mut(&conv) else { return };
        if entry.dirty.is_done(to, rest) {
            self.entries.remove(&conv);
        } else {
            // Behind the others: a conversation that is written to without a pause keeps nobody waiting.
            self.waiting.push_back(conv);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
