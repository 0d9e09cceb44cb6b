//! What waits for an administrator: people who ask to be let in, and edits of profiles.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_accounts::role;
use convene_store::orgs::{Asking, Change};
use convene_store::{Reader, StoreError};
use convene_types::{InviteId, OrgId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Act;
use super::view::WaitingView;
use crate::Api;
use crate::authenticator::Caller;
use crate::body::Body;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::page::Paging;
use crate::path::{Asked, Ids};

/// Somebody asks to be let in.
#[derive(Serialize, ToSchema)]
pub(crate) struct AskingView {
    /// The request.
    id: u64,
    /// Who.
    account: u64,
    /// As they call themselves.
    display_name: String,
    /// Where they would stand.
    department: u64,
    /// Seconds since 1970.
    made_s: u64,
}

impl From<Asking> for AskingView {
    fn from(asking: Asking) -> Self {
        let Asking { id, account, display_name, dept, made_s } = asking;
        Self { id: id.0, account: account.0, display_name, department: dept.0, made_s }
    }
}

/// Requests to be let in.
#[derive(Serialize, ToSchema)]
pub(crate) struct AskingPage {
    /// The latest first.
    requests: Vec<AskingView>,
    /// Cursor of the next page.
    next: Option<String>,
}

/// Who asks to be let in. Takes the scope `members`.
#[utoipa::path(get, path = "/v1/organisations/{org}/join-requests", tag = "invitations", security(("bearer" = [])),
params(("org" = u64, Path), Paging), responses((status = 200, body = AskingPage), Reading))]
pub(super) async fn joins(
    State(api): State<Api>,
    caller: Caller,
    Ids(org): Ids<u64>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<AskingPage>, Error> {
    let (found, next) = page(&api, (org, &caller), &paging, Reader::asking, |row| row.id).await?;
    Ok(Json(AskingPage { requests: found.into_iter().map(Into::into).collect(), next }))
}

/// A page of what waits for those who manage members, the latest first, and the cursor of the next one. `ask` is given
/// before which one it begins, and how many rows it has.
async fn page<T: Send + 'static>(
    api: &Api,
    (org, caller): (u64, &Caller),
    paging: &Paging,
    ask: impl FnOnce(&mut Reader, OrgId, u64, u32) -> Result<Vec<T>, StoreError> + Send + 'static,
    id: impl Fn(&T) -> InviteId,
) -> Result<(Vec<T>, Option<String>), Error> {
    let (rows, before) = (paging.rows()?, paging.number()?.unwrap_or(u64::MAX));
    let ask = move |reader: &mut Reader, org| ask(reader, org, before, rows);
    let found = api.inner.within_as(org, caller, role::Act::ManageMembers, ask).await?;
    let full = found.len() >= usize::try_from(rows).unwrap_or(usize::MAX);
    let next = found.last().filter(|_| full).map(|row| id(row).0.to_string());
    Ok((found, next))
}

/// Yes or no.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Decision {
    /// Yes.
    approve: bool,
}

/// Lets somebody in who asks, or does not.
#[utoipa::path(post, path = "/v1/organisations/{org}/join-requests/{request}", tag = "invitations",
security(("bearer" = [])), params(("org" = u64, Path), ("request" = u64, Path)), request_body = Decision,
responses((status = 204), Changing))]
pub(super) async fn decide_join(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, request)): Ids<(u64, u64)>,
    Body(Decision { approve }): Body<Decision>,
) -> Result<StatusCode, Error> {
    let change = Change::Decide { request: InviteId(request), yes: approve };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}

/// Edits of profiles that wait.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitingPage {
    /// The latest first.
    requests: Vec<WaitingView>,
    /// Cursor of the next page.
    next: Option<String>,
}

/// Edits that members have asked for. Takes the scope `members`.
#[utoipa::path(get, path = "/v1/organisations/{org}/edit-requests", tag = "members", security(("bearer" = [])),
params(("org" = u64, Path), Paging), responses((status = 200, body = WaitingPage), Reading))]
pub(super) async fn edits(
    State(api): State<Api>,
    caller: Caller,
    Ids(org): Ids<u64>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<WaitingPage>, Error> {
    let (found, next) = page(&api, (org, &caller), &paging, Reader::waiting_edits, |row| row.id).await?;
    let pictures = &api.inner.keys.pictures;
    let requests = found.into_iter().map(|waiting| WaitingView::of(waiting, pictures)).collect();
    Ok(Json(WaitingPage { requests, next }))
}

/// Does what a member has asked for, or does not. Who asked takes it back with no.
#[utoipa::path(post, path = "/v1/organisations/{org}/edit-requests/{request}", tag = "members",
security(("bearer" = [])), params(("org" = u64, Path), ("request" = u64, Path)), request_body = Decision,
responses((status = 204), Changing))]
pub(super) async fn decide_edit(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, request)): Ids<(u64, u64)>,
    Body(Decision { approve }): Body<Decision>,
) -> Result<StatusCode, Error> {
    let change = Change::DecideEdit { request: InviteId(request), yes: approve };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}
