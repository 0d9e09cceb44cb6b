//! Members in pages: of an organisation, of a department, by what they are found by. Every page is one stretch of an index,
//! whatever the size of the organisation; who may see whom is decided by whoever asks.

use convene_accounts::directory;
use convene_accounts::profile::Edit;
use convene_accounts::vault::Lookup;
use convene_types::{AccountId, DeptId, InviteId, OrgId, PositionId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Reader;
use crate::error::StoreError;
use crate::orgs::{Asking, Company, Contact, Listed, Member, Position, Seat, WaitingEdit};
use crate::rows::{self, MEMBER_FIELDS, db};

/// Rows of one page.
const MAX_ROWS: u32 = 1_000;
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
    /// Each with its place in the index.
    pub rows: Vec<(After, Member)>,
    /// Where the next stretch begins, if there may be one.
    pub next: Option<After>,
}

impl Reader {
    /// An organisation, if it has not ended.
    pub fn company(&mut self, org: OrgId) -> Result<Option<Company>, StoreError> {
        self.plain(|conn| company(conn, org))
    }

    /// Organisations that somebody is in, with their seats.
    pub fn companies_of(&mut self, account: AccountId) -> Result<Vec<(Company, Seat)>, StoreError> {
        self.plain(|conn| {
            let mut found = Vec::new();
            for seat in rows::seats_of(conn, account)? {
                found.extend(company(conn, seat.org)?.map(|company| (company, seat)));
            }
            Ok(found)
        })
    }

    /// A member.
    pub fn member(&mut self, org: OrgId, account: AccountId) -> Result<Option<Member>, StoreError> {
        self.plain(|conn| rows::member(conn, org, account))
    }

    /// The member with this number.
    pub fn member_by_number(&mut self, org: OrgId, number: Lookup) -> Result<Option<Member>, StoreError> {
        self.plain(|conn| match rows::account_by_lookup(conn, number)? {
            Some(account) => rows::member(conn, org, account.id),
            None => Ok(None),
        })
    }

    /// Members of an organisation by name.
    pub fn members_of(&mut self, org: OrgId, after: &After, limit: u32) -> Result<Stretch, StoreError> {
        let sql = format!(
            "SELECT {MEMBER_FIELDS} FROM seats s JOIN users u ON u.id = s.user
             WHERE s.org = ?1 AND (s.sort, s.account) > (?2, ?3) ORDER BY s.sort, s.account LIMIT ?4"
        );
        self.plain(|conn| {
            let key = (db(org.0), &after.key, db(after.account), limit.min(MAX_ROWS));
            let mut statement = conn.prepare_cached(&sql)?;
            let found = statement.query_map(key, rows::member_of)?.collect::<Result<Vec<_>, _>>()?;
            by_name(conn, org, found, limit)
        })
    }

    /// Members who stand right in a department, by name; of the root: who stand nowhere.
    pub fn members_in(&mut self, org: OrgId, dept: DeptId, after: &After, limit: u32) -> Result<Stretch, StoreError> {
        let sql = format!(
            "SELECT {MEMBER_FIELDS} FROM places p JOIN seats s ON s.org = p.org AND s.account = p.account
             JOIN users u ON u.id = s.user
             WHERE p.org = ?1 AND p.dept = ?2 AND (p.sort, p.account) > (?3, ?4) ORDER BY p.sort, p.account LIMIT ?5"
        );
        self.plain(|conn| {
            let key = (db(org.0), db(dept.0), &after.key, db(after.account), limit.min(MAX_ROWS));
            let mut statement = conn.prepare_cached(&sql)?;
            let found = statement.query_map(key, rows::member_of)?.collect::<Result<Vec<_>, _>>()?;
            by_name(conn, org, found, limit)
        })
    }

    /// Members who have a key that begins so, by that key; each once, by the first of their keys that does.
    pub fn find_members(
        &mut self,
        org: OrgId,
        question: &str,
        after: &After,
        limit: u32,
    ) -> Result<Stretch, StoreError> {
        let limit = limit.min(MAX_ROWS);
        let sql = format!(
            "SELECT {MEMBER_FIELDS}, d.key FROM directory d JOIN seats s ON s.org = d.org AND s.account = d.account
             JOIN users u ON u.id = s.user
             WHERE d.org = ?1 AND d.key >= ?2 AND d.key < ?3 AND (d.key, d.account) > (?4, ?5)
             ORDER BY d.key, d.account LIMIT ?6"
        );
        self.plain(|conn| {
            let key = (db(org.0), question, format!("{question}{LAST}"), &after.key, db(after.account), limit);
            let mut statement = conn.prepare_cached(&sql)?;
            let read = |row: &Row<'_>| Ok((rows::member_of(row)?, row.get::<_, String>("key")?));
            let found = statement.query_map(key, read)?.collect::<Result<Vec<_>, _>>()?;
            let at = |member: &Member, key: &str| After { key: key.to_owned(), account: member.account.0 };
            let last = found.last().filter(|_| is_full(found.len(), limit));
            let next = last.map(|(member, key)| at(member, key));
            let mut rows = Vec::new();
            for (member, key) in found {
                let keys = directory::keys(&member.display_name);
                if keys.iter().find(|key| key.starts_with(question)) == Some(&key) {
                    rows.push((at(&member, &key), placed(conn, org, member)?));
                }
            }
            Ok(Stretch { rows, next })
        })
    }

    /// How many stand right in each department.
    pub fn department_counts(&mut self, org: OrgId) -> Result<Vec<(DeptId, u64)>, StoreError> {
        self.plain(|conn| {
            let mut statement = conn.prepare_cached("SELECT id, members FROM departments WHERE org = ?1")?;
            let found = statement.query_map([db(org.0)], |row| Ok((DeptId(rows::num(row, 0)?), rows::num(row, 1)?)))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// All positions of an organisation, in the order in which they are shown.
    pub fn positions(&mut self, org: OrgId) -> Result<Vec<Position>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT id, name, rank FROM positions WHERE org = ?1 ORDER BY rank, name";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map([db(org.0)], |row| {
                Ok(Position { id: PositionId(rows::num(row, 0)?), name: row.get(1)?, rank: row.get(2)? })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Open invitations of an organisation, the latest first, below `before`; some may have expired.
    pub fn invitations_of(&mut self, org: OrgId, before: u64, limit: u32) -> Result<Vec<Listed>, StoreError> {
        self.plain(|conn| {
            let sql = format!(
                "{}, sealed FROM invitations WHERE org = ?1 AND ended = 0 AND id < ?2 ORDER BY id DESC LIMIT ?3",
                rows::INVITATION.trim_end_matches(" FROM invitations")
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let key = (db(org.0), db(before), limit.min(MAX_ROWS));
            let found = statement.query_map(key, |row| {
                Ok(Listed { invitation: rows::invitation_from(row)?, sealed: row.get("sealed")? })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Who asks to be let in, the latest first, below `before`.
    pub fn asking(&mut self, org: OrgId, before: u64, limit: u32) -> Result<Vec<Asking>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT r.id, r.account, a.display_name, r.dept, r.made FROM requests r
                JOIN accounts a ON a.id = r.account
                WHERE r.org = ?1 AND r.state = 1 AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3";
            let mut statement = conn.prepare_cached(sql)?;
            let key = (db(org.0), db(before), limit.min(MAX_ROWS));
            let found = statement.query_map(key, |row| {
                let (id, account) = (InviteId(rows::num(row, 0)?), AccountId(rows::num(row, 1)?));
                let (dept, made_s) = (DeptId(rows::num(row, 3)?), rows::num(row, 4)?);
                Ok(Asking { id, account, display_name: row.get(2)?, dept, made_s })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Edits that wait, the latest first, below `before`.
    pub fn waiting_edits(&mut self, org: OrgId, before: u64, limit: u32) -> Result<Vec<WaitingEdit>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT id, account, edit, made FROM edit_requests
                WHERE org = ?1 AND state = 1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map((db(org.0), db(before), limit.min(MAX_ROWS)), waiting_from)?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// The edit of a member that waits.
    pub fn waiting_edit(&mut self, org: OrgId, account: AccountId) -> Result<Option<WaitingEdit>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT id, account, edit, made FROM edit_requests WHERE org = ?1 AND account = ?2 AND state = 1";
            let key = (db(org.0), db(account.0));
            Ok(conn.prepare_cached(sql)?.query_row(key, waiting_from).optional()?)
        })
    }

    /// A page of an address book. Who is no colleague any more is left out.
    pub fn contacts(
        &mut self,
        owner: AccountId,
        after: (OrgId, AccountId),
        limit: u32,
    ) -> Result<Vec<Contact>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT k.org, k.account, k.note FROM contacts k
                JOIN seats mine ON mine.org = k.org AND mine.account = k.owner
                JOIN seats theirs ON theirs.org = k.org AND theirs.account = k.account
                JOIN companies c ON c.org = k.org AND c.dissolved = 0
                WHERE k.owner = ?1 AND (k.org, k.account) > (?2, ?3) ORDER BY k.org, k.account LIMIT ?4";
            let mut statement = conn.prepare_cached(sql)?;
            let key = (db(owner.0), db(after.0.0), db(after.1.0), limit.min(MAX_ROWS));
            let found = statement.query_map(key, |row| {
                Ok((OrgId(rows::num(row, 0)?), AccountId(rows::num(row, 1)?), row.get::<_, String>(2)?))
            })?;
            let mut contacts = Vec::new();
            for row in found {
                let (org, account, note) = row?;
                contacts.extend(rows::member(conn, org, account)?.map(|member| Contact { org, member, note }));
            }
            Ok(contacts)
        })
    }
}

fn company(conn: &Connection, org: OrgId) -> Result<Option<Company>, StoreError> {
    let sql = "SELECT o.name, c.title, c.members FROM companies c JOIN orgs o ON o.id = c.org
        WHERE c.org = ?1 AND c.dissolved = 0";
    let read =
        |row: &Row<'_>| Ok(Company { id: org, name: row.get(0)?, title: row.get(1)?, members: rows::num(row, 2)? });
    Ok(conn.prepare_cached(sql)?.query_row([db(org.0)], read).optional()?)
}

fn by_name(conn: &Connection, org: OrgId, found: Vec<Member>, limit: u32) -> Result<Stretch, StoreError> {
    let at = |member: &Member| After { key: member.sort.clone(), account: member.account.0 };
    let next = found.last().filter(|_| is_full(found.len(), limit.min(MAX_ROWS))).map(at);
    let rows = found.into_iter().map(|member| Ok((at(&member), placed(conn, org, member)?)));
    Ok(Stretch { rows: rows.collect::<Result<_, StoreError>>()?, next })
}

fn is_full(found: usize, limit: u32) -> bool {
    found >= usize::try_from(limit).unwrap_or(usize::MAX)
}

fn placed(conn: &Connection, org: OrgId, member: Member) -> Result<Member, StoreError> {
    Ok(Member { places: rows::places_of(conn, org, member.account)?, ..member })
}

fn waiting_from(row: &Row<'_>) -> rusqlite::Result<WaitingEdit> {
    let edit: Edit = rows::edit(&row.get::<_, String>(2)?);
    Ok(WaitingEdit {
        id: InviteId(rows::num(row, 0)?),
        account: AccountId(rows::num(row, 1)?),
        edit,
        made_s: rows::num(row, 3)?,
    })
}
