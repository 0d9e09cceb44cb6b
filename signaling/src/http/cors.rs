//! Cross-origin requests (the Fetch standard, "CORS protocol"): every route may be called from any web page, because
//! tokens, not cookies, say who asks.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Headers that scripts may read: WHIP and WHEP clients need them (RFC 9725 §4.2, §4.3.1), and who reads a file by range.
const EXPOSED: &str = "Location, ETag, Link, Accept-Post, Accept-Patch, WWW-Authenticate, Retry-After, Content-Range";
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// Used where the preflight names none. `*` does not cover `Authorization`, so that stands first.
const HEADERS: &str = "Authorization, *";
/// How long a browser may keep a preflight's answer; Chromium caps it at two hours.
const MAX_AGE_S: &str = "7200";

/// Answers preflights, and lets every other response be read from any origin.
pub(super) async fn cors(request: Request, next: Next) -> Response {
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = next.run(request).await;
    if preflight {
        if !response.status().is_success() {
            response = StatusCode::NO_CONTENT.into_response();
        }
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        let allowed = asked.unwrap_or(HeaderValue::from_static(HEADERS));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_S));
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    response
}
