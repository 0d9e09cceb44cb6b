//! The schema, and how a file comes to it. Called when a database is opened for writing.
//!
//! A migration is never changed once it is released; the next one is added behind it. The first two were, before anybody
//! relied on them: what that has left is set right by `people` and `logs`.

mod logs;
mod people;

use std::path::Path;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::error::StoreError;

/// Marks the file as ours: "Conv".
const APPLICATION_ID: i64 = 0x436f_6e76;

/// How a database comes from one version to the next.
enum Step {
    Sql(&'static str),
    /// Where the rows that are there have to be looked at.
    Code(fn(&Transaction<'_>) -> Result<(), StoreError>),
}

/// Version n is what the first n of these make.
const MIGRATIONS: &[Step] = &[
    Step::Sql(include_str!("schema1.sql")),
    Step::Sql(include_str!("schema2.sql")),
    Step::Sql(include_str!("schema_calls.sql")),
    Step::Sql(include_str!("schema_keys.sql")),
    Step::Sql(include_str!("schema_webhooks.sql")),
    Step::Sql(include_str!("schema_access.sql")),
    Step::Sql(include_str!("schema_message_hooks.sql")),
    Step::Sql(include_str!("schema_oneself.sql")),
    Step::Code(people::migrate),
    Step::Code(logs::migrate),
    Step::Sql(include_str!("schema_retention.sql")),
    Step::Sql(include_str!("schema_calls_kept.sql")),
];

/// Brings the database to the schema of this release; each migration in a transaction of its own.
pub(crate) fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let found = check(conn, path)?;
    let done = usize::try_from(found).unwrap_or(0);
    for (at, step) in MIGRATIONS.iter().enumerate().skip(done) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match step {
            Step::Sql(sql) => tx.execute_batch(sql)?,
            Step::Code(migrate) => migrate(&tx)?,
        }
        if at == 0 {
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.execute("INSERT INTO meta (name, value) VALUES ('url_secret', ?1)", [secret()?])?;
        }
        tx.pragma_update(None, "user_version", i64::try_from(at + 1).unwrap_or(i64::MAX))?;
        tx.commit()?;
    }
    Ok(())
}

/// Reads what is in the file, without changing it: its schema version, 0 for an empty one.
pub(crate) fn check(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let tables = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let version = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((tables, version, conn.pragma_query_value(None, "application_id", |row| row.get(0))?))
    };
    let (tables, found, application) = read().map_err(|error| damaged(error, path))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if tables > 0 && application != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.into() });
    }
    if found > known {
        return Err(StoreError::NewerSchema { path: path.into(), found, known });
    }
    Ok(found)
}

/// Whether a table has this column: releases have made some tables in two ways.
pub(crate) fn has_column(conn: &Connection, table: &str, column: &str) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)";
    Ok(conn.query_row(sql, (table, column), |row| row.get(0))?)
}

/// Tells a damaged file from other trouble.
pub(crate) fn damaged(error: rusqlite::Error, path: &Path) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path: path.into(), detail: error.to_string() }
        }
        Some(_) | None => error.into(),
    }
}

/// Signs addresses of blobs; made once per database.
fn secret() -> Result<[u8; 32], StoreError> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| StoreError::Files {
        doing: "asking the system for random bytes",
        source: std::io::Error::other("refused"),
    })?;
    Ok(secret)
}
