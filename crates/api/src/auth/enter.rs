//! Into an account: new, by code, by password, by a code that sets another password.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_accounts::password::Password;
use convene_accounts::phone::Phone;
use convene_accounts::session::{End, Session};
use convene_accounts::verification::{self, Purpose, Verdict};
use convene_accounts::{Code, Refusal};
use convene_store::accounts::{Op, Outcome, Then};
use serde::Deserialize;
use utoipa::ToSchema;

use super::password;
use crate::answer::{DeviceFields, SignedIn, digits, now_s};
use crate::body::Body;
use crate::client::Client;
use crate::error::{Error, Problem};
use crate::{Api, Inner};

/// A person who is new here.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Registration {
    /// The number the code went to.
    #[schema(example = "+8613800138000", max_length = 96)]
    phone: String,
    /// What came to the phone.
    #[schema(example = "123456", max_length = 32)]
    code: String,
    /// As others will see them.
    #[schema(example = "Zhang Wei", max_length = 128)]
    display_name: String,
    /// To sign in without a code later on.
    password: Option<String>,
    /// Version of the policy of use that they agree to: `consent_needed` names it.
    #[schema(example = "1")]
    consent: String,
    device: DeviceFields,
}

/// Makes an account with a number that was just proved, and signs in.
#[utoipa::path(post, path = "/v1/auth/register", tag = "auth", request_body = Registration, responses(
    (status = 201, body = SignedIn), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "The number has an account"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn register(
    State(api): State<Api>,
    client: Client,
    Body(new): Body<Registration>,
) -> Result<(StatusCode, Json<SignedIn>), Error> {
    let inner = &api.inner;
    let phone = inner.phone(&new.phone)?;
    inner.check_consent(&new.consent)?;
    let own = [new.display_name.as_str(), digits(phone.e164())];
    let chosen = new.password.as_deref().map(|text| Password::chosen(text, &own)).transpose()?;
    let code = inner.likely(&phone, Purpose::Register, new.code).await?;
    let password = match chosen.filter(|_| !code.is_empty()) {
        Some(password) => Some(inner.hashing.hash(password).await?),
        None => None,
    };
    let sealed = inner.keys.vault.seal(&phone, rand::random()).map_err(|_| Code::Internal)?;
    let entry = new.device.entry(client)?;
    let (display_name, consent) = (new.display_name, new.consent);
    let then = Then::Register { sealed, display_name, password, consent, entry };
    let session = inner.enter(client, &new.phone, &code, then).await?;
    Ok((StatusCode::CREATED, Json(inner.signed_in(&session).await?)))
}

/// A person who comes back: with a code, or with a password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Entrance {
    /// The number of the account.
    #[schema(example = "+8613800138000", max_length = 96)]
    phone: String,
    /// What came to the phone for `sign_in`.
    #[schema(example = "123456", max_length = 32)]
    code: Option<String>,
    /// Instead of the code.
    password: Option<String>,
    device: DeviceFields,
}

/// Signs in, by code or by password: one of the two.
#[utoipa::path(post, path = "/v1/auth/sign-in", tag = "auth", request_body = Entrance, responses(
    (status = 200, body = SignedIn), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "The code was right, and there is no account"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn sign_in(
    State(api): State<Api>,
    client: Client,
    Body(entrance): Body<Entrance>,
) -> Result<Json<SignedIn>, Error> {
    let Entrance { phone, code, password, device } = entrance;
    let (inner, entry) = (&api.inner, device.entry(client)?);
    let session = match (code, password) {
        (Some(code), None) => inner.enter(client, &phone, &code, Then::SignIn { entry }).await?,
        (None, Some(text)) => password::enter(inner, client, &phone, &text, entry).await?,
        _ => return Err(Refusal::saying(Code::Malformed, "Give a code or a password: one of them.").into()),
    };
    Ok(Json(inner.signed_in(&session).await?))
}

/// A person who has forgotten the password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewPassword {
    /// The number of the account.
    #[schema(example = "+8613800138000", max_length = 96)]
    phone: String,
    /// What came to the phone for `reset`.
    #[schema(example = "123456", max_length = 32)]
    code: String,
    /// From now on.
    password: String,
    device: DeviceFields,
}

/// Sets another password by a code, ends all sessions of the account, and signs in.
#[utoipa::path(post, path = "/v1/auth/reset", tag = "auth", request_body = NewPassword, responses(
    (status = 200, body = SignedIn), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "The code was right, and there is no account"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn reset(
    State(api): State<Api>,
    client: Client,
    Body(new): Body<NewPassword>,
) -> Result<Json<SignedIn>, Error> {
    let inner = &api.inner;
    let phone = inner.phone(&new.phone)?;
    let chosen = Password::chosen(&new.password, &[digits(phone.e164())])?;
    let code = inner.likely(&phone, Purpose::Reset, new.code).await?;
    let password = if code.is_empty() { String::new() } else { inner.hashing.hash(chosen).await? };
    let then = Then::Reset { password, entry: new.device.entry(client)? };
    let session = inner.enter(client, &new.phone, &code, then).await?;
    Ok(Json(inner.signed_in(&session).await?))
}

impl Inner {
    /// The code, if it is likely to be the one that was sent; empty otherwise, which the store counts as a wrong one. A
    /// password is hashed for likely codes only: strangers must not have the server hash for them.
    async fn likely(&self, phone: &Phone, purpose: Purpose, code: String) -> Result<String, Refusal> {
        let lookup = self.keys.vault.lookup(phone);
        let tag = self.keys.codes.tag(lookup, purpose, &code);
        let sent = self.store.ask(move |reader| reader.challenge(lookup, purpose)).await?;
        let right = verification::check(sent.as_ref(), tag, now_s()) == Verdict::Right;
        Ok(if right { code } else { String::new() })
    }

    /// Enters a code that leads into an account.
    async fn enter(&self, client: Client, phone: &str, code: &str, then: Then) -> Result<Session, Refusal> {
        let device = match &then {
            Then::Register { entry, .. } | Then::SignIn { entry } | Then::Reset { entry, .. } => entry.device.id,
            Then::Rebind { .. } | Then::Cancel { .. } => return Err(Code::Internal.into()),
        };
        let phone = self.phone(phone)?;
        let lookup = self.keys.vault.lookup(&phone);
        let tag = self.keys.codes.tag(lookup, then.purpose(), code);
        let subjects = client.subjects(lookup, device);
        let op = Op::EnterCode { lookup, tag, subjects, then };
        self.entered(self.store.account(op).await?)
    }

    /// What the store says of a sign-in.
    pub(super) fn entered(&self, outcome: Outcome) -> Result<Session, Refusal> {
        let Outcome::SignedIn { session, ended } = outcome else {
            tracing::error!(?outcome, "the store answered another question");
            return Err(Code::Internal.into());
        };
        self.authenticator.end(&ended, End::Crowded);
        Ok(session)
    }
}
