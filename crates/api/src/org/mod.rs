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

use convene_accounts::{Code, Refusal};
use convene_store::orgs::{Change, Once, Op, Outcome, Seat};
use convene_store::{Reader, StoreError};
use convene_types::OrgId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::authenticator::Caller;
use crate::client::Client;
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
struct Act {
    caller: Caller,
    client: Client,
    org: u64,
    change: Change,
    once: Option<Once>,
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

    async fn act(&self, act: Act) -> Result<Outcome, Refusal> {
        let Act { caller, client, org, change, once } = act;
        let op = Op { org: OrgId(org), by: caller.account, address: client.0.to_string(), change, once };
        self.change(op).await
    }
}

/// The store answered another question.
fn other(outcome: &Outcome) -> Refusal {
    tracing::error!(?outcome, "the store answered another question");
    Code::Internal.into()
}
