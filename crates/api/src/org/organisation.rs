//! An organisation itself: founded, named, left, dissolved.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use convene_accounts::role::Role;
use convene_accounts::{Code, Refusal};
use convene_store::orgs::{Change, Company, Op, Outcome};
use convene_types::OrgId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::RoleView;
use super::{Act, other};
use crate::Api;
use crate::authenticator::Caller;
use crate::body::Body;
use crate::client::Client;
use crate::error::{Changing, Error, Reading};
use crate::once::Creation;
use crate::path::Ids;
use crate::tag::Known;

/// An organisation.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrganisationView {
    /// Which.
    id: u64,
    /// As shown.
    title: String,
    /// As in tokens.
    name: String,
    /// How many are in it.
    members: u64,
    /// Role of who asks.
    #[serde(flatten)]
    role: RoleView,
}

impl OrganisationView {
    fn new(company: Company, role: Role) -> Self {
        let Company { id, name, title, members } = company;
        Self { id: id.0, title, name, members, role: role.into() }
    }
}

/// Organisations.
#[derive(Serialize, ToSchema)]
pub(crate) struct Organisations {
    /// At most 100.
    organisations: Vec<OrganisationView>,
}

/// Organisations that one is in.
#[utoipa::path(get, path = "/v1/organisations", tag = "organisations", security(("bearer" = [])),
responses((status = 200, body = Organisations), (status = 304), Reading))]
pub(super) async fn list(State(api): State<Api>, caller: Caller, known: Known) -> Result<Response, Error> {
    let found = api.inner.store.ask(move |reader| reader.companies_of(caller.account)).await?;
    let organisations = found.into_iter().map(|(company, seat)| OrganisationView::new(company, seat.role)).collect();
    known.answer(&Organisations { organisations })
}

/// A new organisation.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Founding {
    /// As shown.
    #[schema(example = "Hangzhou Instruments", max_length = 128)]
    title: String,
}

/// An organisation that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Founded {
    /// Which.
    id: u64,
}

/// Founds an organisation. Who does is its owner.
#[utoipa::path(post, path = "/v1/organisations", tag = "organisations", security(("bearer" = [])),
params(("Idempotency-Key" = Option<String>, Header, description = "A repeated request with the same key makes nothing more")),
request_body = Founding, responses((status = 201, body = Founded), Changing))]
pub(super) async fn found(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Creation { body: Founding { title }, once }: Creation<Founding>,
) -> Result<(StatusCode, Json<Founded>), Error> {
    let random: [u8; 8] = rand::random();
    // People choose titles. The name is nobody's choice, so that a taken one tells nothing.
    let name = format!("o{:016x}", u64::from_be_bytes(random));
    let change = Change::Found { name, title, owner: caller.account };
    let outcome = api.inner.act(Act { caller, client, org: 0, change, once }).await?;
    let Outcome::Joined { org, .. } = outcome else { return Err(other(&outcome).into()) };
    Ok((StatusCode::CREATED, Json(Founded { id: org.0 })))
}

/// One organisation.
#[utoipa::path(get, path = "/v1/organisations/{org}", tag = "organisations", security(("bearer" = [])),
params(("org" = u64, Path)), responses((status = 200, body = OrganisationView), (status = 304), Reading))]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    known: Known,
    Ids(org): Ids<u64>,
) -> Result<Response, Error> {
    let found = api.inner.within(org, &caller, |reader, org, seat| {
        let role = seat.role;
        Ok(reader.company(org)?.ok_or(Refusal::new(Code::NotFound)).map(|company| OrganisationView::new(company, role)))
    });
    known.answer(&found.await?)
}

/// What is to be another.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Renaming {
    /// As shown.
    #[schema(max_length = 128)]
    title: String,
}

/// Gives an organisation another title.
#[utoipa::path(patch, path = "/v1/organisations/{org}", tag = "organisations", security(("bearer" = [])),
params(("org" = u64, Path)), request_body = Renaming, responses((status = 204), Changing))]
pub(super) async fn rename(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(org): Ids<u64>,
    Body(Renaming { title }): Body<Renaming>,
) -> Result<StatusCode, Error> {
    api.inner.done(Act { caller, client, org, change: Change::Rename { title }, once: None }).await
}

/// A confirmation.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Dissolution {
    /// The title of the organisation that is to end.
    title: String,
}

/// Ends an organisation: all seats end at once, departments and invitations are deleted. The audit log stays.
#[utoipa::path(post, path = "/v1/organisations/{org}/dissolve", tag = "organisations", security(("bearer" = [])),
params(("org" = u64, Path)), request_body = Dissolution, responses((status = 204), Changing))]
pub(super) async fn dissolve(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(org): Ids<u64>,
    Body(Dissolution { title }): Body<Dissolution>,
) -> Result<StatusCode, Error> {
    let found = api.inner.within(org, &caller, |reader, org, seat| {
        let may = seat.role.require(convene_accounts::role::Act::ManageOrganisation);
        Ok(match (may, reader.company(org)?) {
            (Err(refusal), _) => Err(refusal),
            (Ok(()), found) => found.ok_or(Code::NotFound.into()),
        })
    });
    if found.await?.title != title {
        return Err(Refusal::saying(Code::BadValue, "This is not the title of the organisation.").into());
    }
    api.inner.done(Act { caller, client, org, change: Change::Dissolve, once: None }).await
}

/// Leaves an organisation. The last owner names another one first.
#[utoipa::path(post, path = "/v1/organisations/{org}/leave", tag = "organisations", security(("bearer" = [])),
params(("org" = u64, Path)), responses((status = 204), Changing))]
pub(super) async fn leave(
    State(api): State<Api>,
    client: Client,
    caller: Caller,
    Ids(org): Ids<u64>,
) -> Result<StatusCode, Error> {
    let (account, address) = (caller.account, client.0.to_string());
    let change = Change::Remove { account };
    api.inner.change(Op { org: OrgId(org), by: account, address, change, once: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}
