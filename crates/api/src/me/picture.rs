//! One's picture, and the pictures of others by the addresses that were given of them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use convene_accounts::limits::{Act, Subject};
use convene_accounts::{Code, Refusal};
use convene_store::accounts::{Op, Outcome, Picture};
use convene_store::{BlobRefusal, MAX_PICTURE_BYTES};
use convene_types::AccountId;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Me, now_s};
use crate::authenticator::Caller;
use crate::body::Binary;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::path::{Asked, Ids};
use crate::{Api, Inner};

pub(super) fn routes() -> OpenApiRouter<Api> {
    // One byte more tells that there are too many, in the words of this route.
    let limit = DefaultBodyLimit::max(MAX_PICTURE_BYTES + 1);
    OpenApiRouter::new().routes(routes!(set, remove)).layer(limit).routes(routes!(get))
}

/// Sets one's picture: PNG, JPEG, GIF or WebP, at most 512 KiB, whatever its type is called. Organisations show it as their
/// policies let.
#[utoipa::path(put, path = "/v1/me/avatar", tag = "me", security(("bearer" = [])),
request_body(content = Binary, content_type = "application/octet-stream", description = "The picture itself"),
responses((status = 200, body = Me), Changing))]
async fn set(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    content: Result<Bytes, BytesRejection>,
) -> Result<Json<Me>, Error> {
    let inner = &api.inner;
    let content = content.map_err(|_| Code::BadPicture)?;
    let (lookup, _) = inner.account(caller.account).await?.phone.ok_or(Code::SessionEnded)?;
    let subjects = vec![(Subject::Number, lookup.0)];
    inner.store.account(Op::Take { act: Act::Picture, subjects }).await?;
    let blobs = inner.blobs.get().ok_or(Code::Unavailable)?;
    let picture = blobs.put_picture(content).await.map_err(refused)?;
    inner.show_picture(client, caller.account, Some(picture)).await.map(Json)
}

/// What the store says of a picture is about its kind and size, or that it cannot take it at this time.
fn refused(refusal: BlobRefusal) -> Refusal {
    match refusal {
        BlobRefusal::Content => Code::BadPicture.into(),
        BlobRefusal::Unavailable => Refusal::later(Code::Unavailable, 1),
    }
}

/// Takes one's picture away.
#[utoipa::path(delete, path = "/v1/me/avatar", tag = "me", security(("bearer" = [])),
responses((status = 200, body = Me), Changing))]
async fn remove(State(api): State<Api>, client: Client, caller: Caller) -> Result<Json<Me>, Error> {
    api.inner.show_picture(client, caller.account, None).await.map(Json)
}

impl Inner {
    async fn show_picture(&self, client: Client, account: AccountId, picture: Option<Picture>) -> Result<Me, Error> {
        let op = Op::SetPicture { account, picture, address: client.0.to_string() };
        let Outcome::Shown(seats) = self.store.account(op).await? else { return Err(Code::Internal.into()) };
        self.tell_shown(account, seats);
        Ok(self.me(self.account(account).await?)?)
    }
}

/// What makes an address good.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct Signed {
    /// Seconds since 1970.
    expires: u64,
    /// As it was given.
    #[param(max_length = 128)]
    sig: String,
}

/// A picture of somebody, by the address that profiles give. It needs no token: who may see the person was given it.
#[utoipa::path(get, path = "/v1/pictures/{account}/{name}", tag = "members",
params(("account" = u64, Path), ("name" = String, Path, description = "64 hex digits"), Signed),
responses((status = 200, body = Binary, content_type = "image/png"), Reading))]
async fn get(
    State(api): State<Api>,
    Ids((account, name)): Ids<(u64, String)>,
    Asked(Signed { expires, sig }): Asked<Signed>,
) -> Result<Response, Error> {
    let (inner, account, now_s) = (&api.inner, AccountId(account), now_s());
    if !inner.keys.pictures.check((account, &name), expires, &sig, now_s) {
        return Err(Code::NotFound.into());
    }
    let found = inner.store.ask(move |reader| reader.picture(account, &name)).await?;
    let (row, blobs) = (found.ok_or(Code::NotFound)?, inner.blobs.get().ok_or(Code::Unavailable)?);
    let content = blobs.read(&row, 0, row.facts.size).await.map_err(|_| Refusal::later(Code::Unavailable, 1))?;
    let headers = [
        (header::CONTENT_TYPE, row.facts.mime),
        (header::CACHE_CONTROL, format!("private, max-age={}", expires.saturating_sub(now_s))),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
    ];
    Ok((headers, content).into_response())
}
