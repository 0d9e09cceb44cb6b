//! The tree of departments.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use convene_accounts::apikey::KeyScopes;
use convene_accounts::department::{ROOT, Tree};
use convene_store::orgs::{Change, Outcome};
use convene_types::DeptId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Act, Sight, other};
use crate::Api;
use crate::authenticator::{Asker, Caller};
use crate::body::Body;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::once::Creation;
use crate::path::{Asked, Ids};
use crate::tag::Known;

/// A department.
#[derive(Serialize, ToSchema)]
pub(crate) struct DepartmentView {
    /// Which.
    id: u64,
    /// What it stands below; 0: the organisation itself.
    parent: u64,
    /// Unlike its siblings'.
    name: String,
    /// Lower stands first; equal ones by name.
    rank: i32,
    /// Who stand right in it.
    members: u64,
    /// Places in it and all below it: who stands in two of them is counted twice.
    total: u64,
    /// Whether there is something below it.
    has_children: bool,
}

/// Departments.
#[derive(Serialize, ToSchema)]
pub(crate) struct Departments {
    /// Level by level from the top; those below one department in their order.
    departments: Vec<DepartmentView>,
}

/// Which of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Below {
    /// Only those right below this one; 0: the top ones. Without it all, which may be thousands.
    parent: Option<u64>,
}

/// Departments that one may see. An API key takes the scope `directory`, and sees all.
#[utoipa::path(get, path = "/v1/organisations/{org}/departments", tag = "departments", security(("bearer" = [])),
params(("org" = u64, Path), Below), responses((status = 200, body = Departments), (status = 304), Reading))]
pub(super) async fn list(
    State(api): State<Api>,
    asker: Asker,
    known: Known,
    Ids(org): Ids<u64>,
    Asked(Below { parent }): Asked<Below>,
) -> Result<Response, Error> {
    let found = api.inner.seen_by(org, asker, KeyScopes::DIRECTORY, move |reader, org, seat| {
        let sight = Sight::of(reader, seat)?;
        let seen = sight.departments();
        let tree = sight.into_tree().map_or_else(|| reader.tree(org), Ok)?;
        let counts = reader.department_counts(org)?;
        let mut departments = shown(&tree, &counts.into_iter().collect(), parent.map(DeptId));
        departments.retain(|row| seen.as_ref().is_none_or(|seen| seen.binary_search(&DeptId(row.id)).is_ok()));
        Ok(Ok(Departments { departments }))
    });
    known.answer(&found.await?)
}

fn shown(tree: &Tree, counts: &HashMap<DeptId, u64>, parent: Option<DeptId>) -> Vec<DepartmentView> {
    let mut totals: HashMap<DeptId, u64> = HashMap::new();
    for (dept, members) in counts {
        for above in tree.path(*dept) {
            let total = totals.entry(above).or_default();
            *total = total.saturating_add(*members);
        }
    }
    let parents = match parent {
        Some(parent) => vec![parent],
        None => tree.branch(ROOT),
    };
    let rows = parents.into_iter().flat_map(|parent| tree.children(parent));
    let view = |row: &convene_accounts::department::Department| DepartmentView {
        id: row.id.0,
        parent: row.parent.0,
        name: row.name.clone(),
        rank: row.rank,
        members: counts.get(&row.id).copied().unwrap_or(0),
        total: totals.get(&row.id).copied().unwrap_or(0),
        has_children: tree.has_children(row.id),
    };
    rows.map(view).collect()
}

/// A department that is to be.
#[derive(Deserialize, ToSchema)]
pub(crate) struct DepartmentFields {
    /// What it stands below; 0: the organisation itself.
    #[serde(default)]
    parent: u64,
    /// Unlike its siblings'.
    #[schema(max_length = 128)]
    name: String,
    /// Lower stands first.
    #[serde(default)]
    rank: i32,
}

/// Something that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Made {
    /// Which.
    pub(super) id: u64,
}

/// Adds a department.
#[utoipa::path(post, path = "/v1/organisations/{org}/departments", tag = "departments", security(("bearer" = [])),
params(("org" = u64, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = DepartmentFields,
responses((status = 201, body = Made), Changing))]
pub(super) async fn add(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(org): Ids<u64>,
    Creation { body: DepartmentFields { parent, name, rank }, once }: Creation<DepartmentFields>,
) -> Result<(StatusCode, Json<Made>), Error> {
    let change = Change::AddDepartment { parent: DeptId(parent), name, rank };
    let outcome = api.inner.act(Act { caller, client, org, change, once }).await?;
    let Outcome::Department(id) = outcome else { return Err(other(&outcome).into()) };
    Ok((StatusCode::CREATED, Json(Made { id: id.0 })))
}

/// Moves, renames or reorders a department.
#[utoipa::path(put, path = "/v1/organisations/{org}/departments/{department}", tag = "departments",
security(("bearer" = [])), params(("org" = u64, Path), ("department" = u64, Path)), request_body = DepartmentFields,
responses((status = 204), Changing))]
pub(super) async fn change(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, department)): Ids<(u64, u64)>,
    Body(DepartmentFields { parent, name, rank }): Body<DepartmentFields>,
) -> Result<StatusCode, Error> {
    let change = Change::ChangeDepartment { id: DeptId(department), parent: DeptId(parent), name, rank };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}

/// Removes a department that nobody stands in and nothing stands below.
#[utoipa::path(delete, path = "/v1/organisations/{org}/departments/{department}", tag = "departments",
security(("bearer" = [])), params(("org" = u64, Path), ("department" = u64, Path)),
responses((status = 204), Changing))]
pub(super) async fn remove(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, department)): Ids<(u64, u64)>,
) -> Result<StatusCode, Error> {
    let change = Change::RemoveDepartment { id: DeptId(department) };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}
