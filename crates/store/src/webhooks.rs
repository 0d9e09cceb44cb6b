//! What is asked of the writer about webhooks, and what it answers. Endpoints of organisations are made and ended by
//! [`crate::orgs::Change`]; what happens to members, calls and messages is put into the outbox where it happens, in the same
//! transaction.

use convene_accounts::webhook::Kinds;
use convene_types::OrgId;

/// One change.
#[derive(Clone, Debug)]
pub enum Op {
    /// These are the endpoints of the configuration, by address and name of the key that signs; others of it go.
    Configure(Vec<(String, String)>),
    /// Something happened: it waits for every endpoint that wants to know.
    Enqueue {
        /// Where; `None`: in no organisation, for those of the configuration.
        org: Option<OrgId>,
        /// Exactly one.
        kind: Kinds,
        /// JSON.
        body: String,
    },
    /// These are delivered, or given up.
    Done {
        /// Of which endpoint.
        endpoint: i64,
        /// Up to and with this one.
        up_to: i64,
    },
}

/// What became of an [`Op`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enqueued {
    /// Endpoints that will be told.
    pub waiting: u32,
    /// Endpoints with too much that waits: they are not told.
    pub full: u32,
}

impl Enqueued {
    pub(crate) fn add(&mut self, more: Self) {
        self.waiting = self.waiting.saturating_add(more.waiting);
        self.full = self.full.saturating_add(more.full);
    }
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which.
    pub id: i64,
    /// Whose; 0: of the configuration.
    pub org: OrgId,
    /// Where to.
    pub url: String,
    /// Name of the API key that signs.
    pub key: String,
    /// What it is told of.
    pub kinds: Kinds,
    /// Seconds since 1970.
    pub made_s: u64,
    /// Events that wait.
    pub waiting: u32,
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Place in the order.
    pub id: i64,
    /// JSON.
    pub body: String,
    /// Seconds since 1970.
    pub made_s: u64,
}
