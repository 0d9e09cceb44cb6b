//! Hints that wait: the latest of each kind and subject, the oldest dropped when there are too many.

use std::collections::VecDeque;

use bytes::Bytes;
use convene_types::{ConvId, UserId};

/// What a hint is about. Of two about the same the later one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HintKey {
    /// Somebody types.
    Typing(ConvId, UserId),
    /// Somebody came or went.
    Presence(UserId),
    /// Somebody goes by another name or picture.
    Profile(UserId),
    /// Somebody's read cursor rose.
    Receipt(ConvId, UserId),
    /// A large or busy group has moved on. Outlives the others when there is no room.
    Head(ConvId),
}

#[derive(Debug)]
pub(super) struct Hints {
    waiting: VecDeque<(HintKey, Bytes)>,
    max: usize,
}

impl Hints {
    pub(super) fn new(max: usize) -> Self {
        Self { waiting: VecDeque::new(), max }
    }

    /// Whether one was dropped.
    pub(super) fn push(&mut self, key: HintKey, frame: Bytes) -> bool {
        // A few hundred at most, and mostly none: a scan is cheaper than an index.
        if let Some((_, waiting)) = self.waiting.iter_mut().find(|(waiting, _)| *waiting == key) {
            *waiting = frame;
            return true;
        }
        let full = self.waiting.len() >= self.max;
        if full {
            let lesser = self.waiting.iter().position(|(waiting, _)| !matches!(waiting, HintKey::Head(_)));
            self.waiting.remove(lesser.unwrap_or(0));
        }
        self.waiting.push_back((key, frame));
        full
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.waiting.pop_front().map(|(_, frame)| frame)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.waiting.iter().map(|(_, frame)| frame.len()).sum()
    }
}
