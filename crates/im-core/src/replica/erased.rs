//! Which erasures a client knows of, so that a page that was read before one of them does not bring a body back.

use std::collections::BTreeMap;

use convene_proto::im::{self, EraseReason};
use convene_types::Seq;

use crate::rules::{EDIT, Erasure};

/// By the event that erases. The server applied them in this order, and the first reason stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Erased {
    by: BTreeMap<Seq, Erasure>,
}

impl Erased {
    /// Notes an event that erases others; answers what it erases.
    pub(super) fn learn(&mut self, seq: Seq, body: &im::Body) -> Option<&Erasure> {
        let erasure = Erasure::of(body)?;
        Some(self.by.entry(seq).or_insert(erasure))
    }

    /// The first erasure of this body, if one is known.
    pub(super) fn of(&self, seq: Seq, body: &im::Body) -> Option<(Seq, EraseReason)> {
        let first = self.by.range(seq..).find(|(_, erasure)| erasure.covers(seq, body));
        first.map(|(by, erasure)| (*by, erasure.reason))
    }

    /// The first erasure known that may have left this tombstone at `seq`, for this reason. Which message an erased edit
    /// was of is not known any more: any that was recalled will do.
    pub(super) fn leaving(&self, seq: Seq, left: &im::Tombstone) -> Option<Seq> {
        let within = |range: &im::SeqRange| (range.first..=range.last).contains(&seq.0);
        let edit = |erasure: &Erasure| left.kind == EDIT && erasure.edits_of.is_some_and(|target| target < seq);
        let leaves =
            |erasure: &Erasure| erasure.reason == left.reason() && (erasure.ranges.iter().any(within) || edit(erasure));
        self.by.range(seq..).find(|(_, erasure)| leaves(erasure)).map(|(by, _)| *by)
    }

    pub(super) fn trim(&mut self, floor: Seq) {
        self.by.retain(|seq, _| *seq > floor);
    }
}
