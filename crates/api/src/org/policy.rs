//! What an organisation lets its members do.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use convene_accounts::policy::{Directory, Edit, Field, FieldRule, Policy, Starters};
use convene_accounts::{Code, Refusal};
use convene_store::orgs::{Change, Outcome};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Act, other};
use crate::Api;
use crate::authenticator::Caller;
use crate::body::Body;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::path::Ids;
use crate::tag::Known;

/// What becomes of members' edits of one field of their profiles.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
pub(crate) struct FieldView {
    /// `display_name`, `about`, `email`, `workplace`, `employee_number`, `departments`, `positions` or `avatar`.
    #[schema(value_type = String)]
    field: Field,
    /// `free`, `approval` or `locked`.
    #[schema(value_type = String)]
    edit: Edit,
}

/// Whom members see.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DirectoryView {
    /// Everybody.
    Everybody,
    /// Who stands in the same branch from the top.
    Division,
    /// Who stands in one of the same departments or below.
    Department,
}

/// Who starts meetings and calls to groups.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartersView {
    /// Everybody.
    Everybody,
    /// Who stands in the departments that are named, or below.
    Departments,
    /// Administrators of meetings.
    Admins,
}

/// A policy, whole.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct PolicyView {
    /// Fields that are not named are as they are from the start.
    #[serde(default)]
    fields: Vec<FieldView>,
    /// Whom members see in the directory.
    directory: DirectoryView,
    /// Departments whose members only their own and administrators see.
    #[serde(default)]
    #[schema(max_items = 256)]
    hidden: Vec<u64>,
    /// Members find each other by number, if they know the whole of it.
    #[serde(default)]
    find_by_number: bool,
    /// Who starts meetings and calls to groups.
    meetings: StartersView,
    /// With `departments`: which.
    #[serde(default)]
    #[schema(max_items = 256)]
    meeting_departments: Vec<u64>,
    /// Days that messages are kept; none: for ever. They go within a day after that.
    #[schema(minimum = 1, maximum = 36500)]
    retention_days: Option<u32>,
    /// Who stands in a department, or below it, is in its group, once it has one.
    #[serde(default)]
    department_groups: bool,
}

impl From<Policy> for PolicyView {
    fn from(policy: Policy) -> Self {
        let Policy { fields, directory, hidden, find_by_number, meetings, retention_days, department_groups } = policy;
        let (meetings, meeting_departments) = match meetings {
            Starters::Everybody => (StartersView::Everybody, Vec::new()),
            Starters::Departments(named) => (StartersView::Departments, named),
            Starters::Admins => (StartersView::Admins, Vec::new()),
        };
        let directory = match directory {
            Directory::Everybody => DirectoryView::Everybody,
            Directory::Division => DirectoryView::Division,
            Directory::Department => DirectoryView::Department,
        };
        let fields = fields.into_iter().map(|rule| FieldView { field: rule.field, edit: rule.edit }).collect();
        Self {
            fields,
            directory,
            hidden,
            find_by_number,
            meetings,
            meeting_departments,
            retention_days,
            department_groups,
        }
    }
}

impl From<PolicyView> for Policy {
    fn from(view: PolicyView) -> Self {
        let PolicyView {
            fields,
            directory,
            hidden,
            find_by_number,
            meetings,
            meeting_departments,
            retention_days,
            department_groups,
        } = view;
        let meetings = match meetings {
            StartersView::Everybody => Starters::Everybody,
            StartersView::Departments => Starters::Departments(meeting_departments),
            StartersView::Admins => Starters::Admins,
        };
        let directory = match directory {
            DirectoryView::Everybody => Directory::Everybody,
            DirectoryView::Division => Directory::Division,
            DirectoryView::Department => Directory::Department,
        };
        let fields = fields.into_iter().map(|rule| FieldRule { field: rule.field, edit: rule.edit }).collect();
        Self { fields, directory, hidden, find_by_number, meetings, retention_days, department_groups }
    }
}

/// The policy of an organisation. Its `ETag` is its version.
#[utoipa::path(get, path = "/v1/organisations/{org}/policy", tag = "organisations", security(("bearer" = [])),
params(("org" = u64, Path)), responses((status = 200, body = PolicyView), (status = 304), Reading))]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    known: Known,
    Ids(org): Ids<u64>,
) -> Result<Response, Error> {
    let found = api.inner.within(org, &caller, |reader, org, _| Ok(reader.policy(org)?.ok_or(Code::NotFound.into())));
    let (policy, version) = found.await?;
    let json = serde_json::to_vec(&PolicyView::from(policy)).map_err(|_| Code::Internal)?;
    Ok(known.tagged(&version.to_string(), json))
}

/// Puts another policy in the place of the one that was read: `If-Match` says which that was. Takes the scope of each part
/// that changes: `members` for profiles and directory, `meetings`, `content` for retention, `departments` for their groups.
#[utoipa::path(put, path = "/v1/organisations/{org}/policy", tag = "organisations", security(("bearer" = [])),
params(("org" = u64, Path), ("If-Match" = String, Header, description = "The `ETag` of the policy that was read")),
request_body = PolicyView, responses((status = 204, headers(("ETag" = String))), Changing))]
pub(super) async fn set(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    headers: HeaderMap,
    Ids(org): Ids<u64>,
    Body(policy): Body<PolicyView>,
) -> Result<Response, Error> {
    let known = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let version = known.trim().trim_matches('"').parse::<u64>();
    let missing = |_| Refusal::saying(Code::Malformed, "Say in If-Match which version was read: its ETag.");
    let change = Change::SetPolicy { policy: policy.into(), version: version.map_err(missing)? };
    let outcome = api.inner.act(Act { caller, client, org, change, once: None }).await?;
    let Outcome::Policy(version) = outcome else { return Err(other(&outcome).into()) };
    Ok((StatusCode::NO_CONTENT, [(header::ETAG, format!("\"{version}\""))]).into_response())
}
