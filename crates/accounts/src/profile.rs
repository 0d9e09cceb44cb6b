//! What an organisation knows of a member, and edits of it: some are done at once, some wait for an administrator, some are
//! refused. Which, the [`Policy`] says.

use convene_types::{DeptId, PositionId};
use serde::{Deserialize, Serialize};

use crate::department::{Place, check_name, check_places};
use crate::error::{Code, Refusal};
use crate::policy::{self, Field, Policy};
use crate::role::{Act, Role};

/// Fields beside name and places. Empty: nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// Picture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub avatar: String,
    /// A line about oneself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Address for mail.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// Room, building, city.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workplace: String,
    /// The organisation's own number for the person.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub employee_number: String,
}

/// What is to be another. What is not given stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Edit {
    /// As others see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// A line about oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Address for mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Room, building, city.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workplace: Option<String>,
    /// The organisation's own number for the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub employee_number: Option<String>,
    /// Departments and positions, all of them: ids, the position may lack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places: Option<Vec<(u64, Option<u64>)>>,
}

/// What becomes of an edit of one's own profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// This is done.
    pub now: Edit,
    /// This waits.
    pub later: Edit,
}

impl Edit {
    /// Whether nothing is edited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The places, as they are kept.
    #[must_use]
    pub fn new_places(&self) -> Option<Vec<Place>> {
        let place =
            |(dept, position): &(u64, Option<u64>)| Place { dept: DeptId(*dept), position: position.map(PositionId) };
        self.places.as_ref().map(|places| places.iter().map(place).collect())
    }

    /// Whether the values can be kept. Existence of departments and positions is the store's to check.
    pub fn check(&self) -> Result<(), Refusal> {
        if let Some(name) = &self.display_name {
            check_name(name)?;
        }
        for (field, value) in self.texts() {
            let short = value.len() <= field.max_bytes();
            let good = match field {
                Field::Email => value.is_empty() || is_address(value),
                Field::Avatar => value.is_empty() || is_picture(value),
                Field::About | Field::Workplace | Field::EmployeeNumber => true,
                // No texts.
                Field::DisplayName | Field::Departments | Field::Positions => false,
            };
            if !short || !good || value.trim() != value || value.chars().any(char::is_control) {
                return Err(Code::BadValue.into());
            }
        }
        self.new_places().map_or(Ok(()), |places| check_places(&places))
    }

    fn texts(&self) -> impl Iterator<Item = (Field, &String)> {
        let texts = [
            (Field::Avatar, &self.avatar),
            (Field::About, &self.about),
            (Field::Email, &self.email),
            (Field::Workplace, &self.workplace),
            (Field::EmployeeNumber, &self.employee_number),
        ];
        texts.into_iter().filter_map(|(field, value)| value.as_ref().map(|value| (field, value)))
    }

    /// Fields that are edited, beside who stands where as it is.
    fn fields(&self, places: &[Place]) -> Vec<Field> {
        let mut fields: Vec<_> = self.texts().map(|(field, _)| field).collect();
        fields.extend(self.display_name.as_ref().map(|_| Field::DisplayName));
        if let Some(new) = self.new_places() {
            let depts = |places: &[Place]| places.iter().map(|place| place.dept).collect::<Vec<_>>();
            if depts(&new) == depts(places) && new != places {
                fields.push(Field::Positions);
            } else if new != places {
                // Who moves is something else there.
                fields.extend([Field::Departments, Field::Positions]);
            }
        }
        fields
    }

    /// Whether somebody else's profile may be edited so.
    pub fn check_by(&self, role: Role) -> Result<(), Refusal> {
        if self.places.is_some() {
            role.require(Act::ManageDepartments)?;
        }
        let rest = Self { places: None, ..self.clone() };
        if rest.is_empty() { Ok(()) } else { role.require(Act::ManageMembers) }
    }

    /// What becomes of it, if it is of one's own profile. One field that is locked refuses the whole.
    pub fn split(self, policy: &Policy, role: Role, places: &[Place]) -> Result<Split, Refusal> {
        let mut later = Vec::new();
        for field in self.fields(places) {
            let by_role = matches!(field, Field::Departments | Field::Positions) && role.may(Act::ManageDepartments);
            let edit = if by_role { policy::Edit::Free } else { policy.edit(role, field) };
            match edit {
                policy::Edit::Free => {}
                policy::Edit::Approval => later.push(field),
                policy::Edit::Locked => return Err(Code::FieldLocked.into()),
            }
        }
        let waits = |field: Field| later.contains(&field);
        let places_wait = waits(Field::Departments) || waits(Field::Positions);
        let part = |wait: bool| Self {
            display_name: self.display_name.clone().filter(|_| waits(Field::DisplayName) == wait),
            avatar: self.avatar.clone().filter(|_| waits(Field::Avatar) == wait),
            about: self.about.clone().filter(|_| waits(Field::About) == wait),
            email: self.email.clone().filter(|_| waits(Field::Email) == wait),
            workplace: self.workplace.clone().filter(|_| waits(Field::Workplace) == wait),
            employee_number: self.employee_number.clone().filter(|_| waits(Field::EmployeeNumber) == wait),
            places: self.places.clone().filter(|_| places_wait == wait),
        };
        Ok(Split { now: part(false), later: part(true) })
    }

    /// Both: what is in `newer` counts.
    #[must_use]
    pub fn and(self, newer: Self) -> Self {
        Self {
            display_name: newer.display_name.or(self.display_name),
            avatar: newer.avatar.or(self.avatar),
            about: newer.about.or(self.about),
            email: newer.email.or(self.email),
            workplace: newer.workplace.or(self.workplace),
            employee_number: newer.employee_number.or(self.employee_number),
            places: newer.places.or(self.places),
        }
    }

    /// The profile afterwards.
    #[must_use]
    pub fn apply(&self, old: Profile) -> Profile {
        let new = |edit: &Option<String>, old: String| edit.clone().unwrap_or(old);
        Profile {
            avatar: new(&self.avatar, old.avatar),
            about: new(&self.about, old.about),
            email: new(&self.email, old.email),
            workplace: new(&self.workplace, old.workplace),
            employee_number: new(&self.employee_number, old.employee_number),
        }
    }
}

/// Enough to tell an address from a slip: whether mail arrives, only mail tells.
fn is_address(text: &str) -> bool {
    let good = |part: &str| !part.is_empty() && part.chars().all(|c| !c.is_whitespace() && !"<>,;\"".contains(c));
    text.rsplit_once('@')
        .is_some_and(|(local, domain)| good(local) && good(domain) && !domain.contains("..") && domain.contains('.'))
}

/// The name of a picture: 64 hex digits.
fn is_picture(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::FieldRule;
    use crate::role::Scopes;

    fn some(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn values_are_bounded() {
        let edit = |edit: fn(&mut Edit)| {
            let mut made = Edit::default();
            edit(&mut made);
            made.check().err().map(|refusal| refusal.code)
        };
        let bad = Some(Code::BadValue);
        assert_eq!(edit(|_| ()), None);
        assert_eq!(edit(|e| e.email = some("ana@example.org")), None);
        assert_eq!(edit(|e| e.email = some("")), None);
        for wrong in ["ana", "@example.org", "ana@", "ana@org", "a b@example.org", "Ana <ana@example.org>"] {
            let made = Edit { email: some(wrong), ..Edit::default() };
            assert_eq!(made.check().err().map(|refusal| refusal.code), bad, "{wrong}");
        }
        assert_eq!(edit(|e| e.about = Some("x".repeat(513))), bad);
        assert_eq!(edit(|e| e.about = some("a\nb")), bad);
        assert_eq!(edit(|e| e.workplace = some(" here")), bad);
        assert_eq!(edit(|e| e.avatar = some("nothing")), bad);
        assert_eq!(edit(|e| e.display_name = some("")), Some(Code::BadName));
        assert_eq!(edit(|e| e.places = Some(vec![(1, None), (1, Some(2))])), bad);
        assert_eq!(edit(|e| e.places = Some((0..17).map(|n| (n, None)).collect())), Some(Code::TooMany));
    }

    #[test]
    fn an_edit_is_split_by_the_policy() {
        let rule = |field, edit| FieldRule { field, edit };
        let fields =
            vec![rule(Field::DisplayName, policy::Edit::Approval), rule(Field::Workplace, policy::Edit::Locked)];
        let policy = Policy { fields, ..Policy::default() };
        let places = [Place { dept: DeptId(1), position: None }];
        let edit = Edit {
            display_name: some("Ana B"),
            about: some("hello"),
            places: Some(vec![(2, None)]),
            ..Edit::default()
        };
        let split = edit.clone().split(&policy, Role::Member, &places).unwrap();
        assert_eq!(split.now, Edit { about: some("hello"), ..Edit::default() });
        assert_eq!(split.later, Edit { about: None, ..edit.clone() });
        // Where one stands already is no edit.
        let same = Edit { places: Some(vec![(1, None)]), ..Edit::default() };
        assert!(same.split(&policy, Role::Member, &places).unwrap().later.is_empty());
        let locked = Edit { workplace: some("x"), ..edit.clone() };
        assert_eq!(locked.clone().split(&policy, Role::Member, &places).unwrap_err().code, Code::FieldLocked);
        let members = Role::Admin(Scopes::MEMBERS);
        assert_eq!(locked.clone().split(&policy, members, &places).unwrap().now, locked);
        let departments = edit.split(&policy, Role::Admin(Scopes::DEPARTMENTS), &places).unwrap();
        assert!(departments.now.places.is_some() && departments.later.display_name.is_some());
    }

    #[test]
    fn who_edits_others() {
        let name = Edit { display_name: some("Ana"), ..Edit::default() };
        let places = Edit { places: Some(Vec::new()), ..Edit::default() };
        let rows = [
            (Role::Owner, true, true),
            (Role::Admin(Scopes::MEMBERS), true, false),
            (Role::Admin(Scopes::DEPARTMENTS), false, true),
            (Role::Admin(Scopes::AUDIT), false, false),
            (Role::Member, false, false),
        ];
        for (role, may_name, may_place) in rows {
            assert_eq!(name.check_by(role).is_ok(), may_name, "{role:?}");
            assert_eq!(places.check_by(role).is_ok(), may_place, "{role:?}");
            assert_eq!(name.clone().and(places.clone()).check_by(role).is_ok(), may_name && may_place, "{role:?}");
        }
    }

    #[test]
    fn the_newer_edit_counts_and_what_is_not_named_stays() {
        let old = Profile { about: "old".into(), email: "a@b.c".into(), ..Profile::default() };
        let first = Edit { about: some("one"), workplace: some("here"), ..Edit::default() };
        let both = first.and(Edit { about: some("two"), ..Edit::default() });
        let new = both.apply(old);
        assert_eq!((new.about.as_str(), new.email.as_str(), new.workplace.as_str()), ("two", "a@b.c", "here"));
    }
}
