//! Where a request carries its token.

use axum::extract::Query;
use axum::http::{HeaderMap, Uri, header};
use serde::Deserialize;

use crate::token::{AuthError, Claims, Verifier};

#[derive(Deserialize)]
struct AccessToken {
    access_token: Option<String>,
}

/// The token of a request: `Authorization: Bearer` (RFC 6750 §2.1), or the query's `access_token`, because browsers cannot
/// set headers on a WebSocket. Empty where there is none.
pub(crate) fn bearer(headers: &HeaderMap, uri: &Uri) -> String {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some((scheme, token)) = header.and_then(|value| value.trim().split_once(' '))
        && scheme.eq_ignore_ascii_case("bearer")
    {
        return token.trim().to_owned();
    }
    Query::<AccessToken>::try_from_uri(uri).ok().and_then(|query| query.0.access_token).unwrap_or_default()
}

/// Who asks, by a valid token.
pub(crate) fn authenticate(verifier: &Verifier, headers: &HeaderMap, uri: &Uri) -> Result<Claims, AuthError> {
    verifier.verify(&bearer(headers, uri))
}
