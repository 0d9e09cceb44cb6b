//! `GET /history/rooms/{room}`: what remains of stays in a room, of those who are there and of those who have left within the
//! last day. With `identity`, of one participant and with samples over time.
//!
//! ```text
//! GET /history/rooms/standup?identity=ana&limit=10        Authorization: Bearer <token with roomAdmin of the room>
//! { "room": "standup", "retention_hours": 24, "stays": [ { "identity": "ana", "joined_at_ms": …, "tracks": […] } ] }
//! ```
//!
//! Not here: what is measured and how long it is kept (`rooms::history`).

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::{Problem, authenticate};
use crate::rooms::{RETENTION_HOURS, Registry, Stay};
use crate::token::Verifier;

/// Stays of an answer, unless the question says otherwise, and at most: a stay with samples is 40 kB of JSON.
const DEFAULT_STAYS: usize = 100;
const MAX_STAYS: usize = 1_000;
const MAX_STAYS_WITH_SAMPLES: usize = 100;

#[derive(Clone)]
struct Shared {
    verifier: Arc<Verifier>,
    rooms: Arc<Registry>,
}

/// What is asked for.
#[derive(Deserialize, Default)]
struct Asked {
    identity: Option<String>,
    /// Those that ended before this moment, Unix time in milliseconds: the next page.
    before_ms: Option<i64>,
    limit: Option<usize>,
}

/// The route.
pub(crate) fn routes(verifier: &Arc<Verifier>, rooms: &Arc<Registry>) -> Router {
    let shared = Shared { verifier: Arc::clone(verifier), rooms: Arc::clone(rooms) };
    Router::new().route("/history/rooms/{room}", get(stays)).with_state(shared)
}

async fn stays(
    State(shared): State<Shared>,
    Path(room): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    authenticate(&shared.verifier, &headers, &uri)?.require_admin(&room)?;
    let asked = Query::<Asked>::try_from_uri(&uri)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "query_malformed", error.body_text()))?;
    let identity = asked.identity.as_deref();
    let most = if identity.is_some() { MAX_STAYS_WITH_SAMPLES } else { MAX_STAYS };
    let limit = asked.limit.unwrap_or(DEFAULT_STAYS).clamp(1, most);
    let mut stays = shared.rooms.stays(&room, identity, asked.before_ms, limit).await;
    if identity.is_none() {
        stays = stays.into_iter().map(|stay| Stay { samples: Vec::new(), ..stay }).collect();
    }
    Ok(Json(json!({ "room": room, "retention_hours": RETENTION_HOURS, "stays": stays })))
}
