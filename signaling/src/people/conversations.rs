//! `/v1/conversations`: what frames do, for who has no chat connection. The rules are those of frames.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use convene_accounts::{Code, Refusal};
use convene_api::{Body, Caller, Error, Problem};
use convene_im::wire::{self as im, ConversationKind, body::Kind};
use convene_types::{ClientId, ConvId, OrgId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::calls::{Making, fresh};
use super::{People, refusal};

/// A conversation as its member sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationView {
    /// Its number, as in frames.
    id: u64,
    /// `direct` or `group`.
    #[schema(example = "group")]
    kind: String,
    /// Of a group.
    title: String,
    /// Of a group.
    announcement: String,
    /// Of a direct conversation: the other one, a user of chat.
    peer: Option<u64>,
    /// `member`, `admin`, `owner`; none: no member any more.
    role: Option<String>,
    /// Members.
    members: u32,
    /// Only admins may speak.
    muted: bool,
    /// It is over: it can be read.
    dissolved: bool,
    /// Milliseconds since 1970 of the latest event.
    at_ms: i64,
    /// Unread messages.
    unread: u64,
}

/// Conversations.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationsView {
    /// The latest changed first.
    conversations: Vec<ConversationView>,
    /// Ask for what is behind this; none: that was all.
    next: Option<usize>,
}

/// A page of conversations.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// The organisation; not needed by whoever has one seat.
    organisation: Option<u64>,
    /// From the page before.
    #[serde(default)]
    after: usize,
    /// At most so many, up to 200.
    #[serde(default = "page")]
    limit: usize,
}

const fn page() -> usize {
    100
}

/// Entries of one page.
const MAX_PAGE: usize = 200;
/// Longest idempotency key.
const MAX_KEY_BYTES: usize = 128;

/// One's conversations.
#[utoipa::path(get, path = "/v1/conversations", tag = "conversations", security(("bearer" = [])), params(Page), responses(
    (status = 200, body = ConversationsView), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(people): State<People>,
    caller: Caller,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<ConversationsView>, Error> {
    let Query(Page { organisation, after, limit }) = page.map_err(|_| Code::Malformed)?;
    let (_, user) = people.seat_in(&caller, organisation.map(OrgId)).await?;
    let all = people.inner.store.ask(move |reader| reader.conversations(user)).await?;
    let limit = limit.clamp(1, MAX_PAGE);
    let end = after.saturating_add(limit);
    let next = (all.len() > end).then_some(end);
    let conversations = all.into_iter().skip(after).take(limit).map(ConversationView::of).collect();
    Ok(Json(ConversationsView { conversations, next }))
}

impl ConversationView {
    fn of(delta: im::ConversationDelta) -> Self {
        let role = delta.role();
        Self {
            id: delta.conv,
            kind: if delta.kind() == ConversationKind::Direct { "direct" } else { "group" }.to_owned(),
            peer: (delta.peer != 0).then_some(delta.peer),
            role: (role != im::Role::Unspecified).then(|| role_name(role)),
            members: delta.member_count,
            muted: delta.muted,
            dissolved: delta.dissolved,
            at_ms: delta.at_ms,
            unread: delta.head_ord.saturating_sub(delta.read_ord.max(delta.floor_ord)),
            title: delta.title,
            announcement: delta.announcement,
        }
    }
}

fn role_name(role: im::Role) -> String {
    role.as_str_name().trim_start_matches("ROLE_").to_ascii_lowercase()
}

/// A new conversation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewConversation {
    /// `direct` or `group`.
    #[schema(example = "group")]
    kind: ConversationKindName,
    /// The organisation; not needed by whoever has one seat.
    organisation: Option<u64>,
    /// Of a group.
    #[serde(default)]
    #[schema(max_length = 256)]
    title: String,
    /// The others: users of chat. One, for a direct conversation.
    members: Vec<u64>,
}

/// Which kind.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ConversationKindName {
    /// Of two.
    Direct,
    /// Of any number.
    Group,
}

/// Where it is.
#[derive(Serialize, ToSchema)]
pub(super) struct Made {
    /// Its number, as in frames.
    id: u64,
}

impl Made {
    pub(super) fn of(conv: ConvId) -> Self {
        Self { id: conv.0 }
    }
}

/// Makes a conversation; of two people there is one, found again. With an `Idempotency-Key`, saying it again makes nothing
/// new.
#[utoipa::path(post, path = "/v1/conversations", tag = "conversations", security(("bearer" = [])),
params(("Idempotency-Key" = Option<String>, Header, description = "At most 128 bytes, one for each wish")),
request_body = NewConversation, responses(
    (status = 201, body = Made), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "No such people"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(people): State<People>,
    caller: Caller,
    headers: HeaderMap,
    Body(new): Body<NewConversation>,
) -> Result<(StatusCode, Json<Made>), Error> {
    let NewConversation { kind, organisation, title, members } = new;
    let (org, maker) = people.seat_in(&caller, organisation.map(OrgId)).await?;
    let kind = match kind {
        ConversationKindName::Direct => ConversationKind::Direct,
        ConversationKindName::Group => ConversationKind::Group,
    };
    let members = members.into_iter().map(UserId).collect();
    let making = Making { org, maker, kind, title, members, client_id: client_id(&headers)? };
    let conv = people.make(making).await?;
    Ok((StatusCode::CREATED, Json(Made::of(conv))))
}

/// What makes a retry the same thing. The store keeps these names per sender.
fn client_id(headers: &HeaderMap) -> Result<ClientId, Error> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(fresh()) };
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(Refusal::saying(Code::Malformed, "An Idempotency-Key has 1 to 128 bytes.").into());
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    let (front, _) = digest.as_ref().split_at(16);
    Ok(ClientId::from_wire(front).unwrap_or_else(fresh))
}

/// A change of a group. What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupChange {
    /// At most 256 bytes.
    title: Option<String>,
    /// At most 4 KiB.
    announcement: Option<String>,
    /// Only admins may speak.
    muted: Option<bool>,
}

/// Renames a group, announces something, or lets only its admins speak.
#[utoipa::path(patch, path = "/v1/conversations/{id}", tag = "conversations", security(("bearer" = [])),
params(("id" = u64, Path)), request_body = GroupChange, responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<GroupChange>,
) -> Result<StatusCode, Error> {
    let GroupChange { title, announcement, muted } = change;
    let change = im::GroupChange { title, announcement, muted, ..im::GroupChange::default() };
    people.by(&caller, &id, Kind::Group(change)).await
}

/// Ends a group for good. It can be read afterwards.
#[utoipa::path(delete, path = "/v1/conversations/{id}", tag = "conversations", security(("bearer" = [])),
params(("id" = u64, Path)), responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn dissolve(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    let change = im::GroupChange { dissolved: Some(true), ..im::GroupChange::default() };
    people.by(&caller, &id, Kind::Group(change)).await
}

/// A member.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberView {
    /// The user of chat.
    user: u64,
    /// `member`, `admin`, `owner`.
    #[schema(example = "member")]
    role: String,
    /// May not speak until then: milliseconds since 1970.
    muted_until_ms: i64,
}

/// Members.
#[derive(Serialize, ToSchema)]
pub(super) struct MembersView {
    /// Ascending by user.
    members: Vec<MemberView>,
    /// Ask for what is behind this; none: that was all.
    next: Option<u64>,
    /// All of them.
    total: u32,
}

/// A page of members.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MembersPage {
    /// From the page before.
    #[serde(default)]
    after: u64,
    /// At most so many, up to 1,000.
    #[serde(default)]
    limit: u32,
}

/// Who is in a conversation.
#[utoipa::path(get, path = "/v1/conversations/{id}/members", tag = "conversations", security(("bearer" = [])),
params(("id" = u64, Path), MembersPage), responses(
    (status = 200, body = MembersView), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn members(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
    page: Result<Query<MembersPage>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<MembersView>, Error> {
    let Query(MembersPage { after, limit }) = page.map_err(|_| Code::Malformed)?;
    let standing = people.standing(&caller, conv(&id)?).await?;
    let (user, request) = (standing.user, im::GetMembers { conv: standing.conv.0, after, limit });
    let page = people.inner.store.read(move |reader| reader.get_members(user, &request)).await;
    let page = page.map_err(|refused| refusal::of_chat(&refused))?;
    let next = page.members.last().filter(|_| page.more).map(|member| member.user);
    let view = |member: im::Member| MemberView {
        user: member.user,
        role: role_name(member.role()),
        muted_until_ms: member.muted_until_ms,
    };
    Ok(Json(MembersView { members: page.members.into_iter().map(view).collect(), next, total: page.total }))
}

/// Newcomers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Newcomers {
    /// Users of chat.
    users: Vec<u64>,
    /// They may read what was said before.
    #[serde(default)]
    with_history: bool,
}

/// Lets people into a group.
#[utoipa::path(post, path = "/v1/conversations/{id}/members", tag = "conversations", security(("bearer" = [])),
params(("id" = u64, Path)), request_body = Newcomers, responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn add(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
    Body(Newcomers { users, with_history }): Body<Newcomers>,
) -> Result<StatusCode, Error> {
    let member = |user: u64| im::Member { user, role: im::Role::Member.into(), with_history, ..im::Member::default() };
    let add = users.into_iter().map(member).collect();
    people.by(&caller, &id, Kind::Members(im::MemberChange { add, ..im::MemberChange::default() })).await
}

/// Takes somebody out of a group. Their seat in its room is gone at once.
#[utoipa::path(delete, path = "/v1/conversations/{id}/members/{user}", tag = "conversations", security(("bearer" = [])),
params(("id" = u64, Path), ("user" = u64, Path)), responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(people): State<People>,
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    let user: u64 = user.parse().map_err(|_| Code::NotFound)?;
    people.by(&caller, &id, Kind::Members(im::MemberChange { remove: vec![user], ..im::MemberChange::default() })).await
}

/// What becomes of a member. What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberChange {
    /// `member`, `admin`, `owner`.
    role: Option<RoleName>,
    /// May not speak until then, in milliseconds since 1970, neither in writing nor in the room; 0 ends it.
    muted_until_ms: Option<i64>,
}

/// A role in a group.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RoleName {
    /// Speaks.
    Member,
    /// Lets people in and out, mutes.
    Admin,
    /// May all.
    Owner,
}

/// Gives a member another role, or keeps them from speaking.
#[utoipa::path(patch, path = "/v1/conversations/{id}/members/{user}", tag = "conversations", security(("bearer" = [])),
params(("id" = u64, Path), ("user" = u64, Path)), request_body = MemberChange, responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set_member(
    State(people): State<People>,
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
    Body(MemberChange { role, muted_until_ms }): Body<MemberChange>,
) -> Result<StatusCode, Error> {
    let user: u64 = user.parse().map_err(|_| Code::NotFound)?;
    if role.is_none() && muted_until_ms.is_none() {
        return Err(Refusal::saying(Code::Malformed, "Say what is to change.").into());
    }
    if let Some(role) = role {
        let role = match role {
            RoleName::Member => im::Role::Member,
            RoleName::Admin => im::Role::Admin,
            RoleName::Owner => im::Role::Owner,
        };
        let member = im::Member { user, role: role.into(), ..im::Member::default() };
        people
            .by(&caller, &id, Kind::Members(im::MemberChange { role: vec![member], ..im::MemberChange::default() }))
            .await?;
    }
    if let Some(until_ms) = muted_until_ms {
        people.by(&caller, &id, Kind::Mute(im::MemberMute { users: vec![user], until_ms })).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Leaves a group.
#[utoipa::path(post, path = "/v1/conversations/{id}/leave", tag = "conversations", security(("bearer" = [])),
params(("id" = u64, Path)), responses(
    (status = 204), (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "The last owner"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn leave(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    let standing = people.standing(&caller, conv(&id)?).await?;
    let change = im::MemberChange { remove: vec![standing.user.0], ..im::MemberChange::default() };
    people.by(&caller, &id, Kind::Members(change)).await
}

fn conv(id: &str) -> Result<ConvId, Error> {
    Ok(id.parse().map(ConvId).map_err(|_| Code::NotFound)?)
}

impl People {
    /// Somebody changes a conversation.
    async fn by(&self, caller: &Caller, id: &str, kind: Kind) -> Result<StatusCode, Error> {
        let standing = self.standing(caller, conv(id)?).await?;
        self.append(standing.org, standing.user, standing.conv, kind).await?;
        Ok(StatusCode::NO_CONTENT)
    }
}
