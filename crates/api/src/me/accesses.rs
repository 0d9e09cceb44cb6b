//! What of the access log is about whoever asks.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use convene_accounts::{Code, Refusal};
use convene_store::accesses::Access;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Api;
use crate::authenticator::Caller;
use crate::error::{Error, Problem};

/// Entries of a page.
const PAGE: u32 = 100;

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(default)]
pub(crate) struct Page {
    /// `next` of the page before; absent: from the latest.
    before: i64,
}

impl Default for Page {
    fn default() -> Self {
        Self { before: i64::MAX }
    }
}

/// A request.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    /// Seconds since 1970.
    at_s: u64,
    /// Network address.
    address: String,
    /// What the client calls itself.
    client: String,
    /// Method and route.
    #[schema(example = "GET /v1/me")]
    endpoint: String,
    /// HTTP status.
    status: u16,
    /// Code of the refusal; empty: none.
    code: String,
}

/// A page of the access log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entries {
    /// The latest first.
    entries: Vec<Entry>,
    /// For `before` of the next page; absent: this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

impl Entry {
    pub(crate) fn of(access: Access) -> Self {
        let Access { at_s, address, client, endpoint, status, code, .. } = access;
        Self { at_s, address, client, endpoint, status, code }
    }
}

impl Entries {
    pub(crate) fn of(found: Vec<Access>) -> Self {
        let full = u32::try_from(found.len()).is_ok_and(|count| count == PAGE);
        let next = found.last().map(|last| last.id).filter(|_| full);
        Self { entries: found.into_iter().map(Entry::of).collect(), next }
    }
}

/// Requests that were made with one's account, for as long as the server keeps them. An entry appears within a second.
#[utoipa::path(get, path = "/v1/me/access-log", tag = "me", security(("bearer" = [])), params(Page), responses(
    (status = 200, body = Entries), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Entries>, Error> {
    let wrong = |_| Refusal::saying(Code::Malformed, "`before` is `next` of the page before.");
    let (account, Query(page)) = (caller.account, page.map_err(wrong)?);
    let found = api.inner.store.ask(move |reader| reader.accesses_of(account, page.before, PAGE)).await?;
    Ok(Json(Entries::of(found)))
}
