//! How large a request may be.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Problem;

/// Longest path and query. A LiveKit client puts an offer into it: 14-18 kB of SDP, base64 of it where the client cannot
/// compress, and a token. hyper itself stops at 64 KiB.
pub(crate) const MAX_REQUEST_TARGET_BYTES: usize = 48 * 1024;
/// Largest body. An offer of 50 media sections is about 120 kB; Twirp requests are far smaller. Bodies are held in memory.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// Refuses request targets that are too long.
pub(super) async fn request_target(request: Request, next: Next) -> Response {
    let length = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if length > MAX_REQUEST_TARGET_BYTES {
        let detail = format!("path and query are longer than {MAX_REQUEST_TARGET_BYTES} bytes");
        return Problem::new(StatusCode::URI_TOO_LONG, "request_target_too_long", detail).into_response();
    }
    next.run(request).await
}
