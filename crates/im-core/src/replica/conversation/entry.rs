//! One event of a log as the copy keeps it, and its erasure.

use convene_proto::im::{self, body::Kind};
use convene_types::Seq;

use crate::rules::{EDIT, is_erasable, tombstone};

/// The place of an erasure that is known without its event: whichever is found is earlier.
pub(super) const SOMEWHERE: Seq = Seq(u64::MAX);

/// See the module.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: im::Event,
    /// The event that made us erase it; `None` of a tombstone that came as one: the server's has the first reason.
    pub(super) erased_by: Option<Seq>,
}

impl Entry {
    pub(super) fn is_edit(&self) -> bool {
        match self.event.body.as_ref().and_then(|body| body.kind.as_ref()) {
            Some(Kind::Edit(_)) => true,
            Some(Kind::Tombstone(left)) => left.kind == EDIT,
            _ => false,
        }
    }

    /// Erases the body for the event at `by`; answers whether that changed it.
    pub(super) fn erase(&mut self, by: Seq, reason: im::EraseReason) -> bool {
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
