//! Rows of webhooks: how they become values.

use convene_accounts::webhook::Kinds;
use convene_types::OrgId;
use rusqlite::{Connection, Row};
use rustc_hash::FxHashMap;

use super::{db, num};
use crate::error::StoreError;
use crate::webhooks::Endpoint;

/// What [`webhook_from`] reads.
pub(crate) const WEBHOOK: &str = "SELECT id, org, url, key, kinds, made, waiting FROM webhooks";

pub(crate) fn webhook_from(row: &Row<'_>) -> rusqlite::Result<Endpoint> {
    let (id, org, kinds) = (row.get(0)?, OrgId(num(row, 1)?), Kinds::from_bits(row.get(4)?));
    Ok(Endpoint { id, org, url: row.get(2)?, key: row.get(3)?, kinds, made_s: num(row, 5)?, waiting: row.get(6)? })
}

pub(crate) fn webhooks_of(conn: &Connection, org: OrgId) -> Result<Vec<Endpoint>, StoreError> {
    let sql = format!("{WEBHOOK} WHERE org = ?1 ORDER BY id");
    let mut statement = conn.prepare_cached(&sql)?;
    Ok(statement.query_map([db(org.0)], webhook_from)?.collect::<Result<_, _>>()?)
}

/// What all endpoints of each organisation together are told of.
pub(crate) fn wanted_kinds(conn: &Connection) -> Result<FxHashMap<OrgId, Kinds>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT org, kinds FROM webhooks")?;
    let mut wanted: FxHashMap<OrgId, Kinds> = FxHashMap::default();
    for row in statement.query_map([], |row| Ok((OrgId(num(row, 0)?), Kinds::from_bits(row.get(1)?))))? {
        let (org, kinds) = row?;
        let all = wanted.entry(org).or_default();
        *all = all.and(kinds);
    }
    Ok(wanted)
}
