//! What can go wrong, as callers see it.

use convene_proto::im::Code;

/// Why something was not done. What was queued before it was returned stays queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    #[error("{0:?} is not the address of a server: expected http://HOST:PORT or https://HOST")]
    Address(String),
    /// A token would travel in clear text over a network.
    #[error("{0} is not encrypted: use https, or allow it in the configuration")]
    Insecure(String),
    /// No server there, or not by this way. Worth trying again.
    #[error("cannot reach {0}")]
    Unreachable(String),
    /// No secure connection: certificate or handshake.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// The server answered that it will not.
    #[error("refused: {text} ({})", code.label())]
    Refused {
        /// Stable reason.
        code: Code,
        /// A sentence for people who look for the cause.
        text: String,
        /// Not to be asked again before then; 0 if nothing was said.
        retry_after_ms: u32,
    },
    /// No connection, and this cannot be queued.
    #[error("not connected")]
    Offline,
    /// The connection ended before the answer came.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// Too much is under way already: wait until some of it is done.
    #[error("too much under way: {0}")]
    Busy(&'static str),
    /// No token could be had.
    #[error("no token: {0}")]
    Token(String),
    /// Nobody is signed in here (any more): it ended, was ended, or never began. Nothing works until somebody signs in.
    #[error("sign in again: {0}")]
    SignedOut(String),
    /// The server does not do what was asked of an account.
    #[error("{text}")]
    Account {
        /// Stable: `bad_code`, `bad_credentials`, `too_many_requests`… as `/v1` documents them.
        code: String,
        /// For a person: what went wrong and what to do next.
        text: String,
        /// Not to be asked again before then; 0 if nothing was said.
        retry_after_s: u32,
    },
    /// The data directory, or the sign-in in it, belongs to somebody or something else. Nothing was changed.
    #[error("{0}")]
    Foreign(String),
    /// The local database.
    #[error("local database: {0}")]
    Database(String),
    /// A file of this machine.
    #[error("{0}")]
    File(String),
    /// The server broke the protocol.
    #[error("protocol: {0}")]
    Protocol(String),
    /// Nothing of that name is known here.
    #[error("unknown: {0}")]
    Unknown(String),
    /// The client was shut down.
    #[error("the client was shut down")]
    Closed,
}

impl Error {
    /// Whether the same may succeed later, without anybody doing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Offline | Self::Lost(_) | Self::Busy(_) => true,
            Self::Refused { code, .. } => is_transient(*code),
            Self::Account { retry_after_s, .. } => *retry_after_s > 0,
            Self::Address(_)
            | Self::Insecure(_)
            | Self::Tls(_)
            | Self::Token(_)
            | Self::SignedOut(_)
            | Self::Foreign(_)
            | Self::Database(_)
            | Self::File(_)
            | Self::Protocol(_)
            | Self::Unknown(_)
            | Self::Closed => false,
        }
    }

    /// What an `Error` frame says.
    #[must_use]
    pub fn refused(error: convene_proto::im::Error) -> Self {
        Self::Refused { code: error.code(), text: error.text, retry_after_ms: error.retry_after_ms }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// Whether a request that was refused so should be repeated as it is.
pub(crate) const fn is_transient(code: Code) -> bool {
    matches!(code, Code::Flood | Code::Unavailable | Code::Internal | Code::TooEarly | Code::GoingAway | Code::TooSlow)
}
