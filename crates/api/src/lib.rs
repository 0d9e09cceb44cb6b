//! REST of people: `/v1`. Reads requests, makes what has to be random, hashes what has to be hashed, asks the store, answers.
//!
//! - `auth`: codes, registering, signing in and out, refreshing, resetting.
//! - `me`: the account that asks: profile, password, number, sessions, devices, its end.
//!
//! Not here: what may happen (`convene-accounts`), what is kept (`convene-store`), rooms and chat (`signaling`).
//!
//! Invariant: a request is checked without reading the database: by its token's signature and by [`Authenticator`]'s list of
//! what has ended.

mod answer;
mod auth;
mod authenticator;
mod body;
mod changes;
mod client;
mod docs;
mod error;
mod hashing;
mod keys;
mod me;
mod sender;

use std::sync::Arc;

use axum::Router;
use convene_accounts::Refusal;
use convene_store::Store;
use convene_telemetry::Metrics;
use tokio::sync::broadcast;
use utoipa_axum::router::OpenApiRouter;

pub use authenticator::{Authenticator, Caller, Ended};
pub use body::Body;
pub use changes::Change;
pub use client::Client;
pub use error::{Error, Problem};
pub use keys::{Keys, SECRET_BYTES};
pub use sender::{Program, Sender};

use changes::Changes;
use hashing::Hashing;

/// What the service is made from.
pub struct Options {
    /// Where accounts are.
    pub store: Store,
    /// What numbers are sealed with, and tokens signed.
    pub keys: Keys,
    /// Who brings codes to phones.
    pub sender: Sender,
    /// ISO 3166-1 alpha-2: where numbers without country code are dialled. Empty: they are refused.
    pub region: String,
    /// Version of the policy of use that people have to agree to.
    pub policy_version: String,
    /// Where refusals are counted.
    pub metrics: Arc<Metrics>,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    keys: Keys,
    sender: Sender,
    region: Option<convene_accounts::phone::Region>,
    policy_version: String,
    metrics: Arc<Metrics>,
    authenticator: Arc<Authenticator>,
    hashing: Hashing,
    changes: Changes,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Not two letters of a country.
    #[error("{0:?} is no country (ISO 3166-1 alpha-2, such as CN)")]
    Region(String),
    /// The store cannot be read.
    #[error("reading which sessions have ended")]
    Store(#[source] Refusal),
}

impl Api {
    /// Starts the service: learns from the store which sessions have ended of late.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let Options { store, keys, sender, region, policy_version, metrics } = options;
        let region = match region.as_str() {
            "" => None,
            text => Some(convene_accounts::phone::Region::parse(text).ok_or(StartError::Region(region))?),
        };
        let authenticator = Authenticator::start(&keys, &store).await.map_err(StartError::Store)?;
        let authenticator = Arc::new(authenticator);
        let hashing = Hashing::new();
        let changes = Changes::default();
        let inner = Inner { store, keys, sender, region, policy_version, metrics, authenticator, hashing, changes };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Who a token speaks for: for those who open other doors with it.
    #[must_use]
    pub fn authenticator(&self) -> &Arc<Authenticator> {
        &self.inner.authenticator
    }

    /// Tells of every session that ends from now on, as soon as it has: close what it has open. Who falls behind by more
    /// than the queue holds is told so, and looks at all of its own.
    #[must_use]
    pub fn ends(&self) -> broadcast::Receiver<Ended> {
        self.inner.authenticator.subscribe()
    }

    /// Tells of every change of who is in which organisation as what, from now on and as soon as it is stored. Who falls
    /// behind by more than the queue holds is told so, and reads the store.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    /// Changes something about an organisation, and tells of it: for whoever does not come by HTTP.
    pub async fn change(&self, op: convene_store::orgs::Op) -> Result<convene_store::orgs::Outcome, Refusal> {
        self.inner.change(op).await
    }

    /// The routes, and their description at `/v1/openapi.json`.
    pub fn router(&self) -> Router {
        self.router_with(OpenApiRouter::new())
    }

    /// The same, with routes of others, which have their state already. They are in the same document, their refusals are
    /// counted with ours when they are an [`Error`], and [`Caller`] works for them where their state gives an
    /// [`Authenticator`] (`FromRef`).
    pub fn router_with(&self, more: OpenApiRouter) -> Router {
        docs::router(self.clone(), more)
    }
}
