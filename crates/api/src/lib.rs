//! REST of people: `/v1`. Reads requests, makes what has to be random, hashes what has to be hashed, asks the store, answers.
//!
//! - `auth`: codes, registering, signing in and out, refreshing, resetting.
//! - `integrations`: API keys and webhooks of organisations.
//! - [`admin`]: what whoever runs the server may do, over no network.
//! - `me`: the account that asks: profile, password, number, sessions, devices, address book, its end.
//! - `org`: organisations, and the directory of each.
//!
//! What all routes share, those of other crates too: [`Caller`] and [`Asker`], [`Body`], [`Creation`] (`Idempotency-Key`), [`Ids`],
//! [`Asked`], [`Paging`], [`Known`] (`ETag`), [`Error`], [`Reading`] and [`Changing`] (descriptions of refusals).
//!
//! Not here: what may happen (`convene-accounts`), what is kept (`convene-store`), rooms and chat (`signaling`).
//!
//! Invariant: a request is checked without reading the database: by its token's signature and by [`Authenticator`]'s list of
//! what has ended.

mod access;
pub mod admin;
mod answer;
mod auth;
mod authenticator;
mod body;
mod changes;
mod client;
mod consequences;
mod docs;
mod error;
mod hashing;
mod integrations;
mod keys;
mod me;
mod once;
mod org;
mod owed;
mod page;
mod path;
mod pictures;
mod sender;
mod sweep;
mod tag;

use std::sync::{Arc, OnceLock};

use axum::Router;
use convene_accounts::Refusal;
use convene_accounts::apikey::Keyring;
use convene_outbound::Courier;
use convene_store::{Blobs, Store};
use convene_telemetry::Metrics;
use convene_types::AccountId;
use tokio::sync::{Semaphore, broadcast};
use utoipa_axum::router::OpenApiRouter;

pub use authenticator::{Asker, Authenticator, Caller, Ended};
pub use body::Body;
pub use changes::Change;
pub use client::Client;
pub use error::{Changing, Error, Problem, Reading};
pub use keys::{Keys, SECRET_BYTES};
pub use once::{Creation, IDEMPOTENCY_KEY};
pub use page::Paging;
pub use path::{Asked, Ids};
pub use sender::{Program, Sender};
pub use tag::Known;

use changes::Changes;
use hashing::Hashing;
use owed::Owed;

/// Exports at a time: each reads everything that one person may see, on a thread of its own.
const MAX_EXPORTS: usize = 2;

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
    /// Days for which requests stay in the access log; 0: there is none.
    pub access_log_days: u32,
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
    keyring: Keyring,
    courier: OnceLock<Courier>,
    blobs: OnceLock<Blobs>,
    exports: Arc<Semaphore>,
    changes: Changes,
    owed: Owed,
    log: access::Log,
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
        let Options { store, keys, sender, region, policy_version, access_log_days, metrics } = options;
        let region = match region.as_str() {
            "" => None,
            text => Some(convene_accounts::phone::Region::parse(text).ok_or(StartError::Region(region))?),
        };
        let (hashing, keyring) = (Hashing::new(), Keyring::new(keys.api.clone()));
        let authenticator = Authenticator::start(&keys, keyring.clone(), &store).await.map_err(StartError::Store)?;
        let authenticator = Arc::new(authenticator);
        for key in store.ask(convene_store::Reader::good_api_keys).await.map_err(StartError::Store)? {
            keyring.insert(key);
        }
        let (changes, courier, blobs) = (Changes::default(), OnceLock::new(), OnceLock::new());
        let (owed, waiting) = Owed::new(Arc::clone(&metrics));
        let log = access::Log::start(store.clone(), access_log_days, Arc::clone(&metrics));
        let inner = Inner {
            store,
            keys,
            sender,
            region,
            policy_version,
            metrics,
            authenticator,
            hashing,
            keyring,
            courier,
            blobs,
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            changes,
            owed,
            log,
        };
        let inner = Arc::new(inner);
        sweep::start(&inner);
        owed::start(&inner, waiting);
        Ok(Self { inner })
    }

    /// Who a token speaks for: for those who open other doors with it.
    #[must_use]
    pub fn authenticator(&self) -> &Arc<Authenticator> {
        &self.inner.authenticator
    }

    /// What room tokens of people are signed with.
    #[must_use]
    pub fn room_secret(&self) -> &str {
        &self.inner.keys.rooms
    }

    /// Lets organisations have webhooks, which this brings.
    #[must_use]
    pub fn with_courier(self, courier: Courier) -> Self {
        let _ = self.inner.courier.set(courier); // the first one stays
        self
    }

    /// Lets people have pictures, and their files in what they export.
    #[must_use]
    pub fn with_blobs(self, blobs: Blobs) -> Self {
        let _ = self.inner.blobs.set(blobs); // the first ones stay
        self
    }

    /// Where a picture of somebody is, for some hours: path and query, which need no token. None where there is none.
    #[must_use]
    pub fn picture(&self, account: AccountId, name: &str) -> Option<String> {
        self.inner.keys.pictures.path(account, name, answer::now_s())
    }

    /// The same, and until when it serves, in milliseconds since 1970.
    #[must_use]
    pub fn picture_until(&self, account: AccountId, name: &str) -> Option<(String, i64)> {
        let now_s = answer::now_s();
        let expires_ms = i64::try_from(pictures::expires_s(now_s).saturating_mul(1_000)).unwrap_or(i64::MAX);
        Some((self.inner.keys.pictures.path(account, name, now_s)?, expires_ms))
    }

    /// The API keys of organisations that are good: for those who check what is signed with them.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.inner.keyring
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

    /// Of what was told, the latest ends of seats and of organisations, the last one last: for who has missed some. Whoever
    /// had a seat may have one again by now.
    #[must_use]
    pub fn latest_ends(&self) -> Vec<Change> {
        self.inner.changes.latest_ends()
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
