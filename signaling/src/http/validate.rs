//! `/rtc/validate`, `/rtc/v1/validate`: what LiveKit's browser client asks after a refused WebSocket, because browsers do
//! not show a script why an upgrade failed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, authenticate};
use crate::token::Verifier;

#[derive(Deserialize)]
struct Room {
    room: Option<String>,
}

/// 200 `success` where a join with this token would be let in, else the refusal as text.
pub(super) async fn validate(State(verifier): State<Arc<Verifier>>, headers: HeaderMap, uri: Uri) -> Response {
    let requested = Query::<Room>::try_from_uri(&uri).ok().and_then(|query| query.0.room).unwrap_or_default();
    let checked =
        authenticate(&verifier, &headers, &uri).and_then(|claims| claims.require_join(&requested).map(|_| "success"));
    checked.map_or_else(|error| Problem::from(error).into_text(), IntoResponse::into_response)
}

/// `/settings/regions` is a service of LiveKit's cloud: one server has no other regions.
pub(super) async fn regions() -> Json<Value> {
    Json(json!({ "regions": [] }))
}
