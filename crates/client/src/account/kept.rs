//! A sign-in as it is kept, and what becomes of it. Pure: the time comes in.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::device::DeviceId;
use crate::error::Error;
use crate::net::address::ServerUrl;

/// An access token is renewed when it has less than this to live: longer than connecting takes.
const SPARE_MS: u64 = 60_000;

/// Whose sign-in it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Number of the account.
    pub id: u64,
    /// As others see it.
    pub display_name: String,
}

/// An organisation of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// Its number.
    pub id: u64,
    /// As the protocol names it.
    pub name: String,
    /// As people call it.
    pub title: String,
}

impl Organisation {
    /// Whether somebody means this one: by number, name or title.
    #[must_use]
    pub fn is_called(&self, text: &str) -> bool {
        self.name == text || self.title == text || self.id.to_string() == text
    }
}

/// Tokens as the server gives them.
#[derive(Deserialize)]
pub(super) struct Tokens {
    access_token: String,
    expires_in_s: u64,
    refresh_token: String,
    session_id: String,
}

/// The answer to a sign-in.
#[derive(Deserialize)]
pub(super) struct Entered {
    #[serde(flatten)]
    tokens: Tokens,
    account: Person,
}

/// The file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The tokens are shown to this one and to no other.
    server: String,
    device: String,
    pub(super) account: Person,
    pub(super) access_token: String,
    expires_ms: u64,
    pub(super) refresh_token: String,
    pub(super) session_id: String,
    #[serde(default)]
    pub(super) organisation: Option<Organisation>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({:?} at {})", self.account, self.server) // tokens stay out of logs
    }
}

impl Kept {
    pub(super) fn begin(server: &ServerUrl, device: DeviceId, entered: Entered, now_ms: u64) -> Self {
        let Entered { tokens, account } = entered;
        Self {
            server: server.to_string(),
            device: device.to_string(),
            account,
            expires_ms: tokens.expires_ms(now_ms),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            session_id: tokens.session_id,
            organisation: None,
        }
    }

    pub(super) fn renewed(self, tokens: Tokens, now_ms: u64) -> Self {
        Self {
            expires_ms: tokens.expires_ms(now_ms),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            session_id: tokens.session_id,
            ..self
        }
    }

    pub(super) fn for_organisation(self, organisation: Option<Organisation>) -> Self {
        Self { organisation, ..self }
    }

    /// Whether its access token is worth trying. `stale`: one that was just refused.
    pub(super) fn is_good(&self, stale: Option<&str>, now_ms: u64) -> bool {
        stale != Some(self.access_token.as_str()) && self.expires_ms > now_ms.saturating_add(SPARE_MS)
    }

    pub(super) fn is_of(&self, server: &ServerUrl) -> Result<(), Error> {
        if self.server == server.to_string() {
            return Ok(());
        }
        Err(Error::Foreign(format!("the sign-in kept here is of {}, not of {server}", self.server)))
    }

    pub(super) fn device(&self) -> Result<DeviceId, Error> {
        self.device.parse()
    }
}

impl Tokens {
    pub(super) fn access(&self) -> &str {
        &self.access_token
    }

    const fn expires_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(self.expires_in_s.saturating_mul(1000))
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
