//! The account itself: what it is, its password, its number, its end.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convene_accounts::limits::Act;
use convene_accounts::password::{Password, Verdict};
use convene_accounts::receipt::Erased;
use convene_accounts::session::{End, Session};
use convene_accounts::verification::Purpose;
use convene_accounts::{Code, Refusal};
use convene_store::accounts::{Account, Op, Outcome, Proof, Then};
use convene_store::orgs::Seat;
use convene_types::AccountId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Me, digits, now_s};
use crate::authenticator::Caller;
use crate::body::Body;
use crate::client::Client;
use crate::error::{Changing, Error, Problem};
use crate::{Api, Change, Inner};

/// Who one is.
#[utoipa::path(get, path = "/v1/me", tag = "me", security(("bearer" = [])), responses(
    (status = 200, body = Me), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(State(api): State<Api>, caller: Caller) -> Result<Json<Me>, Error> {
    let account = api.inner.account(caller.account).await?;
    Ok(Json(api.inner.me(account)?))
}

/// What is to be another about oneself. What is not given stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeEdit {
    /// As others see it. Organisations that know one by the name so far learn of it, as their policies let.
    #[schema(max_length = 128)]
    display_name: Option<String>,
}

/// Edits the account.
#[utoipa::path(patch, path = "/v1/me", tag = "me", security(("bearer" = [])), request_body = MeEdit,
responses((status = 200, body = Me), Changing))]
pub(super) async fn edit(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Body(MeEdit { display_name }): Body<MeEdit>,
) -> Result<Json<Me>, Error> {
    let (inner, account) = (&api.inner, caller.account);
    if let Some(display_name) = display_name {
        let op = Op::Rename { account, display_name, address: client.0.to_string() };
        let Outcome::Shown(seats) = inner.store.account(op).await? else { return Err(Code::Internal.into()) };
        inner.tell_shown(account, seats);
    }
    Ok(Json(inner.me(inner.account(account).await?)?))
}

/// From one password to another.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PasswordChange {
    /// The one so far; without one, nothing.
    current: Option<String>,
    /// From now on: 8 to 128 characters.
    new: String,
}

/// Sets the password. All other sessions end.
#[utoipa::path(put, path = "/v1/me/password", tag = "me", security(("bearer" = [])), request_body = PasswordChange,
responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set_password(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Body(change): Body<PasswordChange>,
) -> Result<StatusCode, Error> {
    let inner = &api.inner;
    let account = inner.account(caller.account).await?;
    let me = inner.me(account.clone())?;
    let personal = [digits(me.phone()), account.display_name.as_str()];
    let chosen = Password::chosen(&change.new, &personal)?;
    if account.password.is_some() {
        inner.check_password(client, &caller, account, change.current.as_deref()).await?;
    }
    let hash = inner.hashing.hash(chosen).await?;
    let op = Op::SetPassword { account: caller.account, hash, keep: Some(caller.session) };
    if let Outcome::Ended(sessions) = inner.store.account(op).await? {
        inner.authenticator.end(&sessions, End::PasswordChanged);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A version of the policy of use.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Consent {
    /// The one in force.
    #[schema(example = "1", max_length = 64)]
    version: String,
}

/// Agrees to the policy of use as it is.
#[utoipa::path(put, path = "/v1/me/consent", tag = "me", security(("bearer" = [])), request_body = Consent, responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "Another version is in force"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn consent(
    State(api): State<Api>,
    caller: Caller,
    Body(Consent { version }): Body<Consent>,
) -> Result<StatusCode, Error> {
    api.inner.check_consent(&version)?;
    api.inner.store.account(Op::Consent { account: caller.account, version }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Another number, and the code that came to it for `rebind`. Beside that the password, or the code for `rebind` that came
/// to the number so far: one of these.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewNumber {
    /// The new one.
    #[schema(example = "+8613900139000", max_length = 96)]
    phone: String,
    /// What came to it.
    #[schema(example = "123456", max_length = 32)]
    code: String,
    /// The account's password.
    #[schema(max_length = 512)]
    password: Option<String>,
    /// What came to the number so far.
    #[schema(example = "654321", max_length = 32)]
    current_code: Option<String>,
}

/// Moves the account to another number.
#[utoipa::path(put, path = "/v1/me/number", tag = "me", security(("bearer" = [])), request_body = NewNumber, responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "A proof is missing"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "The number has another account"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change_number(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Body(new): Body<NewNumber>,
) -> Result<StatusCode, Error> {
    let inner = &api.inner;
    let phone = inner.phone(&new.phone)?;
    let proof = inner.proof(client, &caller, &new).await?;
    let lookup = inner.keys.vault.lookup(&phone);
    let sealed = inner.keys.vault.seal(&phone, rand::random()).map_err(|_| Code::Internal)?;
    let then = Then::Rebind { account: caller.account, sealed, proof };
    let tag = inner.keys.codes.tag(lookup, then.purpose(), &new.code);
    let subjects = client.subjects(lookup, caller.device);
    inner.store.account(Op::EnterCode { lookup, tag, subjects, then }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The code that came to the account's number for `cancel`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Cancellation {
    /// What came to the phone.
    #[schema(example = "123456", max_length = 32)]
    code: String,
}

/// The account has ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct Receipt {
    /// Signed by the server: says which account has ended, and when. Nothing else of it is kept.
    #[schema(example = "a17.1700000000.eW91IGFyZSBmb3Jnb3R0ZW4")]
    receipt: String,
}

/// Ends the account: its number, names, password, devices, sessions and access log are gone for good. What was said in
/// conversations stays there, under a name that means nobody. The answer is a receipt.
#[utoipa::path(post, path = "/v1/me/cancel", tag = "me", security(("bearer" = [])), request_body = Cancellation, responses(
    (status = 200, body = Receipt), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "The last owner of an organisation"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Body(Cancellation { code }): Body<Cancellation>,
) -> Result<Json<Receipt>, Error> {
    let inner = &api.inner;
    let account = inner.account(caller.account).await?;
    let lookup = account.phone.map(|(lookup, _)| lookup).ok_or(Refusal::new(Code::SessionEnded))?;
    let then = Then::Cancel { account: caller.account };
    let tag = inner.keys.codes.tag(lookup, then.purpose(), &code);
    let subjects = client.subjects(lookup, caller.device);
    let id = caller.account;
    let seats = inner.store.ask(move |reader| reader.seats_of(id)).await?;
    let outcome = inner.store.account(Op::EnterCode { lookup, tag, subjects, then }).await?;
    let Outcome::Ended(sessions) = outcome else { return Err(Code::Internal.into()) };
    Ok(Json(Receipt { receipt: inner.erased(id, &sessions, seats) }))
}

impl Inner {
    /// Whether this is the password of somebody who is signed in. A stolen phone is signed in: it does not get to try
    /// passwords without end.
    async fn check_password(
        &self,
        client: Client,
        caller: &Caller,
        account: Account,
        typed: Option<&str>,
    ) -> Result<(), Refusal> {
        let lookup = account.phone.map(|(lookup, _)| lookup).ok_or(Code::SessionEnded)?;
        let subjects = client.subjects(lookup, caller.device);
        self.store.account(Op::Take { act: Act::Password, subjects }).await?;
        let typed = Password::typed(typed.ok_or(Code::BadCredentials)?)?;
        match self.hashing.verify(typed, account.password).await? {
            Verdict::Right { .. } => Ok(()),
            Verdict::Wrong => Err(Code::BadCredentials.into()),
        }
    }

    /// That whoever moves an account to another number is its holder, and not who has found a phone.
    async fn proof(&self, client: Client, caller: &Caller, new: &NewNumber) -> Result<Proof, Refusal> {
        let account = self.account(caller.account).await?;
        if let Some(typed) = new.password.as_deref().filter(|_| account.password.is_some()) {
            self.check_password(client, caller, account, Some(typed)).await?;
            return Ok(Proof::Password);
        }
        let code = new.current_code.as_deref().ok_or(Code::ProofNeeded)?;
        let (own, _) = account.phone.ok_or(Code::SessionEnded)?;
        Ok(Proof::Code(own, self.keys.codes.tag(own, Purpose::Rebind, code)))
    }

    /// An account has ended: closes what it has open. Answers the receipt.
    pub(crate) fn erased(&self, account: AccountId, sessions: &[Session], seats: Vec<Seat>) -> String {
        self.authenticator.end(sessions, End::Erased);
        for Seat { org, account, user, .. } in seats {
            self.changes.tell(Change::Removed { org, account, user });
        }
        self.keys.receipts.receipt(Erased { account, at_s: now_s() })
    }
}
