//! Where one is signed in.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use convene_accounts::Code;
use convene_accounts::session::End;
use convene_store::accounts::Which;
use convene_types::{DeviceId, SessionId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Api;
use crate::answer::{hex, now_s, unhex};
use crate::authenticator::Caller;
use crate::error::{Error, Problem};

/// One sign-in.
#[derive(Serialize, ToSchema)]
pub(crate) struct OpenSession {
    /// 32 hex digits.
    id: String,
    /// On which device.
    device_id: String,
    /// Seconds since 1970 of the sign-in.
    began_s: u64,
    /// Seconds since 1970 when it was last refreshed.
    refreshed_s: u64,
    /// Seconds since 1970 at which it ends if nothing happens.
    expires_s: u64,
    /// The one that asks.
    current: bool,
}

/// Open sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sessions {
    /// The latest refreshed first.
    sessions: Vec<OpenSession>,
}

/// Where one is signed in.
#[utoipa::path(get, path = "/v1/me/sessions", tag = "me", security(("bearer" = [])), responses(
    (status = 200, body = Sessions), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Sessions>, Error> {
    let account = caller.account;
    let found = api.inner.store.ask(move |reader| reader.sessions_of(account)).await?;
    let now_s = now_s();
    let open = found.into_iter().filter(|session| session.is_open(now_s)).map(|session| OpenSession {
        id: hex(&session.id.0),
        device_id: hex(&session.device.0),
        began_s: session.began_s,
        refreshed_s: session.rotated_s,
        expires_s: session.expires_s(),
        current: session.id == caller.session,
    });
    Ok(Json(Sessions { sessions: open.collect() }))
}

/// Ends one of one's sessions. Its tokens are refused at once.
#[utoipa::path(delete, path = "/v1/me/sessions/{id}", tag = "me", security(("bearer" = [])),
params(("id" = String, Path, description = "32 hex digits")), responses(
    (status = 204), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn end(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Error> {
    let session = unhex(&id).map(SessionId).ok_or(Code::NotFound)?;
    match api.end(caller.account, Which::One(session), End::Revoked).await? {
        0 => Err(Code::NotFound.into()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// A device that was signed in on.
#[derive(Serialize, ToSchema)]
pub(crate) struct KnownDevice {
    /// 32 hex digits.
    id: String,
    /// What it is.
    model: String,
    /// What runs on it.
    system: String,
    /// Network address that it came from last.
    address: String,
    /// Seconds since 1970 of that.
    seen_s: u64,
    /// Whether pushes go there.
    takes_pushes: bool,
    /// The one that asks.
    current: bool,
}

/// Devices.
#[derive(Serialize, ToSchema)]
pub(crate) struct Devices {
    /// The latest seen first.
    devices: Vec<KnownDevice>,
}

/// Devices that one has signed in on.
#[utoipa::path(get, path = "/v1/me/devices", tag = "me", security(("bearer" = [])), responses(
    (status = 200, body = Devices), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn devices(State(api): State<Api>, caller: Caller) -> Result<Json<Devices>, Error> {
    let account = caller.account;
    let found = api.inner.store.ask(move |reader| reader.devices_of(account)).await?;
    let known = |(device, seen_s): (convene_store::accounts::Device, u64)| KnownDevice {
        id: hex(&device.id.0),
        current: device.id == caller.device,
        takes_pushes: !device.push_token.is_empty(),
        model: device.model,
        system: device.system,
        address: device.address,
        seen_s,
    };
    Ok(Json(Devices { devices: found.into_iter().map(known).collect() }))
}

/// Forgets a device and ends the sessions on it.
#[utoipa::path(delete, path = "/v1/me/devices/{id}", tag = "me", security(("bearer" = [])),
params(("id" = String, Path, description = "32 hex digits")), responses(
    (status = 204), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn unbind(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    let device = unhex(&id).map(DeviceId).ok_or(Code::NotFound)?;
    let account = caller.account;
    let known = api.inner.store.ask(move |reader| reader.devices_of(account)).await?;
    if !known.iter().any(|(of, _)| of.id == device) {
        return Err(Code::NotFound.into());
    }
    api.end(account, Which::Device(device), End::Revoked).await?;
    Ok(StatusCode::NO_CONTENT)
}
