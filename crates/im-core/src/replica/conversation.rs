//! One conversation's log as far as it is known, and what follows from it: what the application asks.
//!
//! What changes it is below: what arrives of the log (`arrive`), what others tell of how it stands (`registers`), what is
//! missing (`holes`), what is not kept (`keep`).

mod arrive;
mod entry;
mod holes;
mod keep;
mod registers;

use std::collections::BTreeMap;

use convene_proto::im::{self, body::Kind};
use convene_types::{ConvId, Seq, Useq, UserId};

use entry::{Entry, SOMEWHERE};

pub use keep::KEPT;

use super::erased::Erased;
use super::fold::{self, Folded, Index};
use super::gap::{Gap, Waiting};
use super::spans::Spans;
use super::state::State;
use super::{Change, Row};
use crate::rules::EDIT;

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
    /// Retention has gone over the log up to here.
    swept: Seq,
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
    /// Somebody has asked for what is further up.
    scrolled: bool,
    changes: Vec<Change>,
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
            swept: Seq(0),
            waiting: Waiting::new(MAX_WAITING),
            expected: Seq(0),
            ceiling: Seq(0),
            gap: Gap::None,
            settings_at: Useq(0),
            untold: 0,
            scrolled: false,
            changes: Vec::new(),
        }
    }

    pub(super) fn restore(me: UserId, row: Row) -> Self {
        let mut new = Self::unknown(me, ConvId(row.delta.conv));
        new.known = true;
        new.swept = Seq(row.delta.swept);
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
                let swept = left.reason() == im::EraseReason::Retention && (*seq <= self.swept || left.kind == EDIT);
                entry.erased_by = self.erased.leaving(*seq, left).or(swept.then_some(SOMEWHERE));
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
        let delta = im::ConversationDelta { swept: self.swept.0, ..self.state.to_delta(self.conv.0) };
        Row { delta, spans: self.spans.rows(), state_at: self.state_at }
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
}
