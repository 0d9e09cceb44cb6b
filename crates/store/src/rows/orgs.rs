//! Rows of organisations: how they become values, and the loads that writer and readers share.

use convene_accounts::audit::{Entry, Hash, Head, Record};
use convene_accounts::department::{Department, Tree};
use convene_accounts::invitation::{Invitation, LinkHash, Request, State, Whom};
use convene_accounts::policy::Policy;
use convene_accounts::role::Role;
use convene_accounts::vault::Lookup;
use convene_types::{AccountId, DeptId, InviteId, OrgId, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{db, num};
use crate::error::StoreError;
use crate::orgs::Seat;

/// The name of an account in tokens, and as a user of chat.
pub(crate) fn account_name(account: AccountId) -> String {
    format!("a{account}")
}

pub(crate) fn company_exists(conn: &Connection, org: OrgId) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached("SELECT 1 FROM companies WHERE org = ?1")?.exists([db(org.0)])?)
}

pub(crate) fn audit_head_from(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head { number: num(row, 0)?, hash: Hash(row.get(1)?) })
}

/// Of `number, at_ms, actor, address, act, target, detail, hash`.
pub(crate) fn audit_record_from(row: &Row<'_>) -> rusqlite::Result<Record> {
    let (at_ms, actor, from) = (row.get(1)?, AccountId(num(row, 2)?), row.get(3)?);
    let entry = Entry { at_ms, actor, from, act: row.get(4)?, target: row.get(5)?, detail: row.get(6)? };
    Ok(Record { number: num(row, 0)?, entry, hash: Hash(row.get(7)?) })
}

const SEAT: &str = "SELECT org, account, user, role, scopes FROM seats";

fn seat_from(row: &Row<'_>) -> rusqlite::Result<Seat> {
    let (org, account, user) = (OrgId(num(row, 0)?), AccountId(num(row, 1)?), UserId(num(row, 2)?));
    Ok(Seat { org, account, user, role: Role::from_stored(row.get(3)?, row.get(4)?), depts: Vec::new() })
}

fn with_places(conn: &Connection, seat: Seat) -> Result<Seat, StoreError> {
    let sql = "SELECT dept FROM places WHERE org = ?1 AND account = ?2 ORDER BY rank";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map((db(seat.org.0), db(seat.account.0)), |row| num(row, 0).map(DeptId))?;
    Ok(Seat { depts: found.collect::<Result<_, _>>()?, ..seat })
}

pub(crate) fn seat(conn: &Connection, org: OrgId, account: AccountId) -> Result<Option<Seat>, StoreError> {
    let sql = format!("{SEAT} WHERE org = ?1 AND account = ?2");
    let found = conn.prepare_cached(&sql)?.query_row((db(org.0), db(account.0)), seat_from).optional()?;
    found.map(|seat| with_places(conn, seat)).transpose()
}

pub(crate) fn seats_of(conn: &Connection, account: AccountId) -> Result<Vec<Seat>, StoreError> {
    let sql = format!("{SEAT} WHERE account = ?1 ORDER BY org");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([db(account.0)], seat_from)?.collect::<Result<Vec<_>, _>>()?;
    found.into_iter().map(|seat| with_places(conn, seat)).collect()
}

pub(crate) fn tree(conn: &Connection, org: OrgId) -> Result<Tree, StoreError> {
    let sql = "SELECT id, parent, name, rank FROM departments WHERE org = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map([db(org.0)], |row| {
        let (id, parent) = (DeptId(num(row, 0)?), DeptId(num(row, 1)?));
        Ok(Department { id, parent, name: row.get(2)?, rank: row.get(3)? })
    })?;
    Ok(Tree::new(found.collect::<Result<Vec<_>, _>>()?))
}

/// False for the root.
pub(crate) fn has_department(conn: &Connection, org: OrgId, dept: DeptId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM departments WHERE id = ?1 AND org = ?2";
    Ok(conn.prepare_cached(sql)?.exists((db(dept.0), db(org.0)))?)
}

const INVITATION: &str = "SELECT id, org, number, link, uses, dept, ask, expires, ended FROM invitations";

fn invitation_from(row: &Row<'_>) -> rusqlite::Result<Invitation> {
    let left = row.get(4)?;
    let whom = match (row.get::<_, Option<[u8; 32]>>(2)?, row.get::<_, Option<[u8; 32]>>(3)?) {
        (Some(number), _) => Whom::Number(Lookup(number)),
        (None, link) => Whom::Link { hash: LinkHash(link.unwrap_or_default()), left },
    };
    let (id, org, dept) = (InviteId(num(row, 0)?), OrgId(num(row, 1)?), DeptId(num(row, 5)?));
    Ok(Invitation { id, org, whom, dept, ask: row.get(6)?, expires_s: num(row, 7)?, ended: row.get(8)? })
}

pub(crate) fn invitation_by_id(conn: &Connection, id: InviteId) -> Result<Option<Invitation>, StoreError> {
    let sql = format!("{INVITATION} WHERE id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([db(id.0)], invitation_from).optional()?)
}

pub(crate) fn invitation_by_link(conn: &Connection, link: LinkHash) -> Result<Option<Invitation>, StoreError> {
    let sql = format!("{INVITATION} WHERE link = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([link.0], invitation_from).optional()?)
}

pub(crate) fn invitations_for(conn: &Connection, number: Lookup) -> Result<Vec<Invitation>, StoreError> {
    let sql = format!("{INVITATION} WHERE number = ?1 AND ended = 0 ORDER BY id LIMIT 100");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([number.0], invitation_from)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Of `account, state, dept`. What is unknown was decided: it lets nobody in.
pub(crate) fn request_from(row: &Row<'_>) -> rusqlite::Result<(Request, DeptId)> {
    let state = State::from_number(row.get(1)?).unwrap_or(State::Declined);
    Ok((Request { account: AccountId(num(row, 0)?), state }, DeptId(num(row, 2)?)))
}

/// The policy of an organisation and its version.
pub(crate) fn policy(conn: &Connection, org: OrgId) -> Result<Option<(Policy, u64)>, StoreError> {
    let sql = "SELECT policy, policy_version FROM companies WHERE org = ?1";
    let found = conn.prepare_cached(sql)?.query_row([db(org.0)], |row| Ok((row.get::<_, String>(0)?, num(row, 1)?)));
    // Checked when it was written; what a later release wrote there is an error, not the default.
    let read = |(text, version): (String, u64)| match serde_json::from_str(&text) {
        Ok(policy) => Ok((policy, version)),
        Err(_) => Err(StoreError::DamagedPolicy { org: org.0 }),
    };
    found.optional()?.map(read).transpose()
}

pub(crate) fn policy_text(policy: &Policy) -> String {
    serde_json::to_string(policy).expect("a policy has no maps with odd keys and no failing fields")
}
