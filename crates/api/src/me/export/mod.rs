//! Everything that is known of whoever asks, in one archive (ZIP) that a person can open: `index.html` leads through it, JSON
//! beside it is for programs.
//!
//! ```text
//!  index.html  profile.json  devices.json  sessions.json  access-log.json  memberships.json  join-requests.json
//!  contacts.json  conversations/<organisation>-<id>.html and .json  files/<organisation>-<hash>.<type>  picture.<type>
//! ```
//!
//! It is made while it is sent, page by page, on a thread of its own: what it holds in memory has a bound, whatever somebody
//! has said in their life. Conversations are read as their member sees them (I13).

mod archive;
mod events;
mod files;
mod html;
mod pipe;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use convene_accounts::limits::Subject;
use convene_accounts::{Code, Refusal};
use convene_store::accounts::Op;
use tokio::runtime::Handle;

use crate::Api;
use crate::authenticator::Caller;
use crate::body::Binary;
use crate::client::Client;
use crate::error::{Changing, Error};
use archive::Archive;

/// Seconds after which one that is being made may have been sent.
const RETRY_S: u64 = 60;

/// Everything that is known of oneself, as a ZIP archive with an `index.html`: profile, devices, sessions, requests,
/// memberships, address book, conversations as one sees them, and files up to 2 GiB. Five a day.
#[utoipa::path(post, path = "/v1/me/export", tag = "me", security(("bearer" = [])),
responses((status = 200, body = Binary, content_type = "application/zip"), Changing))]
pub(super) async fn export(State(api): State<Api>, client: Client, caller: Caller) -> Result<Response, Error> {
    let (inner, account) = (Arc::clone(&api.inner), caller.account);
    let turn = Arc::clone(&inner.exports).try_acquire_owned();
    let turn = turn.map_err(|_| Refusal::later(Code::Unavailable, RETRY_S))?;
    let me = inner.account(account).await?;
    let (lookup, _) = me.phone.clone().ok_or(Code::SessionEnded)?;
    let subjects = vec![(Subject::Number, lookup.0)];
    inner.store.account(Op::Export { account, subjects, address: client.0.to_string() }).await?;
    let shown = inner.me(me.clone())?;
    let (sink, pieces) = pipe::new(Handle::current());
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        Archive::new(runtime, inner, me, &shown).and_then(|archive| archive.write(sink.clone())).unwrap_or_else(
            |error| {
                // Whoever asked has gone, or the store does not answer: what is sent ends in the middle, and shows that.
                tracing::warn!(%error, account = account.0, "an export was not finished");
                sink.fail(error);
            },
        );
    });
    let headers = [
        (header::CONTENT_TYPE, "application/zip"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"convene-export.zip\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
