//! What later events make of a message: the last edit, reactions, pins.
//!
//! Folded anew whenever it is asked for, over the events known that point at the message, in the order of the log. So it
//! depends on what is known alone, and not on the order in which it came (I12).

use std::collections::{BTreeMap, BTreeSet};

use convene_proto::im::{self, body::Kind};
use convene_types::{Seq, UserId};

/// A message as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// What the last edit put in the place of its text or caption, and when.
    pub edited: Option<(String, i64)>,
    /// Who reacted with what.
    pub reactions: BTreeMap<String, BTreeSet<UserId>>,
    /// It is pinned.
    pub pinned: bool,
}

/// Which events point at which.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    by_target: BTreeMap<Seq, BTreeSet<Seq>>,
}

impl Index {
    pub(super) fn insert(&mut self, seq: Seq, body: &im::Body) {
        if body.target != 0 {
            self.by_target.entry(Seq(body.target)).or_default().insert(seq);
        }
    }

    /// Events that point at `target`, in the order of the log.
    pub(super) fn pointing_at(&self, target: Seq) -> impl Iterator<Item = Seq> {
        self.by_target.get(&target).into_iter().flatten().copied()
    }

    /// Events that point at one up to `last`.
    pub(super) fn pointing_up_to(&self, last: Seq) -> impl Iterator<Item = Seq> {
        self.by_target.range(..=last).flat_map(|(_, pointing)| pointing).copied()
    }

    /// Events that something points at.
    pub(super) fn targets(&self) -> impl Iterator<Item = Seq> {
        self.by_target.keys().copied()
    }

    pub(super) fn trim(&mut self, floor: Seq) {
        self.by_target.retain(|_, pointing| {
            pointing.retain(|seq| *seq > floor);
            !pointing.is_empty()
        });
    }
}

/// Folds `later` events, ascending, into what `target` looks like. Nothing is left of a tombstone.
pub(super) fn fold<'a>(target: &im::Event, later: impl Iterator<Item = &'a im::Event>) -> Folded {
    let mut folded = Folded::default();
    if matches!(target.body.as_ref().and_then(|body| body.kind.as_ref()), None | Some(Kind::Tombstone(_))) {
        return folded;
    }
    for event in later {
        let Some(body) = &event.body else { continue };
        match &body.kind {
            // The server lets nobody else; to check it costs nothing.
            Some(Kind::Edit(edit)) if event.sender == target.sender => {
                folded.edited = Some((edit.text.clone(), event.at_ms));
            }
            Some(Kind::React(react)) => folded.react(react, UserId(event.sender)),
            Some(Kind::Pin(pin)) => folded.pinned = !pin.remove,
            Some(
                Kind::Edit(_)
                | Kind::Recall(_)
                | Kind::Text(_)
                | Kind::Voice(_)
                | Kind::Image(_)
                | Kind::File(_)
                | Kind::Location(_)
                | Kind::Card(_)
                | Kind::Custom(_)
                | Kind::Members(_)
                | Kind::Group(_)
                | Kind::Mute(_)
                | Kind::Call(_)
                | Kind::Erase(_)
                | Kind::Tombstone(_),
            )
            | None => {}
        }
    }
    folded
}

impl Folded {
    fn react(&mut self, react: &im::React, user: UserId) {
        if !react.remove {
            self.reactions.entry(react.emoji.clone()).or_default().insert(user);
        } else if let Some(users) = self.reactions.get_mut(&react.emoji) {
            users.remove(&user);
            if users.is_empty() {
                self.reactions.remove(&react.emoji);
            }
        }
    }
}
