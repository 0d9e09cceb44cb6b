//! `POST /dev/chat-token`: a chat token for anyone who asks. The route exists in a server that was started with `--dev`
//! only.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use convene_accounts::token::{Authority, Claims};
use serde::{Deserialize, Serialize};

use crate::http::Problem;
use crate::token::unix_now;

/// A working week: long enough that nobody's test chat ends by it.
const TTL_S: u64 = 5 * 24 * 60 * 60;

#[derive(Deserialize)]
struct Request {
    user: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    org: String,
}

#[derive(Serialize)]
pub(super) struct Given {
    token: String,
}

/// Mints a token for the user that is named.
pub(super) async fn token(
    State((authority, key)): State<(Arc<Authority>, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Given>, Problem> {
    let body = body.map_err(|refused| Problem::new(refused.status(), "body_refused", refused.body_text()))?;
    let request: Request = serde_json::from_slice(&body).map_err(|error| bad_request(error.to_string()))?;
    let Request { user, name, org } = request;
    let claims =
        Claims { key, user: user.trim().to_owned(), org, display_name: name, valid_for_s: TTL_S, ..Claims::default() };
    let token = authority.mint(&claims, unix_now()).map_err(|error| bad_request(error.to_string()))?;
    std::future::ready(Ok(Json(Given { token }))).await
}

fn bad_request(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail)
}
