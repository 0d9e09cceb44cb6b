//! Invitations: by number or by link; and how one comes by them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use convene_accounts::invitation::{VALID_FOR_S, Whom, link_hash, link_token};
use convene_accounts::role;
use convene_accounts::{Code, Refusal};
use convene_store::Reader;
use convene_store::orgs::{Change, Invited, JoinBy, Listed, Op, Outcome};
use convene_types::{DeptId, InviteId, OrgId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Act, other};
use crate::answer::now_s;
use crate::authenticator::Caller;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::once::Creation;
use crate::page::Paging;
use crate::path::{Asked, Ids};
use crate::tag::Known;
use crate::{Api, Inner};

/// Routes of those who are invited.
pub(crate) fn mine() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(own)).routes(routes!(accept_own)).routes(routes!(accept_link))
}

/// Whom to invite: a number or a link, one of them.
#[derive(Deserialize, ToSchema)]
pub(crate) struct InvitationFields {
    /// Whoever holds this number.
    #[schema(example = "+8613800138000", max_length = 96)]
    phone: Option<String>,
    /// Whoever has the link: so many people.
    #[schema(minimum = 1, maximum = 10000)]
    uses: Option<u32>,
    /// Where they will stand; 0: at the top.
    #[serde(default)]
    department: u64,
    /// Somebody has to say yes when they come.
    #[serde(default)]
    needs_approval: bool,
    /// Seconds in which it is good: a week unless said otherwise, at most 90 days.
    #[schema(minimum = 1, maximum = 7776000)]
    valid_for_s: Option<u64>,
}

/// An invitation that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationMade {
    /// Which.
    id: u64,
    /// Of a link: its secret part, shown this once. For `POST /v1/invitations/accept`.
    link_token: Option<String>,
}

/// Invites a number, or whoever has a link. The answer does not tell whether the number has an account.
#[utoipa::path(post, path = "/v1/organisations/{org}/invitations", tag = "invitations", security(("bearer" = [])),
params(("org" = u64, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = InvitationFields,
responses((status = 201, body = InvitationMade), Changing))]
pub(super) async fn invite(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(org): Ids<u64>,
    Creation { body, once }: Creation<InvitationFields>,
) -> Result<(StatusCode, Json<InvitationMade>), Error> {
    let inner = &api.inner;
    let InvitationFields { phone, uses, department, needs_approval, valid_for_s } = body;
    let (whom, sealed, link_token) = match (phone, uses) {
        (Some(phone), None) => {
            let phone = inner.phone(&phone)?;
            let sealed = inner.keys.vault.seal(&phone, rand::random()).map_err(|_| Code::Internal)?;
            (Invited::Number(inner.keys.vault.lookup(&phone)), Some(sealed), None)
        }
        (None, Some(uses)) => {
            // The store keeps a hash of it: a repeated request is answered with the same secret because it is made of the key.
            let secret = once.map_or_else(rand::random, |once| inner.keys.links.secret(&once.key));
            let token = link_token(&secret);
            (Invited::Link { hash: link_hash(&token)?, uses }, None, Some(token))
        }
        _ => {
            return Err(
                Refusal::saying(Code::Malformed, "Give a number or how many may use a link: one of them.").into()
            );
        }
    };
    let (dept, valid_for_s) = (DeptId(department), valid_for_s.unwrap_or(VALID_FOR_S));
    let change = Change::Invite { whom, sealed, dept, ask: needs_approval, valid_for_s };
    let outcome = inner.act(Act { caller, client, org, change, once }).await?;
    let Outcome::Invited(id) = outcome else { return Err(other(&outcome).into()) };
    Ok((StatusCode::CREATED, Json(InvitationMade { id: id.0, link_token })))
}

/// An open invitation.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationView {
    /// Which.
    id: u64,
    /// The number it is for; none: it is a link.
    phone: Option<String>,
    /// How many it still lets in.
    uses_left: u32,
    /// Where they will stand.
    department: u64,
    /// Somebody has to say yes when they come.
    needs_approval: bool,
    /// Seconds since 1970 from which it is good no more.
    expires_s: u64,
}

/// Invitations.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationsPage {
    /// The latest first.
    invitations: Vec<InvitationView>,
    /// Cursor of the next page.
    next: Option<String>,
}

/// Open invitations of an organisation. Takes the scope `members`.
#[utoipa::path(get, path = "/v1/organisations/{org}/invitations", tag = "invitations", security(("bearer" = [])),
params(("org" = u64, Path), Paging), responses((status = 200, body = InvitationsPage), Reading))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Ids(org): Ids<u64>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<InvitationsPage>, Error> {
    let (rows, before) = (paging.rows()?, paging.number()?.unwrap_or(u64::MAX));
    let ask = move |reader: &mut Reader, org| reader.invitations_of(org, before, rows);
    let found = api.inner.within_as(org, &caller, role::Act::ManageMembers, ask).await?;
    let full = found.len() >= usize::try_from(rows).unwrap_or(usize::MAX);
    let next = found.last().filter(|_| full).map(|row| row.invitation.id.0.to_string());
    let now_s = now_s();
    let good = found.into_iter().filter(|row| now_s < row.invitation.expires_s);
    Ok(Json(InvitationsPage { invitations: good.map(|row| view(&api.inner, row)).collect(), next }))
}

fn view(inner: &Inner, Listed { invitation, sealed }: Listed) -> InvitationView {
    let (phone, uses_left) = match invitation.whom {
        Whom::Link { left, .. } => (None, left),
        Whom::Number(lookup) => {
            let open = |sealed: Vec<u8>| inner.keys.vault.open(lookup, &sealed).ok();
            (sealed.and_then(open).map(|phone| phone.e164().to_owned()), 1)
        }
    };
    let (id, department) = (invitation.id.0, invitation.dept.0);
    InvitationView { id, phone, uses_left, department, needs_approval: invitation.ask, expires_s: invitation.expires_s }
}

/// Takes an invitation back.
#[utoipa::path(delete, path = "/v1/organisations/{org}/invitations/{invitation}", tag = "invitations",
security(("bearer" = [])), params(("org" = u64, Path), ("invitation" = u64, Path)),
responses((status = 204), Changing))]
pub(super) async fn withdraw(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids((org, invitation)): Ids<(u64, u64)>,
) -> Result<StatusCode, Error> {
    let change = Change::Withdraw { id: InviteId(invitation) };
    api.inner.done(Act { caller, client, org, change, once: None }).await
}

/// An invitation for one's number.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnInvitation {
    /// Which.
    id: u64,
    /// Into which organisation.
    organisation: u64,
    /// Its title.
    title: String,
    /// Somebody has to say yes.
    needs_approval: bool,
    /// Seconds since 1970 from which it is good no more.
    expires_s: u64,
}

/// Invitations for one's number.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnInvitations {
    /// The latest first, at most 100.
    invitations: Vec<OwnInvitation>,
}

/// Invitations for one's number.
#[utoipa::path(get, path = "/v1/me/invitations", tag = "me", security(("bearer" = [])),
responses((status = 200, body = OwnInvitations), (status = 304), Reading))]
async fn own(State(api): State<Api>, caller: Caller, known: Known) -> Result<Response, Error> {
    let account = api.inner.account(caller.account).await?;
    let Some((lookup, _)) = account.phone else { return Err(Code::SessionEnded.into()) };
    let now_s = now_s();
    let found = api.inner.store.ask(move |reader| {
        let mut found = Vec::new();
        for row in reader.invitations_for(lookup)?.into_iter().filter(|row| now_s < row.expires_s) {
            // A member who was invited once more has nothing to accept.
            let member = reader.seat(row.org, caller.account)?.is_some();
            found.extend(reader.company(row.org)?.filter(|_| !member).map(|company| (row, company.title)));
        }
        Ok(found)
    });
    let view = |(row, title): (convene_accounts::invitation::Invitation, String)| OwnInvitation {
        id: row.id.0,
        organisation: row.org.0,
        title,
        needs_approval: row.ask,
        expires_s: row.expires_s,
    };
    known.answer(&OwnInvitations { invitations: found.await?.into_iter().map(view).collect() })
}

/// What came of an invitation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The organisation one is in now; none: somebody has to say yes first.
    organisation: Option<u64>,
    /// The request that waits for that.
    request: Option<u64>,
}

/// Accepts an invitation for one's number.
#[utoipa::path(post, path = "/v1/me/invitations/{invitation}/accept", tag = "me", security(("bearer" = [])),
params(("invitation" = u64, Path)), responses((status = 200, body = Accepted), Changing))]
async fn accept_own(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(invitation): Ids<u64>,
) -> Result<Json<Accepted>, Error> {
    join(&api.inner, client, &caller, JoinBy::Number(InviteId(invitation))).await
}

/// A link that somebody got.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Link {
    /// Its secret part.
    #[schema(max_length = 128)]
    link_token: String,
}

/// Comes into an organisation by a link.
#[utoipa::path(post, path = "/v1/invitations/accept", tag = "invitations", security(("bearer" = [])),
request_body = Link, responses((status = 200, body = Accepted), Changing))]
async fn accept_link(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    crate::body::Body(Link { link_token }): crate::body::Body<Link>,
) -> Result<Json<Accepted>, Error> {
    join(&api.inner, client, &caller, JoinBy::Link(link_hash(&link_token)?)).await
}

async fn join(inner: &Inner, client: Client, caller: &Caller, way: JoinBy) -> Result<Json<Accepted>, Error> {
    let (org, by, address) = (OrgId(0), caller.account, client.0.to_string());
    let outcome = inner.change(Op { org, by, address, change: Change::Join(way), once: None }).await?;
    if let Outcome::Joined { org, .. } = outcome {
        return Ok(Json(Accepted { organisation: Some(org.0), request: None }));
    }
    let Outcome::Asked(id) = outcome else { return Err(other(&outcome).into()) };
    Ok(Json(Accepted { organisation: None, request: Some(id.0) }))
}
