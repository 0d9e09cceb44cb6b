//! What is missing of a conversation's log, and when to ask for it.

use std::time::{Duration, Instant};

use convene_proto::im;
use convene_proto::limits::MAX_PAGE_EVENTS;
use convene_types::Seq;

use super::Conversation;
use crate::replica::gap::Gap;

impl Conversation {
    /// An event up to which the log is to be known.
    pub(in crate::replica) fn expect(&mut self, seq: Seq, now: Instant) {
        self.expected = self.expected.max(seq);
        if self.cursor() >= self.expected {
            self.gap = Gap::None;
        } else if self.known {
            self.gap.seen(now);
        }
    }

    pub(in crate::replica) fn deadline(&self) -> Option<Instant> {
        self.gap.deadline()
    }

    /// What to ask for, if a hole did not fill in time.
    pub(in crate::replica) fn overdue(&mut self, now: Instant) -> Option<im::Fetch> {
        if !self.gap.is_due(now) {
            return None;
        }
        let before = self.waiting.first().map_or(0, |from| from.saturating_add(1));
        Some(self.fetch_after_cursor(before))
    }

    /// What is missing up to the head. The rest of it is asked for as the pages come.
    pub(in crate::replica) fn fetch_newer(&mut self, now: Instant) -> Option<im::Fetch> {
        if self.state.head <= self.cursor() || matches!(self.gap, Gap::Asked(_)) {
            return None;
        }
        self.expected = self.expected.max(self.state.head);
        self.gap = Gap::Until(now);
        self.overdue(now)
    }

    pub(in crate::replica) fn fetch_older(&mut self, below: Seq) -> Option<im::Fetch> {
        self.scrolled = true;
        let from = self.window(below).from;
        if from <= self.state.floor {
            return None;
        }
        let after = self.spans.end_below(from).unwrap_or_default().max(self.state.floor).0;
        Some(im::Fetch { conv: self.conv.0, after, before: from.next().0, backward: true, limit: 0 })
    }

    fn fetch_after_cursor(&self, before: u64) -> im::Fetch {
        im::Fetch { conv: self.conv.0, after: self.cursor().0, before, backward: false, limit: MAX_PAGE_EVENTS }
    }

    /// A page was refused: again after a while, if it is worth it.
    pub(in crate::replica) fn refused(&mut self, again: Option<Duration>, now: Instant) {
        if !matches!(self.gap, Gap::Asked(_)) {
            return;
        }
        if let Some(wait) = again {
            self.gap = Gap::Until(now + wait);
        } else {
            (self.expected, self.gap) = (self.cursor(), Gap::None);
            self.waiting.clear();
        }
    }

    /// The session is gone. The next sync tells what is missing.
    pub(in crate::replica) fn cut(&mut self) {
        (self.expected, self.gap) = (self.cursor(), Gap::None);
        self.waiting.clear();
    }
}
