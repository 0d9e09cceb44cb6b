//! The user's own log: what all devices of the user share. Entries are applied in order, each once.

use std::time::Instant;

use convene_proto::im::{self, user_event::Kind};
use convene_types::{ConvId, Seq, Useq};

use super::gap::{Gap, Waiting};
use super::{Change, Output, Replica};

/// Entries that wait behind a hole. More of them are dropped, and come with the sync.
const MAX_WAITING: usize = 256;

/// Where the log stands.
#[derive(Debug)]
pub(super) struct Log {
    useq: Useq,
    waiting: Waiting<im::UserEvent>,
    gap: Gap,
}

impl Log {
    pub(super) fn new(useq: Useq) -> Self {
        Self { useq, waiting: Waiting::new(MAX_WAITING), gap: Gap::None }
    }

    pub(super) fn useq(&self) -> Useq {
        self.useq
    }

    /// A push; answers what is to be applied.
    pub(super) fn deliver(
        &mut self,
        from: Useq,
        to: Useq,
        events: Vec<im::UserEvent>,
        now: Instant,
    ) -> Vec<im::UserEvent> {
        if to <= self.useq || !is_whole(from, to, &events) {
            return Vec::new();
        }
        if !self.waiting.push(from.0, to.0, events) {
            self.gap = Gap::Until(now);
        }
        let applied = self.drain();
        match self.waiting.first() {
            Some(_) => self.gap.seen(now),
            // What was dropped is still missing.
            None if applied.is_empty() => {}
            None => self.gap = Gap::None,
        }
        applied
    }

    /// A part of a sync's reply: it may leave entries out that no register needs any more.
    pub(super) fn synced(&mut self, from: Useq, to: Useq, events: Vec<im::UserEvent>) -> Vec<im::UserEvent> {
        self.gap = Gap::None;
        if to <= self.useq {
            return Vec::new();
        }
        self.useq = self.useq.max(from);
        let mut applied: Vec<_> = events.into_iter().filter(|event| event.useq > self.useq.0).collect();
        self.useq = to;
        applied.extend(self.drain());
        applied
    }

    fn drain(&mut self) -> Vec<im::UserEvent> {
        let mut applied = Vec::new();
        while let Some((_, to, events)) = self.waiting.pop(self.useq.0) {
            applied.extend(events.into_iter().filter(|event| event.useq > self.useq.0));
            self.useq = Useq(to);
        }
        applied
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gap.deadline()
    }

    pub(super) fn is_overdue(&mut self, now: Instant) -> bool {
        self.gap.is_due(now)
    }

    pub(super) fn cut(&mut self) {
        self.gap = Gap::None;
        self.waiting.clear();
    }
}

impl Replica {
    pub(super) fn apply_personal(&mut self, events: Vec<im::UserEvent>, now: Instant) {
        if events.is_empty() {
            return;
        }
        events.into_iter().for_each(|event| self.apply_one(event, now));
        self.out.push_back(Output::Change(Change::Position));
    }

    fn apply_one(&mut self, event: im::UserEvent, now: Instant) {
        let (useq, Some(kind)) = (Useq(event.useq), event.kind) else { return };
        let conv = match kind {
            Kind::Read(read) => {
                let conv = ConvId(read.conv);
                self.conversation_mut(conv).read(Seq(read.seq), read.ord);
                conv
            }
            Kind::Settings(settings) => {
                let conv = ConvId(settings.conv);
                self.conversation_mut(conv).set(settings, useq);
                conv
            }
            Kind::Joined(joined) => {
                let conv = ConvId(joined.conv);
                self.conversation_mut(conv).joined(Seq(joined.floor));
                // Title, members and role are the sync's to tell.
                self.sync_wanted = true;
                conv
            }
            Kind::Left(left) => {
                let conv = ConvId(left.conv);
                self.conversation_mut(conv).left(Seq(left.seq), now);
                conv
            }
            Kind::Profile(user) => {
                self.profile = user;
                self.out.push_back(Output::Change(Change::Profile));
                return;
            }
            // Of interest to who lists devices; nothing here depends on it.
            Kind::Device(_) => return,
        };
        self.settle(conv, now);
    }
}

fn is_whole(from: Useq, to: Useq, events: &[im::UserEvent]) -> bool {
    let expected = (from.0..to.0).map(|before| before + 1);
    to.0.checked_sub(from.0) == u64::try_from(events.len()).ok()
        && events.iter().zip(expected).all(|(event, useq)| event.useq == useq)
}
