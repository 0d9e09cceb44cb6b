//! Endpoints of webhooks.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use convene_accounts::apikey::KeyId;
use convene_accounts::webhook::Kinds;
use convene_accounts::{Code, Refusal};
use convene_outbound::Courier;
use convene_store::orgs::{Change, Outcome};
use convene_store::webhooks::Endpoint;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::number;
use crate::Api;
use crate::answer::now_s;
use crate::authenticator::Caller;
use crate::body::Body;
use crate::client::Client;
use crate::error::{Error, Problem};

/// An endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct KnownWebhook {
    /// Which.
    id: i64,
    /// Where to.
    url: String,
    /// The API key that signs.
    key: String,
    /// What it is told of: `rooms`, `members`.
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
params(("org" = u64, Path)), responses(
    (status = 200, body = KnownWebhooks), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(org): Path<String>,
) -> Result<Json<KnownWebhooks>, Error> {
    let org = number(&org)?;
    api.may_manage_keys(&caller, org).await?;
    let found = api.inner.store.ask(move |reader| reader.webhooks_of(org)).await?;
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
    /// What it is told of: `rooms` (in LiveKit's format), `members`.
    #[schema(example = json!(["rooms"]))]
    events: Vec<String>,
}

/// Makes a webhook endpoint. It is told of what happens from now on, in order, until it answers 2xx or a day is over.
#[utoipa::path(post, path = "/v1/organisations/{org}/webhooks", tag = "integrations", security(("bearer" = [])),
params(("org" = u64, Path)), request_body = WantedWebhook, responses(
    (status = 201, body = KnownWebhook), (status = 400, body = Problem, content_type = "application/problem+json"),
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
    Body(wanted): Body<WantedWebhook>,
) -> Result<(StatusCode, Json<KnownWebhook>), Error> {
    let org = number(&org)?;
    api.may_manage_keys(&caller, org).await?;
    let courier = api.courier()?;
    let unknown = || Refusal::saying(Code::BadValue, "Events are rooms and members: give at least one.");
    let kinds = Kinds::parse(wanted.events.iter().map(String::as_str)).ok_or_else(unknown)?;
    let key = KeyId::parse(&wanted.key).ok_or(Code::NotFound)?;
    if !courier.takes(&wanted.url) {
        let text = "Give an https address on the internet, without user and password.";
        return Err(Refusal::saying(Code::BadValue, text).into());
    }
    let url = wanted.url;
    let change = Change::MakeWebhook { url: url.clone(), key, kinds };
    let Outcome::Webhook(id) = api.change_as(&caller, client, org, change).await? else {
        return Err(Code::Internal.into());
    };
    let endpoint = Endpoint { id, org, url, key: key.to_string(), kinds, made_s: now_s(), waiting: 0 };
    Ok((StatusCode::CREATED, Json(endpoint.into())))
}

/// Ends a webhook endpoint, with what waits for it.
#[utoipa::path(delete, path = "/v1/organisations/{org}/webhooks/{id}", tag = "integrations", security(("bearer" = [])),
params(("org" = u64, Path), ("id" = i64, Path)), responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn end(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Path((org, id)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    let org = number(&org)?;
    api.may_manage_keys(&caller, org).await?;
    api.change_as(&caller, client, org, Change::EndWebhook { id: webhook_id(&id)? }).await?;
    Ok(StatusCode::NO_CONTENT)
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
security(("bearer" = [])), params(("org" = u64, Path), ("id" = i64, Path)), responses(
    (status = 200, body = Tested), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn test(
    State(api): State<Api>,
    caller: Caller,
    Path((org, id)): Path<(String, String)>,
) -> Result<Json<Tested>, Error> {
    let org = number(&org)?;
    api.may_manage_keys(&caller, org).await?;
    let id = webhook_id(&id)?;
    let found = api.inner.store.ask(move |reader| reader.webhooks_of(org)).await?;
    let endpoint = found.into_iter().find(|endpoint| endpoint.id == id).ok_or(Code::NotFound)?;
    let (event, created) = (format!("EV_{:032x}", rand::random::<u128>()), now_s().to_string());
    let body = serde_json::json!({ "event": "test", "id": event, "createdAt": created }).to_string();
    let error = api.courier()?.post(&endpoint, body.into_bytes()).await.err();
    Ok(Json(Tested { delivered: error.is_none(), error: error.map(|error| error.to_string()) }))
}

fn webhook_id(text: &str) -> Result<i64, Refusal> {
    text.parse().map_err(|_| Code::NotFound.into())
}

impl Api {
    fn courier(&self) -> Result<&Courier, Refusal> {
        let none = || Refusal::saying(Code::Unavailable, "This server sends no webhooks.");
        self.inner.courier.get().ok_or_else(none)
    }
}
