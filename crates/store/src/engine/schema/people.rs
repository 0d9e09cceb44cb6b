//! The migration that brings organisations of people to what the directory needs: their names sorted and found, everybody
//! somewhere.
//!
//! The second migration was changed once after it was released, so there are two kinds of databases: those of version 2 have
//! the tables as they were first, and those that releases up to version 8 made have all of this. An index of it was made by the
//! eighth migration then; now it is made here, where its table is there in both.

use convene_accounts::directory;
use convene_accounts::profile::Profile;
use rusqlite::{Connection, Transaction};

use crate::error::StoreError;
use crate::rows;

pub(super) fn migrate(tx: &Transaction<'_>) -> Result<(), StoreError> {
    if super::has_column(tx, "seats", "sort")? {
        tx.execute_batch("CREATE INDEX IF NOT EXISTS edit_requests_of ON edit_requests (account) WHERE state = 1")?;
        return Ok(());
    }
    tx.execute_batch(include_str!("../schema_people.sql"))?;
    fill(tx)
}

/// A member as the first tables have them.
type Found = (i64, i64, String);

fn fill(conn: &Connection) -> Result<(), StoreError> {
    let sql = "SELECT s.org, s.account, u.display_name FROM seats s JOIN users u ON u.id = s.user";
    let mut statement = conn.prepare(sql)?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for found in found.collect::<Result<Vec<Found>, _>>()? {
        fill_member(conn, &found)?;
    }
    let sql = "UPDATE departments SET members = (SELECT count(*) FROM places WHERE dept = departments.id)";
    conn.execute(sql, [])?;
    Ok(())
}

fn fill_member(conn: &Connection, (org, account, name): &Found) -> Result<(), StoreError> {
    let (sort, profile) = (directory::sort_key(name), rows::profile_text(&Profile::default()));
    let sql = "UPDATE seats SET sort = ?3, profile = ?4 WHERE org = ?1 AND account = ?2";
    conn.prepare_cached(sql)?.execute((org, account, &sort, profile))?;
    for key in directory::keys(name) {
        let sql = "INSERT INTO directory (org, key, account) VALUES (?1, ?2, ?3)";
        conn.prepare_cached(sql)?.execute((org, key, account))?;
    }
    let sql = "UPDATE places SET sort = ?3 WHERE org = ?1 AND account = ?2";
    if conn.prepare_cached(sql)?.execute((org, account, &sort))? == 0 {
        let sql = "INSERT INTO places (org, account, rank, dept, sort) VALUES (?1, ?2, 0, 0, ?3)";
        conn.prepare_cached(sql)?.execute((org, account, &sort))?;
    }
    Ok(())
}
