//! One's own requests to be let into organisations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_store::accounts::{Op, OwnRequest};
use convene_types::InviteId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Api;
use crate::authenticator::Caller;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::path::Ids;

/// A request that nobody has decided.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnRequestView {
    /// Which.
    id: u64,
    /// Into this organisation.
    organisation: u64,
    /// Its title.
    title: String,
    /// Seconds since 1970.
    made_s: u64,
}

impl From<OwnRequest> for OwnRequestView {
    fn from(OwnRequest { id, org, title, made_s }: OwnRequest) -> Self {
        Self { id: id.0, organisation: org.0, title, made_s }
    }
}

/// Requests that wait.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnRequests {
    /// The latest first.
    requests: Vec<OwnRequestView>,
}

/// Where one has asked to be let in, and nobody has said yes or no yet.
#[utoipa::path(get, path = "/v1/me/join-requests", tag = "me", security(("bearer" = [])),
responses((status = 200, body = OwnRequests), Reading))]
pub(super) async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<OwnRequests>, Error> {
    let found = api.inner.store.ask(move |reader| reader.requests_of(caller.account)).await?;
    Ok(Json(OwnRequests { requests: found.into_iter().map(Into::into).collect() }))
}

/// Takes back a request to be let in.
#[utoipa::path(delete, path = "/v1/me/join-requests/{request}", tag = "me", security(("bearer" = [])),
params(("request" = u64, Path)), responses((status = 204), Changing))]
pub(super) async fn withdraw(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(request): Ids<u64>,
) -> Result<StatusCode, Error> {
    let (account, request, address) = (caller.account, InviteId(request), client.0.to_string());
    api.inner.store.account(Op::WithdrawRequest { account, request, address }).await?;
    Ok(StatusCode::NO_CONTENT)
}
