//! The two WebSocket addresses.

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::socket::Upgrade;
use super::{Shared, entrance, session};
use crate::http::Problem;
use crate::rooms::Mode;

/// `/rtc/v1`: one transport.
pub(super) async fn single(State(shared): State<Shared>, headers: HeaderMap, uri: Uri, upgrade: Upgrade) -> Response {
    open(shared, Mode::Single, &headers, &uri, upgrade).await.unwrap_or_else(Problem::into_text)
}

/// `/rtc`: two transports.
pub(super) async fn dual(State(shared): State<Shared>, headers: HeaderMap, uri: Uri, upgrade: Upgrade) -> Response {
    open(shared, Mode::Dual, &headers, &uri, upgrade).await.unwrap_or_else(Problem::into_text)
}

async fn open(
    shared: Shared,
    mode: Mode,
    headers: &HeaderMap,
    uri: &Uri,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let entry = entrance::admit(&shared, mode, headers, uri).await?;
    upgrade.accept(move |socket| session::serve(shared, socket, entry))
}
