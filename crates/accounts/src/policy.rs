//! What an organisation lets its members do: which fields of their profiles they edit, whom they see in the directory, who
//! starts meetings, how long messages are kept. The store keeps it as JSON with a version; [`Policy::check`] is asked before
//! it is written, the other questions by whoever serves a request.

use convene_types::DeptId;
use serde::{Deserialize, Serialize};

use crate::department::{ROOT, Tree};
use crate::error::{Code, Refusal};
use crate::role::{Act, Role};

/// Departments that a rule may name.
pub const MAX_NAMED: usize = 256;
/// Longest retention that can be said, in days: beyond a century is for ever.
pub const MAX_RETENTION_DAYS: u32 = 36_500;

/// A field of a member's profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// As others see it.
    DisplayName,
    /// Picture.
    Avatar,
    /// A line about oneself.
    About,
    /// Address for mail.
    Email,
    /// Room, building, city.
    Workplace,
    /// The organisation's own number for the person.
    EmployeeNumber,
    /// Which departments.
    Departments,
    /// Which positions.
    Positions,
}

impl Field {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::DisplayName,
        Self::Avatar,
        Self::About,
        Self::Email,
        Self::Workplace,
        Self::EmployeeNumber,
        Self::Departments,
        Self::Positions,
    ];

    /// Longest value in bytes.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::DisplayName | Self::Workplace => 128,
            Self::About => 512,
            Self::Email => 254, // RFC 5321 §4.5.3.1.3
            Self::EmployeeNumber => 64,
            Self::Avatar => 64,
            Self::Departments | Self::Positions => 4_096,
        }
    }
}

/// What becomes of a member's edit of their own profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// It is done.
    Free,
    /// It waits for an administrator.
    Approval,
    /// It is refused.
    Locked,
}

/// One field and what becomes of edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldRule {
    /// Which.
    pub field: Field,
    /// What.
    pub edit: Edit,
}

/// Whom members see in the directory. Administrators of members, and owners, see all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directory {
    /// Everybody.
    #[default]
    Everybody,
    /// Who stands in the same branch from the top: the whole division.
    Division,
    /// Who stands in one of the same departments or below it.
    Department,
}

/// Who may start meetings and calls to groups. Calls from one to one are everybody's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Starters {
    /// Everybody.
    #[default]
    Everybody,
    /// Who stands in these departments or below, and administrators of meetings.
    Departments(Vec<u64>),
    /// Administrators of meetings.
    Admins,
}

/// The policy of an organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Fields that are not named are as in [`default_edit`].
    pub fields: Vec<FieldRule>,
    /// Whom members see.
    pub directory: Directory,
    /// Departments whose members only their own and administrators see.
    pub hidden: Vec<u64>,
    /// Members find each other by number, if they know the whole of it. Administrators of members do in any case.
    pub find_by_number: bool,
    /// Who starts meetings.
    pub meetings: Starters,
    /// Days that messages are kept; none: for ever. They go within a day after that.
    pub retention_days: Option<u32>,
    /// Who stands in a department is in its group, once it has one.
    pub department_groups: bool,
}

/// What becomes of edits where the policy does not say: people keep their own things, the organisation its.
#[must_use]
pub const fn default_edit(field: Field) -> Edit {
    match field {
        Field::DisplayName | Field::Avatar | Field::About | Field::Email | Field::Workplace => Edit::Free,
        Field::Departments | Field::Positions => Edit::Approval,
        Field::EmployeeNumber => Edit::Locked,
    }
}

/// A member who looks, or starts something.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// In the organisation.
    pub role: Role,
    /// Where they stand. Who stands nowhere stands at the root.
    pub depts: &'a [DeptId],
}

impl Policy {
    /// Whether it can be kept: shape and limits. Departments that are named and do not exist name nobody.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut fields: Vec<_> = self.fields.iter().map(|rule| rule.field as u8).collect();
        fields.sort_unstable();
        fields.dedup();
        let starters = match &self.meetings {
            Starters::Everybody | Starters::Admins => 0,
            Starters::Departments(named) => named.len(),
        };
        let days = self.retention_days.is_none_or(|days| (1..=MAX_RETENTION_DAYS).contains(&days));
        let good = fields.len() == self.fields.len() && days;
        if self.hidden.len() > MAX_NAMED || starters > MAX_NAMED {
            return Err(Code::TooMany.into());
        }
        if good { Ok(()) } else { Err(Code::BadValue.into()) }
    }

    /// What somebody needs to be allowed to make this policy of `old`.
    #[must_use]
    pub fn acts_to_replace(&self, old: &Self) -> Vec<Act> {
        let people = self.fields != old.fields
            || self.directory != old.directory
            || self.hidden != old.hidden
            || self.find_by_number != old.find_by_number;
        let changed = [
            (people, Act::ManageMembers),
            (self.meetings != old.meetings, Act::ManageMeetings),
            (self.retention_days != old.retention_days, Act::ManageContent),
            (self.department_groups != old.department_groups, Act::ManageDepartments),
        ];
        changed.into_iter().filter(|(is, _)| *is).map(|(_, act)| act).collect()
    }

    /// What becomes of somebody's edit of their own profile.
    #[must_use]
    pub fn edit(&self, role: Role, field: Field) -> Edit {
        if role.may(Act::ManageMembers) {
            return Edit::Free;
        }
        let rule = self.fields.iter().find(|rule| rule.field == field);
        rule.map_or(default_edit(field), |rule| rule.edit)
    }

    /// Whether `viewer` sees somebody who stands in `depts`. Oneself one always sees; the caller knows.
    #[must_use]
    pub fn sees(&self, viewer: Who<'_>, depts: &[DeptId], tree: &Tree) -> bool {
        if viewer.role.may(Act::ManageMembers) {
            return true;
        }
        let within = |top: DeptId, depts: &[DeptId]| depts.iter().any(|dept| tree.is_within(*dept, top));
        // A hidden department that was removed hides nobody.
        let hidden = self.hidden.iter().copied().map(DeptId).filter(|top| *top != ROOT);
        let mut concealing = hidden.filter(|top| within(*top, depts));
        if concealing.any(|top| !within(top, viewer.depts)) {
            return false;
        }
        match self.directory {
            Directory::Everybody => true,
            Directory::Division => {
                let division = |dept: &DeptId| tree.path(*dept).first().copied().unwrap_or(ROOT);
                let mine: Vec<_> = viewer.depts.iter().map(division).collect();
                stands_nowhere(depts) && stands_nowhere(viewer.depts)
                    || depts.iter().any(|dept| mine.contains(&division(dept)))
            }
            Directory::Department => {
                let mine = viewer.depts.iter().filter(|dept| **dept != ROOT);
                mine.into_iter().any(|top| within(*top, depts))
            }
        }
    }

    /// Whether somebody may start a meeting, or call a group.
    #[must_use]
    pub fn may_start(&self, who: Who<'_>, tree: &Tree) -> bool {
        let listed = match &self.meetings {
            Starters::Everybody => true,
            Starters::Admins => false,
            Starters::Departments(named) => {
                let mut tops = named.iter().copied().map(DeptId).filter(|top| *top != ROOT);
                tops.any(|top| who.depts.iter().any(|dept| tree.is_within(*dept, top)))
            }
        };
        listed || who.role.may(Act::ManageMeetings)
    }
}

fn stands_nowhere(depts: &[DeptId]) -> bool {
    depts.iter().all(|dept| *dept == ROOT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::department::Department;
    use crate::role::Scopes;

    /// 1 > 2 > 3, 1 > 4, 5
    fn tree() -> Tree {
        let row = |(id, parent)| Department { id: DeptId(id), parent: DeptId(parent), name: format!("{id}"), rank: 0 };
        Tree::new([(1, 0), (2, 1), (3, 2), (4, 1), (5, 0)].map(row))
    }

    fn depts(ids: &[u64]) -> Vec<DeptId> {
        ids.iter().copied().map(DeptId).collect()
    }

    /// Directory, hidden, role and departments of who looks, departments of who is looked at, whether they are seen.
    type Sight<'a> = (Directory, &'a [u64], Role, &'a [u64], &'a [u64], bool);

    #[test]
    fn who_sees_whom() {
        let admin = Role::Admin(Scopes::MEMBERS);
        let hidden = vec![5];
        let rows: [Sight<'_>; 17] = [
            (Directory::Everybody, &[], Role::Member, &[3], &[5], true),
            (Directory::Everybody, &hidden, Role::Member, &[3], &[5], false),
            (Directory::Everybody, &hidden, Role::Member, &[3], &[4, 5], false),
            (Directory::Everybody, &hidden, Role::Member, &[5], &[5], true),
            (Directory::Everybody, &hidden, admin, &[3], &[5], true),
            (Directory::Everybody, &[99, 0], Role::Member, &[3], &[5], true),
            (Directory::Division, &[], Role::Member, &[3], &[4], true),
            (Directory::Division, &[], Role::Member, &[3], &[5], false),
            (Directory::Division, &[], Role::Member, &[3, 5], &[5], true),
            (Directory::Division, &[], Role::Member, &[], &[], true),
            (Directory::Division, &[], Role::Member, &[], &[3], false),
            (Directory::Department, &[], Role::Member, &[2], &[3], true),
            (Directory::Department, &[], Role::Member, &[3], &[2], false),
            (Directory::Department, &[], Role::Member, &[3], &[4], false),
            (Directory::Department, &[], Role::Member, &[], &[3], false),
            (Directory::Department, &[], Role::Owner, &[], &[3], true),
            (Directory::Department, &[], Role::Admin(Scopes::AUDIT), &[], &[3], false),
        ];
        for (directory, hidden, role, mine, theirs, want) in rows {
            let policy = Policy { directory, hidden: hidden.to_vec(), ..Policy::default() };
            let mine = depts(mine);
            let got = policy.sees(Who { role, depts: &mine }, &depts(theirs), &tree());
            assert_eq!(got, want, "{directory:?} {hidden:?} {role:?} {mine:?} {theirs:?}");
        }
    }

    #[test]
    fn who_starts_meetings() {
        let meetings = Role::Admin(Scopes::MEETINGS);
        let rows: [(Starters, Role, &[u64], bool); 8] = [
            (Starters::Everybody, Role::Member, &[], true),
            (Starters::Admins, Role::Member, &[1], false),
            (Starters::Admins, meetings, &[], true),
            (Starters::Admins, Role::Admin(Scopes::MEMBERS), &[], false),
            (Starters::Departments(vec![2]), Role::Member, &[3], true),
            (Starters::Departments(vec![2]), Role::Member, &[1], false),
            (Starters::Departments(vec![0]), Role::Member, &[1], false),
            (Starters::Departments(vec![2]), Role::Owner, &[], true),
        ];
        for (starters, role, mine, want) in rows {
            let policy = Policy { meetings: starters, ..Policy::default() };
            let mine = depts(mine);
            assert_eq!(policy.may_start(Who { role, depts: &mine }, &tree()), want, "{policy:?} {role:?} {mine:?}");
        }
    }

    #[test]
    fn what_becomes_of_edits() {
        let fields = vec![FieldRule { field: Field::DisplayName, edit: Edit::Locked }];
        let policy = Policy { fields, ..Policy::default() };
        assert_eq!(policy.edit(Role::Member, Field::DisplayName), Edit::Locked);
        assert_eq!(policy.edit(Role::Admin(Scopes::MEMBERS), Field::DisplayName), Edit::Free);
        for field in Field::ALL.into_iter().skip(1) {
            assert_eq!(policy.edit(Role::Member, field), default_edit(field));
            assert!(field.max_bytes() > 0);
        }
    }

    #[test]
    fn a_policy_is_bounded_and_takes_the_right_scopes() {
        let rule = FieldRule { field: Field::About, edit: Edit::Free };
        let many: Vec<_> = (0..=256).collect();
        let rows = [
            (Policy::default(), None),
            (Policy { retention_days: Some(0), ..Policy::default() }, Some(Code::BadValue)),
            (Policy { retention_days: Some(MAX_RETENTION_DAYS + 1), ..Policy::default() }, Some(Code::BadValue)),
            (Policy { fields: vec![rule, rule], ..Policy::default() }, Some(Code::BadValue)),
            (Policy { hidden: many.clone(), ..Policy::default() }, Some(Code::TooMany)),
            (Policy { meetings: Starters::Departments(many), ..Policy::default() }, Some(Code::TooMany)),
        ];
        for (policy, want) in rows {
            assert_eq!(policy.check().err().map(|refusal| refusal.code), want, "{policy:?}");
        }
        let old = Policy::default();
        let new = Policy { retention_days: Some(30), meetings: Starters::Admins, ..Policy::default() };
        assert_eq!(new.acts_to_replace(&old), [Act::ManageMeetings, Act::ManageContent]);
        assert_eq!(Policy { hidden: vec![1], ..old.clone() }.acts_to_replace(&old), [Act::ManageMembers]);
        assert_eq!(old.acts_to_replace(&old), []);
    }

    #[test]
    fn as_json_it_reads_back_and_unknown_fields_are_errors() {
        let text = r#"{"fields":[{"field":"email","edit":"approval"}],"directory":"division","hidden":[5],
            "meetings":{"departments":[2]},"retention_days":90}"#;
        let policy: Policy = serde_json::from_str(text).unwrap();
        assert_eq!(policy.meetings, Starters::Departments(vec![2]));
        assert_eq!(serde_json::from_str::<Policy>(&serde_json::to_string(&policy).unwrap()).unwrap(), policy);
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
        assert!(serde_json::from_str::<Policy>(r#"{"retention":1}"#).is_err());
    }
}
