//! What one device is still to be sent: bounded at any backlog, without losing an event and without delaying anybody.
//!
//! Replies wait in a queue of their own. Events wait as encoded frames, which all receivers share, until there are too
//! many of them; from then on a conversation is *dirty*: the outbox notes only how far the device has to come, and asks
//! the session to read the rest from the store once what was queued before is out. So a stalled device costs a few
//! numbers a conversation, and pushing to it never waits (I16, I17). Not here: sockets, and the store's reads (`im`).

mod dirty;
mod hints;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use convene_types::{ConvId, Seq, Useq};

use dirty::Dirty;
pub use dirty::Rest;
pub use hints::HintKey;
use hints::Hints;

/// How much one outbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of replies. A client that asks faster than it reads reaches it, and is sent away.
    pub control_bytes: usize,
    /// Bytes of conversation events; beyond, the store is read again. The frames are shared between all receivers.
    pub event_bytes: usize,
    /// Bytes of user log pushes; beyond, the store is read again.
    pub user_bytes: usize,
    /// Frames of each of these queues, since small frames cost more than their bytes.
    pub frames: usize,
    /// Hints; beyond, the oldest is dropped.
    pub hints: usize,
    /// Conversations that may be dirty at once; beyond, the session ends and the client syncs.
    pub dirty: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // At 10,000 stalled devices 256 KiB each would be 2.5 GiB if nothing were shared; events are.
        Self {
            control_bytes: 2 * 1024 * 1024,
            event_bytes: 256 * 1024,
            user_bytes: 32 * 1024,
            frames: 4096,
            hints: 256,
            dirty: 2048,
        }
    }
}

/// The next thing to do for the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Write this to the control stream.
    Control(Bytes),
    /// Write this to the conversation's feed.
    Event {
        /// Chooses the feed.
        conv: ConvId,
        /// Encoded, with its length prefix.
        frame: Bytes,
    },
    /// Send this as a datagram, or drop it.
    Hint(Bytes),
    /// Write this piece of a blob to the control stream. Nothing else waits.
    Bulk(Bytes),
    /// Read events after `after` from the store, write them to the conversation's feed, then call [`Outbox::repaired`].
    RepairConv {
        /// Which conversation.
        conv: ConvId,
        /// What the device has, or was sent.
        after: Seq,
    },
    /// Read the user log after `after`, write it to the control stream, then call [`Outbox::user_repaired`].
    RepairUser {
        /// What the device has, or was sent.
        after: Useq,
    },
    /// Too much was missed to keep book of: say `Goodbye` with TOO_SLOW. It is all that comes from here on.
    TooSlow,
}

/// Plain counters, for the shell to export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Repairs asked for.
    pub repairs: u64,
    /// Hints that a later one of the same kind replaced, or that found no room.
    pub hints_dropped: u64,
}

/// A queue of frames that are of one importance.
#[derive(Debug)]
struct Queue<T> {
    frames: VecDeque<(T, Bytes)>,
    bytes: usize,
    /// Frames that ever left.
    popped: u64,
    max_bytes: usize,
    max_frames: usize,
}

/// Whose turn it is. Each in turn, so that neither a flood of events nor a long repair keeps the others waiting.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Event,
    Repair,
    Hint,
}

/// What one device is still to be sent. Owned by its session.
#[derive(Debug)]
pub struct Outbox {
    control: Queue<()>,
    user: Queue<()>,
    events: Queue<ConvId>,
    user_dirty: Option<(Dirty<Useq>, bool)>,
    dirty: dirty::Book,
    hints: Hints,
    /// As long as replies may be.
    bulk: Queue<()>,
    turn: Turn,
    too_slow: bool,
    stats: Stats,
}

impl Outbox {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            control: Queue::new(limits.control_bytes, limits.frames),
            user: Queue::new(limits.user_bytes, limits.frames),
            events: Queue::new(limits.event_bytes, limits.frames),
            user_dirty: None,
            dirty: dirty::Book::new(limits.dirty),
            hints: Hints::new(limits.hints),
            bulk: Queue::new(limits.control_bytes, limits.frames),
            turn: Turn::Event,
            too_slow: false,
            stats: Stats::default(),
        }
    }

    /// Queues a reply. `false`: the client does not read its replies, end the session with TOO_SLOW.
    #[must_use]
    pub fn push_control(&mut self, frame: Bytes) -> bool {
        self.control.push((), &frame)
    }

    /// Queues a piece of a blob, where there is no other stream for it: behind everything else, also what is queued later.
    /// `false`: there is no room, end the session with TOO_SLOW.
    #[must_use]
    pub fn push_bulk(&mut self, frame: Bytes) -> bool {
        self.bulk.push((), &frame)
    }

    /// Queues events (from, to] of a conversation, as one frame that others receive too.
    pub fn push_event(&mut self, conv: ConvId, from: Seq, to: Seq, frame: &Bytes) {
        if self.too_slow || self.dirty.raise(conv, to) || self.events.push(conv, frame) {
            return;
        }
        let fence = self.events.popped + self.events.frames.len() as u64;
        if !self.dirty.insert(conv, Dirty::new(from, to), fence) {
            // What was queued is of no use to a device that starts over.
            self.too_slow = true;
            self.events.clear();
            self.user.clear();
        }
    }

    /// Queues entries (from, to] of the user log.
    pub fn push_user(&mut self, from: Useq, to: Useq, frame: &Bytes) {
        if let Some((dirty, _)) = &mut self.user_dirty {
            dirty.target = dirty.target.max(to);
        } else if !self.user.push((), frame) {
            self.user_dirty = Some((Dirty::new(from, to), false));
        }
    }

    /// Queues a hint. A later one with the same key replaces it.
    pub fn push_hint(&mut self, key: HintKey, frame: Bytes) {
        self.stats.hints_dropped += u64::from(self.hints.push(key, frame));
    }

    /// What to do next; `None`: nothing until something is pushed or repaired.
    pub fn pop(&mut self) -> Option<Out> {
        if self.too_slow {
            return Some(Out::TooSlow);
        }
        if let Some(((), frame)) = self.control.pop().or_else(|| self.user.pop()) {
            return Some(Out::Control(frame));
        }
        if let Some((dirty, asked @ false)) = &mut self.user_dirty {
            *asked = true;
            self.stats.repairs += 1;
            return Some(Out::RepairUser { after: dirty.after });
        }
        let out = (0..3).find_map(|_| {
            let turn = self.turn;
            self.turn = turn.next();
            self.take(turn)
        });
        out.or_else(|| self.bulk.pop().map(|((), frame)| Out::Bulk(frame)))
    }

    fn take(&mut self, turn: Turn) -> Option<Out> {
        match turn {
            Turn::Event => {
                let (conv, frame) = self.events.pop()?;
                Some(Out::Event { conv, frame })
            }
            Turn::Repair => {
                let (conv, after) = self.dirty.begin(self.events.popped)?;
                self.stats.repairs += 1;
                Some(Out::RepairConv { conv, after })
            }
            Turn::Hint => self.hints.pop().map(Out::Hint),
        }
    }

    /// The session has written everything up to `to` that [`Out::RepairConv`] asked for; what the same read said of the rest.
    pub fn repaired(&mut self, conv: ConvId, to: Seq, rest: Rest) {
        self.dirty.end(conv, to, rest);
    }

    /// The session has written everything up to `to` that [`Out::RepairUser`] asked for, or nothing. Nobody is taken out of
    /// their own log: what was pushed of it is there.
    pub fn user_repaired(&mut self, to: Useq) {
        let Some((dirty, asked)) = &mut self.user_dirty else { return };
        *asked = false;
        if dirty.is_done(to, Rest::Unknown) {
            self.user_dirty = None;
        }
    }

    /// Nothing to pop, and no repair under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let queues = self.control.is_empty() && self.user.is_empty() && self.events.is_empty() && self.hints.is_empty();
        queues && self.bulk.is_empty() && self.user_dirty.is_none() && self.dirty.is_empty() && !self.too_slow
    }

    /// Bytes of frames that are held.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.control.bytes + self.user.bytes + self.events.bytes + self.hints.bytes() + self.bulk.bytes
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

impl Turn {
    const fn next(self) -> Self {
        match self {
            Self::Event => Self::Repair,
            Self::Repair => Self::Hint,
            Self::Hint => Self::Event,
        }
    }
}

impl<T> Queue<T> {
    fn new(max_bytes: usize, max_frames: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, popped: 0, max_bytes, max_frames }
    }

    /// `false`: no room. A frame of any size fits into an empty queue, so that every frame fits at some time.
    fn push(&mut self, key: T, frame: &Bytes) -> bool {
        let fits = self.bytes + frame.len() <= self.max_bytes && self.frames.len() < self.max_frames;
        if !fits && !self.frames.is_empty() {
            return false;
        }
        self.bytes += frame.len();
        self.frames.push_back((key, frame.clone()));
        true
    }

    fn pop(&mut self) -> Option<(T, Bytes)> {
        let (key, frame) = self.frames.pop_front()?;
        self.bytes -= frame.len();
        self.popped += 1;
        Some((key, frame))
    }

    fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.bytes = 0;
    }

    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
