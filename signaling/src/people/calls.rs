//! `/v1/calls`: ringing, answering, leaving.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use convene_accounts::apikey::KeyScopes;
use convene_accounts::limits::Act;
use convene_accounts::{Code, Refusal};
use convene_api::{Asker, Body, Caller, Changing, Error, Problem, Reading};
use convene_calls::{Call, Device, MAX_RUNG, New};
use convene_im::wire::{self as im, ConversationKind};
use convene_store::accounts;
use convene_store::calls::Standing;
use convene_store::{Op, Outcome};
use convene_types::{CallId, ClientId, ConvId, DeptId, OrgId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::CallView;
use super::rooms::SeatView;
use super::{People, now_ms, refusal, unhex};

/// Who is rung: a conversation, one person or several, or a department. Exactly one of these.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ring {
    /// Everybody in this conversation.
    conversation: Option<u64>,
    /// These users of chat: one in the direct conversation with them, several in a group that is made for it.
    #[serde(default)]
    #[schema(max_items = 100)]
    users: Vec<u64>,
    /// Everybody who stands in this department or below, in its group.
    department: Option<u64>,
    /// Of people and departments: the organisation.
    organisation: Option<u64>,
    /// With camera.
    #[serde(default)]
    video: bool,
}

/// Rings. A conversation has one call at a time: if there is one, it is answered as it stands, and nobody is rung anew.
/// Who rings too many has to wait (`too_many_requests`).
#[utoipa::path(post, path = "/v1/calls", tag = "calls", security(("bearer" = [])), request_body = Ring,
responses((status = 201, body = CallView), Changing))]
pub(super) async fn begin(
    State(people): State<People>,
    caller: Caller,
    Body(ring): Body<Ring>,
) -> Result<(StatusCode, Json<CallView>), Error> {
    let take = accounts::Op::Take { act: Act::Call, subjects: vec![caller.subject()] };
    people.inner.store.account(take).await?;
    let video = ring.video;
    let standing = people.conversation_for(&caller, ring).await?;
    if standing.dissolved {
        return Err(Code::Dissolved.into());
    }
    let direct = standing.kind == ConversationKind::Direct;
    if !direct {
        people.check_start(&standing).await?;
    }
    let conv = standing.conv;
    // One more than may be rung, and the caller, tells whether there are too many.
    let callees = people.inner.store.ask(move |reader| reader.callable(conv, MAX_RUNG + 2)).await?;
    let new = New {
        id: CallId(rand::random()),
        org: standing.org,
        conv,
        direct,
        caller: Device { user: standing.user, device: caller.device },
        video,
        callees,
    };
    let call = people.ring(new).await?;
    Ok((StatusCode::CREATED, Json(CallView::of(&call))))
}

/// How a call stands, or how it was: for those who are in its conversation, and for an API key of its organisation with the
/// scope `rooms`.
#[utoipa::path(get, path = "/v1/calls/{id}", tag = "calls", security(("bearer" = [])),
params(("id" = String, Path, description = "32 hex digits")), responses((status = 200, body = CallView), Reading))]
pub(super) async fn get(
    State(people): State<People>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Json<CallView>, Error> {
    let id = unhex(&id).map(CallId).ok_or(Code::NotFound)?;
    let live = people.inner.book.lock().get(id).cloned();
    if let Some(call) = live {
        people.check_reads(&asker, call.org, call.conv).await?;
        return Ok(Json(CallView::of(&call)));
    }
    let found = people.inner.store.ask(move |reader| reader.call(id)).await?.ok_or(Code::NotFound)?;
    people.check_reads(&asker, found.org, found.conv).await?;
    Ok(Json(CallView::recorded(found.conv.0, found.record)))
}

/// Answers on this device: the others stop ringing. Then `join`.
#[utoipa::path(post, path = "/v1/calls/{id}/accept", tag = "calls", security(("bearer" = [])),
params(("id" = String, Path, description = "32 hex digits")), responses(
    (status = 200, body = CallView), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Another device was faster"),
    (status = 410, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn accept(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CallView>, Error> {
    let (standing, id) = people.call_for(&caller, &id).await?;
    let by = Device { user: standing.user, device: caller.device };
    people.check_free(by.user, id)?;
    people.act(id, |call| call.accept(by, now_ms()))
}

/// Says no, for all devices.
#[utoipa::path(post, path = "/v1/calls/{id}/decline", tag = "calls", security(("bearer" = [])),
params(("id" = String, Path, description = "32 hex digits")), responses(
    (status = 200, body = CallView), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 410, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn decline(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CallView>, Error> {
    let (standing, id) = people.call_for(&caller, &id).await?;
    people.act(id, |call| call.decline(standing.user, now_ms()))
}

/// The caller gives up before anybody has answered.
#[utoipa::path(post, path = "/v1/calls/{id}/cancel", tag = "calls", security(("bearer" = [])),
params(("id" = String, Path, description = "32 hex digits")), responses(
    (status = 200, body = CallView), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 410, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CallView>, Error> {
    let (standing, id) = people.call_for(&caller, &id).await?;
    people.act(id, |call| call.cancel(standing.user, now_ms()))
}

/// Leaves the call.
#[utoipa::path(post, path = "/v1/calls/{id}/hangup", tag = "calls", security(("bearer" = [])),
params(("id" = String, Path, description = "32 hex digits")), responses(
    (status = 200, body = CallView), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 410, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn hang_up(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CallView>, Error> {
    let (standing, id) = people.call_for(&caller, &id).await?;
    people.act(id, |call| call.hang_up(standing.user, now_ms()))
}

/// A seat in the call's room, for everybody in the conversation. For whoever is rung it is an answer too.
#[utoipa::path(post, path = "/v1/calls/{id}/join", tag = "calls", security(("bearer" = [])),
params(("id" = String, Path, description = "32 hex digits")), responses(
    (status = 200, body = SeatView), (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "In it on another device"),
    (status = 410, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn join(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<SeatView>, Error> {
    let (standing, id) = people.call_for(&caller, &id).await?;
    let by = Device { user: standing.user, device: caller.device };
    people.check_free(by.user, id)?;
    people.change(id, |call| call.join(by, now_ms())).map_err(|refused| refusal::of_call(&refused))?;
    Ok(Json(people.seat(&caller, &standing, Some(id), &headers)?))
}

impl People {
    /// Whether somebody may read what is written down of a conversation's calls.
    async fn check_reads(&self, asker: &Asker, org: OrgId, conv: ConvId) -> Result<(), Error> {
        match asker {
            Asker::Person(caller) => self.standing(caller, conv).await.map(drop),
            Asker::Program(key) if key.org != org => Err(Code::NotFound.into()),
            Asker::Program(key) if !key.scopes.has(KeyScopes::ROOMS) => Err(Code::KeyNotAllowed.into()),
            Asker::Program(_) => Ok(()),
        }
    }

    /// How the caller stands in the conversation of a call. A call that is over is told from one that never was only to
    /// those who are in its conversation.
    async fn call_for(&self, caller: &Caller, id: &str) -> Result<(Standing, CallId), Error> {
        let id = unhex(id).map(CallId).ok_or(Code::NotFound)?;
        let live = self.inner.book.lock().get(id).map(|call| call.conv);
        let conv = match live {
            Some(conv) => conv,
            None => self.inner.store.ask(move |reader| reader.call(id)).await?.ok_or(Code::NotFound)?.conv,
        };
        Ok((self.standing(caller, conv).await?, id))
    }

    fn check_free(&self, user: UserId, id: CallId) -> Result<(), Error> {
        match self.inner.book.lock().call_of(user, id) {
            None => Ok(()),
            Some(_) => Err(Code::InAnotherCall.into()),
        }
    }

    fn act(
        &self,
        id: CallId,
        work: impl FnOnce(&mut Call) -> Result<(), convene_calls::Refusal>,
    ) -> Result<Json<CallView>, Error> {
        let changed = self.change(id, work).map_err(|refused| refusal::of_call(&refused))?;
        let call = changed.or_else(|| self.inner.book.lock().get(id).cloned()).ok_or(Code::CallOver)?;
        Ok(Json(CallView::of(&call)))
    }

    /// The conversation that a call belongs to: found, or made for it.
    async fn conversation_for(&self, caller: &Caller, ring: Ring) -> Result<Standing, Error> {
        let one_of = || Refusal::saying(Code::Malformed, "Name a conversation, users or a department: one of these.");
        let org = ring.organisation.map(OrgId);
        match (ring.conversation, ring.users.as_slice(), ring.department) {
            (Some(conv), [], None) => self.standing(caller, ConvId(conv)).await,
            (None, [_, ..], None) => self.group_of(caller, org, ring.users).await,
            (None, [], Some(dept)) => self.department_group(caller, org, DeptId(dept)).await,
            _ => Err(one_of().into()),
        }
    }

    /// The direct conversation with one, a new group of several.
    async fn group_of(&self, caller: &Caller, org: Option<OrgId>, users: Vec<u64>) -> Result<Standing, Error> {
        let (org, maker) = self.seat_in(caller, org).await?;
        if users.len() > MAX_RUNG {
            return Err(Code::TooMany.into());
        }
        let kind = if users.len() == 1 { ConversationKind::Direct } else { ConversationKind::Group };
        let members = users.into_iter().map(UserId).filter(|user| *user != maker).collect();
        let conv = self.make(Making { org, maker, kind, title: String::new(), members, client_id: fresh() }).await?;
        self.standing(caller, conv).await
    }

    /// The group of a department, with everybody in it who stands there.
    async fn department_group(&self, caller: &Caller, org: Option<OrgId>, dept: DeptId) -> Result<Standing, Error> {
        let (org, maker) = self.seat_in(caller, org).await?;
        let found = self.inner.store.ask(move |reader| {
            let title = reader.tree(org)?.get(dept).map(|dept| dept.name.clone());
            Ok((title, reader.department_group(org, dept)?, reader.standing_in(org, dept, MAX_RUNG + 2)?))
        });
        let (title, group, mut users) = found.await?;
        let title = title.ok_or(Code::NotFound)?;
        users.retain(|user| *user != maker);
        if users.len() > MAX_RUNG {
            return Err(Code::TooMany.into());
        }
        let conv = match group {
            Some(conv) => {
                self.add_missing(org, conv, maker, users).await?;
                conv
            }
            None => {
                let kind = ConversationKind::Group;
                let making = Making { org, maker, kind, title, members: users, client_id: fresh() };
                let conv = self.make(making).await?;
                let op = Op::DepartmentGroup { org, dept, conv };
                self.inner.chat.publish(op).await.map_err(|refused| refusal::of_chat(&refused))?;
                conv
            }
        };
        self.standing(caller, conv).await
    }

    async fn add_missing(&self, org: OrgId, conv: ConvId, caller: UserId, users: Vec<UserId>) -> Result<(), Error> {
        let here = self.inner.store.ask(move |reader| reader.members(conv)).await?;
        let missing = users.into_iter().chain([caller]).filter(|user| !here.iter().any(|(other, _)| other == user));
        let member = |user: UserId| im::Member { user: user.0, role: im::Role::Member.into(), ..im::Member::default() };
        let add: Vec<_> = missing.map(member).collect();
        if add.is_empty() {
            return Ok(());
        }
        let change = im::MemberChange { add, ..im::MemberChange::default() };
        self.append(org, UserId(0), conv, im::body::Kind::Members(change)).await
    }

    /// The caller's seat in an organisation, or their only one.
    pub(super) async fn seat_in(&self, caller: &Caller, org: Option<OrgId>) -> Result<(OrgId, UserId), Error> {
        let account = caller.account;
        let seats = self.inner.store.ask(move |reader| reader.seats_of(account)).await?;
        let seat = match (org, seats.as_slice()) {
            (Some(org), seats) => seats.iter().find(|seat| seat.org == org),
            (None, [only]) => Some(only),
            (None, _) => return Err(Refusal::saying(Code::Malformed, "Name the organisation.").into()),
        };
        Ok(seat.map(|seat| (seat.org, seat.user)).ok_or(Code::NotFound)?)
    }

    pub(super) async fn make(&self, making: Making) -> Result<ConvId, Error> {
        let Making { org, maker, kind, title, members, client_id } = making;
        let op = Op::Create { org, maker, client_id, kind, title, members };
        match self.inner.chat.publish(op).await {
            Ok(Outcome::Created { conv, .. }) => Ok(conv),
            Ok(_) => Err(Code::Internal.into()),
            Err(refused) => Err(refusal::of_chat(&refused)),
        }
    }

    /// Appends an event to a conversation's log, under the rules that hold for frames.
    pub(super) async fn append(
        &self,
        org: OrgId,
        actor: UserId,
        conv: ConvId,
        kind: im::body::Kind,
    ) -> Result<(), Error> {
        let body = im::Body { kind: Some(kind), ..im::Body::default() };
        let op = Op::Append { org, actor, client_id: fresh(), conv, body };
        self.inner.chat.publish(op).await.map(drop).map_err(|refused| refusal::of_chat(&refused))
    }
}

/// A conversation to be made.
pub(super) struct Making {
    pub(super) org: OrgId,
    pub(super) maker: UserId,
    pub(super) kind: ConversationKind,
    pub(super) title: String,
    pub(super) members: Vec<UserId>,
    pub(super) client_id: ClientId,
}

/// A name that nothing has.
pub(super) fn fresh() -> ClientId {
    ClientId(rand::random())
}
