//! The two WebSocket addresses: who may in, before anything is upgraded.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;

use super::Shared;
use super::join::{self, Wish};
use super::session;
use super::socket::Upgrade;
use crate::http::{Problem, authenticate};
use crate::rooms::Mode;

/// `/rtc/v1`: one transport.
pub(super) async fn single(State(shared): State<Shared>, headers: HeaderMap, uri: Uri, upgrade: Upgrade) -> Response {
    admit(shared, Mode::Single, &headers, &uri, upgrade).await.unwrap_or_else(Problem::into_text)
}

/// `/rtc`: two transports.
pub(super) async fn dual(State(shared): State<Shared>, headers: HeaderMap, uri: Uri, upgrade: Upgrade) -> Response {
    admit(shared, Mode::Dual, &headers, &uri, upgrade).await.unwrap_or_else(Problem::into_text)
}

/// The token is looked at first: nothing else of a stranger's request is parsed.
async fn admit(
    shared: Shared,
    mode: Mode,
    headers: &HeaderMap,
    uri: &Uri,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let mut claims = authenticate(&shared.verifier, headers, uri)?;
    let query: join::Query = Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "query_malformed", error.to_string()))?;
    let room = claims.require_join(&query.room)?.to_owned();
    shared.verifier.admit(&room, &mut claims).await?;
    let wish: Wish = match mode {
        Mode::Single => query.single().map_err(|error| {
            tracing::info!(room, participant = %claims.identity, code = error.code(), "join request refused");
            let too_large = error == join::WishError::TooLarge;
            let status = if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
            Problem::new(status, error.code(), error.to_string())
        })?,
        Mode::Dual | Mode::Whip | Mode::Whep => query.dual(),
    };
    if wish.resume.is_none() {
        // Clients look for the words of this refusal, to tell a missing room from a missing address.
        let open = shared.rooms.check_open(&room, claims.may_create());
        open.map_err(|error| Problem::new(StatusCode::NOT_FOUND, error.code(), error.to_string()))?;
    }
    upgrade.accept(move |socket| session::serve(shared, socket, session::Entry { room, claims, mode, wish }))
}
