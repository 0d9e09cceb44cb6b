//! Codes go out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_accounts::verification::{Purpose, VALID_FOR_S, VerificationCode};
use convene_accounts::{Code, Refusal};
use convene_store::accounts::Op;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Api;
use crate::answer::device_id;
use crate::body::Body;
use crate::client::Client;
use crate::error::{Error, Problem};

/// Where a code should go, and what for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Wanted {
    /// With country code, unless the server has a country of its own.
    #[schema(example = "+8613800138000", max_length = 96)]
    phone: String,
    /// What the code will be good for: `register`, `sign_in`, `reset`, `rebind` (to this number), `cancel` (the account).
    #[schema(example = "register", pattern = "^(register|sign_in|reset|rebind|cancel)$")]
    purpose: String,
    /// Of the device that asks.
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    device_id: String,
}

/// The code is on its way.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sent {
    /// Seconds in which it is good.
    #[schema(example = 300)]
    valid_for_s: u64,
}

/// Sends a code to a phone. The answer is the same whether the number has an account or not.
#[utoipa::path(post, path = "/v1/auth/codes", tag = "auth", request_body = Wanted, responses(
    (status = 202, body = Sent), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json", description = "`Retry-After` says when"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn send(
    State(api): State<Api>,
    client: Client,
    Body(wanted): Body<Wanted>,
) -> Result<(StatusCode, Json<Sent>), Error> {
    let inner = &api.inner;
    let unknown = || Refusal::saying(Code::Malformed, "The purpose is register, sign_in, reset, rebind or cancel.");
    let purpose = Purpose::parse(&wanted.purpose).ok_or_else(unknown)?;
    let device = device_id(&wanted.device_id)?;
    let phone = inner.phone(&wanted.phone)?;
    let lookup = inner.keys.vault.lookup(&phone);
    let code = VerificationCode::from_random(rand::random());
    let tag = inner.keys.codes.tag(lookup, purpose, code.digits());
    let subjects = client.subjects(lookup, device);
    inner.store.account(Op::SendCode { lookup, purpose, tag, subjects }).await?;
    inner.sender.send(&phone, &code, purpose).await?;
    Ok((StatusCode::ACCEPTED, Json(Sent { valid_for_s: VALID_FOR_S })))
}
