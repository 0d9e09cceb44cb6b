//! How a conversation stands, as syncs, the user log and acknowledgements tell it: floor, cursor, role, settings, head.

use std::time::Instant;

use convene_proto::im::{self, Role};
use convene_types::{Seq, Useq};

use super::Conversation;
use super::arrive::is_whole;

impl Conversation {
    /// What a sync says of it that was made when the user log stood at `useq`.
    pub(in crate::replica) fn delta(&mut self, delta: im::ConversationDelta, useq: Useq, now: Instant) {
        let (from, to, head) = (Seq(delta.from), Seq(delta.to), Seq(delta.head));
        if !self.known {
            self.state.floor = Seq(delta.floor);
        }
        self.known = true;
        self.sweep(Seq(delta.swept));
        if Seq(delta.floor) > self.state.floor {
            self.raise_floor(Seq(delta.floor), delta.floor_ord);
        } else if Seq(delta.floor) == self.state.floor {
            // Learned from a push, the floor came without its ordinal.
            self.state.floor_ord = self.state.floor_ord.max(delta.floor_ord);
        } else if head >= self.state_at {
            (self.state.floor, self.state.floor_ord) = (Seq(delta.floor), delta.floor_ord);
        }
        if head >= self.state_at || self.knows_all_since(head) {
            self.take_state(&delta, head);
        }
        self.state.raise_read(Seq(delta.read_seq), delta.read_ord);
        // Of a push that came first it knows nothing. Without one it is the only thing that tells.
        if useq >= self.settings_at {
            self.state.settings = delta.settings.unwrap_or_default();
        }
        if !delta.events.is_empty() && is_whole(self.conv, from, to, &delta.events) {
            self.cover(from, to, delta.events);
        }
        if head > self.cursor() {
            // A stub: the log goes on from the head, and what is below is fetched when it is shown.
            self.spans.insert(head, head);
        }
        self.drain();
        self.expect(self.expected, now);
    }

    /// Whether what came behind `head` is here, so that it can be put on top of how things stood there.
    fn knows_all_since(&self, head: Seq) -> bool {
        let count = u64::try_from(self.events.range(head.next()..=self.state_at.max(head.next())).count()).ok();
        head > self.state.floor && self.state_at.0.checked_sub(head.0) == count
    }

    /// How things stood at `head`, and what has happened since: events that overtook a reply told nothing of what came
    /// before they could be seen.
    fn take_state(&mut self, delta: &im::ConversationDelta, head: Seq) {
        self.state.take(delta);
        for (_, entry) in self.events.range(head.next()..=self.state_at.max(head.next())) {
            self.state.apply(self.me, &entry.event);
        }
        self.state_at = self.state_at.max(head);
    }

    pub(super) fn raise_floor(&mut self, floor: Seq, ord: u64) {
        self.state.floor = floor;
        self.state.floor_ord = self.state.floor_ord.max(ord);
        self.erased.trim(floor);
        self.forget(floor);
    }

    /// The user is in from here on, perhaps again. The cursor starts over with the stay.
    pub(in crate::replica) fn joined(&mut self, floor: Seq) {
        if floor > self.state.floor {
            self.raise_floor(floor, 0);
        } else if floor < self.state.floor {
            // With history this time.
            (self.state.floor, self.state.floor_ord) = (floor, 0);
        }
        // What is hidden is there nevertheless.
        self.state.raise_head(floor, 0);
        if self.state.role == Role::Unspecified {
            self.state.role = Role::Member;
        }
        (self.state.read, self.state.read_ord) = (floor, self.state.floor_ord);
        let since = self.events.range(floor.max(self.ceiling).next()..);
        let own = since.rev().map(|(_, entry)| &entry.event).find(|event| event.sender == self.me.0);
        if let Some((seq, ord)) = own.map(|event| (Seq(event.seq), event.ord)) {
            self.state.raise_read(seq, ord);
        }
    }

    /// The user is out; the event at `seq` is the last one to see.
    pub(in crate::replica) fn left(&mut self, seq: Seq, now: Instant) {
        self.ceiling = self.ceiling.max(seq);
        // Events above it tell of a later stay.
        if self.state_at <= seq {
            self.state.role = Role::Unspecified;
            self.expect(seq, now);
        }
    }

    pub(in crate::replica) fn read(&mut self, seq: Seq, ord: u64) {
        self.state.raise_read(seq, ord);
    }

    pub(in crate::replica) fn set(&mut self, settings: im::Settings, useq: Useq) {
        self.settings_at = useq;
        self.state.set(settings);
    }

    /// There are events up to here, which nobody has to fetch yet.
    pub(in crate::replica) fn head(&mut self, head: &im::Head) {
        self.state.raise_head(Seq(head.seq), head.ord);
        self.sweep(Seq(head.swept));
    }

    /// Answers the cursor, if it rose.
    pub(in crate::replica) fn mark_read(&mut self, seq: Seq) -> Option<Seq> {
        let event = self.event(seq)?;
        let (seq, ord) = (Seq(event.seq), event.ord);
        let before = self.state.read;
        self.state.raise_read(seq, ord);
        (self.state.read > before).then_some(seq)
    }

    /// Acknowledged: one's own event is in the log, and one has read up to it.
    pub(in crate::replica) fn acked(&mut self, seq: Seq, ord: u64, now: Instant) {
        self.state.raise_head(seq, ord);
        self.state.raise_read(seq, ord);
        self.expect(seq, now);
    }
}
