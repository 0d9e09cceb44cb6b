//! The server API that LiveKit's server SDKs speak: Twirp (`POST /twirp/livekit.<Service>/<Method>`, protobuf or JSON).
//! `RoomService` acts on rooms; the other services of the protocol answer `unimplemented`, so that a caller learns what
//! this server does not do instead of guessing from a 404.
//!
//! Not here: what the methods do to a room (`rooms`).

mod error;
mod format;
mod room_service;
mod services;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};

use crate::http::{Problem, authenticate};
use crate::rooms::Registry;
use crate::token::Verifier;
use error::Error;
use format::Format;
use room_service::{Call, Method as RoomMethod};

/// What handlers work on.
#[derive(Clone)]
struct Shared {
    verifier: Arc<Verifier>,
    rooms: Arc<Registry>,
}

/// The routes of the API, and `/agent`, where agent workers of LiveKit's framework would register.
pub(crate) fn routes(verifier: &Arc<Verifier>, rooms: &Arc<Registry>) -> Router {
    let shared = Shared { verifier: Arc::clone(verifier), rooms: Arc::clone(rooms) };
    Router::new().route("/twirp/{*path}", any(call)).with_state(shared).route("/agent", get(agent))
}

async fn agent() -> Problem {
    Problem::new(StatusCode::NOT_IMPLEMENTED, "unimplemented", "this server dispatches no agents")
}

async fn call(
    State(shared): State<Shared>,
    Path(path): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    answer(&shared, &path, &method, &uri, &headers, body).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(
    shared: &Shared,
    path: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Error> {
    if method != Method::POST {
        return Err(Error::bad_route(format!("unsupported method {method} (only POST is allowed)")));
    }
    let format = Format::of(headers)?;
    let Some(name) = room_method(path)? else {
        return Err(Error::unimplemented(format!("{path} is not implemented by this server")));
    };
    let claims = authenticate(&shared.verifier, headers, uri)?;
    let body = body.map_err(|refused| Error::malformed(refused.body_text()))?;
    room_service::run(name, Call { rooms: &shared.rooms, claims: &claims, format, body: &body }).await
}

/// The method a path names; `None`: a method of the protocol that this server lacks.
fn room_method(path: &str) -> Result<Option<RoomMethod>, Error> {
    let unknown = || Error::bad_route(format!("no handler for path {path:?}"));
    let (service, method) = path.split_once('/').ok_or_else(unknown)?;
    let service = service.strip_prefix("livekit.").ok_or_else(unknown)?;
    if service == "RoomService"
        && let Some(known) = RoomMethod::from_name(method)
    {
        return Ok(Some(known));
    }
    if services::lacks(service, method) { Ok(None) } else { Err(unknown()) }
}
