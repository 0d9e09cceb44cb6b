//! Seats in rooms: who may sit where, and the token that says so for ten minutes.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use convene_accounts::Code;
use convene_accounts::apikey::room_prefix;
use convene_accounts::policy::Who;
use convene_api::{Caller, Error, Problem};
use convene_calls::Device;
use convene_im::wire::ConversationKind;
use convene_store::calls::Standing;
use convene_types::{CallId, ConvId, OrgId};
use serde::Serialize;
use utoipa::ToSchema;

use super::judge::Rights;
use super::{People, hex, identity, ring};
use crate::rooms::ParticipantChange;
use crate::token::{Claims, Grants, Seat};

/// How long a room token is good. It is used once, at once; a client that is in the room gets fresh ones there.
const TOKEN_TTL: Duration = Duration::from_secs(600);

/// The attribute of participants that says where their picture is: an address that needs no token, for some hours.
const PICTURE: &str = "picture";

/// A seat in a room: connect with any client of LiveKit's protocol, or by WHIP and WHEP.
#[derive(Serialize, ToSchema)]
pub(super) struct SeatView {
    /// Where to connect.
    #[schema(example = "wss://convene.example")]
    url: String,
    /// What to show there. For ten minutes at most; worth nothing once its holder is out.
    token: String,
    /// The room it is for.
    room: String,
    /// May send audio, video and data; everybody receives.
    may_publish: bool,
    /// Seconds.
    valid_for_s: u64,
}

impl People {
    /// The seat of somebody who may have it.
    pub(super) fn seat(
        &self,
        caller: &Caller,
        standing: &Standing,
        call: Option<CallId>,
        headers: &HeaderMap,
    ) -> Result<SeatView, Error> {
        let org = standing.org;
        let room = call.map_or_else(|| meeting_room(org, standing.conv), |call| ring::room_of(org, call));
        let rights = Rights::of(standing);
        let mut grants = Grants { room_join: true, room: room.clone(), can_subscribe: Some(true), ..Grants::default() };
        rights.limit(&mut grants);
        let seat = Seat {
            account: caller.account.0,
            login: hex(&caller.session.0),
            conv: standing.conv.0,
            call: call.map(|call| hex(&call.0)),
            site: address(headers, "https", "http"),
        };
        let by = Device { user: standing.user, device: caller.device };
        let name = standing.display_name.clone();
        let picture = self.picture_at(&seat, standing);
        let attributes = picture.map(|address| (PICTURE.to_owned(), address)).into_iter().collect();
        let claims = Claims { identity: identity(by), name, attributes, grants, seat: Some(seat), ..Claims::default() };
        let token = self.inner.minter.mint(&claims, TOKEN_TTL).map_err(|_| Code::Internal)?;
        Ok(SeatView {
            url: address(headers, "wss", "ws"),
            token,
            room,
            may_publish: rights.speak,
            valid_for_s: TOKEN_TTL.as_secs(),
        })
    }

    /// Where the picture of somebody is, for who holds this seat.
    fn picture_at(&self, seat: &Seat, standing: &Standing) -> Option<String> {
        let path = self.inner.api.picture(standing.account, &standing.picture)?;
        Some(format!("{}{path}", seat.site))
    }

    /// How somebody is shown in a room by now: their name, and their picture; empty where there is none, which takes the
    /// attribute away.
    pub(super) fn shown(&self, seat: &Seat, standing: &Standing) -> ParticipantChange {
        let picture = self.picture_at(seat, standing).unwrap_or_default();
        ParticipantChange {
            name: Some(standing.display_name.clone()),
            attributes: [(PICTURE.to_owned(), picture)].into(),
            ..ParticipantChange::default()
        }
    }

    /// Whether the organisation lets somebody start a meeting, or call a group.
    pub(super) async fn check_start(&self, standing: &Standing) -> Result<(), Error> {
        let org = standing.org;
        let found = self.inner.store.ask(move |reader| Ok((reader.policy(org)?, reader.tree(org)?)));
        let (policy, tree) = found.await?;
        let who = Who { role: standing.org_role, depts: &standing.depts };
        if policy.is_none_or(|(policy, _)| policy.may_start(who, &tree)) { Ok(()) } else { Err(Code::Forbidden.into()) }
    }
}

/// The name of a conversation's meeting room: one of its organisation's.
fn meeting_room(org: OrgId, conv: ConvId) -> String {
    format!("{}room-{conv}", room_prefix(org))
}

/// The address that the client itself has used, under the scheme for connections with TLS or without.
fn address(headers: &HeaderMap, with_tls: &str, without: &str) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scheme = if text("x-forwarded-proto").eq_ignore_ascii_case("https") { with_tls } else { without };
    format!("{scheme}://{}", text("host"))
}

/// A seat in the meeting room of a conversation. Who comes first starts the meeting, which the organisation may leave to some.
#[utoipa::path(post, path = "/v1/rooms/{conversation}/join", tag = "calls", security(("bearer" = [])),
params(("conversation" = u64, Path, description = "Whose room it is")), responses(
    (status = 200, body = SeatView), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn join(
    State(people): State<People>,
    caller: Caller,
    Path(conversation): Path<String>,
    headers: HeaderMap,
) -> Result<Json<SeatView>, Error> {
    let conv = conversation.parse().map(ConvId).map_err(|_| Code::NotFound)?;
    let standing = people.standing(&caller, conv).await?;
    if standing.dissolved {
        return Err(Code::Dissolved.into());
    }
    let starts = people.inner.rooms.get(&meeting_room(standing.org, conv)).is_none();
    if starts && standing.kind == ConversationKind::Group {
        people.check_start(&standing).await?;
    }
    Ok(Json(people.seat(&caller, &standing, None, &headers)?))
}
