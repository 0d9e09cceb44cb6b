//! The schema, and how an older one becomes it: each step runs once, in order, in one transaction with the note that it did.

use rusqlite::{Connection, Result};

/// Steps in order. A step that was released is never changed: add another.
const STEPS: &[&str] = &["
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    -- What the server said of each conversation, and how this device stands in it.
    CREATE TABLE conversations (conv INTEGER PRIMARY KEY, delta BLOB NOT NULL, spans BLOB NOT NULL,
        state_at INTEGER NOT NULL) STRICT;
    -- The logs: events as they came, encoded.
    CREATE TABLE events (conv INTEGER NOT NULL, seq INTEGER NOT NULL, event BLOB NOT NULL, PRIMARY KEY (conv, seq))
        STRICT, WITHOUT ROWID;
    CREATE TABLE users (user INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
    -- What is to be sent, in the order it was written. See outbox.rs for `state`.
    CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, client_id BLOB NOT NULL UNIQUE, conv INTEGER NOT NULL,
        body BLOB NOT NULL, state INTEGER NOT NULL, at_ms INTEGER NOT NULL, seq INTEGER NOT NULL DEFAULT 0,
        code INTEGER NOT NULL DEFAULT 0, text TEXT NOT NULL DEFAULT '',
        path TEXT, owned INTEGER NOT NULL DEFAULT 0, sha256 BLOB, size INTEGER NOT NULL DEFAULT 0,
        mime TEXT NOT NULL DEFAULT '', voice INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE INDEX outbox_of_conv ON outbox (conv, id);
    -- Read cursors the server has not confirmed.
    CREATE TABLE reads (conv INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
    -- Networks, by own address, on which QUIC did not work.
    CREATE TABLE networks (name TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"];

pub(super) fn migrate(conn: &mut Connection) -> Result<()> {
    let done: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    for (at, step) in STEPS.iter().enumerate().skip(done) {
        let transaction = conn.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", i64::try_from(at + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}
