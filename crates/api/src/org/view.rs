//! What others are shown of a member, and what is written about one.

use convene_accounts::profile::Edit;
use convene_accounts::role::{Role, Scopes};
use convene_accounts::{Code, Refusal};
use convene_store::After;
use convene_store::orgs::{Member, WaitingEdit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::now_s;
use crate::page::cursor;
use crate::pictures::PictureLinks;

/// A member of an organisation.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberView {
    /// Which account.
    account: u64,
    /// Which user of chat.
    user: u64,
    /// As others see it.
    display_name: String,
    /// Where the picture is, for some hours: path and query on this server, which need no token. None: there is no picture.
    picture: Option<String>,
    #[serde(flatten)]
    role: RoleView,
    /// Where they stand; the first is the one to show.
    places: Vec<PlaceView>,
    /// A line about oneself.
    about: String,
    /// Address for mail.
    email: String,
    /// Room, building, city.
    workplace: String,
    /// The organisation's own number for the person.
    employee_number: String,
    /// Seconds since 1970.
    joined_s: u64,
}

impl MemberView {
    pub(crate) fn of(member: Member, pictures: &PictureLinks) -> Self {
        let Member { account, user, role, display_name, profile, places, joined_s, .. } = member;
        let place = |place: convene_accounts::department::Place| PlaceView {
            department: place.dept.0,
            position: place.position.map(|id| id.0),
        };
        Self {
            account: account.0,
            user: user.0,
            display_name,
            picture: pictures.path(account, &profile.avatar, now_s()),
            role: role.into(),
            places: places.into_iter().map(place).collect(),
            about: profile.about,
            email: profile.email,
            workplace: profile.workplace,
            employee_number: profile.employee_number,
            joined_s,
        }
    }
}

/// A department, and as what somebody is in it.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
pub(crate) struct PlaceView {
    /// Which department.
    pub(crate) department: u64,
    /// Which position.
    pub(crate) position: Option<u64>,
}

/// A role: `owner`, `admin` with scopes, or `member`.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct RoleView {
    /// Which.
    #[schema(example = "admin", pattern = "^(owner|admin|member)$")]
    role: String,
    /// What an admin is there for: `members`, `departments`, `meetings`, `content`, `audit`.
    #[serde(default)]
    scopes: Vec<String>,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        let (name, scopes) = match role {
            Role::Owner => ("owner", Scopes::default()),
            Role::Admin(scopes) => ("admin", scopes),
            Role::Member => ("member", Scopes::default()),
        };
        Self { role: name.into(), scopes: scopes.names().into_iter().map(str::to_owned).collect() }
    }
}

impl RoleView {
    /// The role that is meant.
    pub(crate) fn read(&self) -> Result<Role, Refusal> {
        let unknown =
            || Refusal::saying(Code::BadValue, "Scopes are members, departments, meetings, content and audit.");
        let scopes = Scopes::parse(self.scopes.iter().map(String::as_str)).ok_or_else(unknown)?;
        match (self.role.as_str(), scopes == Scopes::default()) {
            ("owner", true) => Ok(Role::Owner),
            ("member", true) => Ok(Role::Member),
            ("admin", false) => Ok(Role::Admin(scopes)),
            _ => Err(Refusal::saying(Code::BadValue, "A role is owner, member, or admin with scopes.")),
        }
    }
}

/// What is to be another about a member. What is not given stays.
#[derive(Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProfileEdit {
    /// As others see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    display_name: Option<String>,
    /// A line about oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 512)]
    about: Option<String>,
    /// Address for mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 254)]
    email: Option<String>,
    /// Room, building, city.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    workplace: Option<String>,
    /// The organisation's own number for the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    employee_number: Option<String>,
    /// All departments and positions, at most 16; none: at the top of the organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    places: Option<Vec<PlaceView>>,
}

impl From<ProfileEdit> for Edit {
    fn from(edit: ProfileEdit) -> Self {
        let ProfileEdit { display_name, about, email, workplace, employee_number, places } = edit;
        let places = places.map(|places| places.into_iter().map(|place| (place.department, place.position)).collect());
        Self { display_name, avatar: None, about, email, workplace, employee_number, places }
    }
}

impl From<Edit> for ProfileEdit {
    fn from(edit: Edit) -> Self {
        let Edit { display_name, avatar: _, about, email, workplace, employee_number, places } = edit;
        let place = |(department, position)| PlaceView { department, position };
        let places = places.map(|places| places.into_iter().map(place).collect());
        Self { display_name, about, email, workplace, employee_number, places }
    }
}

/// An edit that an administrator has to agree to.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitingView {
    /// The request.
    id: u64,
    /// Whose profile.
    account: u64,
    /// What is to be another.
    edit: ProfileEdit,
    /// Of another picture: where it is, or empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<String>,
    /// Seconds since 1970.
    made_s: u64,
}

impl WaitingView {
    pub(crate) fn of(waiting: WaitingEdit, pictures: &PictureLinks) -> Self {
        let WaitingEdit { id, account, edit, made_s } = waiting;
        let picture = edit.avatar.as_ref().map(|name| pictures.path(account, name, now_s()).unwrap_or_default());
        Self { id: id.0, account: account.0, edit: edit.into(), picture, made_s }
    }
}

/// A page of members.
#[derive(Serialize, ToSchema)]
pub(crate) struct MembersPage {
    /// By name as it is said; of a search, by what was found.
    members: Vec<MemberView>,
    /// Cursor of the next page; none: this was the last. A page may be short, or empty, and not be the last.
    next: Option<String>,
}

impl MembersPage {
    pub(crate) fn of((members, next): (Vec<Member>, Option<After>), pictures: &PictureLinks) -> Self {
        let members = members.into_iter().map(|member| MemberView::of(member, pictures)).collect();
        Self { members, next: next.as_ref().map(cursor) }
    }
}
