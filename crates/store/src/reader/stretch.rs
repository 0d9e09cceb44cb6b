//! Members in pages: of an organisation, of a department, by what they are found by. Every page is one stretch of an index,
//! whatever the size of the organisation.
//!
//! Who may see whom is decided by whoever asks, as soon as it is known where somebody stands: of those who are hidden, hundreds
//! between two who are seen, nothing else is read.

use convene_accounts::department::Place;
use convene_accounts::directory;
use convene_accounts::vault::Lookup;
use convene_types::{AccountId, DeptId, OrgId};
use rusqlite::{Connection, Params, Row};

use super::Reader;
use crate::error::StoreError;
use crate::orgs::Member;
use crate::rows::{self, db};

/// Rows of one page.
pub(super) const MAX_ROWS: u32 = 1_000;
/// Behind every text that begins with what stands before it.
const LAST: char = '\u{10ffff}';

/// Where a page begins: behind this key, and behind this account of those with the same key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct After {
    /// What rows are sorted by.
    pub key: String,
    /// Of rows that are alike.
    pub account: u64,
}

/// Members in the order of an index.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    /// Each place in the index, with the member who is there; none: somebody who is hidden, or was met before.
    pub rows: Vec<(After, Option<Member>)>,
    /// Where the next stretch begins, if there may be one.
    pub next: Option<After>,
}

impl Stretch {
    /// The members in it.
    pub fn members(self) -> impl Iterator<Item = Member> {
        self.rows.into_iter().filter_map(|(_, member)| member)
    }
}

/// Whether a member who stands in these places is seen.
pub type Sees<'a> = &'a dyn Fn(AccountId, &[Place]) -> bool;

/// All are seen.
pub const SEES_ALL: Sees<'static> = &|_, _| true;

impl Reader {
    /// Members of an organisation by name.
    pub fn members_of(&mut self, org: OrgId, after: &After, limit: u32, sees: Sees<'_>) -> Result<Stretch, StoreError> {
        let limit = limit.min(MAX_ROWS);
        self.plain(|conn| {
            let sql = "SELECT sort, account FROM seats
                WHERE org = ?1 AND (sort, account) > (?2, ?3) ORDER BY sort, account LIMIT ?4";
            let found = places(conn, sql, (db(org.0), &after.key, db(after.account), limit))?;
            stretch(found, limit, |at| shown(conn, org, at, sees))
        })
    }

    /// Members who stand right in a department, by name; of the root: who stand nowhere.
    pub fn members_in(
        &mut self,
        org: OrgId,
        dept: DeptId,
        after: &After,
        limit: u32,
        sees: Sees<'_>,
    ) -> Result<Stretch, StoreError> {
        let limit = limit.min(MAX_ROWS);
        self.plain(|conn| {
            let sql = "SELECT sort, account FROM places
                WHERE org = ?1 AND dept = ?2 AND (sort, account) > (?3, ?4) ORDER BY sort, account LIMIT ?5";
            let found = places(conn, sql, (db(org.0), db(dept.0), &after.key, db(after.account), limit))?;
            stretch(found, limit, |at| shown(conn, org, at, sees))
        })
    }

    /// Members who have a key that begins so, by that key; each once, by the first of their keys that does.
    pub fn find_members(
        &mut self,
        org: OrgId,
        question: &str,
        after: &After,
        limit: u32,
        sees: Sees<'_>,
    ) -> Result<Stretch, StoreError> {
        let limit = limit.min(MAX_ROWS);
        self.plain(|conn| {
            let sql = "SELECT key, account FROM directory
                WHERE org = ?1 AND key >= ?2 AND key < ?3 AND (key, account) > (?4, ?5) ORDER BY key, account LIMIT ?6";
            let key = (db(org.0), question, format!("{question}{LAST}"), &after.key, db(after.account), limit);
            stretch(places(conn, sql, key)?, limit, |at| {
                let met_here = |member: &Member| {
                    let keys = directory::keys(&member.display_name);
                    keys.iter().find(|key| key.starts_with(question)) == Some(&at.key)
                };
                Ok(shown(conn, org, at, sees)?.filter(met_here))
            })
        })
    }

    /// The member with this number.
    pub fn member_by_number(&mut self, org: OrgId, number: Lookup) -> Result<Option<Member>, StoreError> {
        self.plain(|conn| match rows::account_by_lookup(conn, number)? {
            Some(account) => rows::member(conn, org, account.id),
            None => Ok(None),
        })
    }
}

/// A stretch of an index. Each of these statements is answered by an index alone.
fn places(conn: &Connection, sql: &str, key: impl Params) -> Result<Vec<After>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let read = |row: &Row<'_>| Ok(After { key: row.get(0)?, account: rows::num(row, 1)? });
    Ok(statement.query_map(key, read)?.collect::<Result<_, _>>()?)
}

fn stretch(
    found: Vec<After>,
    limit: u32,
    show: impl Fn(&After) -> Result<Option<Member>, StoreError>,
) -> Result<Stretch, StoreError> {
    let full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = found.last().filter(|_| full).cloned();
    let rows = found.into_iter().map(|at| show(&at).map(|member| (at, member)));
    Ok(Stretch { rows: rows.collect::<Result<_, _>>()?, next })
}

fn shown(conn: &Connection, org: OrgId, at: &After, sees: Sees<'_>) -> Result<Option<Member>, StoreError> {
    let account = AccountId(at.account);
    let places = rows::places_of(conn, org, account)?;
    if sees(account, &places) { rows::member_at(conn, org, account, places) } else { Ok(None) }
}
