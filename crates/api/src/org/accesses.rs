//! The access log of members, for administrators.

use axum::Json;
use axum::extract::State;
use convene_accounts::{Code, role};
use convene_store::orgs::Change;
use convene_types::AccountId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Act;
use crate::Api;
use crate::authenticator::Caller;
use crate::client::Client;
use crate::error::{Error, Reading};
use crate::me::Entry;
use crate::page::Paging;
use crate::path::{Asked, Ids};

/// Whose.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Of {
    /// Of this member; without it of all.
    account: Option<u64>,
}

/// A request of a member.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberEntry {
    /// Who.
    account: u64,
    #[serde(flatten)]
    entry: Entry,
}

/// A page of the access log of members.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccessesPage {
    /// The latest first.
    entries: Vec<MemberEntry>,
    /// Cursor of the next page. A page may be short, or empty, and not be the last.
    next: Option<String>,
}

/// Requests of members since they came into the organisation, for as long as the server keeps them: which routes, when, from
/// where; not of what. Takes the scope `audit`; that they were read is in the audit log.
#[utoipa::path(get, path = "/v1/organisations/{org}/accesses", tag = "audit", security(("bearer" = [])),
params(("org" = u64, Path), Of, Paging), responses((status = 200, body = AccessesPage), Reading))]
pub(super) async fn list(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(org): Ids<u64>,
    Asked(Of { account }): Asked<Of>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<AccessesPage>, Error> {
    let (rows, before) = (paging.rows()?, paging.number()?.unwrap_or(u64::MAX));
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let account = account.map(AccountId);
    let change = Change::ReadAccesses { account };
    api.inner.act(Act { caller: caller.clone(), client, org, change, once: None }).await?;
    let found = api.inner.within(org, &caller, move |reader, org, seat| {
        // Between the two, somebody may have taken the scope away.
        if seat.role.require(role::Act::ReadAudit).is_err() {
            return Ok(Err(Code::Forbidden.into()));
        }
        Ok(Ok(match account {
            Some(account) => reader.accesses_of_member((org, account), before, rows)?,
            None => reader.accesses_in(org, before, rows)?,
        }))
    });
    let (found, next) = found.await?;
    let entry =
        |access: convene_store::accesses::Access| MemberEntry { account: access.account.0, entry: Entry::of(access) };
    Ok(Json(AccessesPage { entries: found.into_iter().map(entry).collect(), next: next.map(|next| next.to_string()) }))
}
