//! `/v1/organisations/{org}/keys` and `/webhooks`: what programs of an organisation work with. For its owners.

mod keys;
mod webhooks;

use convene_accounts::role::Act;
use convene_accounts::{Code, Refusal};
use convene_store::orgs::{Change, Op, Outcome};
use convene_types::OrgId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Api;
use crate::authenticator::Caller;
use crate::client::Client;

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(keys::list, keys::make))
        .routes(routes!(keys::revoke))
        .routes(routes!(webhooks::list, webhooks::make))
        .routes(routes!(webhooks::end))
        .routes(routes!(webhooks::test))
}

/// The organisation of an address.
fn number(text: &str) -> Result<OrgId, Refusal> {
    text.parse().map(OrgId).map_err(|_| Code::NotFound.into())
}

impl Api {
    /// Whether somebody may look at keys and webhooks. Who has no seat is answered as if there was no organisation.
    async fn may_manage_keys(&self, caller: &Caller, org: OrgId) -> Result<(), Refusal> {
        let account = caller.account;
        let seat = self.inner.store.ask(move |reader| reader.seat(org, account)).await?.ok_or(Code::NotFound)?;
        seat.role.require(Act::ManageKeys)
    }

    async fn change_as(&self, caller: &Caller, client: Client, org: OrgId, change: Change) -> Result<Outcome, Refusal> {
        let op = Op { org, by: caller.account, address: client.0.to_string(), change, once: None };
        self.inner.change(op).await
    }
}
