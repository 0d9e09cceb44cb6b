//! API keys.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_accounts::apikey::{KeyId, KeyScopes, room_prefix};
use convene_accounts::role;
use convene_accounts::{Code, Refusal};
use convene_store::Reader;
use convene_store::orgs::{Change, Outcome};
use convene_types::OrgId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Api;
use crate::authenticator::Caller;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::once::Creation;
use crate::org::{Act, other};
use crate::path::Ids;

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
params(("org" = u64, Path)), responses((status = 200, body = KnownKeys), Reading))]
pub(super) async fn list(State(api): State<Api>, caller: Caller, Ids(org): Ids<u64>) -> Result<Json<KnownKeys>, Error> {
    let ask = |reader: &mut Reader, org| reader.api_keys_of(org);
    let found = api.inner.within_as(org, &caller, role::Act::ManageKeys, ask).await?;
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
    /// What for: `rooms` (LiveKit's server API and tokens, for rooms of the organisation; reading its calls), `directory`
    /// (reading members, departments and positions), `audit` (reading the audit log).
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
params(("org" = u64, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = WantedKey,
responses((status = 201, body = MadeKey), Changing))]
pub(super) async fn make(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(org): Ids<u64>,
    Creation { body: WantedKey { title, scopes }, once }: Creation<WantedKey>,
) -> Result<(StatusCode, Json<MadeKey>), Error> {
    let unknown = || Refusal::saying(Code::BadValue, "Scopes are rooms, directory and audit: give at least one.");
    let scopes = KeyScopes::parse(scopes.iter().map(String::as_str)).ok_or_else(unknown)?;
    let change = Change::MakeKey { id: KeyId(rand::random()), title, scopes };
    let outcome = api.inner.act(Act { caller, client, org, change, once }).await?;
    // Asked again, the secret is the same: it is made of the id.
    let Outcome::Key(id) = outcome else { return Err(other(&outcome).into()) };
    let made = MadeKey {
        id: id.to_string(),
        secret: api.inner.keys.api.of(id, OrgId(org)),
        scopes: scopes.names().into_iter().map(str::to_owned).collect(),
        room_prefix: room_prefix(OrgId(org)),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes an API key. What is signed with it is refused at once, and whoever came into a room with it is out.
#[utoipa::path(delete, path = "/v1/organisations/{org}/keys/{id}", tag = "integrations", security(("bearer" = [])),
params(("org" = u64, Path), ("id" = String, Path)), responses((status = 204), Changing))]
pub(super) async fn revoke(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, id)): Ids<(u64, String)>,
) -> Result<StatusCode, Error> {
    let change = Change::EndKey { id: KeyId::parse(&id).ok_or(Code::NotFound)? };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}
