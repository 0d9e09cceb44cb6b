//! From a `Hello` to a session: token, user, limits. The same for all transports.

use std::sync::Arc;

use convene_accounts::token::Identity;
use convene_im_core::gate;
use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code, frame::Body};
use convene_proto::limits::{MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, MAX_TEXT_BYTES};
use convene_store::{Op, Outcome};
use convene_types::OrgId;
use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use crate::session::{NewSession, Owner, Session, Transport};
use crate::shared::{Shared, now_ms, now_s, wire};

/// Users whose rows are remembered, so that signing in again writes nothing. About 200 bytes each.
const MAX_KNOWN: usize = 100_000;

/// Users that have signed in since the start, by organisation and name.
pub(crate) type Known = DashMap<(String, String), (OrgId, im::User), FxBuildHasher>;

/// A session that is about to begin.
pub(crate) struct Opened {
    pub(crate) session: Arc<Session>,
    /// To be told first.
    pub(crate) welcome: im::Welcome,
    /// To be answered next.
    pub(crate) sync: Option<im::Sync>,
}

/// Signs a device in. The session is not in the hub yet.
pub(crate) async fn open(
    shared: &Shared,
    hello: im::Hello,
    transport: Transport,
    confirmed: bool,
) -> Result<Opened, Refusal> {
    let (device, version) = gate::check_hello(&hello)?;
    let identity = shared
        .authority
        .check(&hello.token, now_s())
        .map_err(|error| Refusal::new(Code::Unauthenticated, error.to_string()))?;
    if identity.device.is_some_and(|bound| bound != device) {
        return Err(Refusal::new(Code::Unauthenticated, "the token belongs to another device"));
    }
    if shared.hub.len() >= shared.limits.max_sessions {
        return Err(Refusal::later(Code::Unavailable, "the server has as many sessions as it takes", FULL_RETRY_MS));
    }
    let expires_s = identity.expires_s;
    let (org, me) = user(shared, identity).await?;
    let owner = Owner { org, user: convene_types::UserId(me.id), device };
    let number = shared.hub.next_number();
    let gates = crate::flood::Gates::default();
    let session = Arc::new(Session::new(NewSession { owner, transport, number, expires_s, gates, confirmed }));
    tracing::debug!(user = me.id, transport = transport.label(), client = %printable(&hello.client), "signed in");
    let welcome = im::Welcome {
        version,
        me: Some(me),
        now_ms: now_ms(),
        session_id: wire(&session.id),
        limits: Some(limits(shared)),
    };
    Ok(Opened { session, welcome, sync: hello.sync })
}

/// A full server empties when somebody leaves.
const FULL_RETRY_MS: u32 = 10_000;

/// The user of a token, made when this is their first time.
pub(crate) async fn user(shared: &Shared, identity: Identity) -> Result<(OrgId, im::User), Refusal> {
    let Identity { org, user, display_name, .. } = identity;
    let key = (org, user);
    if let Some(known) = shared.known.get(&key).filter(|known| known.1.display_name == display_name) {
        return Ok(known.clone());
    }
    let op = Op::EnsureUser { org_name: key.0.clone(), name: key.1.clone(), display_name };
    let outcome = shared.store.write_async(op).await?;
    let Outcome::User { org, user, push } = outcome else { return Err(unexpected(&outcome)) };
    if let Some(push) = push {
        shared.push_user(push);
    }
    if shared.known.len() >= MAX_KNOWN {
        shared.known.clear();
    }
    shared.known.insert(key, (org, user.clone()));
    Ok((org, user))
}

/// The store answered something else than was asked.
pub(crate) fn unexpected(outcome: &Outcome) -> Refusal {
    tracing::error!(?outcome, "the store answered another question");
    Refusal::new(Code::Internal, "the server made a mistake")
}

/// What clients are told of our limits.
pub(crate) fn limits(shared: &Shared) -> im::Limits {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    im::Limits {
        max_frame_bytes: number(MAX_FRAME_BYTES),
        max_text_bytes: number(MAX_TEXT_BYTES),
        max_blob_bytes: shared.limits.max_blob_bytes,
        max_voice_ms: shared.limits.max_voice_ms,
        max_members: shared.limits.max_members,
        max_part_bytes: number(MAX_PAYLOAD_BYTES),
    }
}

/// The first frame has to be a `Hello`.
pub(crate) fn hello(frame: im::Frame) -> Result<(u64, im::Hello), (u64, Refusal)> {
    match frame.body {
        Some(Body::Hello(hello)) => Ok((frame.rid, hello)),
        Some(_) | None => Err((frame.rid, Refusal::new(Code::HelloExpected, "the first frame has to be a Hello"))),
    }
}

/// A client's own name for itself goes into logs.
fn printable(client: &str) -> String {
    client.chars().filter(|c| !c.is_control()).collect()
}
