//! The access log: who used the API, when, from where, with what, and how it was answered. Written in batches, off the path
//! of requests; kept for as long as the operator says.

use convene_types::AccountId;

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Place in the log; 0 until it is written.
    pub id: i64,
    /// Who; 0: nobody who was signed in.
    pub account: AccountId,
    /// Seconds since 1970.
    pub at_s: u64,
    /// Network address.
    pub address: String,
    /// What the client calls itself.
    pub client: String,
    /// Method and route, without what varies: `GET /v1/me/sessions/{id}`.
    pub endpoint: String,
    /// HTTP status.
    pub status: u16,
    /// Code of the refusal; empty: none.
    pub code: String,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Op {
    /// These happened.
    Note(Vec<Access>),
    /// What happened before goes: some thousands at a time.
    Forget {
        /// Seconds since 1970.
        before_s: u64,
    },
}
