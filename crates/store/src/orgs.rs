//! What is asked of the writer about organisations of people, and what it answers. Every change is an entry of the
//! organisation's audit log in the same transaction.
//!
//! What may happen is decided by `convene-accounts`. Whoever has no seat in an organisation is answered as if it were not
//! there; account 0, which is the command line or the server, may do what an owner may.

use convene_accounts::apikey::{KeyId, KeyScopes};
use convene_accounts::department::Place;
use convene_accounts::invitation::{Invitation, LinkHash};
use convene_accounts::policy::Policy;
use convene_accounts::profile::{Edit, Profile};
use convene_accounts::role::Role;
use convene_accounts::vault::Lookup;
use convene_accounts::webhook::Kinds;
use convene_types::{AccountId, DeptId, InviteId, OrgId, PositionId, UserId};

/// Members of one organisation.
pub const MAX_MEMBERS: u64 = 500_000;
/// Organisations that one account is in. They are loaded whole to answer which those are.
pub const MAX_SEATS: usize = 100;
/// How long a request that is repeated is known, in seconds: a day.
pub const ONCE_S: u64 = 24 * 60 * 60;

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
    /// Repeated with the same key, it is not done again but answered again.
    pub once: Option<Once>,
}

/// What tells a repeated request from a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    /// Hash of who asks and the key that they gave.
    pub key: [u8; 32],
    /// Hash of what is asked: another one under the same key is a CONFLICT.
    pub request: [u8; 32],
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
    /// Another title.
    Rename {
        /// As shown.
        title: String,
    },
    /// The organisation ends: nobody has a seat in it any more.
    Dissolve,
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
    /// A new position.
    AddPosition {
        /// Unlike others.
        name: String,
        /// Order among them.
        rank: i32,
    },
    /// Renames or reorders a position.
    ChangePosition {
        /// Which.
        id: PositionId,
        /// Unlike others.
        name: String,
        /// Order among them.
        rank: i32,
    },
    /// A position goes; who had it has none.
    RemovePosition {
        /// Which.
        id: PositionId,
    },
    /// Edits a profile: name, fields, places. One's own, as the policy says.
    Edit {
        /// Whose.
        account: AccountId,
        /// What.
        edit: Edit,
    },
    /// Says yes or no to an edit that waits. Who asked may only say no.
    DecideEdit {
        /// Which.
        request: InviteId,
        /// Yes or no.
        yes: bool,
    },
    /// Invites.
    Invite {
        /// A number, or whoever has a link.
        whom: Invited,
        /// The number, sealed, for those who read the list of invitations.
        sealed: Option<Vec<u8>>,
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
    /// A new API key. Its secret is the caller's to make.
    MakeKey {
        /// Random.
        id: KeyId,
        /// What people call it.
        title: String,
        /// What for.
        scopes: KeyScopes,
    },
    /// A new endpoint of webhooks.
    MakeWebhook {
        /// Where to; the caller has checked that it may be.
        url: String,
        /// Signs.
        key: KeyId,
        /// What it is told of.
        kinds: Kinds,
    },
    /// An endpoint of webhooks goes, with what waits for it.
    EndWebhook {
        /// Which.
        id: i64,
    },
    /// An API key is good no more.
    EndKey {
        /// Which.
        id: KeyId,
    },
    /// Notes that somebody reads the access log of members, if they may.
    ReadAccesses {
        /// Of this one; `None`: of all.
        account: Option<AccountId>,
    },
}

impl Change {
    /// Whether it makes or ends what programs of the organisation work with.
    pub(crate) const fn is_about_programs(&self) -> bool {
        matches!(self, Self::MakeKey { .. } | Self::EndKey { .. } | Self::MakeWebhook { .. } | Self::EndWebhook { .. })
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Of `AddPosition`.
    Position(PositionId),
    /// Of `Invite`.
    Invited(InviteId),
    /// Of `MakeWebhook`.
    Webhook(i64),
    /// Of `MakeKey`: the one that was made; said again, the one that was made then.
    Key(KeyId),
    /// Of `Edit`: what was not done waits under this id.
    Edited(Option<InviteId>),
    /// Of `DecideEdit` with yes: this member is another now.
    Changed(AccountId),
    /// Of `Dissolve`.
    Dissolved,
    /// Of `SetPolicy`: its version from now on.
    Policy(u64),
}

impl Outcome {
    /// A number for the kind and up to three values, for the memory of what was done.
    pub(crate) const fn to_stored(self) -> (u8, [u64; 3]) {
        match self {
            Self::Done => (1, [0; 3]),
            Self::Joined { org, account, user } => (2, [org.0, account.0, user.0]),
            Self::Asked(id) => (3, [id.0, 0, 0]),
            Self::Removed(user) => (4, [user.0, 0, 0]),
            Self::Department(id) => (5, [id.0, 0, 0]),
            Self::Invited(id) => (6, [id.0, 0, 0]),
            Self::Policy(version) => (7, [version, 0, 0]),
            Self::Position(id) => (8, [id.0, 0, 0]),
            Self::Edited(None) => (9, [0; 3]),
            Self::Edited(Some(id)) => (10, [id.0, 0, 0]),
            Self::Changed(account) => (11, [account.0, 0, 0]),
            Self::Dissolved => (12, [0; 3]),
            Self::Webhook(id) => (13, [id.cast_unsigned(), 0, 0]),
            Self::Key(id) => (14, thirds(id)),
        }
    }

    /// The other way round.
    pub(crate) const fn from_stored(kind: u8, [a, b, c]: [u64; 3]) -> Option<Self> {
        Some(match kind {
            1 => Self::Done,
            2 => Self::Joined { org: OrgId(a), account: AccountId(b), user: UserId(c) },
            3 => Self::Asked(InviteId(a)),
            4 => Self::Removed(UserId(a)),
            5 => Self::Department(DeptId(a)),
            6 => Self::Invited(InviteId(a)),
            7 => Self::Policy(a),
            8 => Self::Position(PositionId(a)),
            9 => Self::Edited(None),
            10 => Self::Edited(Some(InviteId(a))),
            11 => Self::Changed(AccountId(a)),
            12 => Self::Dissolved,
            13 => Self::Webhook(a.cast_signed()),
            14 => Self::Key(of_thirds([a, b, c])),
            _ => return None,
        })
    }
}

/// Bits of a part of an id: values of the database have a sign.
const THIRD: u32 = 43;

/// An id in three numbers.
const fn thirds(id: KeyId) -> [u64; 3] {
    let (number, mask) = (u128::from_be_bytes(id.0), (1 << THIRD) - 1);
    [(number >> (2 * THIRD)) as u64, (number >> THIRD & mask) as u64, (number & mask) as u64]
}

/// The other way round.
const fn of_thirds([a, b, c]: [u64; 3]) -> KeyId {
    KeyId((((a as u128) << (2 * THIRD)) | ((b as u128) << THIRD) | c as u128).to_be_bytes())
}

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// Its id.
    pub id: OrgId,
    /// As in tokens.
    pub name: String,
    /// As shown.
    pub title: String,
    /// How many have a seat.
    pub members: u64,
}

/// A position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its id.
    pub id: PositionId,
    /// Unlike others.
    pub name: String,
    /// Order among them.
    pub rank: i32,
}

/// A member, as an organisation knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub account: AccountId,
    /// As this user of chat.
    pub user: UserId,
    /// May do what this lets them.
    pub role: Role,
    /// As others see it.
    pub display_name: String,
    /// Other fields.
    pub profile: Profile,
    /// Where they stand, in the order in which it is shown.
    pub places: Vec<Place>,
    /// Seconds since 1970.
    pub joined_s: u64,
    /// What the name is sorted by.
    pub sort: String,
}

/// An invitation in the list of those who invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// It.
    pub invitation: Invitation,
    /// The number it is for, if it is for one.
    pub sealed: Option<Vec<u8>>,
}

/// Somebody asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The request.
    pub id: InviteId,
    /// Who.
    pub account: AccountId,
    /// As they call themselves.
    pub display_name: String,
    /// Where they would stand.
    pub dept: DeptId,
    /// Seconds since 1970.
    pub made_s: u64,
}

/// A member's edit that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingEdit {
    /// The request.
    pub id: InviteId,
    /// Whose profile.
    pub account: AccountId,
    /// What is to be another.
    pub edit: Edit,
    /// Seconds since 1970.
    pub made_s: u64,
}

/// Somebody in an address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Where they are a colleague.
    pub org: OrgId,
    /// Who.
    pub member: Member,
    /// What its owner wrote.
    pub note: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_read_back() {
        for kind in 0..=u8::MAX {
            let Some(outcome) = Outcome::from_stored(kind, [7, 8, 9]) else { continue };
            let (stored, values) = outcome.to_stored();
            assert_eq!((stored, Outcome::from_stored(stored, values)), (kind, Some(outcome)));
        }
        for id in [KeyId([0xff; 16]), KeyId([0; 16]), KeyId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255])] {
            assert!(thirds(id).iter().all(|part| i64::try_from(*part).is_ok()));
            assert_eq!(of_thirds(thirds(id)), id);
        }
    }
}
