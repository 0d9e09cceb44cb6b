//! Refusals as problem documents (RFC 9457) with a stable `code`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Refused;
use crate::token::AuthError;

/// A refusal. `code` is stable and for programs, `detail` is for a person; internals reach neither.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The response with an `Allow` header (RFC 9110 §15.5.6), for handlers that look at the method themselves.
    pub(crate) fn with_allow(self, methods: &'static str) -> Response {
        ([(header::ALLOW, methods)], self).into_response()
    }

    /// `code: detail` as plain text: what LiveKit's clients show to a person when a connection is refused.
    pub(crate) fn into_text(self) -> Response {
        let body = format!("{}: {}", self.code, self.detail);
        marked(self.code, challenge(self.status, (self.status, body).into_response()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = json!({
            "type": "about:blank", "title": title, "status": self.status.as_u16(), "code": self.code, "detail": self.detail,
        });
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        marked(self.code, challenge(self.status, (self.status, content_type, body.to_string()).into_response()))
    }
}

/// Lets the counter see why.
fn marked(code: &'static str, mut response: Response) -> Response {
    response.extensions_mut().insert(Refused(code));
    response
}

/// RFC 9110 §15.5.2: a 401 names how to authenticate.
fn challenge(status: StatusCode, mut response: Response) -> Response {
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        Self::new(status, error.code, error.reason)
    }
}

/// The route exists, the method does not. axum adds `Allow`.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take this method")
}
