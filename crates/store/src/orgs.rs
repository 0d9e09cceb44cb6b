//! What is asked of the writer about organisations of people, and what it answers. Every change is an entry of the
//! organisation's audit log in the same transaction.
//!
//! What may happen is decided by `convene-accounts`. Whoever has no seat in an organisation is answered as if it were not
//! there; account 0, which is the command line or the server, may do what an owner may.

use convene_accounts::invitation::LinkHash;
use convene_accounts::policy::Policy;
use convene_accounts::role::Role;
use convene_accounts::vault::Lookup;
use convene_types::{AccountId, DeptId, InviteId, OrgId, UserId};

/// Members of one organisation.
pub const MAX_MEMBERS: u64 = 500_000;

/// Somebody changes something.
#[derive(Clone, Debug)]
pub struct Op {
    /// Of this organisation. Not looked at by `Found` and `Join`.
    pub org: OrgId,
    /// Who; 0: the command line or the server.
    pub by: AccountId,
    /// From this network address; for the log.
    pub address: String,
    /// What.
    pub change: Change,
}

/// What is changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new organisation.
    Found {
        /// As in tokens; unlike that of any other.
        name: String,
        /// As shown.
        title: String,
        /// Its first member.
        owner: AccountId,
    },
    /// Gives a member a role.
    SetRole {
        /// Whom.
        account: AccountId,
        /// Which.
        role: Role,
    },
    /// Takes a member's seat; one's own: leaves.
    Remove {
        /// Whose.
        account: AccountId,
    },
    /// A new department.
    AddDepartment {
        /// Below this one.
        parent: DeptId,
        /// Unlike its siblings'.
        name: String,
        /// Order among them.
        rank: i32,
    },
    /// Moves, renames or reorders a department.
    ChangeDepartment {
        /// Which.
        id: DeptId,
        /// Below this one.
        parent: DeptId,
        /// Unlike its siblings'.
        name: String,
        /// Order among them.
        rank: i32,
    },
    /// An empty department goes.
    RemoveDepartment {
        /// Which.
        id: DeptId,
    },
    /// Where a member stands.
    SetPlaces {
        /// Who.
        account: AccountId,
        /// Departments, in the order in which they are shown.
        depts: Vec<DeptId>,
    },
    /// Invites.
    Invite {
        /// A number, or whoever has a link.
        whom: Invited,
        /// Where they will stand.
        dept: DeptId,
        /// Who comes has to be approved.
        ask: bool,
        /// How long it is good.
        valid_for_s: u64,
    },
    /// Takes an invitation back.
    Withdraw {
        /// Which.
        id: InviteId,
    },
    /// Comes by an invitation.
    Join(JoinBy),
    /// Says yes or no to who asks to be let in.
    Decide {
        /// Which request.
        request: InviteId,
        /// Yes or no.
        yes: bool,
    },
    /// Another policy.
    SetPolicy {
        /// Whole.
        policy: Policy,
        /// The version it was made from: another one by now is STALE.
        version: u64,
    },
}

/// Whom an invitation is for.
#[derive(Clone, Copy, Debug)]
pub enum Invited {
    /// Whoever holds this number.
    Number(Lookup),
    /// Whoever has the link.
    Link {
        /// Of its secret.
        hash: LinkHash,
        /// How many.
        uses: u32,
    },
}

/// How somebody comes.
#[derive(Clone, Copy, Debug)]
pub enum JoinBy {
    /// With an invitation for their number.
    Number(InviteId),
    /// With a link.
    Link(LinkHash),
}

/// What became of an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to say.
    Done,
    /// Of `Found` and `Join`, and of `Decide` with yes: somebody is in.
    Joined {
        /// Where.
        org: OrgId,
        /// Who.
        account: AccountId,
        /// As this user.
        user: UserId,
    },
    /// Of `Join`: somebody has to say yes to this request.
    Asked(InviteId),
    /// Of `Remove`: connections and seats of this user end.
    Removed(UserId),
    /// Of `AddDepartment`.
    Department(DeptId),
    /// Of `Invite`.
    Invited(InviteId),
    /// Of `SetPolicy`: its version from now on.
    Policy(u64),
}

/// An account in an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Where.
    pub org: OrgId,
    /// Who.
    pub account: AccountId,
    /// As this user of chat.
    pub user: UserId,
    /// May do what this lets them.
    pub role: Role,
    /// Departments, in the order in which they are shown.
    pub depts: Vec<DeptId>,
}
