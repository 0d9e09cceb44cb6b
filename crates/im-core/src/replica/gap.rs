//! A hole at the newest end of a log: what came behind it waits here, and a clock says when to ask for the rest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::GAP_WAIT;

/// How long a page that was asked for may take; then it is asked for again.
const PAGE_WAIT: Duration = Duration::from_secs(10);

/// What came too soon, by its `from`. `T` is an event of a conversation or of the user log.
#[derive(Clone, Debug)]
pub(super) struct Waiting<T> {
    parts: BTreeMap<u64, (u64, Vec<T>)>,
    events: usize,
    max_events: usize,
}

impl<T> Waiting<T> {
    pub(super) fn new(max_events: usize) -> Self {
        Self { parts: BTreeMap::new(), events: 0, max_events }
    }

    /// `false`: too much, so all of it is dropped. It comes again with the page that is asked for anyway.
    pub(super) fn push(&mut self, from: u64, to: u64, events: Vec<T>) -> bool {
        self.events += events.len();
        if let Some((_, replaced)) = self.parts.insert(from, (to, events)) {
            self.events -= replaced.len();
        }
        // A part without events costs as much as a small event.
        if self.events.max(self.parts.len()) > self.max_events {
            self.clear();
            return false;
        }
        true
    }

    /// The next part that a log which ends at `cursor` can take. Those that it has are dropped.
    pub(super) fn pop(&mut self, cursor: u64) -> Option<(u64, u64, Vec<T>)> {
        loop {
            let first = self.parts.first_entry().filter(|first| *first.key() <= cursor)?;
            let (from, (to, events)) = first.remove_entry();
            self.events -= events.len();
            if to > cursor {
                return Some((from, to, events));
            }
        }
    }

    /// Where the hole ends, as far as is known.
    pub(super) fn first(&self) -> Option<u64> {
        self.parts.first_key_value().map(|(from, _)| *from)
    }

    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.events = 0;
    }
}

/// Whether something is missing, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Gap {
    /// Nothing is.
    #[default]
    None,
    /// It may still come by itself until then.
    Until(Instant),
    /// It was asked for; until then no second time.
    Asked(Instant),
}

impl Gap {
    /// A hole was seen, or is still there.
    pub(super) fn seen(&mut self, now: Instant) {
        if *self == Self::None {
            *self = Self::Until(now + GAP_WAIT);
        }
    }

    /// Whether to ask at this time; then it counts as asked.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now);
        if due {
            *self = Self::Asked(now + PAGE_WAIT);
        }
        due
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Until(at) | Self::Asked(at) => Some(at),
        }
    }
}
