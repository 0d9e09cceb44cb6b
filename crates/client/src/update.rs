//! What a client tells its owner while it works, and how it is received.

use std::time::Duration;

use convene_proto::im;
use convene_types::ClientId;
use tokio::sync::broadcast;

use crate::error::Error;
use crate::net::link::Transport;

/// Updates a receiver may be behind. The next ones then push the oldest out, and [`Update::Lagged`] says so.
pub(crate) const MAX_BEHIND: usize = 1024;

/// Something happened. The database already has it: whoever misses an update reads there.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "most of them are the large one: a box would cost an allocation each")]
pub enum Update {
    /// A session is open.
    Connected {
        /// What carries it.
        transport: Transport,
        /// The first flight travelled without waiting for the handshake.
        early: bool,
        /// Who this client is.
        me: im::User,
    },
    /// There is no session; unless `retry_in` is `None`, another will be tried then.
    Disconnected {
        /// For people.
        reason: String,
        /// Until the next attempt.
        retry_in: Option<Duration>,
    },
    /// The sign-in of [`crate::Account`] is over: nothing more is tried until somebody signs in again.
    SignedOut {
        /// For people.
        reason: String,
    },
    /// Everything that happened while there was no connection is known by now.
    Synced,
    /// The list of conversations, or how one of them stands, is another.
    ConversationChanged {
        /// Which.
        conv: u64,
    },
    /// The next event of a conversation's log: in order, none left out, each once.
    Event {
        /// As it stands in the log.
        event: im::Event,
    },
    /// Older events were fetched; their place in the log is behind what is shown already.
    History {
        /// Of which conversation.
        conv: u64,
    },
    /// The server has it durably.
    Sent {
        /// What [`crate::Client::send`] returned.
        client_id: ClientId,
        /// Where.
        conv: u64,
        /// Its place in the log.
        seq: u64,
    },
    /// The server will not take it, or its file cannot be read. It stays in the outbox as failed.
    SendFailed {
        /// What [`crate::Client::send`] returned.
        client_id: ClientId,
        /// Where it should have gone.
        conv: u64,
        /// Why.
        error: Error,
    },
    /// An upload went on.
    UploadProgress {
        /// What [`crate::Client::send_file`] returned.
        client_id: ClientId,
        /// Bytes the server has safe.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// How a call stands that concerns this user. Of two states of a call, the one with the higher `version` counts.
    Call(im::CallState),
    /// Somebody types, comes, goes or reads. May be lost.
    Hint(im::Hint),
    /// This receiver was too slow: so many updates are missing. Read the database again.
    Lagged(u64),
}

/// Receives updates from when it was made.
#[derive(Debug)]
pub struct Updates(pub(crate) broadcast::Receiver<Update>);

impl Updates {
    /// The next one; `None` once the client is shut down.
    pub async fn next(&mut self) -> Option<Update> {
        match self.0.recv().await {
            Ok(update) => Some(update),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Update::Lagged(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
