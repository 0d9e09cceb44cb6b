//! `Idempotency-Key`: a request that makes something and is sent again, because its answer was lost, makes nothing more. The
//! store remembers in the same transaction what became of it, for a day.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use convene_accounts::{Code, Refusal};
use convene_store::orgs::Once;
use convene_types::AccountId;
use serde::de::DeserializeOwned;

use crate::authenticator::{Authenticator, Caller};
use crate::body::read;
use crate::error::Error;

/// The header.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest key: a UUID has 36 characters.
const MAX_KEY_BYTES: usize = 128;

/// A body that makes something, and what tells it from another one.
#[derive(Debug)]
pub struct Creation<T> {
    /// What is to be made.
    pub body: T,
    /// Set when the request has a key.
    pub once: Option<Once>,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Creation<T>
where
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let key = match parts.headers.get(IDEMPOTENCY_KEY) {
            Some(value) => Some(checked(value.to_str().unwrap_or_default())?.to_owned()),
            None => None,
        };
        let what = format!("{} {}", parts.method, parts.uri.path());
        let bytes = Bytes::from_request(Request::from_parts(parts, body), state).await;
        let bytes = bytes.map_err(|_| Refusal::saying(Code::Malformed, "The body is too large or was cut off."))?;
        let once = key.map(|key| Once { key: key_hash(caller.account, &key), request: request_hash(&what, &bytes) });
        Ok(Self { body: read(&bytes)?, once })
    }
}

fn checked(key: &str) -> Result<&str, Refusal> {
    let good = (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = || Refusal::saying(Code::Malformed, "An Idempotency-Key has 1 to 128 visible characters.");
    good.then_some(key).ok_or_else(wrong)
}

/// Keys of one person are nobody else's.
fn key_hash(account: AccountId, key: &str) -> [u8; 32] {
    hash(&[b"convene once 1", &account.0.to_be_bytes(), key.as_bytes()])
}

fn request_hash(what: &str, body: &[u8]) -> [u8; 32] {
    hash(&[what.as_bytes(), b"\n", body])
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}
