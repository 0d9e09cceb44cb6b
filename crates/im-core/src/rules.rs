//! Who may append what to a conversation's log, and what that changes.
//!
//! Two steps, because the second needs rows: [`check`] looks at a body alone and says what to load; [`decide`] judges it
//! against those rows. The store calls both for every append, inside the transaction. Not here: idempotency (the store
//! finds a retry before it asks) and rates ([`crate::gate`]).

mod blobs;
mod check;
mod decide;
mod erase;
mod kinds;
mod members;
mod requests;
mod retention;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use convene_proto::im;
use convene_types::{Seq, UserId};

use crate::model::{Conv, Member, Policy, Target};

pub use blobs::{BlobFact, settle_blobs};
pub use check::check;
pub use decide::decide;
pub use erase::{Erasure, is_erasable, payload_hash_input, tombstone};
pub use kinds::{CALL, EDIT, GROUP, MEMBERS, TEXT, TOMBSTONE, is_countable, is_message, kind_number};
pub use requests::{check_create, check_read, check_settings, founding};
pub use retention::{Sweep, Swept, Taken, cutoff_ms, is_swept, time_of};

/// Who wants to append.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// A user who is or was a member.
    User(&'a Member),
    /// The server itself: it may do what an owner may, erase, and record calls.
    Server,
}

/// What [`decide`] wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The event it is done to.
    pub target: Option<Seq>,
    /// Users whose existence in the organisation, and whose member row if any, is to be loaded.
    pub users: Vec<UserId>,
    /// Blobs that the sender must be able to read; their facts go to [`settle_blobs`].
    pub blobs: Vec<Bytes>,
}

/// Everything a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The conversation before the event.
    pub conv: &'a Conv,
    /// Who appends.
    pub actor: Actor<'a>,
    /// The event named by [`Needs::target`], if the log has it.
    pub target: Option<&'a Target>,
    /// Those of [`Needs::users`] that exist in the organisation, with their row if they have one.
    pub users: &'a [(UserId, Option<Member>)],
    /// The time the event will bear.
    pub now_ms: i64,
    /// What the operator set.
    pub policy: &'a Policy,
}

/// An append that may happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The body as it goes into the log: without what cannot be so (mentions of strangers, members added twice).
    pub body: im::Body,
    /// It raises the ordinal.
    pub countable: bool,
    /// What else changes in the same transaction.
    pub effects: Effects,
}

/// What an event changes beside the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// The title from here on.
    pub title: Option<String>,
    /// The announcement from here on.
    pub announcement: Option<String>,
    /// Whether only admins may send from here on.
    pub muted: Option<bool>,
    /// Nobody writes from here on.
    pub dissolved: bool,
    /// The picture from here on.
    pub avatar: Option<im::BlobRef>,
    /// Changes of member rows.
    pub members: Vec<MemberEffect>,
    /// Bodies that are replaced by [`tombstone`].
    pub erase: Option<Erasure>,
}

/// A change of one member row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberEffect {
    /// In. Without history the floor is the event before this one. Nothing is kept of the row of an earlier stay.
    Add {
        /// Who.
        user: UserId,
        /// As what.
        role: im::Role,
        /// They see what was said before.
        with_history: bool,
    },
    /// Out: this event is the last one they see.
    Remove {
        /// Who.
        user: UserId,
    },
    /// Another role.
    Role {
        /// Who.
        user: UserId,
        /// From here on.
        role: im::Role,
    },
    /// Kept from sending.
    Mute {
        /// Who.
        user: UserId,
        /// Until then; 0 ends it.
        until_ms: i64,
    },
}
