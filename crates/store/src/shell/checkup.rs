//! Looks at a database before it is opened for writing: what a damaged one is given makes it worse. Not the whole check,
//! which `convene store check` does and which takes long.

use std::fs;

use rusqlite::OpenFlags;

use crate::engine::{Place, schema};
use crate::error::StoreError;

/// Longest file that is looked at. It takes a tenth of a second from memory, one from a slow disk; a start that takes much
/// longer would itself be an outage. Of a longer file only the schema is looked at.
const MAX_CHECKED_BYTES: u64 = 64 * 1024 * 1024;

/// Whether the pages hang together. Changes nothing, whatever it finds; a file that is not there yet is sound.
pub(super) fn before_start(place: &Place) -> Result<(), StoreError> {
    let path = place.path();
    let bytes = fs::metadata(path).map_or(0, |file| file.len());
    if bytes == 0 {
        return Ok(());
    }
    if bytes > MAX_CHECKED_BYTES {
        tracing::info!(bytes, "the database is too large to be checked at every start: `convene store check` does it");
        return Ok(());
    }
    let conn = place.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let first: String =
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| schema::damaged(error, path))?;
    if first == "ok" { Ok(()) } else { Err(StoreError::Damaged { path: path.into(), detail: first }) }
}
