//! Endpoints of webhooks.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_accounts::apikey::KeyId;
use convene_accounts::role;
use convene_accounts::webhook::Kinds;
use convene_accounts::{Code, Refusal};
use convene_outbound::Courier;
use convene_store::Reader;
use convene_store::orgs::{Change, Outcome};
use convene_store::webhooks::Endpoint;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Api;
use crate::answer::now_s;
use crate::authenticator::Caller;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::once::Creation;
use crate::org::{Act, other};
use crate::path::Ids;

/// An endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct KnownWebhook {
    /// Which.
    id: i64,
    /// Where to.
    url: String,
    /// The API key that signs.
    key: String,
    /// What it is told of: `rooms`, `members`, `calls`, `messages`.
    events: Vec<String>,
    /// Seconds since 1970.
    made_s: u64,
    /// Events that wait: the endpoint does not take them.
    waiting: u32,
}

impl From<Endpoint> for KnownWebhook {
    fn from(endpoint: Endpoint) -> Self {
        let Endpoint { id, url, key, kinds, made_s, waiting, .. } = endpoint;
        Self { id, url, key, events: kinds.names().into_iter().map(str::to_owned).collect(), made_s, waiting }
    }
}

/// Endpoints.
#[derive(Serialize, ToSchema)]
pub(crate) struct KnownWebhooks {
    /// The oldest first.
    webhooks: Vec<KnownWebhook>,
}

/// Lists the webhook endpoints of an organisation.
#[utoipa::path(get, path = "/v1/organisations/{org}/webhooks", tag = "integrations", security(("bearer" = [])),
params(("org" = u64, Path)), responses((status = 200, body = KnownWebhooks), Reading))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Ids(org): Ids<u64>,
) -> Result<Json<KnownWebhooks>, Error> {
    let found = api.endpoints(org, &caller).await?;
    Ok(Json(KnownWebhooks { webhooks: found.into_iter().map(KnownWebhook::from).collect() }))
}

/// An endpoint that is wanted.
#[derive(Deserialize, ToSchema)]
pub(crate) struct WantedWebhook {
    /// Where to: https, and on the internet.
    #[schema(example = "https://example.com/hook", max_length = 1024)]
    url: String,
    /// The API key of the organisation that signs. LiveKit's webhook receivers check it.
    key: String,
    /// What it is told of: `rooms` (in LiveKit's format), `members`, `calls` (begun, answered, over), `messages` (what is
    /// written in all conversations of the organisation, as long as it is not recalled).
    #[schema(example = json!(["rooms", "calls"]))]
    events: Vec<String>,
}

/// Makes a webhook endpoint. It is told of what happens from now on, in order, until it answers 2xx or a day is over.
#[utoipa::path(post, path = "/v1/organisations/{org}/webhooks", tag = "integrations", security(("bearer" = [])),
params(("org" = u64, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = WantedWebhook,
responses((status = 201, body = KnownWebhook), Changing))]
pub(super) async fn make(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(org): Ids<u64>,
    Creation { body: WantedWebhook { url, key, events }, once }: Creation<WantedWebhook>,
) -> Result<(StatusCode, Json<KnownWebhook>), Error> {
    let unknown =
        || Refusal::saying(Code::BadValue, "Events are rooms, members, calls and messages: give at least one.");
    let kinds = Kinds::parse(events.iter().map(String::as_str)).filter(|kinds| *kinds != Kinds::default());
    let kinds = kinds.ok_or_else(unknown)?;
    let key = KeyId::parse(&key).ok_or(Code::NotFound)?;
    if !api.courier()?.takes(&url) {
        let text = "Give an https address on the internet, without user and password.";
        return Err(Refusal::saying(Code::BadValue, text).into());
    }
    let change = Change::MakeWebhook { url, key, kinds };
    let outcome = api.inner.act(Act { caller: caller.clone(), client, org, change, once }).await?;
    let Outcome::Webhook(id) = outcome else { return Err(other(&outcome).into()) };
    Ok((StatusCode::CREATED, Json(api.endpoint(org, &caller, id).await?.into())))
}

/// Ends a webhook endpoint, with what waits for it.
#[utoipa::path(delete, path = "/v1/organisations/{org}/webhooks/{id}", tag = "integrations", security(("bearer" = [])),
params(("org" = u64, Path), ("id" = i64, Path)), responses((status = 204), Changing))]
pub(super) async fn end(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, id)): Ids<(u64, i64)>,
) -> Result<StatusCode, Error> {
    api.inner.done(Act { caller, client, org, change: Change::EndWebhook { id }, once: None }).await
}

/// How a test went.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tested {
    /// The endpoint took it.
    delivered: bool,
    /// Why not, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Sends the event `test` to an endpoint, once and at once, and says how that went.
#[utoipa::path(post, path = "/v1/organisations/{org}/webhooks/{id}/test", tag = "integrations",
security(("bearer" = [])), params(("org" = u64, Path), ("id" = i64, Path)),
responses((status = 200, body = Tested), Reading))]
pub(super) async fn test(
    State(api): State<Api>,
    caller: Caller,
    Ids((org, id)): Ids<(u64, i64)>,
) -> Result<Json<Tested>, Error> {
    let endpoint = api.endpoint(org, &caller, id).await?;
    let (event, created) = (format!("EV_{:032x}", rand::random::<u128>()), now_s().to_string());
    let body = serde_json::json!({ "event": "test", "id": event, "createdAt": created }).to_string();
    let error = api.courier()?.post(&endpoint, body.into_bytes()).await.err();
    Ok(Json(Tested { delivered: error.is_none(), error: error.map(|error| error.to_string()) }))
}

impl Api {
    async fn endpoints(&self, org: u64, caller: &Caller) -> Result<Vec<Endpoint>, Refusal> {
        let ask = |reader: &mut Reader, org| reader.webhooks_of(org);
        self.inner.within_as(org, caller, role::Act::ManageKeys, ask).await
    }

    async fn endpoint(&self, org: u64, caller: &Caller, id: i64) -> Result<Endpoint, Refusal> {
        let all = self.endpoints(org, caller).await?;
        all.into_iter().find(|endpoint| endpoint.id == id).ok_or_else(|| Code::NotFound.into())
    }

    fn courier(&self) -> Result<&Courier, Refusal> {
        let none = || Refusal::saying(Code::Unavailable, "This server sends no webhooks.");
        self.inner.courier.get().ok_or_else(none)
    }
}
