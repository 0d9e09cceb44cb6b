//! From a `Hello` to a session: token, user, limits. The same for all transports.

use std::sync::Arc;

use convene_accounts::session::IDLE_S;
use convene_accounts::token::{Identity, TokenError};
use convene_im_core::gate;
use convene_im_core::model::Refusal;
use convene_proto::im::{self, Code, frame::Body};
use convene_proto::limits::{MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, MAX_TEXT_BYTES};
use convene_store::{Op, Outcome};
use convene_types::{DeviceId, OrgId};
use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use crate::options::Login;
use crate::session::{End, NewSession, Owner, Session, Transport};
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
    /// The access token it was opened with: for [`confirm`].
    pub(crate) proof: Option<String>,
    /// To be answered next.
    pub(crate) sync: Option<im::Sync>,
}

/// How a `Hello` came.
pub(crate) struct Arrival {
    pub(crate) transport: Transport,
    /// By [`Hub::next_number`], when the connection began: of two of one device the later one counts, also where signing in took
    /// the one before it longer, which its client may have given up.
    ///
    /// [`Hub::next_number`]: crate::hub::Hub::next_number
    pub(crate) number: u64,
    pub(crate) confirmed: bool,
}

/// Signs a device in. The session is not in the hub yet.
pub(crate) async fn open(shared: &Shared, hello: im::Hello, arrival: Arrival) -> Result<Opened, Refusal> {
    let Arrival { transport, number, confirmed } = arrival;
    let (device, version) = gate::check_hello(&hello)?;
    if shared.hub.len() >= shared.limits.max_sessions {
        return Err(Refusal::later(Code::Unavailable, "the server has as many sessions as it takes", FULL_RETRY_MS));
    }
    let Entered { org, user: me, device: bound, login, expires_s } = enter(shared, &hello.token, &hello.org).await?;
    if bound.is_some_and(|bound| bound != device) {
        return Err(Refusal::new(Code::Unauthenticated, "the token belongs to another device"));
    }
    let owner = Owner { org, user: convene_types::UserId(me.id), device };
    let gates = crate::flood::Gates::default();
    let session = Arc::new(Session::new(NewSession { owner, login, transport, number, expires_s, gates, confirmed }));
    tracing::debug!(user = me.id, transport = transport.label(), client = %printable(&hello.client), "signed in");
    let welcome = im::Welcome {
        version,
        me: Some(me),
        now_ms: now_ms(),
        session_id: wire(&session.id),
        limits: Some(limits(shared)),
    };
    let proof = login.is_some().then_some(hello.token);
    Ok(Opened { session, welcome, proof, sync: hello.sync })
}

/// A full server empties when somebody leaves.
const FULL_RETRY_MS: u32 = 10_000;

/// Who a token speaks for.
pub(crate) struct Entered {
    pub(crate) org: OrgId,
    pub(crate) user: im::User,
    /// The only device that may use the token.
    pub(crate) device: Option<DeviceId>,
    pub(crate) login: Option<Login>,
    pub(crate) expires_s: u64,
}

/// Checks a token of either kind. `org`: of the seats that an account has.
pub(crate) async fn enter(shared: &Shared, token: &str, org: &str) -> Result<Entered, Refusal> {
    let refused = |text: String| Refusal::new(Code::Unauthenticated, text);
    match (shared.authority.check(token, now_s()), &shared.logins) {
        (Ok(identity), _) => {
            let (device, expires_s) = (identity.device, identity.expires_s);
            let (org, user) = user(shared, identity).await?;
            Ok(Entered { org, user, device, login: None, expires_s })
        }
        (Err(TokenError::UnknownKey), Some(logins)) => {
            let login = logins.check(token, now_s()).map_err(refused)?;
            let (org, user) = seat(shared, login, org).await?;
            // It ends when its login session does; one that nobody refreshes ends by itself.
            let expires_s = now_s().saturating_add(IDLE_S);
            Ok(Entered { org, user, device: Some(login.device), login: Some(login), expires_s })
        }
        (Err(error), _) => Err(refused(error.to_string())),
    }
}

/// The user for whom an account speaks in an organisation.
async fn seat(shared: &Shared, login: Login, org: &str) -> Result<(OrgId, im::User), Refusal> {
    let name = org.to_owned();
    let found = shared.store.read(move |reader| {
        let seats = reader.seats_of(login.account)?;
        let seat = match (name.is_empty(), seats.as_slice()) {
            (true, [only]) => Some(only.clone()),
            (true, _) => None,
            (false, seats) => {
                let org = reader.org_named(&name)?;
                seats.iter().find(|seat| Some(seat.org) == org).cloned()
            }
        };
        let Some(seat) = seat else { return Ok(Ok(None)) };
        Ok(Ok(reader.user(seat.user)?.map(|user| (seat.org, user))))
    });
    found.await?.ok_or_else(|| Refusal::new(Code::NoSeat, "no seat in this organisation, or in several: name one"))
}

/// Looks again, with the session in the hub: an end that came while it was opened has found nobody to tell.
pub(crate) async fn confirm(shared: &Shared, session: &Session, proof: Option<String>) {
    let (Some(token), Some(login), Some(logins)) = (proof, session.login, &shared.logins) else { return };
    let user = session.owner.user;
    let seat = shared.store.read(move |reader| Ok(Ok(reader.seat_of_user(user)?))).await;
    // A store that cannot answer at this moment has answered a moment ago.
    let gone = seat.is_ok_and(|seat| seat.is_none_or(|seat| seat.account != login.account));
    if gone || logins.check(&token, now_s()).is_err() {
        session.end(revoked());
    }
}

/// The login session or the seat is no more.
pub(crate) fn revoked() -> End {
    End::Told { code: Code::Revoked, text: "signed out, or removed from the organisation", retry_after_ms: 0 }
}

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
