//! `POST /dev/token`: a room token for anyone who asks. The route exists in a server that was started with `--dev` only,
//! so that the browser client works before there are accounts.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::Problem;
use crate::token::{Claims, Grants, MAX_ROOM_NAME_BYTES, Minter};

/// A working day: long enough that nobody's test call ends by it.
const TTL: Duration = Duration::from_secs(12 * 60 * 60);
/// Longest display name.
const MAX_NAME_BYTES: usize = 200;

/// Who wants in.
#[derive(Deserialize)]
struct Request {
    room: String,
    name: String,
}

/// How they get in.
#[derive(Serialize)]
pub(super) struct Seat {
    token: String,
    url: String,
    identity: String,
}

/// Mints a token that joins the room under a fresh identity.
pub(super) async fn token(
    State(minter): State<Arc<Minter>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Seat>, Problem> {
    let body = body.map_err(|refused| Problem::new(refused.status(), "body_refused", refused.body_text()))?;
    let request: Request = serde_json::from_slice(&body).map_err(|error| bad_request(error.to_string()))?;
    let (room, name) = (request.room.trim(), request.name.trim());
    if room.is_empty() || room.len() > MAX_ROOM_NAME_BYTES {
        return Err(bad_request(format!("room has to have 1 to {MAX_ROOM_NAME_BYTES} bytes")));
    }
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(bad_request(format!("name has to have 1 to {MAX_NAME_BYTES} bytes")));
    }
    // Two tabs of one person are two participants: a second join with the same identity would end the first.
    let identity = format!("{name}-{:08x}", rand::random::<u32>());
    let grants =
        Grants { room_join: true, room: room.to_owned(), can_update_own_metadata: Some(true), ..Grants::default() };
    let claims = Claims { identity: identity.clone(), name: name.to_owned(), grants, ..Claims::default() };
    let token = minter.mint(&claims, TTL).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "token_not_minted", "the server could not sign a token")
    })?;
    Ok(Json(Seat { token, url: url(&headers), identity }))
}

/// The signaling address as the caller reached us.
fn url(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = if text("x-forwarded-proto") == Some("https") { "wss" } else { "ws" };
    format!("{scheme}://{}", text(header::HOST.as_str()).unwrap_or("localhost"))
}

fn bad_request(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail)
}
