//! What retention has to do: which organisations keep messages for a time only, and in which conversations that is over.

use convene_types::{ConvId, OrgId, Seq};
use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::Reader;
use crate::error::StoreError;
use crate::rows::{self, db};

/// Conversations that are looked at in one read: a row and an event of each, some milliseconds.
const MAX_LOOKED_AT: u32 = 1_000;

/// Conversations in which something is too old.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// These, and whose they are.
    pub convs: Vec<(ConvId, OrgId)>,
    /// The last one that was looked at, if there may be more behind it.
    pub next: Option<ConvId>,
}

impl Reader {
    /// Organisations that keep messages for so many days, and no longer.
    pub fn retentions(&mut self) -> Result<Vec<(OrgId, u32)>, StoreError> {
        self.plain(|conn| {
            // One that has ended keeps its conversations for a while; what was promised holds for these as well.
            let sql = "SELECT org, json_extract(policy, '$.retention_days') AS days FROM companies
                WHERE json_valid(policy) AND days > 0";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map([], |row| Ok((OrgId(rows::num(row, 0)?), row.get(1)?)))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Some of the conversations behind `after` whose organisation has a cutoff, and whose first event that retention has
    /// not come to is older than that.
    pub fn overdue(&mut self, after: ConvId, cutoffs: &FxHashMap<OrgId, i64>) -> Result<Overdue, StoreError> {
        self.plain(|conn| overdue(conn, after, cutoffs))
    }
}

fn overdue(conn: &Connection, after: ConvId, cutoffs: &FxHashMap<OrgId, i64>) -> Result<Overdue, StoreError> {
    let sql = "SELECT id, org, swept FROM conversations WHERE id > ?1 AND swept < head ORDER BY id LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = statement.query((db(after.0), MAX_LOOKED_AT))?;
    let (mut overdue, mut looked_at, mut last) = (Overdue::default(), 0, after);
    while let Some(row) = found.next()? {
        let (conv, org, swept) = (ConvId(rows::num(row, 0)?), OrgId(rows::num(row, 1)?), Seq(rows::num(row, 2)?));
        (looked_at, last) = (looked_at + 1, conv);
        let Some(cutoff) = cutoffs.get(&org) else { continue };
        // One that cannot be read is found by the check of the store; it holds up nothing here.
        let first = rows::load_event(conn, conv, swept.next()).ok().flatten();
        if first.is_some_and(|event| event.at_ms < *cutoff) {
            overdue.convs.push((conv, org));
        }
    }
    overdue.next = (looked_at == MAX_LOOKED_AT).then_some(last);
    Ok(overdue)
}
