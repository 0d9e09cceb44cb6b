//! Bodies of requests: JSON, and a refusal that says where it is wrong without quoting it.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use convene_accounts::{Code, Refusal};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::error::Error;

/// The body of a request. Sizes are bounded by the limit that holds for all routes.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| Refusal::saying(Code::Malformed, "The body is too large or was cut off."))?;
        Ok(Self(read(&bytes)?))
    }
}

/// Bytes that are no JSON, in descriptions.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "it is described and never made")]
pub(crate) struct Binary(Vec<u8>);

pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // Passwords and codes are in here: the place of the mistake is told, its text is not.
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => "is not of the shape that is asked for",
            serde_json::error::Category::Syntax => "is no JSON",
            serde_json::error::Category::Eof | serde_json::error::Category::Io => "ends too early",
        };
        Refusal::saying(Code::Malformed, format!("The body {what} (line {line}, column {column}).")).into()
    })
}
