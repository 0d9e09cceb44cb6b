//! Lists for whoever runs the server, and the API keys that are good: the callers are `api` and `server`.

use convene_accounts::apikey::{ApiKey, KeyId, KeyScopes};
use convene_types::{AccountId, OrgId};
use rusqlite::Row;

use super::Reader;
use crate::accounts::Account;
use crate::error::StoreError;
use crate::rows::{self, db, num};

/// Rows of a list at a time.
const MAX_ROWS: u32 = 1_000;

/// An organisation, in the operator's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// Which.
    pub org: OrgId,
    /// As in tokens.
    pub name: String,
    /// As shown.
    pub title: String,
    /// How many are in it.
    pub members: u64,
}

/// An API key, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// What it is.
    pub key: ApiKey,
    /// What people call it.
    pub title: String,
    /// Who made it; 0: the command line.
    pub maker: AccountId,
    /// Seconds since 1970.
    pub made_s: u64,
    /// Seconds since 1970 of its end; `None`: it is good.
    pub ended_s: Option<u64>,
}

const KEY: &str = "SELECT id, org, scopes, title, maker, made, ended FROM api_keys";

fn key_from(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    let scopes = KeyScopes::from_bits(row.get(2)?);
    let key = ApiKey { id: KeyId(row.get(0)?), org: OrgId(num(row, 1)?), scopes };
    let ended_s = row.get::<_, Option<i64>>(6)?.map(|at| u64::try_from(at).unwrap_or(0));
    Ok(KeyRow { key, title: row.get(3)?, maker: AccountId(num(row, 4)?), made_s: num(row, 5)?, ended_s })
}

impl Reader {
    /// Accounts behind this one, at most `limit`, erased ones too.
    pub fn accounts_after(&mut self, after: AccountId, limit: u32) -> Result<Vec<Account>, StoreError> {
        self.plain(|conn| rows::accounts_after(conn, after, limit.min(MAX_ROWS)))
    }

    /// Organisations behind this one, at most `limit`.
    pub fn companies_after(&mut self, after: OrgId, limit: u32) -> Result<Vec<Company>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT c.org, o.name, c.title, c.members FROM companies c JOIN orgs o ON o.id = c.org
                WHERE c.org > ?1 ORDER BY c.org LIMIT ?2";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map((db(after.0), limit.min(MAX_ROWS)), |row| {
                Ok(Company { org: OrgId(num(row, 0)?), name: row.get(1)?, title: row.get(2)?, members: num(row, 3)? })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// The organisation of this name.
    pub fn company_by_name(&mut self, name: &str) -> Result<Option<OrgId>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT c.org FROM companies c JOIN orgs o ON o.id = c.org WHERE o.name = ?1";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map([name], |row| num(row, 0).map(OrgId))?.next();
            Ok(found.transpose()?)
        })
    }

    /// API keys of an organisation, the latest first; those that have ended too.
    pub fn api_keys_of(&mut self, org: OrgId) -> Result<Vec<KeyRow>, StoreError> {
        self.plain(|conn| {
            let sql = format!("{KEY} WHERE org = ?1 ORDER BY made DESC, id LIMIT ?2");
            let mut statement = conn.prepare_cached(&sql)?;
            Ok(statement.query_map((db(org.0), MAX_ROWS), key_from)?.collect::<Result<_, _>>()?)
        })
    }

    /// All API keys that are good: what a process learns at its start.
    pub fn good_api_keys(&mut self) -> Result<Vec<ApiKey>, StoreError> {
        self.plain(|conn| {
            let sql = format!("{KEY} WHERE ended IS NULL AND org IN (SELECT org FROM companies)");
            let mut statement = conn.prepare_cached(&sql)?;
            Ok(statement.query_map([], |row| key_from(row).map(|row| row.key))?.collect::<Result<_, _>>()?)
        })
    }
}
