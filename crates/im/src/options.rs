//! What the chat service is started with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use convene_accounts::token::Authority;
use convene_store::{Blobs, Store};
use convene_telemetry::Metrics;
use convene_tls::Certificate;
use convene_types::{AccountId, DeviceId, SessionId};

/// Everything [`crate::start`] needs.
pub struct Options {
    /// UDP address of the chat port.
    pub bind: SocketAddr,
    /// What the chat port shows in its handshakes.
    pub certificate: Certificate,
    /// Checks tokens that are signed with an API key: for development. Without keys it takes none.
    pub authority: Arc<Authority>,
    /// Checks access tokens of login sessions.
    pub logins: Option<Logins>,
    /// Knows where pictures of people are. Without it there are none.
    pub pictures: Option<Pictures>,
    /// Where chat is kept.
    pub store: Store,
    /// Where files are kept.
    pub blobs: Blobs,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// How much is too much.
    pub limits: Limits,
}

/// Somebody who has signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub account: AccountId,
    /// By which sign-in.
    pub session: SessionId,
    /// Where.
    pub device: DeviceId,
}

/// Checks an access token at this second since 1970, signature and revocation: whoever keeps login sessions knows. It is
/// asked on the path of every `Hello`, so it reads no database. The error is a sentence for a developer.
#[derive(Clone)]
pub struct Logins(Arc<Check>);

type Check = dyn Fn(&str, u64) -> Result<Login, String> + Send + Sync;

impl Logins {
    /// By this check.
    pub fn new(check: impl Fn(&str, u64) -> Result<Login, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    pub(crate) fn check(&self, token: &str, now_s: u64) -> Result<Login, String> {
        (self.0)(token, now_s)
    }
}

/// Where the picture of an account is that has this name: path and query on the HTTP port, and until when they serve, in
/// milliseconds since 1970. Whoever keeps pictures knows.
#[derive(Clone)]
pub struct Pictures(Arc<Address>);

type Address = dyn Fn(AccountId, &str) -> Option<(String, i64)> + Send + Sync;

impl Pictures {
    /// By this answer.
    pub fn new(address: impl Fn(AccountId, &str) -> Option<(String, i64)> + Send + Sync + 'static) -> Self {
        Self(Arc::new(address))
    }

    pub(crate) fn address(&self, account: AccountId, name: &str) -> Option<(String, i64)> {
        (self.0)(account, name)
    }
}

/// How much is too much. The defaults are those of `configs/reference.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions of this server. Each idle one costs about 40 KiB.
    pub max_sessions: usize,
    /// Sends a second of one device, on average; a burst may have ten times as many. 0: any.
    pub device_sends_per_s: u32,
    /// Sends a second into one conversation, on average; a burst may have twice as many. 0: any.
    pub conversation_sends_per_s: u32,
    /// Other requests a second of one device, on average; a burst may have ten times as many. 0: any.
    pub device_requests_per_s: u32,
    /// Groups with more members get head bumps instead of messages; clients fetch what they show.
    pub push_members: usize,
    /// Deliveries a second that one group may cause before it gets head bumps instead.
    pub push_deliveries_per_s: u32,
    /// Members of one group.
    pub max_members: u32,
    /// Bytes of one file.
    pub max_blob_bytes: u64,
    /// Length of one voice message.
    pub max_voice_ms: u32,
    /// A QUIC connection without a packet, or a WebSocket without a frame, ends after this time. Clients ping.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sessions: 50_000,
            device_sends_per_s: 50,
            conversation_sends_per_s: 500,
            device_requests_per_s: 100,
            push_members: 20_000,
            push_deliveries_per_s: 50_000,
            max_members: 100_000,
            max_blob_bytes: 100 * 1024 * 1024,
            max_voice_ms: 10 * 60 * 1000,
            idle_timeout: Duration::from_secs(5 * 60),
        }
    }
}
