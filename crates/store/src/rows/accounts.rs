//! Rows of accounts: how they become values, and the loads that writer and readers share.

use convene_accounts::limits::Usage;
use convene_accounts::session::{End, Session};
use convene_accounts::vault::Lookup;
use convene_accounts::verification::{Challenge, Purpose, Tag};
use convene_types::{AccountId, DeviceId, SessionId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{db, num};
use crate::accounts::{Account, State};
use crate::error::StoreError;

pub(crate) fn usage_from(row: &Row<'_>) -> rusqlite::Result<Usage> {
    Ok(Usage { since_s: num(row, 0)?, count: row.get(1)?, last_s: num(row, 2)? })
}

pub(crate) fn challenge(conn: &Connection, lookup: Lookup, purpose: Purpose) -> Result<Option<Challenge>, StoreError> {
    let sql = "SELECT tag, expires, attempts FROM challenges WHERE lookup = ?1 AND purpose = ?2";
    Ok(conn.prepare_cached(sql)?.query_row((lookup.0, purpose.name()), challenge_from).optional()?)
}

fn challenge_from(row: &Row<'_>) -> rusqlite::Result<Challenge> {
    Ok(Challenge { tag: Tag(row.get(0)?), expires_s: num(row, 1)?, attempts: row.get(2)? })
}

/// Order of what [`session_from`] reads.
pub(crate) const SESSION_COLUMNS: &str = "id, account, device, seed, generation, began, rotated, ended";
/// How many those are.
pub(crate) const SESSION_WIDTH: usize = 8;

pub(crate) fn session_from(row: &Row<'_>) -> rusqlite::Result<Session> {
    // What is unknown is over all the same.
    let ended = row.get::<_, Option<u8>>(7)?.map(|number| End::from_number(number).unwrap_or(End::Revoked));
    Ok(Session {
        id: SessionId(row.get(0)?),
        account: AccountId(num(row, 1)?),
        device: DeviceId(row.get(2)?),
        seed: row.get(3)?,
        generation: row.get(4)?,
        began_s: num(row, 5)?,
        rotated_s: num(row, 6)?,
        ended,
    })
}

pub(crate) fn session(conn: &Connection, id: SessionId) -> Result<Option<Session>, StoreError> {
    let sql = format!("SELECT {SESSION_COLUMNS} FROM sessions WHERE id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([id.0], session_from).optional()?)
}

pub(crate) fn sessions_of(conn: &Connection, account: AccountId) -> Result<Vec<Session>, StoreError> {
    let sql = format!("SELECT {SESSION_COLUMNS} FROM sessions WHERE account = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([db(account.0)], session_from)?;
    Ok(found.collect::<Result<_, _>>()?)
}

const ACCOUNT: &str =
    "SELECT a.id, a.state, a.display_name, a.password, a.consent, p.lookup, p.sealed, a.consent_at, a.made,
    a.picture FROM accounts a";

fn account_from(row: &Row<'_>) -> rusqlite::Result<Account> {
    let phone = match (row.get::<_, Option<[u8; 32]>>(5)?, row.get::<_, Option<Vec<u8>>>(6)?) {
        (Some(lookup), Some(sealed)) => Some((Lookup(lookup), sealed)),
        (None, _) | (_, None) => None,
    };
    let state = State::from_number(row.get(1)?);
    let (id, display_name) = (AccountId(num(row, 0)?), row.get(2)?);
    let (password, consent): (_, String) = (row.get(3)?, row.get(4)?);
    let consent_s = if consent.is_empty() { 0 } else { num(row, 7)? };
    let (made_s, picture) = (num(row, 8)?, row.get(9)?);
    Ok(Account { id, state, display_name, password, consent, consent_s, made_s, picture, phone })
}

pub(crate) fn account(conn: &Connection, id: AccountId) -> Result<Option<Account>, StoreError> {
    let sql = format!("{ACCOUNT} LEFT JOIN phones p ON p.account = a.id WHERE a.id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([db(id.0)], account_from).optional()?)
}

pub(crate) fn accounts_after(conn: &Connection, after: AccountId, limit: u32) -> Result<Vec<Account>, StoreError> {
    let sql = format!("{ACCOUNT} LEFT JOIN phones p ON p.account = a.id WHERE a.id > ?1 ORDER BY a.id LIMIT ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map((db(after.0), limit), account_from)?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(crate) fn account_by_lookup(conn: &Connection, lookup: Lookup) -> Result<Option<Account>, StoreError> {
    let sql = format!("{ACCOUNT} JOIN phones p ON p.account = a.id WHERE p.lookup = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([lookup.0], account_from).optional()?)
}
