//! What stands in a path and behind the question mark.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use convene_accounts::{Code, Refusal};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Ids in a path. What is no id names nothing that is there.
#[derive(Debug)]
pub struct Ids<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let found = Path::<T>::from_request_parts(parts, state).await;
        found.map(|Path(ids)| Self(ids)).map_err(|_| Code::NotFound.into())
    }
}

/// What is asked behind the question mark.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let found = Query::<T>::from_request_parts(parts, state).await;
        let wrong =
            |_| Refusal::saying(Code::Malformed, "What stands behind the question mark is not what is asked for.");
        found.map(|Query(asked)| Self(asked)).map_err(|error| wrong(error).into())
    }
}
