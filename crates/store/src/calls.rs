//! What is read about calls and about who may do what in a conversation.

use convene_accounts::role::Role as OrgRole;
use convene_im_core::model::Member;
use convene_proto::im;
use convene_types::{AccountId, CallId, ConvId, DeptId, OrgId, UserId};

/// A call as it was written down last.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Which.
    pub id: CallId,
    /// Where.
    pub org: OrgId,
    /// The conversation it belongs to.
    pub conv: ConvId,
    /// What of it.
    pub record: im::CallRecord,
}

/// A call of which no end was written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// As it began.
    pub begun: Recorded,
    /// As it stood last, if that was kept.
    pub state: Option<im::CallState>,
    /// Of its conversation.
    pub kind: im::ConversationKind,
}

/// How an account stands in a conversation of its organisation: one snapshot of everything that decides what it may do.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The organisation.
    pub org: OrgId,
    /// The conversation.
    pub conv: ConvId,
    /// Who.
    pub account: AccountId,
    /// As this user of chat.
    pub user: UserId,
    /// As others see them.
    pub display_name: String,
    /// Name of the picture that others see; empty: none.
    pub picture: String,
    /// In the organisation.
    pub org_role: OrgRole,
    /// Where they stand in it.
    pub depts: Vec<DeptId>,
    /// Direct or group.
    pub kind: im::ConversationKind,
    /// Of a group.
    pub title: String,
    /// Only admins may speak.
    pub muted: bool,
    /// It is over.
    pub dissolved: bool,
    /// Their row in it; the role is there.
    pub member: Member,
}

impl Standing {
    /// Whether they may speak in it at this moment: what a muted member may not write, they may not say aloud either.
    #[must_use]
    pub fn may_speak(&self, now_ms: i64) -> bool {
        let leads = matches!(self.member.role, Some(im::Role::Admin | im::Role::Owner));
        !self.dissolved && self.member.role.is_some() && (leads || !self.muted && self.member.muted_until_ms <= now_ms)
    }
}
