//! Rows: what the store loads before a decision and writes after it. Plain data; [`crate::rules`] judges it.

use std::borrow::Cow;

use convene_proto::im;
use convene_types::{ConvId, Ordinal, OrgId, Seq, UserId};

/// How a conversation stands at its head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conv {
    /// Its id.
    pub id: ConvId,
    /// The organisation it belongs to.
    pub org: OrgId,
    /// Direct or group.
    pub kind: im::ConversationKind,
    /// Of a group; else empty.
    pub title: String,
    /// Of a group; else empty.
    pub announcement: String,
    /// Only admins may send messages.
    pub muted: bool,
    /// It can be read, not written.
    pub dissolved: bool,
    /// Of a group.
    pub avatar: Option<im::BlobRef>,
    /// The newest event.
    pub head: Seq,
    /// Countable events up to the head.
    pub head_ord: Ordinal,
    /// How many have a role.
    pub members: u32,
    /// How many of them are owners.
    pub owners: u32,
}

/// One user in one conversation, at present or in the past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// `None`: was a member, is none any more.
    pub role: Option<im::Role>,
    /// Events up to this one stay hidden.
    pub floor: Seq,
    /// Countable events up to the floor.
    pub floor_ord: Ordinal,
    /// The last visible event of somebody who left.
    pub ceiling: Option<Seq>,
    /// Read up to here.
    pub read: Seq,
    /// Countable events up to the read cursor.
    pub read_ord: Ordinal,
    /// May not send until then.
    pub muted_until_ms: i64,
}

/// What is known of the event that another one is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it stands.
    pub seq: Seq,
    /// Who sent it.
    pub sender: UserId,
    /// When it was stored.
    pub at_ms: i64,
    /// Field number in `Body.kind`, see [`crate::rules::kind_number`]; a tombstone is 25.
    pub kind: u32,
}

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Members of one group.
    pub max_members: u32,
    /// How long a sender may edit a message.
    pub edit_window_ms: i64,
    /// How long a sender may recall a message. Admins always may.
    pub recall_window_ms: i64,
}

impl Default for Policy {
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        // A send writes nothing per member, so the size of a group costs fan-out to those online only.
        Self { max_members: 100_000, edit_window_ms: DAY_MS, recall_window_ms: DAY_MS }
    }
}

/// Why something asked for is not done. It leaves no trace in any log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", .code.label())]
pub struct Refusal {
    /// Stable, for programs.
    pub code: im::Code,
    /// A sentence for a developer. It never quotes what somebody wrote.
    pub text: Cow<'static, str>,
    /// Not before then, when the code is FLOOD or UNAVAILABLE; else 0.
    pub retry_after_ms: u32,
}

impl Refusal {
    /// A refusal that waiting does not mend.
    #[must_use]
    pub fn new(code: im::Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into(), retry_after_ms: 0 }
    }

    /// A refusal to repeat after a while.
    #[must_use]
    pub fn later(code: im::Code, text: impl Into<Cow<'static, str>>, retry_after_ms: u32) -> Self {
        Self { code, text: text.into(), retry_after_ms }
    }
}
