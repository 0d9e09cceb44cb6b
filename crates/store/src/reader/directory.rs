//! An organisation as its members see it: what it is called, where people stand, who asks to be let in, whom one keeps.

use convene_accounts::profile::Edit;
use convene_types::{AccountId, DeptId, InviteId, OrgId, PositionId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Reader;
use super::stretch::MAX_ROWS;
use crate::error::StoreError;
use crate::orgs::{Asking, Company, Contact, Listed, Member, Position, Seat, WaitingEdit};
use crate::rows::{self, db};

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

fn waiting_from(row: &Row<'_>) -> rusqlite::Result<WaitingEdit> {
    let edit: Edit = rows::edit(&row.get::<_, String>(2)?);
    Ok(WaitingEdit {
        id: InviteId(rows::num(row, 0)?),
        account: AccountId(rows::num(row, 1)?),
        edit,
        made_s: rows::num(row, 3)?,
    })
}
