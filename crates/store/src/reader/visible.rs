//! What of a conversation a user may see: above the floor, up to the head or, for somebody who left, up to the ceiling.
//! Every answer about a conversation begins with [`seen`].

use convene_proto::im::Code;
use convene_types::{ConvId, Ordinal, Seq, UserId};
use rusqlite::Connection;

use crate::error::{Fault, StoreError, refused, unknown_conversation};
use crate::rows::{self, ConvRow, MemberRow};

/// A conversation as one user sees it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) row: ConvRow,
    pub(super) member: MemberRow,
    /// The last visible event.
    pub(super) head: Seq,
    pub(super) head_ord: Ordinal,
    /// When that was.
    pub(super) head_at_ms: i64,
}

/// Refuses whoever never was a member as if there were no such conversation.
pub(super) fn seen(conn: &Connection, user: UserId, conv: ConvId) -> Result<Seen, Fault> {
    let member = rows::load_member(conn, conv, user)?.ok_or_else(unknown_conversation)?;
    let row = rows::load_conv(conn, conv)?.ok_or_else(unknown_conversation)?;
    Ok(Seen::of(conn, row, member)?)
}

impl Seen {
    pub(super) fn of(conn: &Connection, row: ConvRow, member: MemberRow) -> Result<Self, StoreError> {
        let (mut head, mut head_ord, mut head_at_ms) = (row.conv.head, row.conv.head_ord, row.last_at_ms);
        if let Some(ceiling) = member.member.ceiling.filter(|ceiling| *ceiling < head) {
            let last = rows::load_event(conn, row.conv.id, ceiling)?;
            let last = last.ok_or(StoreError::DamagedEvent { conv: row.conv.id.0, seq: ceiling.0 })?;
            (head, head_ord, head_at_ms) = (ceiling, Ordinal(last.ord), last.at_ms);
        }
        Ok(Self { row, member, head, head_ord, head_at_ms })
    }

    pub(super) fn conv(&self) -> ConvId {
        self.row.conv.id
    }

    pub(super) fn floor(&self) -> Seq {
        self.member.member.floor
    }

    pub(super) fn sees(&self, seq: Seq) -> bool {
        seq > self.floor() && seq <= self.head
    }

    /// What concerns the present state of a group is for those who are in it.
    pub(super) fn present(self) -> Result<Self, Fault> {
        match self.member.member.role {
            Some(_) => Ok(self),
            None => refused(Code::NotAMember, "no member of this conversation any more"),
        }
    }
}
