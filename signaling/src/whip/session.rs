//! A WHIP or WHEP session: PATCH (trickle ICE, ICE restart), DELETE, and its end by other causes.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use dashmap::DashMap;
use tokio::sync::mpsc;
use tracing::debug;

use super::fragment::Ice;
use super::{SDP_FRAGMENT, Shared, fragment, refuse};
use crate::http::{Problem, authenticate, bearer};
use crate::rooms::{LeaveReason, Notice, ParticipantId, ParticipantInfo, RoomHandle, SubscriptionChange};

/// The open sessions of one protocol, by the id in their URL. An entry lives until its participant is out of the room.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<DashMap<String, Arc<Session>>>);

/// One session.
pub(super) struct Session {
    room: RoomHandle,
    participant: ParticipantId,
    identity: String,
    /// The token it was made with: good for its own session even after it has expired, since a stream may outlive it.
    token: String,
    ice: Mutex<IceSession>,
    /// Restarts of one session come one after another.
    restarting: tokio::sync::Mutex<()>,
}

/// What RFC 9725 §4.3.1 calls the ICE session: renewed by each restart.
#[derive(Clone)]
struct IceSession {
    client_ufrag: String,
    etag: String,
}

/// 128 bits nobody guesses: whoever knows a session's URL may only end it with the token as well, but need not find it.
pub(super) fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn new_etag() -> String {
    format!("\"{:016x}\"", rand::random::<u64>())
}

impl Session {
    pub(super) fn new(
        room: RoomHandle,
        participant: ParticipantId,
        identity: String,
        token: String,
        client_ufrag: String,
    ) -> Self {
        let ice = Mutex::new(IceSession { client_ufrag, etag: new_etag() });
        Self { room, participant, identity, token, ice, restarting: tokio::sync::Mutex::default() }
    }

    pub(super) fn etag(&self) -> String {
        self.ice().etag
    }

    fn ice(&self) -> IceSession {
        self.ice.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn renew(&self, client_ufrag: String) -> String {
        let etag = new_etag();
        *self.ice.lock().unwrap_or_else(PoisonError::into_inner) = IceSession { client_ufrag, etag: etag.clone() };
        etag
    }
}

impl Sessions {
    /// Keeps a session until its participant is out of the room, and lets a WHEP session follow whom it wants.
    pub(super) fn open(
        &self,
        id: String,
        session: Session,
        mut notices: mpsc::Receiver<Notice>,
        wanted: Option<String>,
    ) {
        let (sessions, session) = (self.clone(), Arc::new(session));
        sessions.0.insert(id.clone(), Arc::clone(&session));
        tokio::spawn(async move {
            while let Some(notice) = notices.recv().await {
                if let (Notice::Participants(changed), Some(identity)) = (&notice, &wanted) {
                    follow(&session.room, session.participant, identity, changed).await;
                }
                if matches!(notice, Notice::Leave { .. }) {
                    break;
                }
            }
            // A queue that was cut because it was full leaves a seat behind; leaving twice is no harm.
            let _ = session.room.leave(session.participant, LeaveReason::SignalClosed).await;
            sessions.0.remove(&id);
            debug!(room = session.room.name(), identity = %session.identity, "session ended");
        });
    }

    fn get(&self, room: &str, id: &str) -> Option<Arc<Session>> {
        self.0.get(id).map(|entry| Arc::clone(entry.value())).filter(|session| session.room.name() == room)
    }
}

/// Subscribes to every track of one participant. Doing it again for a known track changes nothing.
pub(super) async fn follow(room: &RoomHandle, who: ParticipantId, identity: &str, participants: &[ParticipantInfo]) {
    let wanted = participants.iter().filter(|info| info.identity == identity);
    let tracks: Vec<String> = wanted.flat_map(|info| info.tracks.iter().map(|track| track.sid.clone())).collect();
    if !tracks.is_empty() {
        let change = SubscriptionChange { tracks, subscribe: true };
        let _ = room.subscribe(who, change).await; // an error says that track or participant is gone
    }
}

/// The session of a request, if its token is the one it was made with or another of the same participant.
fn find(shared: &Shared, room: &str, id: &str, headers: &HeaderMap, uri: &Uri) -> Result<Arc<Session>, Problem> {
    let session = shared.sessions.get(room, id);
    if let Some(session) = session.as_ref().filter(|session| session.token == bearer(headers, uri)) {
        return Ok(Arc::clone(session));
    }
    let claims = authenticate(&shared.verifier, headers, uri)?;
    claims.require_join_of(room)?;
    shared.protocol.require(&claims)?;
    let session = session.ok_or_else(|| Problem::not_found("no such session"))?;
    if session.identity == claims.identity {
        return Ok(session);
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "grant_wrong_identity", "the session belongs to another identity"))
}

/// `DELETE`: the participant leaves (RFC 9725 §4.2).
pub(super) async fn end(
    State(shared): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let session = find(&shared, &room, &id, &headers, &uri)?;
    shared.sessions.0.remove(&id); // at once, so that a second DELETE finds nothing
    let _ = session.room.leave(session.participant, LeaveReason::ClientInitiated).await; // an error: it has left already
    Ok(StatusCode::OK)
}

/// `OPTIONS`: what may be patched.
pub(super) async fn describe() -> Response {
    (StatusCode::NO_CONTENT, [("accept-patch", SDP_FRAGMENT), ("allow", "PATCH, DELETE, OPTIONS")]).into_response()
}

/// `PATCH`: trickled candidates or an ICE restart (RFC 9725 §4.3). The credentials tell which: a restart brings fresh ones.
pub(super) async fn change(
    State(shared): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let session = find(&shared, &room, &id, &headers, &uri).map_err(IntoResponse::into_response)?;
    let text = refuse::text(&headers, body, SDP_FRAGMENT)
        .map_err(|problem| refuse::with_accepted(problem, "accept-patch", SDP_FRAGMENT))?;
    let changed = match fragment::parse(&text) {
        Some(ice) => apply(&session, &headers, ice, text).await,
        None => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "fragment_malformed",
            "the body is no SDP fragment with ICE credentials",
        )),
    };
    changed.map_err(IntoResponse::into_response)
}

async fn apply(session: &Session, headers: &HeaderMap, ice: Ice, text: String) -> Result<Response, Problem> {
    let _turn = session.restarting.lock().await;
    let current = session.ice();
    if_match(headers, &current.etag)?;
    if ice.ufrag == current.client_ufrag {
        // RFC 8445 §2.5: a lite agent sends no checks, so the client's candidates are nothing to it.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let fragment = session.room.restart_ice(session.participant, text).await.map_err(|error| refuse::room(&error))?;
    let etag = session.renew(ice.ufrag);
    let headers = [(header::CONTENT_TYPE, SDP_FRAGMENT.to_owned()), (header::ETAG, etag)];
    Ok((StatusCode::OK, headers, fragment).into_response())
}

/// RFC 9725 §4.3.1: 428 without `If-Match`, 412 where it names another ICE session. Its examples quote the `*`.
fn if_match(headers: &HeaderMap, etag: &str) -> Result<(), Problem> {
    let Some(tags) = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()) else {
        let detail = "PATCH needs If-Match with the session's ETag, or * to restart ICE";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "if_match_required", detail));
    };
    let matches = tags.split(',').map(str::trim).any(|tag| tag == etag || tag == "*" || tag == "\"*\"");
    if matches {
        return Ok(());
    }
    let detail = "If-Match names an ICE session that is over";
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, "if_match_failed", detail))
}
