//! What goes wrong in the store itself, apart from refusals: those are answers, and come from the rules.

use std::borrow::Cow;
use std::path::PathBuf;

use convene_im_core::model::Refusal;
use convene_proto::im::Code;
use rusqlite::ErrorCode;

/// When to try again what the store could not take: a queue is through by then, a full disk is not asked too often.
const RETRY_MS: u32 = 500;

/// The store could not do its work. Nothing of what was asked has happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database answered with an error: disk full, input/output, locked.
    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file is damaged, or no database. It is never replaced by an empty one.
    #[error(
        "{path} is damaged or no database ({detail}): run `convene store check`, or stop the server and restore a backup"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file belongs to another program.
    #[error("{path} is a database of another program: choose another data directory")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later release has written this file.
    #[error(
        "{path} has schema {found}, this release knows {known}: run the release that wrote it, or restore a backup"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Latest version this release knows.
        known: i64,
    },
    /// A stored event cannot be decoded.
    #[error("event {seq} of conversation {conv} is damaged: run `convene store check`, or restore a backup")]
    DamagedEvent {
        /// Conversation.
        conv: u64,
        /// Where in its log.
        seq: u64,
    },
    /// There is no place for it: a database holds 2^31 conversations, and a conversation 2^32 events.
    #[error("no place for event {seq} of conversation {conv}")]
    NoPlace {
        /// Conversation.
        conv: u64,
        /// Where in its log.
        seq: u64,
    },
    /// A stored policy cannot be read.
    #[error("the policy of organisation {org} cannot be read: run the release that wrote it, or restore a backup")]
    DamagedPolicy {
        /// The organisation.
        org: u64,
    },
    /// Files beside the database.
    #[error("{doing}: {source}")]
    Files {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// Whether trying again later may help without anybody repairing anything but the disk's free space.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let Self::Database(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::OutOfMemory
                    | ErrorCode::CannotOpen
                    | ErrorCode::OperationInterrupted
            )
        )
    }
}

/// Why an operation ended early: an answer, or a failure of the store.
#[derive(Debug)]
pub(crate) enum Fault {
    Refused(Refusal),
    Store(StoreError),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Puts a refusal where callers expect it: inside of what the store could answer.
pub(crate) fn answer<T>(result: Result<T, Fault>) -> Result<Result<T, Refusal>, StoreError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Fault::Refused(refusal)) => Ok(Err(refusal)),
        Err(Fault::Store(error)) => Err(error),
    }
}

pub(crate) fn refuse(code: Code, text: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(code, text)
}

pub(crate) fn refused<T>(code: Code, text: impl Into<Cow<'static, str>>) -> Result<T, Fault> {
    Err(Fault::Refused(refuse(code, text)))
}

/// Not told apart from a conversation that does not exist (I13).
pub(crate) fn unknown_conversation() -> Refusal {
    refuse(Code::UnknownConversation, "no such conversation")
}

pub(crate) fn unavailable() -> Refusal {
    Refusal::later(Code::Unavailable, "the store cannot take it at this time", RETRY_MS)
}
