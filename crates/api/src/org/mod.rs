//! `/v1/organisations`: who is in, as what, and how an organisation is built. What is asked about one is answered to who has
//! a seat in it; to all others it is not there.

mod accesses;
mod audit;
mod departments;
mod directory;
mod invitations;
mod members;
mod organisation;
mod policy;
mod positions;
mod requests;
mod sight;
mod view;

use axum::http::StatusCode;
use convene_accounts::apikey::KeyScopes;
use convene_accounts::{Code, Refusal, role};
use convene_store::orgs::{Change, Once, Op, Outcome, Seat};
use convene_store::{Reader, StoreError};
use convene_types::{AccountId, OrgId, UserId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::authenticator::{Asker, Caller};
use crate::client::Client;
use crate::error::Error;
use crate::{Api, Inner};

pub(crate) use invitations::mine as invitation_routes;
pub(crate) use sight::{Sight, page_of};
pub(crate) use view::{MemberView, RoleView};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(organisation::list, organisation::found))
        .routes(routes!(organisation::get, organisation::rename))
        .routes(routes!(organisation::dissolve))
        .routes(routes!(organisation::leave))
        .routes(routes!(members::list))
        .routes(routes!(members::get, members::edit, members::remove))
        .routes(routes!(members::set_role))
        .routes(routes!(directory::search))
        .routes(routes!(departments::list, departments::add))
        .routes(routes!(departments::change, departments::remove))
        .routes(routes!(positions::list, positions::add))
        .routes(routes!(positions::change, positions::remove))
        .routes(routes!(invitations::list, invitations::invite))
        .routes(routes!(invitations::withdraw))
        .routes(routes!(requests::joins))
        .routes(routes!(requests::decide_join))
        .routes(routes!(requests::edits))
        .routes(routes!(requests::decide_edit))
        .routes(routes!(policy::get, policy::set))
        .routes(routes!(accesses::list))
        .routes(routes!(audit::list))
        .routes(routes!(audit::check))
}

/// What somebody does to an organisation.
pub(crate) struct Act {
    pub(crate) caller: Caller,
    pub(crate) client: Client,
    pub(crate) org: u64,
    pub(crate) change: Change,
    pub(crate) once: Option<Once>,
}

impl Inner {
    /// Asks something about an organisation for somebody who has a seat in it.
    pub(crate) async fn within<T: Send + 'static>(
        &self,
        org: u64,
        caller: &Caller,
        ask: impl FnOnce(&mut Reader, OrgId, &Seat) -> Result<Result<T, Refusal>, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (org, account) = (OrgId(org), caller.account);
        let found = self.store.ask(move |reader| match reader.seat(org, account)? {
            Some(seat) => ask(reader, org, &seat),
            None => Ok(Err(Code::NotFound.into())),
        });
        found.await?
    }

    /// The same for those whose role lets them do something.
    pub(crate) async fn within_as<T: Send + 'static>(
        &self,
        org: u64,
        caller: &Caller,
        what: role::Act,
        ask: impl FnOnce(&mut Reader, OrgId) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let asked = self.within(org, caller, move |reader, org, seat| match seat.role.require(what) {
            Ok(()) => ask(reader, org).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        });
        asked.await
    }

    /// The same as [`Inner::within`] for programs as well, if their key has this scope. They see what it lets them, as if it
    /// were somebody's role; and no other organisation.
    pub(crate) async fn seen_by<T: Send + 'static>(
        &self,
        org: u64,
        asker: impl Into<Asker>,
        scope: KeyScopes,
        ask: impl FnOnce(&mut Reader, OrgId, &Seat) -> Result<Result<T, Refusal>, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let key = match asker.into() {
            Asker::Person(caller) => return self.within(org, &caller, ask).await,
            Asker::Program(key) if key.org == OrgId(org) => key,
            Asker::Program(_) => return Err(Code::NotFound.into()),
        };
        if !key.scopes.has(scope) {
            return Err(Code::KeyNotAllowed.into());
        }
        let (account, user, role) = (AccountId(0), UserId(0), key.scopes.role());
        let seat = Seat { org: key.org, account, user, role, depts: Vec::new() };
        self.store.ask(move |reader| ask(reader, seat.org, &seat)).await?
    }

    /// Changes an organisation. Whether the caller may is asked where it is changed.
    pub(crate) async fn act(&self, act: Act) -> Result<Outcome, Refusal> {
        let Act { caller, client, org, change, once } = act;
        let op = Op { org: OrgId(org), by: caller.account, address: client.0.to_string(), change, once };
        self.change(op).await
    }

    /// The same where there is nothing to tell of it.
    pub(crate) async fn done(&self, act: Act) -> Result<StatusCode, Error> {
        self.act(act).await?;
        Ok(StatusCode::NO_CONTENT)
    }
}

/// The store answered another question.
pub(crate) fn other(outcome: &Outcome) -> Refusal {
    tracing::error!(?outcome, "the store answered another question");
    Code::Internal.into()
}
