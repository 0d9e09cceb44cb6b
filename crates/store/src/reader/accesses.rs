//! The access log, for whom it is about and for who may read it of others.

use convene_types::{AccountId, OrgId};
use rusqlite::Row;

use super::Reader;
use crate::accesses::Access;
use crate::error::StoreError;
use crate::rows::{db, num};

/// Entries that are looked at for one page of an organisation: on a server with many of them most are of others, and a
/// page may be short.
const MAX_LOOKED: i64 = 20_000;

const ACCESS: &str = "SELECT a.id, a.account, a.at, a.address, a.client, a.endpoint, a.status, a.code FROM accesses a";

fn access_from(row: &Row<'_>) -> rusqlite::Result<Access> {
    let (account, at_s) = (AccountId(num(row, 1)?), num(row, 2)?);
    let (address, client, endpoint) = (row.get(3)?, row.get(4)?, row.get(5)?);
    Ok(Access { id: row.get(0)?, account, at_s, address, client, endpoint, status: row.get(6)?, code: row.get(7)? })
}

impl Reader {
    /// Requests of an account before this place in the log, the latest first, at most `limit`.
    pub fn accesses_of(&mut self, account: AccountId, before: i64, limit: u32) -> Result<Vec<Access>, StoreError> {
        self.plain(|conn| {
            let sql = format!("{ACCESS} WHERE a.account = ?1 AND a.id < ?2 ORDER BY a.id DESC LIMIT ?3");
            let mut statement = conn.prepare_cached(&sql)?;
            let found = statement.query_map((db(account.0), before, limit), access_from)?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Requests of members of an organisation, since each came into it, before this place in the log, the latest first, at
    /// most `limit`; and where the next page begins, if there may be one.
    pub fn accesses_in(
        &mut self,
        org: OrgId,
        before: i64,
        limit: u32,
    ) -> Result<(Vec<Access>, Option<i64>), StoreError> {
        self.plain(|conn| {
            let newest: i64 = conn
                .prepare_cached("SELECT ifnull(max(id), 0) FROM accesses WHERE id < ?1")?
                .query_row([before], |row| row.get(0))?;
            let last = newest.saturating_sub(MAX_LOOKED);
            let sql = format!(
                "{ACCESS} CROSS JOIN seats s ON s.org = ?1 AND s.account = a.account AND a.at >= s.joined
                 WHERE a.id > ?2 AND a.id <= ?3 ORDER BY a.id DESC LIMIT ?4"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let found = statement.query_map((db(org.0), last, newest, limit), access_from)?;
            let found = found.collect::<Result<Vec<_>, _>>()?;
            let full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
            let next = if full { found.last().map(|access| access.id) } else { Some(last.saturating_add(1)) };
            Ok((found, next.filter(|next| *next > 1)))
        })
    }

    /// The same of one member.
    pub fn accesses_of_member(
        &mut self,
        (org, account): (OrgId, AccountId),
        before: i64,
        limit: u32,
    ) -> Result<(Vec<Access>, Option<i64>), StoreError> {
        self.plain(|conn| {
            let sql = format!(
                "{ACCESS} JOIN seats s ON s.org = ?1 AND s.account = a.account AND a.at >= s.joined
                 WHERE a.account = ?2 AND a.id < ?3 ORDER BY a.id DESC LIMIT ?4"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let found = statement.query_map((db(org.0), db(account.0), before, limit), access_from)?;
            let found = found.collect::<Result<Vec<_>, _>>()?;
            let full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
            let next = found.last().filter(|_| full).map(|access| access.id);
            Ok((found, next))
        })
    }
}
