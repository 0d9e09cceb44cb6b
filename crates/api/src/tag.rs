//! Answers that are asked for again and again carry an `ETag`; whoever has the same one already gets 304 and no body
//! (RFC 9110 §13.1.2).

use std::convert::Infallible;

use aws_lc_rs::digest;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use convene_accounts::Code;
use serde::Serialize;

use crate::error::Error;

/// What the other side has.
#[derive(Clone, Debug, Default)]
pub struct Known(String);

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = parts.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        Ok(Self(value.unwrap_or_default().to_owned()))
    }
}

impl Known {
    /// Answers with JSON and a tag of its bytes.
    pub fn answer<T: Serialize>(&self, value: &T) -> Result<Response, Error> {
        let json = serde_json::to_vec(value).map_err(|_| Code::Internal)?;
        let hash = digest::digest(&digest::SHA256, &json);
        let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(self.tagged(&hex, json))
    }

    /// The same with a tag that the caller knows.
    pub fn tagged(&self, tag: &str, json: Vec<u8>) -> Response {
        let tag = format!("\"{tag}\"");
        // RFC 9110 §13.1.2: tags are compared weakly here.
        let same = self.0.split(',').any(|known| known.trim().trim_start_matches("W/") == tag);
        let mut response = if same {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if let Ok(value) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, value);
        }
        response
    }
}
