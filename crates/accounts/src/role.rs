//! Roles in an organisation, what each may do, and who may change them. Asked by the store inside its transactions, and by
//! `signaling` before it shows anything.
//!
//! Invariant: an organisation has an owner at all times; only owners make owners and administrators.

use crate::error::{Code, Refusal};
use crate::set::{Named, Set};

/// See [`Scopes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OfAdmins;

impl Named for OfAdmins {
    const NAMES: &'static [&'static str] = &["members", "departments", "meetings", "content", "audit"];
}

/// What an administrator is there for. Empty: for nothing.
pub type Scopes = Set<OfAdmins>;

impl Set<OfAdmins> {
    /// Letting people in and out, their profiles, and which of it they edit themselves.
    pub const MEMBERS: Self = Self::nth(0);
    /// The tree of departments, and positions.
    pub const DEPARTMENTS: Self = Self::nth(1);
    /// Who may start meetings, and those going on.
    pub const MEETINGS: Self = Self::nth(2);
    /// What is said in groups, and how long it is kept.
    pub const CONTENT: Self = Self::nth(3);
    /// Reading the audit and access logs.
    pub const AUDIT: Self = Self::nth(4);
}

/// Of a member of an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// May do everything.
    Owner,
    /// May do what the scopes say.
    Admin(Scopes),
    /// May do what the policy lets everybody do.
    Member,
}

/// What takes a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Invite, approve, remove, edit profiles; policy of profiles and directory.
    ManageMembers,
    /// Departments, positions, and who is in which.
    ManageDepartments,
    /// Policy of meetings; end or enter any.
    ManageMeetings,
    /// Recall anything, run any group; retention.
    ManageContent,
    /// Audit and access logs.
    ReadAudit,
    /// Give and take the roles of owners and administrators.
    NameAdmins,
    /// API keys and webhooks.
    ManageKeys,
    /// Name of the organisation, and its end.
    ManageOrganisation,
}

impl Act {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::ManageMembers,
        Self::ManageDepartments,
        Self::ManageMeetings,
        Self::ManageContent,
        Self::ReadAudit,
        Self::NameAdmins,
        Self::ManageKeys,
        Self::ManageOrganisation,
    ];

    /// What lets an administrator do it; `None`: for owners only.
    const fn scope(self) -> Option<Scopes> {
        match self {
            Self::ManageMembers => Some(Scopes::MEMBERS),
            Self::ManageDepartments => Some(Scopes::DEPARTMENTS),
            Self::ManageMeetings => Some(Scopes::MEETINGS),
            Self::ManageContent => Some(Scopes::CONTENT),
            Self::ReadAudit => Some(Scopes::AUDIT),
            Self::NameAdmins | Self::ManageKeys | Self::ManageOrganisation => None,
        }
    }
}

impl Role {
    /// As stored: kind and scopes.
    #[must_use]
    pub const fn to_stored(self) -> (u8, u8) {
        match self {
            Self::Owner => (1, 0),
            Self::Admin(scopes) => (2, scopes.bits()),
            Self::Member => (3, 0),
        }
    }

    /// The other way round. What is unknown is a member: it gives nothing.
    #[must_use]
    pub const fn from_stored(kind: u8, scopes: u8) -> Self {
        match kind {
            1 => Self::Owner,
            2 => Self::Admin(Scopes::from_bits(scopes)),
            _ => Self::Member,
        }
    }

    /// Whether this role may do it.
    #[must_use]
    pub fn may(self, act: Act) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin(scopes) => act.scope().is_some_and(|scope| scopes.has(scope)),
            Self::Member => false,
        }
    }

    /// The same as a refusal.
    pub fn require(self, act: Act) -> Result<(), Refusal> {
        if self.may(act) { Ok(()) } else { Err(Code::Forbidden.into()) }
    }
}

/// Somebody does something to the seat of somebody.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Role of who does it.
    pub actor: Role,
    /// Role of whom it is done to.
    pub target: Role,
    /// They are the same person.
    pub oneself: bool,
    /// How many owners there are.
    pub owners: u32,
}

impl Case {
    fn is_last_owner(self) -> bool {
        self.target == Role::Owner && self.owners <= 1
    }
}

/// Whether the target's role may become `role`.
pub fn check_change(case: Case, role: Role) -> Result<(), Refusal> {
    if role == case.target {
        return Ok(());
    }
    case.actor.require(Act::NameAdmins)?;
    if case.is_last_owner() { Err(Code::LastOwner.into()) } else { Ok(()) }
}

/// Whether the target may leave, or be removed.
pub fn check_removal(case: Case) -> Result<(), Refusal> {
    if !case.oneself {
        let act = if case.target == Role::Member { Act::ManageMembers } else { Act::NameAdmins };
        case.actor.require(act)?;
    }
    if case.is_last_owner() { Err(Code::LastOwner.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_each_role_may() {
        for act in Act::ALL {
            assert!(Role::Owner.may(act) && !Role::Member.may(act) && !Role::Admin(Scopes::default()).may(act));
            let all = Scopes::all();
            let for_owners = matches!(act, Act::NameAdmins | Act::ManageKeys | Act::ManageOrganisation);
            assert_eq!(Role::Admin(all).may(act), !for_owners, "{act:?}");
            let one = Scopes::all().each().filter(|(scope, _)| Role::Admin(*scope).may(act)).count();
            assert_eq!(one, usize::from(!for_owners), "{act:?}");
        }
    }

    #[test]
    fn stored_forms_read_back_and_unknown_ones_give_nothing() {
        for bits in 0..32 {
            for role in [Role::Owner, Role::Admin(Scopes::from_bits(bits)), Role::Member] {
                let (kind, scopes) = role.to_stored();
                assert_eq!(Role::from_stored(kind, scopes), role);
            }
        }
        assert_eq!(Role::from_stored(9, 31), Role::Member);
        assert!(Scopes::all().each().all(|(scope, name)| Scopes::parse([name]) == Some(scope)));
        assert_eq!(Scopes::parse(["owner"]), None);
        assert!(Scopes::MEMBERS.and(Scopes::AUDIT).has(Scopes::AUDIT) && !Scopes::MEMBERS.has(Scopes::AUDIT));
    }

    #[test]
    fn who_may_remove_whom() {
        let admin = Role::Admin(Scopes::MEMBERS);
        let other = Role::Admin(Scopes::AUDIT);
        let rows = [
            (Role::Owner, Role::Owner, false, 2, None),
            (Role::Owner, Role::Owner, true, 2, None),
            (Role::Owner, Role::Owner, true, 1, Some(Code::LastOwner)),
            (Role::Owner, admin, false, 1, None),
            (admin, Role::Member, false, 1, None),
            (admin, other, false, 1, Some(Code::Forbidden)),
            (admin, Role::Owner, false, 2, Some(Code::Forbidden)),
            (other, Role::Member, false, 1, Some(Code::Forbidden)),
            (Role::Member, Role::Member, false, 1, Some(Code::Forbidden)),
            (Role::Member, Role::Member, true, 1, None),
            (admin, admin, true, 1, None),
        ];
        for (actor, target, oneself, owners, want) in rows {
            let got = check_removal(Case { actor, target, oneself, owners }).err().map(|refusal| refusal.code);
            assert_eq!(got, want, "{actor:?} {target:?} {oneself} {owners}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Change(usize, usize, Role),
        Remove(usize, usize),
    }

    fn role() -> impl Strategy<Value = Role> {
        prop_oneof![
            Just(Role::Owner),
            (0_u8..32).prop_map(|bits| Role::Admin(Scopes::from_bits(bits))),
            Just(Role::Member)
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_usize..5, 0_usize..5, role()).prop_map(|(actor, target, role)| Step::Change(actor, target, role)),
            (0_usize..5, 0_usize..5).prop_map(|(actor, target)| Step::Remove(actor, target)),
        ]
    }

    proptest! {
        /// Whatever anybody tries, an owner is left, and nobody rises but by an owner's hand.
        #[test]
        fn an_organisation_keeps_an_owner(steps in prop::collection::vec(step(), 1..60)) {
            let mut seats = [Some(Role::Owner), Some(Role::Admin(Scopes::from_bits(31))), Some(Role::Member), Some(Role::Member), Some(Role::Member)];
            for step in steps {
                let (Step::Change(actor, target, _) | Step::Remove(actor, target)) = step;
                let (Some(by), Some(of)) = (seats[actor], seats[target]) else { continue };
                let owners = seats.iter().filter(|seat| **seat == Some(Role::Owner)).count();
                let case = Case { actor: by, target: of, oneself: actor == target, owners: u32::try_from(owners).unwrap() };
                match step {
                    Step::Change(_, _, role) => {
                        if check_change(case, role).is_ok() {
                            prop_assert!(role == of || by == Role::Owner);
                            seats[target] = Some(role);
                        }
                    }
                    Step::Remove(..) => {
                        if check_removal(case).is_ok() {
                            seats[target] = None;
                        }
                    }
                }
                prop_assert!(seats.contains(&Some(Role::Owner)));
            }
        }
    }
}
