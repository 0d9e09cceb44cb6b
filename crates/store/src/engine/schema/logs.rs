//! The migration that brings logs to their present form where the first release made them: events by two columns, retries
//! by sender first. Later ones have made them as they are, and nothing happens to those.

use rusqlite::Transaction;

use crate::error::StoreError;

pub(super) fn migrate(tx: &Transaction<'_>) -> Result<(), StoreError> {
    if super::has_column(tx, "events", "conv")? {
        tx.execute_batch(include_str!("../schema_logs.sql"))?;
    }
    Ok(())
}
