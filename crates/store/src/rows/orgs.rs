//! Rows of organisations: how they become values, and the loads that writer and readers share.

use convene_accounts::audit::{Entry, Hash, Head, Record};
use convene_accounts::department::{Department, Place, Tree};
use convene_accounts::invitation::{Invitation, LinkHash, Request, State, Whom};
use convene_accounts::policy::Policy;
use convene_accounts::profile::{Edit, Profile};
use convene_accounts::role::Role;
use convene_accounts::vault::Lookup;
use convene_types::{AccountId, DeptId, InviteId, OrgId, PositionId, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{db, num};
use crate::error::StoreError;
use crate::orgs::{Member, Outcome, Seat};

/// The name of an account in tokens, and as a user of chat.
pub(crate) fn account_name(account: AccountId) -> String {
    format!("a{account}")
}

pub(crate) fn company_exists(conn: &Connection, org: OrgId) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached("SELECT 1 FROM companies WHERE org = ?1 AND dissolved = 0")?.exists([db(org.0)])?)
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

// A seat in an organisation that has ended is none.
const SEAT: &str = "SELECT s.org, s.account, s.user, s.role, s.scopes FROM seats s
    JOIN companies c ON c.org = s.org AND c.dissolved = 0";

fn seat_from(row: &Row<'_>) -> rusqlite::Result<Seat> {
    let (org, account, user) = (OrgId(num(row, 0)?), AccountId(num(row, 1)?), UserId(num(row, 2)?));
    Ok(Seat { org, account, user, role: Role::from_stored(row.get(3)?, row.get(4)?), depts: Vec::new() })
}

/// Departments of a seat. The sign keeps SQLite off the index `places_in`: it holds every column that is asked for, and
/// would be read from end to end, every member of the organisation.
const DEPTS_OF_SEAT: &str = "SELECT dept FROM places WHERE org = ?1 AND account = ?2 AND +dept > 0 ORDER BY rank";

fn with_places(conn: &Connection, seat: Seat) -> Result<Seat, StoreError> {
    let mut statement = conn.prepare_cached(DEPTS_OF_SEAT)?;
    let found = statement.query_map((db(seat.org.0), db(seat.account.0)), |row| num(row, 0).map(DeptId))?;
    Ok(Seat { depts: found.collect::<Result<_, _>>()?, ..seat })
}

pub(crate) fn seat(conn: &Connection, org: OrgId, account: AccountId) -> Result<Option<Seat>, StoreError> {
    let sql = format!("{SEAT} WHERE s.org = ?1 AND s.account = ?2");
    let found = conn.prepare_cached(&sql)?.query_row((db(org.0), db(account.0)), seat_from).optional()?;
    found.map(|seat| with_places(conn, seat)).transpose()
}

/// The seat that a user of chat speaks for.
pub(crate) fn seat_of_user(conn: &Connection, user: UserId) -> Result<Option<Seat>, StoreError> {
    let sql = format!("{SEAT} WHERE user = ?1");
    let found = conn.prepare_cached(&sql)?.query_row([db(user.0)], seat_from).optional()?;
    found.map(|seat| with_places(conn, seat)).transpose()
}

pub(crate) fn seats_of(conn: &Connection, account: AccountId) -> Result<Vec<Seat>, StoreError> {
    let sql = format!("{SEAT} WHERE s.account = ?1 ORDER BY s.org");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([db(account.0)], seat_from)?.collect::<Result<Vec<_>, _>>()?;
    found.into_iter().map(|seat| with_places(conn, seat)).collect()
}

fn member_of(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member {
        account: AccountId(num(row, 0)?),
        user: UserId(num(row, 1)?),
        role: Role::from_stored(row.get(2)?, row.get(3)?),
        display_name: row.get(4)?,
        // What a later release wrote and this one cannot read is not shown.
        profile: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
        places: Vec::new(),
        joined_s: num(row, 6)?,
        sort: row.get(7)?,
    })
}

const PLACES_OF_SEAT: &str =
    "SELECT dept, position FROM places WHERE org = ?1 AND account = ?2 AND +dept > 0 ORDER BY rank";

pub(crate) fn places_of(conn: &Connection, org: OrgId, account: AccountId) -> Result<Vec<Place>, StoreError> {
    let mut statement = conn.prepare_cached(PLACES_OF_SEAT)?;
    let found = statement.query_map((db(org.0), db(account.0)), |row| {
        let position = row.get::<_, Option<i64>>(1)?.map(|id| PositionId(id.cast_unsigned()));
        Ok(Place { dept: DeptId(num(row, 0)?), position })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(crate) fn member(conn: &Connection, org: OrgId, account: AccountId) -> Result<Option<Member>, StoreError> {
    member_at(conn, org, account, places_of(conn, org, account)?)
}

/// A member, whose places are known.
pub(crate) fn member_at(
    conn: &Connection,
    org: OrgId,
    account: AccountId,
    places: Vec<Place>,
) -> Result<Option<Member>, StoreError> {
    let sql = "SELECT s.account, s.user, s.role, s.scopes, u.display_name, s.profile, s.joined, s.sort
        FROM seats s JOIN users u ON u.id = s.user
        JOIN companies c ON c.org = s.org AND c.dissolved = 0 WHERE s.org = ?1 AND s.account = ?2";
    let found = conn.prepare_cached(sql)?.query_row((db(org.0), db(account.0)), member_of).optional()?;
    Ok(found.map(|member| Member { places, ..member }))
}

pub(crate) fn has_position(conn: &Connection, org: OrgId, id: PositionId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM positions WHERE id = ?1 AND org = ?2";
    Ok(conn.prepare_cached(sql)?.exists((db(id.0), db(org.0)))?)
}

/// Hash of a request, and what became of it.
pub(crate) type Done = ([u8; 32], Option<Outcome>);

/// The request that was carried out under a key.
pub(crate) fn done_once(conn: &Connection, key: &[u8; 32]) -> Result<Option<Done>, StoreError> {
    let sql = "SELECT request, kind, a, b, c FROM once WHERE key = ?1";
    let read = |row: &Row<'_>| {
        let outcome = Outcome::from_stored(row.get(1)?, [num(row, 2)?, num(row, 3)?, num(row, 4)?]);
        Ok((row.get(0)?, outcome))
    };
    Ok(conn.prepare_cached(sql)?.query_row([key], read).optional()?)
}

pub(crate) fn profile_text(profile: &Profile) -> String {
    serde_json::to_string(profile).expect("fields are texts")
}

pub(crate) fn edit_text(edit: &Edit) -> String {
    serde_json::to_string(edit).expect("fields are texts and numbers")
}

/// Checked when it was written. What cannot be read asks for nothing.
pub(crate) fn edit(text: &str) -> Edit {
    serde_json::from_str(text).unwrap_or_default()
}

/// Of `account, state`. What is unknown was decided.
pub(crate) fn asked_from(row: &Row<'_>) -> rusqlite::Result<Request> {
    let state = State::from_number(row.get(1)?).unwrap_or(State::Declined);
    Ok(Request { account: AccountId(num(row, 0)?), state })
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

pub(crate) const INVITATION: &str = "SELECT id, org, number, link, uses, dept, ask, expires, ended FROM invitations";

pub(crate) fn invitation_from(row: &Row<'_>) -> rusqlite::Result<Invitation> {
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
    let sql = format!(
        "{INVITATION} WHERE number = ?1 AND ended = 0
         AND org IN (SELECT org FROM companies WHERE dissolved = 0) ORDER BY id DESC LIMIT 100"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([number.0], invitation_from)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Of `account, state, dept`. What is unknown was decided: it lets nobody in.
pub(crate) fn request_from(row: &Row<'_>) -> rusqlite::Result<(Request, DeptId)> {
    Ok((asked_from(row)?, DeptId(num(row, 2)?)))
}

/// The policy of an organisation and its version.
pub(crate) fn policy(conn: &Connection, org: OrgId) -> Result<Option<(Policy, u64)>, StoreError> {
    let sql = "SELECT policy, policy_version FROM companies WHERE org = ?1 AND dissolved = 0";
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn where_somebody_stands_is_read_without_the_other_members() {
        let mut conn = Connection::open_in_memory().unwrap();
        crate::engine::schema::migrate(&mut conn, Path::new("memory")).unwrap();
        for sql in [DEPTS_OF_SEAT, PLACES_OF_SEAT] {
            let explained = format!("EXPLAIN QUERY PLAN {sql}");
            let plan: String = conn.query_row(&explained, (1, 1), |row| row.get("detail")).unwrap();
            assert!(plan.ends_with("USING PRIMARY KEY (org=? AND account=?)"), "{sql}: {plan}");
        }
    }
}
