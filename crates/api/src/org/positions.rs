//! Positions: what people are in the departments they stand in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use convene_accounts::apikey::KeyScopes;
use convene_store::orgs::{Change, Outcome};
use convene_types::PositionId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::departments::Made;
use super::{Act, other};
use crate::Api;
use crate::authenticator::{Asker, Caller};
use crate::body::Body;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::once::Creation;
use crate::path::Ids;
use crate::tag::Known;

/// A position.
#[derive(Serialize, ToSchema)]
pub(crate) struct PositionView {
    /// Which.
    id: u64,
    /// Unlike others.
    name: String,
    /// Lower stands first; equal ones by name.
    rank: i32,
}

/// Positions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Positions {
    /// All, in their order.
    positions: Vec<PositionView>,
}

/// Positions of an organisation. An API key takes the scope `directory`.
#[utoipa::path(get, path = "/v1/organisations/{org}/positions", tag = "departments", security(("bearer" = [])),
params(("org" = u64, Path)), responses((status = 200, body = Positions), (status = 304), Reading))]
pub(super) async fn list(
    State(api): State<Api>,
    asker: Asker,
    known: Known,
    Ids(org): Ids<u64>,
) -> Result<Response, Error> {
    let found =
        api.inner.seen_by(org, asker, KeyScopes::DIRECTORY, |reader, org, _| Ok(Ok(reader.positions(org)?))).await?;
    let view = |row: convene_store::orgs::Position| PositionView { id: row.id.0, name: row.name, rank: row.rank };
    known.answer(&Positions { positions: found.into_iter().map(view).collect() })
}

/// A position that is to be.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PositionFields {
    /// Unlike others.
    #[schema(example = "Engineer", max_length = 128)]
    name: String,
    /// Lower stands first.
    #[serde(default)]
    rank: i32,
}

/// Adds a position.
#[utoipa::path(post, path = "/v1/organisations/{org}/positions", tag = "departments", security(("bearer" = [])),
params(("org" = u64, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = PositionFields,
responses((status = 201, body = Made), Changing))]
pub(super) async fn add(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(org): Ids<u64>,
    Creation { body: PositionFields { name, rank }, once }: Creation<PositionFields>,
) -> Result<(StatusCode, Json<Made>), Error> {
    let outcome = api.inner.act(Act { caller, client, org, change: Change::AddPosition { name, rank }, once }).await?;
    let Outcome::Position(id) = outcome else { return Err(other(&outcome).into()) };
    Ok((StatusCode::CREATED, Json(Made { id: id.0 })))
}

/// Renames or reorders a position.
#[utoipa::path(put, path = "/v1/organisations/{org}/positions/{position}", tag = "departments",
security(("bearer" = [])), params(("org" = u64, Path), ("position" = u64, Path)), request_body = PositionFields,
responses((status = 204), Changing))]
pub(super) async fn change(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, position)): Ids<(u64, u64)>,
    Body(PositionFields { name, rank }): Body<PositionFields>,
) -> Result<StatusCode, Error> {
    let change = Change::ChangePosition { id: PositionId(position), name, rank };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}

/// Removes a position. Who had it has none.
#[utoipa::path(delete, path = "/v1/organisations/{org}/positions/{position}", tag = "departments",
security(("bearer" = [])), params(("org" = u64, Path), ("position" = u64, Path)), responses((status = 204), Changing))]
pub(super) async fn remove(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, position)): Ids<(u64, u64)>,
) -> Result<StatusCode, Error> {
    let change = Change::RemovePosition { id: PositionId(position) };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}
