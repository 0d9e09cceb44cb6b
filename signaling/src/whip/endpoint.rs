//! `POST /whip/{room}`, `POST /whep/{room}`: an offer in, an answer and a session out.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;
use tracing::{debug, info};

use super::session::{Session, new_id};
use super::{Protocol, SDP, SDP_FRAGMENT, Shared, fragment, refuse};
use crate::http::{Problem, authenticate, bearer, segment};
use crate::rooms::{Answered, JoinRequest, Joined, LeaveReason, ParticipantKind, RoomHandle, RoomRequest};
use crate::token::Claims;
use crate::turn::Access;

/// WHEP only: whose tracks are wanted; absent means everyone's.
#[derive(Deserialize, Default)]
pub(super) struct Wanted {
    participant: Option<String>,
}

/// Takes a seat in the room and answers the offer.
pub(super) async fn create(
    State(shared): State<Shared>,
    Path(room): Path<String>,
    Query(wanted): Query<Wanted>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let mut claims = authorise(&shared, &room, &headers, &uri).map_err(IntoResponse::into_response)?;
    let seat = shared.verifier.look(&mut claims).await.and_then(|()| shared.protocol.require(&claims));
    seat.map_err(|error| Problem::from(error).into_response())?;
    let offer =
        refuse::text(&headers, body, SDP).map_err(|problem| refuse::with_accepted(problem, "accept-post", SDP))?;
    let seat = Seat { shared, room, claims, wanted: wanted.participant, token: bearer(&headers, &uri), offer };
    // A task of its own, because a client that hangs up in the middle would otherwise leave a seat that nobody ends.
    let taken = tokio::spawn(seat.take()).await;
    taken.unwrap_or_else(|_| Err(internal())).map_err(IntoResponse::into_response)
}

/// `OPTIONS`: what may be posted (RFC 9725 §4.2).
pub(super) async fn describe() -> Response {
    (StatusCode::NO_CONTENT, [("accept-post", SDP), ("allow", "POST, OPTIONS")]).into_response()
}

fn authorise(shared: &Shared, room: &str, headers: &HeaderMap, uri: &Uri) -> Result<Claims, Problem> {
    let claims = authenticate(&shared.verifier, headers, uri)?;
    claims.require_join_of(room)?;
    shared.protocol.require(&claims)?;
    Ok(claims)
}

fn internal() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed")
}

/// Everything about one POST.
struct Seat {
    shared: Shared,
    room: String,
    claims: Claims,
    wanted: Option<String>,
    token: String,
    offer: String,
}

impl Seat {
    async fn take(self) -> Result<Response, Problem> {
        let client_ice =
            fragment::ice(&self.offer).ok_or_else(|| refuse::malformed("the offer has no ICE credentials"))?;
        let room = RoomRequest { name: self.room.clone(), ..RoomRequest::default() };
        let joined = self.shared.rooms.join(room, self.request()).await;
        let (handle, joined) = joined.map_err(|error| refuse::room(&error))?;
        // Looked at again: who was sent away or silenced in between was not in the room yet.
        if let Err(error) = self.shared.verifier.admit(&handle, &joined, &self.claims).await {
            let _ = handle.leave(joined.participant, LeaveReason::Removed).await; // an error says it is out already
            return Err(error.into());
        }
        let answered = match self.negotiate(&handle, &joined).await {
            Ok(answered) => answered,
            Err(problem) => {
                let _ = handle.leave(joined.participant, LeaveReason::JoinFailure).await; // an error says it is out already
                debug!(room = %self.room, code = problem.code, "offer refused");
                return Err(problem);
            }
        };
        info!(room = %self.room, identity = %self.claims.identity, protocol = self.shared.protocol.name(), "session");
        Ok(self.open(handle, joined, client_ice, answered))
    }

    fn request(&self) -> JoinRequest {
        let mut request = self.claims.join_request(self.shared.protocol.mode());
        match self.shared.protocol {
            Protocol::Whip => {
                request.auto_subscribe = false;
                if self.claims.kind.is_empty() {
                    request.kind = ParticipantKind::Ingress;
                }
            }
            Protocol::Whep => request.auto_subscribe = self.wanted.is_none(),
        }
        request
    }

    async fn negotiate(&self, handle: &RoomHandle, joined: &Joined) -> Result<Answered, Problem> {
        if let Some(identity) = &self.wanted {
            // Before the offer, so that its answer carries the tracks there are.
            super::session::follow(handle, joined.participant, identity, &joined.others).await;
        }
        let answered = handle.offer(joined.participant, &self.offer).await;
        answered.map_err(|error| refuse::room(&error))
    }

    fn open(self, handle: RoomHandle, joined: Joined, client_ice: fragment::Ice, answered: Answered) -> Response {
        let id = new_id();
        let location = format!("/{}/{}/{id}", self.shared.protocol.name(), segment(&self.room));
        let identity = self.claims.identity;
        let session = Session::new(handle, joined.participant, identity.clone(), self.token, client_ice.ufrag);
        let etag = session.etag();
        let relay = self.shared.turn.access(&identity);
        self.shared.sessions.open(id, session, joined.notices, self.wanted);
        let headers = [
            (header::CONTENT_TYPE.as_str(), SDP.to_owned()),
            (header::LOCATION.as_str(), location),
            (header::ETAG.as_str(), etag),
            ("accept-patch", SDP_FRAGMENT.to_owned()),
        ];
        let links = relay.iter().flat_map(Access::links).map(|link| (header::LINK, link));
        (StatusCode::CREATED, headers, AppendHeaders(links), answered.sdp).into_response()
    }
}
