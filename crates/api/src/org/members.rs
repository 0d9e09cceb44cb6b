//! Members: listed, shown, edited, given roles, removed.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_accounts::apikey::KeyScopes;
use convene_accounts::{Code, Refusal};
use convene_store::orgs::{Change, Outcome};
use convene_types::{AccountId, DeptId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::{MemberView, MembersPage, ProfileEdit, RoleView, WaitingView};
use super::{Act, Sight, other, page_of};
use crate::Api;
use crate::authenticator::{Asker, Caller};
use crate::body::Body;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::page::Paging;
use crate::path::{Asked, Ids};

/// Of which department.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Of {
    /// Who stand right in this one; 0: who stand in none.
    department: Option<u64>,
}

/// Members by name, of the organisation or of one department: those whom one may see. An API key takes the scope `directory`,
/// and sees everybody.
#[utoipa::path(get, path = "/v1/organisations/{org}/members", tag = "members", security(("bearer" = [])),
params(("org" = u64, Path), Of, Paging), responses((status = 200, body = MembersPage), Reading))]
pub(super) async fn list(
    State(api): State<Api>,
    asker: Asker,
    Ids(org): Ids<u64>,
    Asked(Of { department }): Asked<Of>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<MembersPage>, Error> {
    let (rows, after) = (paging.rows()?, paging.after()?);
    let page = api.inner.seen_by(org, asker, KeyScopes::DIRECTORY, move |reader, org, seat| {
        let sight = Sight::of(reader, seat)?;
        let few = if department.is_none() { sight.few(reader)? } else { None };
        if let Some(few) = few {
            return Ok(Ok(page_of(few, rows, &after, |member| Some(member.sort.clone()))));
        }
        let page = sight.page(rows, after, |after, limit, sees| match department {
            Some(dept) => reader.members_in(org, DeptId(dept), after, limit, sees),
            None => reader.members_of(org, after, limit, sees),
        });
        Ok(Ok(page?))
    });
    Ok(Json(MembersPage::of(page.await?, &api.inner.keys.pictures)))
}

/// A member, and what is about to change.
#[derive(Serialize, ToSchema)]
pub(crate) struct Detail {
    member: MemberView,
    /// One's own edit that waits for an administrator.
    waiting: Option<WaitingView>,
}

/// A member. An API key takes the scope `directory`.
#[utoipa::path(get, path = "/v1/organisations/{org}/members/{account}", tag = "members", security(("bearer" = [])),
params(("org" = u64, Path), ("account" = u64, Path)), responses((status = 200, body = Detail), Reading))]
pub(super) async fn get(
    State(api): State<Api>,
    asker: Asker,
    Ids((org, account)): Ids<(u64, u64)>,
) -> Result<Json<Detail>, Error> {
    Ok(Json(detail(&api, asker, org, account).await?))
}

async fn detail(api: &Api, asker: impl Into<Asker>, org: u64, account: u64) -> Result<Detail, Refusal> {
    let (account, pictures) = (AccountId(account), api.inner.keys.pictures.clone());
    let found = api.inner.seen_by(org, asker, KeyScopes::DIRECTORY, move |reader, org, seat| {
        let sight = Sight::of(reader, seat)?;
        let Some(member) = reader.member(org, account)?.filter(|member| sight.sees(member)) else {
            return Ok(Err(Code::NotFound.into()));
        };
        let own = account == seat.account;
        let waiting = if own { reader.waiting_edit(org, account)? } else { None };
        let waiting = waiting.map(|waiting| WaitingView::of(waiting, &pictures));
        Ok(Ok(Detail { member: MemberView::of(member, &pictures), waiting }))
    });
    found.await
}

/// Edits a profile. One's own as the policy lets members: what has to be agreed to first is answered as `waiting`. Others'
/// takes the scope `members`, and for places `departments`.
#[utoipa::path(patch, path = "/v1/organisations/{org}/members/{account}", tag = "members", security(("bearer" = [])),
params(("org" = u64, Path), ("account" = u64, Path)), request_body = ProfileEdit,
responses((status = 200, body = Detail), Changing))]
pub(super) async fn edit(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, account)): Ids<(u64, u64)>,
    Body(edit): Body<ProfileEdit>,
) -> Result<Json<Detail>, Error> {
    // Whom one does not see, one does not edit.
    detail(&api, caller.clone(), org, account).await?;
    let change = Change::Edit { account: AccountId(account), edit: edit.into() };
    let outcome = api.inner.act(Act { caller: caller.clone(), client, org, change, once: None }).await?;
    let Outcome::Edited(_) = outcome else { return Err(other(&outcome).into()) };
    Ok(Json(detail(&api, caller, org, account).await?))
}

/// Gives a member a role. For owners.
#[utoipa::path(put, path = "/v1/organisations/{org}/members/{account}/role", tag = "members",
security(("bearer" = [])), params(("org" = u64, Path), ("account" = u64, Path)), request_body = RoleView,
responses((status = 204), Changing))]
pub(super) async fn set_role(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, account)): Ids<(u64, u64)>,
    Body(role): Body<RoleView>,
) -> Result<StatusCode, Error> {
    detail(&api, caller.clone(), org, account).await?;
    let change = Change::SetRole { account: AccountId(account), role: role.read()? };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}

/// Removes a member. What they have open in the organisation ends at once.
#[utoipa::path(delete, path = "/v1/organisations/{org}/members/{account}", tag = "members", security(("bearer" = [])),
params(("org" = u64, Path), ("account" = u64, Path)), responses((status = 204), Changing))]
pub(super) async fn remove(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, account)): Ids<(u64, u64)>,
) -> Result<StatusCode, Error> {
    detail(&api, caller.clone(), org, account).await?;
    let change = Change::Remove { account: AccountId(account) };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}
