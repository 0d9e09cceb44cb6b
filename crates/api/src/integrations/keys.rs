//! API keys.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use convene_accounts::apikey::{ApiKey, KeyId, KeyScopes, room_prefix};
use convene_accounts::{Code, Refusal};
use convene_store::orgs::Change;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::number;
use crate::Api;
use crate::authenticator::Caller;
use crate::body::Body;
use crate::client::Client;
use crate::error::{Error, Problem};

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct KnownKey {
    /// What LiveKit's SDKs call the API key.
    #[schema(example = "ck_0af1c7e2b4d94c3e8f0011223344aabb")]
    id: String,
    /// What people call it.
    title: String,
    /// What it is for.
    scopes: Vec<String>,
    /// Seconds since 1970.
    made_s: u64,
    /// Seconds since 1970; absent: it is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_s: Option<u64>,
}

/// Keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct KnownKeys {
    /// The latest first; those that were revoked too.
    keys: Vec<KnownKey>,
}

/// Lists the API keys of an organisation. Secrets are not kept, so they are not shown.
#[utoipa::path(get, path = "/v1/organisations/{org}/keys", tag = "integrations", security(("bearer" = [])),
params(("org" = u64, Path)), responses(
    (status = 200, body = KnownKeys), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(org): Path<String>,
) -> Result<Json<KnownKeys>, Error> {
    let org = number(&org)?;
    api.may_manage_keys(&caller, org).await?;
    let found = api.inner.store.ask(move |reader| reader.api_keys_of(org)).await?;
    let keys = found.into_iter().map(|row| KnownKey {
        id: row.key.id.to_string(),
        title: row.title,
        scopes: row.key.scopes.names().into_iter().map(str::to_owned).collect(),
        made_s: row.made_s,
        revoked_s: row.ended_s,
    });
    Ok(Json(KnownKeys { keys: keys.collect() }))
}

/// A key that is wanted.
#[derive(Deserialize, ToSchema)]
pub(crate) struct WantedKey {
    /// What people will call it.
    #[schema(example = "backend", max_length = 128)]
    title: String,
    /// What for: `rooms` (LiveKit's server API and tokens, for rooms of the organisation), `directory`, `audit`.
    #[schema(example = json!(["rooms"]))]
    scopes: Vec<String>,
}

/// A key and its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeKey {
    /// What LiveKit's SDKs call the API key.
    id: String,
    /// And its secret. It is shown this once.
    secret: String,
    /// What it is for.
    scopes: Vec<String>,
    /// What the names of all rooms that it is good for begin with.
    #[schema(example = "o7:")]
    room_prefix: String,
}

/// Makes an API key. Its secret is in this answer and in no other.
#[utoipa::path(post, path = "/v1/organisations/{org}/keys", tag = "integrations", security(("bearer" = [])),
params(("org" = u64, Path)), request_body = WantedKey, responses(
    (status = 201, body = MadeKey), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn make(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Path(org): Path<String>,
    Body(wanted): Body<WantedKey>,
) -> Result<(StatusCode, Json<MadeKey>), Error> {
    let unknown = || Refusal::saying(Code::BadValue, "Scopes are rooms, directory and audit: give at least one.");
    let scopes = KeyScopes::parse(wanted.scopes.iter().map(String::as_str)).ok_or_else(unknown)?;
    let key = ApiKey { id: KeyId(rand::random()), org: number(&org)?, scopes };
    let change = Change::MakeKey { id: key.id, title: wanted.title, scopes };
    api.change_as(&caller, client, key.org, change).await?;
    api.keyring().insert(key);
    Ok((
        StatusCode::CREATED,
        Json(MadeKey {
            id: key.id.to_string(),
            secret: api.inner.keys.api.of(key.id, key.org),
            scopes: scopes.names().into_iter().map(str::to_owned).collect(),
            room_prefix: room_prefix(key.org),
        }),
    ))
}

/// Revokes an API key. What is signed with it is refused at once.
#[utoipa::path(delete, path = "/v1/organisations/{org}/keys/{id}", tag = "integrations", security(("bearer" = [])),
params(("org" = u64, Path), ("id" = String, Path)), responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn revoke(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Path((org, id)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    let org = number(&org)?;
    api.may_manage_keys(&caller, org).await?;
    let id = KeyId::parse(&id).ok_or(Code::NotFound)?;
    api.change_as(&caller, client, org, Change::EndKey { id }).await?;
    api.keyring().remove(id);
    Ok(StatusCode::NO_CONTENT)
}
