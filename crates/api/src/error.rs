//! Refusals as problem documents (RFC 9457).

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use convene_accounts::{Code, Refusal};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Described, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

const PROBLEM_JSON: &str = "application/problem+json";

/// The code of a refusal, in the extensions of its response: whoever counts finds it there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused(pub(crate) &'static str);

/// What every handler answers when it does not do what it was asked: a problem document (RFC 9457).
#[derive(Debug)]
pub struct Error(pub(crate) Refusal);

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self(code.into())
    }
}

/// A problem document (RFC 9457, `application/problem+json`).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` says which it is.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// What the status says.
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// Stable: programs compare it.
    #[schema(example = "bad_code")]
    code: &'static str,
    /// For a person: what went wrong and what to do next.
    detail: String,
}

/// Refusals of routes that only read, for their descriptions.
pub struct Reading;

/// Refusals of routes that change something, for their descriptions.
pub struct Changing;

impl IntoResponses for Reading {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problems(&[400, 401, 403, 404, 503])
    }
}

impl IntoResponses for Changing {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problems(&[400, 401, 403, 404, 409, 410, 412, 422, 429, 503])
    }
}

fn problems(statuses: &[u16]) -> BTreeMap<String, RefOr<Described>> {
    let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let described = |status: &u16| {
        let known = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
        let response = ResponseBuilder::new().description(known.unwrap_or("Refused"));
        (status.to_string(), response.content(PROBLEM_JSON, content()).build().into())
    };
    statuses.iter().map(described).collect()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Refusal { code, text, retry_after_s } = self.0;
        let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = status.canonical_reason().unwrap_or("Error");
        let (status_code, code, detail) = (status.as_u16(), code.name(), text.into_owned());
        let problem = Problem { r#type: "about:blank", title, status: status_code, code, detail };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2: a 401 names how to authenticate.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if retry_after_s > 0 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        response.extensions_mut().insert(Refused(code));
        response
    }
}
