//! What arrives of a conversation's log, by push or by page: put in place, shown without a hole, and erased where a later
//! event says so.
//!
//! Not here: registers that no event has to tell of (`registers`), and when to ask for what is missing (`holes`).

use std::time::Instant;

use convene_proto::im::{self, body::Kind};
use convene_types::{ConvId, Seq};

use super::Conversation;
use super::entry::{Entry, SOMEWHERE};
use crate::replica::Change;
use crate::replica::gap::Gap;
use crate::rules::{is_erasable, is_swept, tombstone};

impl Conversation {
    /// A push.
    pub(in crate::replica) fn deliver(&mut self, from: Seq, to: Seq, events: Vec<im::Event>, now: Instant) {
        if !is_whole(self.conv, from, to, &events) {
            // Not as the protocol has it: the page will tell.
            self.expect(to, now);
            return;
        }
        if let Some(last) = events.last() {
            self.state.raise_head(to, last.ord);
        }
        self.arrive(from, to, events, now);
        self.expect(to, now);
    }

    /// What may continue the newest window: now, or when the hole before it is filled.
    fn arrive(&mut self, from: Seq, to: Seq, events: Vec<im::Event>, now: Instant) {
        if to <= self.cursor() {
            return;
        }
        if self.known && from <= self.cursor() {
            self.cover(from, to, events);
        } else if !self.waiting.push(from.0, to.0, events) {
            self.gap = Gap::Until(now);
        }
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while self.known
            && let Some((from, to, events)) = self.waiting.pop(self.cursor().0)
        {
            self.cover(Seq(from), Seq(to), events);
        }
    }

    /// A page, asked for by whomever.
    pub(in crate::replica) fn page(&mut self, reply: im::FetchReply, now: Instant) {
        let (from, to, before) = (Seq(reply.from), Seq(reply.to), self.cursor());
        if !self.known || !is_whole(self.conv, from, to, &reply.events) {
            return;
        }
        if Seq(reply.floor) > self.state.floor {
            self.raise_floor(Seq(reply.floor), 0);
        }
        self.state.raise_head(Seq(reply.head), reply.head_ord);
        if from <= self.cursor() {
            self.cover(from, to, reply.events);
            self.drain();
        } else {
            self.arrive(from, to, reply.events, now);
        }
        let answers = matches!(self.gap, Gap::Asked(_)) && (from == before || self.state.floor > before);
        if self.cursor() >= self.expected {
            self.gap = Gap::None;
        } else if answers && self.cursor() > before {
            self.gap = Gap::Until(now);
        } else if answers {
            // There is no more for this user, whatever was pushed.
            (self.expected, self.gap) = (self.cursor(), Gap::None);
            self.waiting.clear();
        }
    }

    /// Takes in (from, to]: a new part, or one that continues or repeats others.
    pub(super) fn cover(&mut self, from: Seq, to: Seq, events: Vec<im::Event>) {
        let floor = self.state.floor;
        self.spans.insert(from.max(floor), to.max(floor));
        for event in events {
            if Seq(event.seq) > floor {
                self.take_in(event);
            }
        }
    }

    fn take_in(&mut self, mut event: im::Event) {
        let seq = Seq(event.seq);
        let mut body = event.body.take().unwrap_or_default();
        if let Some(entry) = self.events.get_mut(&seq) {
            // The log does not change, but for erasure: a page read later knows more of it.
            let ours_stands = entry.event.body.as_ref().is_some_and(is_erasable) || entry.erased_by.is_some();
            if ours_stands && !is_erasable(&body) {
                (entry.event.body, entry.erased_by) = (Some(body), None);
                self.changes.push(Change::Event(self.conv, seq));
            }
            return;
        }
        self.index.insert(seq, &body);
        let mut erased_by = None;
        let swept = || self.is_swept(seq, &body).then_some((SOMEWHERE, im::EraseReason::Retention));
        if let Some((by, reason)) = self.erased.of(seq, &body).or_else(swept) {
            (body, erased_by) = (tombstone(&body, reason), Some(by));
        }
        event.body = Some(body.clone());
        self.state.note_floor(&event);
        self.state.raise_head(seq, event.ord);
        if event.sender == self.me.0 {
            self.state.raise_read(seq, event.ord);
        }
        if seq > self.state_at {
            self.state.apply(self.me, &event);
            self.state_at = seq;
        }
        self.changes.push(Change::Event(self.conv, seq));
        self.events.insert(seq, Entry { event, erased_by });
        self.erase(seq, &body);
    }

    /// Retention has gone over the log up to `to`. The events that say so may be in a part that is not known here.
    pub(super) fn sweep(&mut self, to: Seq) {
        if to <= self.swept {
            return;
        }
        self.swept = to;
        let said = self.events.range(..=to).map(|(seq, _)| *seq);
        let victims: Vec<_> = said.chain(self.index.pointing_up_to(to)).collect();
        for seq in victims {
            let stands = |entry: &Entry| entry.event.body.as_ref().is_some_and(|body| self.is_swept(seq, body));
            if self.events.get(&seq).is_some_and(stands)
                && let Some(entry) = self.events.get_mut(&seq)
                && entry.erase(SOMEWHERE, im::EraseReason::Retention)
            {
                self.changes.push(Change::Event(self.conv, seq));
            }
        }
    }

    fn is_swept(&self, seq: Seq, body: &im::Body) -> bool {
        let edit = matches!(body.kind, Some(Kind::Edit(_))) && Seq(body.target) <= self.swept;
        is_swept(body) && (seq <= self.swept || edit)
    }

    /// Erases what the event at `by` says.
    fn erase(&mut self, by: Seq, body: &im::Body) {
        let Some(erasure) = self.erased.learn(by, body) else { return };
        let mut victims = Vec::new();
        for range in &erasure.ranges {
            // An erasure works on what was before it.
            let last = Seq(range.last.min(by.0));
            if Seq(range.first) <= last {
                victims.extend(self.events.range(Seq(range.first)..=last).map(|(seq, _)| *seq));
            }
        }
        let edits = erasure.edits_of.into_iter().flat_map(|target| self.index.pointing_at(target));
        victims.extend(edits.filter(|seq| self.events.get(seq).is_some_and(Entry::is_edit)));
        let reason = erasure.reason;
        for seq in victims {
            if self.events.get_mut(&seq).is_some_and(|entry| entry.erase(by, reason)) {
                self.changes.push(Change::Event(self.conv, seq));
            }
        }
    }
}

/// Whether these are all events of (from, to].
pub(super) fn is_whole(conv: ConvId, from: Seq, to: Seq, events: &[im::Event]) -> bool {
    let count = u64::try_from(events.len()).ok();
    let expected = (from.0..to.0).map(|before| before + 1);
    to.0.checked_sub(from.0) == count
        && events.iter().zip(expected).all(|(event, seq)| event.conv == conv.0 && event.seq == seq)
}
