//! The local database: what this device knows, and what it still has to tell. All SQL of the client is below here.
//!
//! Not here: what the rows mean (`sync`). One process has a database open at a time: SQLite's exclusive lock sees to it,
//! and a killed process leaves none behind.

pub(crate) mod log;
pub(crate) mod meta;
pub(crate) mod outbox;
mod schema;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::error::Error;

/// The open database. Its calls block for as long as a disk takes.
#[derive(Debug)]
pub(crate) struct Database {
    conn: Connection,
}

impl Database {
    /// Opens or makes it, and brings its schema up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Self::prepare(Connection::open(path)?).map_err(|error| Error::Database(format!("{}: {error}", path.display())))
    }

    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::prepare(Connection::open_in_memory().unwrap()).unwrap()
    }

    fn prepare(mut conn: Connection) -> Result<Self, String> {
        // FULL: what is queued for sending survives a loss of power, as its caller was told.
        let pragmas = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
            PRAGMA foreign_keys = ON;";
        // Whoever has it open keeps it: there is nothing to wait for.
        let opened = conn
            .busy_timeout(Duration::ZERO)
            .and_then(|()| conn.execute_batch(pragmas))
            .and_then(|()| schema::migrate(&mut conn));
        match opened {
            Ok(()) => Ok(Self { conn }),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Err("another client has it open".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Runs `work` as one transaction: all of it is kept, or nothing.
    pub(crate) fn atomically<T>(&self, work: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        let transaction = self.conn.unchecked_transaction()?;
        let out = work(self)?;
        transaction.commit()?;
        Ok(out)
    }
}

/// SQLite's integers are signed; ours only count. The bits stay.
const fn int(value: u64) -> i64 {
    value.cast_signed()
}

const fn unsigned(value: i64) -> u64 {
    value.cast_unsigned()
}
