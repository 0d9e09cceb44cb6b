//! One conversation's log as far as it is known, and what follows from it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use convene_proto::im::{self, Role, body::Kind};
use convene_proto::limits::MAX_PAGE_EVENTS;
use convene_types::{ConvId, Seq, Useq, UserId};

use super::erased::Erased;
use super::fold::{self, Folded, Index};
use super::gap::{Gap, Waiting};
use super::spans::Spans;
use super::state::State;
use super::{Change, Row};
use crate::rules::{EDIT, is_erasable, tombstone};

/// Events of one conversation that wait behind a hole. More of them are dropped and fetched; fewer cost pages.
const MAX_WAITING: usize = 1000;
/// Syncs that may be silent about a conversation of which events came: they may have been under way already.
const MAX_UNTOLD: u8 = 2;

/// One conversation.
#[derive(Debug)]
pub struct Conversation {
    me: UserId,
    conv: ConvId,
    /// A sync has told of it; before, nothing of it is shown.
    known: bool,
    state: State,
    /// Up to which event `state` has taken the log in.
    state_at: Seq,
    spans: Spans,
    events: BTreeMap<Seq, Entry>,
    index: Index,
    erased: Erased,
    waiting: Waiting<im::Event>,
    /// The newest event that was pushed, or acknowledged: it is to be there.
    expected: Seq,
    /// Where an earlier stay of the user ended.
    ceiling: Seq,
    gap: Gap,
    /// The entry of the user log that changed the settings last.
    settings_at: Useq,
    /// Syncs that did not tell of it.
    untold: u8,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Entry {
    event: im::Event,
    /// The event that made us erase it; `None` of a tombstone that came as one: the server's has the first reason.
    erased_by: Option<Seq>,
}

/// A part of a log without a hole: what may be shown at a time.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// It covers (from, to].
    pub from: Seq,
    /// Its newest event.
    pub to: Seq,
    /// Nothing older is there for this user.
    pub at_start: bool,
    conversation: &'a Conversation,
}

impl<'a> Window<'a> {
    /// Its events, ascending.
    pub fn events(self) -> impl DoubleEndedIterator<Item = &'a im::Event> {
        let range = self.from.next()..self.to.next();
        self.conversation.events.range(range).map(|(_, entry)| &entry.event)
    }
}

impl Conversation {
    pub(super) fn unknown(me: UserId, conv: ConvId) -> Self {
        Self {
            me,
            conv,
            known: false,
            state: State::default(),
            state_at: Seq(0),
            spans: Spans::default(),
            events: BTreeMap::new(),
            index: Index::default(),
            erased: Erased::default(),
            waiting: Waiting::new(MAX_WAITING),
            expected: Seq(0),
            ceiling: Seq(0),
            gap: Gap::None,
            settings_at: Useq(0),
            untold: 0,
            changes: Vec::new(),
        }
    }

    pub(super) fn restore(me: UserId, row: Row) -> Self {
        let mut new = Self::unknown(me, ConvId(row.delta.conv));
        new.known = true;
        new.state.restore(row.delta);
        new.state_at = row.state_at;
        new.spans = Spans::restore(&row.spans);
        new
    }

    pub(super) fn restore_event(&mut self, event: im::Event) {
        let seq = Seq(event.seq);
        if let Some(body) = event.body.as_ref().filter(|_| self.spans.contains(seq)) {
            self.index.insert(seq, body);
            self.erased.learn(seq, body);
            self.events.insert(seq, Entry { event, erased_by: None });
        }
    }

    /// All events are in. A tombstone that one of them left may still get the reason of an earlier erasure.
    pub(super) fn restored(&mut self) {
        for (seq, entry) in &mut self.events {
            if let Some(Kind::Tombstone(left)) = entry.event.body.as_ref().and_then(|body| body.kind.as_ref()) {
                entry.erased_by = self.erased.leaving(*seq, left);
            }
        }
    }

    /// Which one.
    #[must_use]
    pub fn id(&self) -> ConvId {
        self.conv
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Unread messages.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.state.unread()
    }

    /// Where the newest window ends.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.spans.last().map_or(self.state.floor, |(_, to)| to.max(self.state.floor))
    }

    /// The newest events, as far back as they are known without a hole.
    #[must_use]
    pub fn newest(&self) -> Window<'_> {
        self.window(self.cursor())
    }

    /// The events around one of them, as far as they are known without a hole. Empty, if that one is not known.
    #[must_use]
    pub fn window(&self, seq: Seq) -> Window<'_> {
        let (from, to) = self.spans.around(seq).unwrap_or((seq, seq));
        Window { from, to, at_start: from <= self.state.floor, conversation: self }
    }

    /// One event.
    #[must_use]
    pub fn event(&self, seq: Seq) -> Option<&im::Event> {
        self.events.get(&seq).map(|entry| &entry.event)
    }

    /// What later events have made of it.
    #[must_use]
    pub fn folded(&self, seq: Seq) -> Folded {
        let Some(target) = self.event(seq) else { return Folded::default() };
        fold::fold(target, self.index.pointing_at(seq).filter_map(|seq| self.event(seq)))
    }

    /// Pinned messages, as far as they are known.
    #[must_use]
    pub fn pinned(&self) -> Vec<Seq> {
        self.index.targets().filter(|seq| self.folded(*seq).pinned).collect()
    }

    /// Unread messages that call the user, as far as they are known.
    #[must_use]
    pub fn mentions(&self) -> Vec<Seq> {
        let unread = self.events.range(self.state.read.next()..);
        let calls = |event: &im::Event| {
            let body = event.body.as_ref();
            event.sender != self.me.0 && body.is_some_and(|body| body.mention_all || body.mentions.contains(&self.me.0))
        };
        unread.filter(|(_, entry)| calls(&entry.event)).map(|(seq, _)| *seq).collect()
    }

    /// What the shell keeps of it, beside its events.
    #[must_use]
    pub fn row(&self) -> Row {
        Row { delta: self.state.to_delta(self.conv.0), spans: self.spans.rows(), state_at: self.state_at }
    }

    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// A sync has not told of it, but the next one may: events came.
    pub(super) fn awaits_sync(&mut self) -> bool {
        self.untold = self.untold.saturating_add(1);
        self.waiting.first().is_some() && self.untold <= MAX_UNTOLD
    }

    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = std::mem::take(&mut self.changes);
        // A row without the sync's part would be restored as a known conversation.
        if self.known {
            changes.push(Change::Conversation(self.conv));
        }
        changes
    }

    /// A push.
    pub(super) fn deliver(&mut self, from: Seq, to: Seq, events: Vec<im::Event>, now: Instant) {
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

    fn drain(&mut self) {
        while self.known
            && let Some((from, to, events)) = self.waiting.pop(self.cursor().0)
        {
            self.cover(Seq(from), Seq(to), events);
        }
    }

    /// An event up to which the log is to be known.
    pub(super) fn expect(&mut self, seq: Seq, now: Instant) {
        self.expected = self.expected.max(seq);
        if self.cursor() >= self.expected {
            self.gap = Gap::None;
        } else if self.known {
            self.gap.seen(now);
        }
    }

    /// A page, asked for by whomever.
    pub(super) fn page(&mut self, reply: im::FetchReply, now: Instant) {
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

    /// What a sync says of it that was made when the user log stood at `useq`.
    pub(super) fn delta(&mut self, delta: im::ConversationDelta, useq: Useq, now: Instant) {
        let (from, to, head) = (Seq(delta.from), Seq(delta.to), Seq(delta.head));
        if !self.known {
            self.state.floor = Seq(delta.floor);
        }
        self.known = true;
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

    /// Takes in (from, to]: a new part, or one that continues or repeats others.
    fn cover(&mut self, from: Seq, to: Seq, events: Vec<im::Event>) {
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
        if let Some((by, reason)) = self.erased.of(seq, &body) {
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

    fn raise_floor(&mut self, floor: Seq, ord: u64) {
        self.state.floor = floor;
        self.state.floor_ord = self.state.floor_ord.max(ord);
        self.events = self.events.split_off(&floor.next());
        self.spans.trim(floor);
        self.index.trim(floor);
        self.erased.trim(floor);
        self.changes.push(Change::Hidden(self.conv, floor));
    }

    /// The user is in from here on, perhaps again. The cursor starts over with the stay.
    pub(super) fn joined(&mut self, floor: Seq) {
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
    pub(super) fn left(&mut self, seq: Seq, now: Instant) {
        self.ceiling = self.ceiling.max(seq);
        // Events above it tell of a later stay.
        if self.state_at <= seq {
            self.state.role = Role::Unspecified;
            self.expect(seq, now);
        }
    }

    pub(super) fn read(&mut self, seq: Seq, ord: u64) {
        self.state.raise_read(seq, ord);
    }

    pub(super) fn set(&mut self, settings: im::Settings, useq: Useq) {
        self.settings_at = useq;
        self.state.set(settings);
    }

    /// There are events up to here, which nobody has to fetch yet.
    pub(super) fn head(&mut self, seq: Seq, ord: u64) {
        self.state.raise_head(seq, ord);
    }

    /// Answers the cursor, if it rose.
    pub(super) fn mark_read(&mut self, seq: Seq) -> Option<Seq> {
        let event = self.event(seq)?;
        let (seq, ord) = (Seq(event.seq), event.ord);
        let before = self.state.read;
        self.state.raise_read(seq, ord);
        (self.state.read > before).then_some(seq)
    }

    /// Acknowledged: one's own event is in the log, and one has read up to it.
    pub(super) fn acked(&mut self, seq: Seq, ord: u64, now: Instant) {
        self.state.raise_head(seq, ord);
        self.state.raise_read(seq, ord);
        self.expect(seq, now);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gap.deadline()
    }

    /// What to ask for, if a hole did not fill in time.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<im::Fetch> {
        if !self.gap.is_due(now) {
            return None;
        }
        let before = self.waiting.first().map_or(0, |from| from.saturating_add(1));
        Some(self.fetch_after_cursor(before))
    }

    /// What is missing up to the head. The rest of it is asked for as the pages come.
    pub(super) fn fetch_newer(&mut self, now: Instant) -> Option<im::Fetch> {
        if self.state.head <= self.cursor() || matches!(self.gap, Gap::Asked(_)) {
            return None;
        }
        self.expected = self.expected.max(self.state.head);
        self.gap = Gap::Until(now);
        self.overdue(now)
    }

    pub(super) fn fetch_older(&self, below: Seq) -> Option<im::Fetch> {
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
    pub(super) fn refused(&mut self, again: Option<Duration>, now: Instant) {
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
    pub(super) fn cut(&mut self) {
        (self.expected, self.gap) = (self.cursor(), Gap::None);
        self.waiting.clear();
    }
}

impl Entry {
    fn is_edit(&self) -> bool {
        match self.event.body.as_ref().and_then(|body| body.kind.as_ref()) {
            Some(Kind::Edit(_)) => true,
            Some(Kind::Tombstone(left)) => left.kind == EDIT,
            _ => false,
        }
    }

    /// Erases the body for the event at `by`; answers whether that changed it.
    fn erase(&mut self, by: Seq, reason: im::EraseReason) -> bool {
        let Some(body) = self.event.body.as_mut() else { return false };
        if is_erasable(body) {
            *body = tombstone(body, reason);
        } else if let Some(Kind::Tombstone(left)) = &mut body.kind
            && self.erased_by.is_some_and(|earlier| earlier > by)
        {
            // An earlier erasure, learned of later: the server's first reason is this one.
            left.reason = reason.into();
        } else {
            return false;
        }
        self.erased_by = Some(by);
        true
    }
}

/// Whether these are all events of (from, to].
fn is_whole(conv: ConvId, from: Seq, to: Seq, events: &[im::Event]) -> bool {
    let count = u64::try_from(events.len()).ok();
    let expected = (from.0..to.0).map(|before| before + 1);
    to.0.checked_sub(from.0) == count
        && events.iter().zip(expected).all(|(event, seq)| event.conv == conv.0 && event.seq == seq)
}
