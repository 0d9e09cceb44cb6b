//! Calls, and how people stand in conversations. For whoever has shown that they may ask: the caller is `signaling`.

use convene_proto::im;
use convene_types::{AccountId, CallId, ConvId, DeptId, OrgId, UserId};
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Reader;
use crate::calls::{Open, Recorded, Standing};
use crate::error::StoreError;
use crate::orgs::Seat;
use crate::rows::{self, db, num};

fn recorded_from(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let record = im::CallRecord::decode(row.get::<_, Vec<u8>>(3)?.as_slice()).unwrap_or_default();
    Ok(Recorded { id: CallId(row.get(0)?), org: OrgId(num(row, 1)?), conv: ConvId(num(row, 2)?), record })
}

fn open_from(row: &Row<'_>) -> rusqlite::Result<Open> {
    let state = row.get::<_, Option<Vec<u8>>>(4)?;
    let state = state.and_then(|bytes| im::CallState::decode(bytes.as_slice()).ok());
    let kind = im::ConversationKind::try_from(row.get::<_, i32>(5)?).unwrap_or_default();
    Ok(Open { begun: recorded_from(row)?, state, kind })
}

impl Reader {
    /// A call as it was written down last.
    pub fn call(&mut self, id: CallId) -> Result<Option<Recorded>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT id, org, conv, record FROM calls WHERE id = ?1";
            Ok(conn.prepare_cached(sql)?.query_row([id.0], recorded_from).optional()?)
        })
    }

    /// Calls of which no end was written down.
    pub fn open_calls(&mut self) -> Result<Vec<Open>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT c.id, c.org, c.conv, c.record, c.state, v.kind
                FROM calls c JOIN conversations v ON v.id = c.conv WHERE c.over = 0";
            let mut statement = conn.prepare_cached(sql)?;
            Ok(statement.query_map([], open_from)?.collect::<Result<_, _>>()?)
        })
    }

    /// How an account stands in a conversation. `None`: no such conversation, no seat in its organisation, or never in it;
    /// these are not told apart.
    pub fn standing(&mut self, account: AccountId, conv: ConvId) -> Result<Option<Standing>, StoreError> {
        self.plain(|conn| standing(conn, account, conv))
    }

    /// The seat that a user of chat speaks for.
    pub fn seat_of_user(&mut self, user: UserId) -> Result<Option<Seat>, StoreError> {
        self.plain(|conn| rows::seat_of_user(conn, user))
    }

    /// Present members of a conversation who have a seat, at most `limit`. Whose account is blocked is none.
    pub fn callable(&mut self, conv: ConvId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT m.user FROM members m JOIN seats s ON s.user = m.user
                JOIN accounts a ON a.id = s.account AND a.state = 1
                WHERE m.conv = ?1 AND m.role > 0 ORDER BY m.user LIMIT ?2";
            let mut statement = conn.prepare_cached(sql)?;
            let key = (db(conv.0), i64::try_from(limit).unwrap_or(i64::MAX));
            let found = statement.query_map(key, |row| num(row, 0).map(UserId))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// The group of a department.
    pub fn department_group(&mut self, org: OrgId, dept: DeptId) -> Result<Option<ConvId>, StoreError> {
        self.plain(|conn| rows::department_group(conn, org, dept))
    }

    /// Who stands in a department or below it, at most `limit`; the root: everybody.
    pub fn standing_in(&mut self, org: OrgId, dept: DeptId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.plain(|conn| {
            let sql = "WITH RECURSIVE below (id) AS (
                    SELECT id FROM departments WHERE id = ?2 AND org = ?1
                    UNION SELECT d.id FROM departments d JOIN below b ON d.org = ?1 AND d.parent = b.id)
                SELECT DISTINCT s.user FROM places p JOIN seats s ON s.org = p.org AND s.account = p.account
                WHERE p.org = ?1 AND p.dept IN (SELECT id FROM below) ORDER BY s.user LIMIT ?3";
            let mut statement = conn.prepare_cached(sql)?;
            let key = (db(org.0), db(dept.0), i64::try_from(limit).unwrap_or(i64::MAX));
            let found = statement.query_map(key, |row| num(row, 0).map(UserId))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// The name in which an organisation is spoken of in tokens and in `Hello`.
    pub fn org_named(&mut self, name: &str) -> Result<Option<OrgId>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT id FROM orgs WHERE name = ?1";
            Ok(conn.prepare_cached(sql)?.query_row([name], |row| num(row, 0).map(OrgId)).optional()?)
        })
    }

    /// Conversations of a user as a sync would tell them, most recently changed first, without events.
    pub fn conversations(&mut self, user: UserId) -> Result<Vec<im::ConversationDelta>, StoreError> {
        self.plain(|conn| super::sync::overview(conn, user))
    }
}

fn standing(conn: &Connection, account: AccountId, conv: ConvId) -> Result<Option<Standing>, StoreError> {
    let Some(row) = rows::load_conv(conn, conv)? else { return Ok(None) };
    let org = row.conv.org;
    let Some(Seat { user, role, depts, .. }) = rows::seat(conn, org, account)? else { return Ok(None) };
    let Some(member) = rows::load_member(conn, conv, user)? else { return Ok(None) };
    let shown = rows::member(conn, org, account)?;
    let (display_name, picture) = shown.map(|shown| (shown.display_name, shown.profile.avatar)).unwrap_or_default();
    Ok(Some(Standing {
        org,
        conv,
        account,
        user,
        display_name,
        picture,
        org_role: role,
        depts,
        kind: row.conv.kind,
        title: row.conv.title,
        muted: row.conv.muted,
        dissolved: row.conv.dissolved,
        member: member.member,
    }))
}
