//! Who may in, and how: looked at before a WebSocket is opened, and for a client that asks afterwards why it was refused.

use axum::extract::{Query, State};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::join::{self, Wish};
use super::session::Entry;
use crate::http::{Problem, authenticate};
use crate::rooms::Mode;
use crate::token::AuthError;

/// `/rtc/v1/validate`, see [`validate`].
pub(super) async fn validate_single(State(shared): State<Shared>, headers: HeaderMap, uri: Uri) -> Response {
    validate(&shared, Mode::Single, &headers, &uri).await
}

/// `/rtc/validate`, see [`validate`].
pub(super) async fn validate_dual(State(shared): State<Shared>, headers: HeaderMap, uri: Uri) -> Response {
    validate(&shared, Mode::Dual, &headers, &uri).await
}

/// What LiveKit's browser client asks after a refused WebSocket, because browsers do not show a script why an upgrade failed:
/// 200 `success` where it would be let in, else the refusal as text. By that it knows whether to try again.
async fn validate(shared: &Shared, mode: Mode, headers: &HeaderMap, uri: &Uri) -> Response {
    let entry = admit(shared, mode, headers, uri).await;
    entry.map_or_else(Problem::into_text, |_| "success".into_response())
}

/// The token is looked at first: nothing else of a stranger's request is parsed.
pub(super) async fn admit(shared: &Shared, mode: Mode, headers: &HeaderMap, uri: &Uri) -> Result<Entry, Problem> {
    let mut claims = authenticate(&shared.verifier, headers, uri)?;
    let query: join::Query = Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "query_malformed", error.to_string()))?;
    let room = claims.require_join(&query.room)?.to_owned();
    // Where the store does not answer, who is in the room may take their seat again: it was not taken away.
    let seat = match shared.verifier.look(&mut claims).await {
        Err(error) if error.code == AuthError::UNAVAILABLE => Err(error),
        known => Ok(known?),
    };
    let wish = wish(query, mode).inspect_err(|error| {
        tracing::info!(room, participant = %claims.identity, code = error.code, "join request refused");
    })?;
    if wish.resume.is_none() {
        seat?;
        // Clients look for the words of this refusal, to tell a missing room from a missing address.
        let open = shared.rooms.check_open(&room, claims.may_create());
        open.map_err(|error| Problem::new(StatusCode::NOT_FOUND, error.code(), error.to_string()))?;
    }
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let knows_track_ids = wish.knows_track_ids(agent);
    Ok(Entry { room, claims, mode, wish, knows_track_ids })
}

fn wish(query: join::Query, mode: Mode) -> Result<Wish, Problem> {
    match mode {
        Mode::Single => query.single().map_err(|error| {
            let too_large = error == join::WishError::TooLarge;
            let status = if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
            Problem::new(status, error.code(), error.to_string())
        }),
        Mode::Dual | Mode::Whip | Mode::Whep => Ok(query.dual()),
    }
}
