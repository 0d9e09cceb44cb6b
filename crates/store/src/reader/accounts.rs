//! Accounts, sessions and devices, for whoever has shown that they may ask: the callers are `signaling` and `server`.

use convene_accounts::session::Session;
use convene_accounts::vault::Lookup;
use convene_accounts::verification::{Challenge, Purpose};
use convene_types::{AccountId, DeviceId, SessionId};

use super::Reader;
use crate::accounts::{Account, Device};
use crate::error::StoreError;
use crate::rows::{self, db};

/// Ends that a process is told of at its start.
const MAX_RECENT: i64 = 100_000;

impl Reader {
    /// An account.
    pub fn account(&mut self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.plain(|conn| rows::account(conn, id))
    }

    /// The account of a number.
    pub fn account_by_lookup(&mut self, lookup: Lookup) -> Result<Option<Account>, StoreError> {
        self.plain(|conn| rows::account_by_lookup(conn, lookup))
    }

    /// The code that was sent to a number last, for this purpose.
    pub fn challenge(&mut self, lookup: Lookup, purpose: Purpose) -> Result<Option<Challenge>, StoreError> {
        self.plain(|conn| rows::challenge(conn, lookup, purpose))
    }

    /// A session, open or not.
    pub fn session(&mut self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.plain(|conn| rows::session(conn, id))
    }

    /// Sessions of an account, the latest refreshed first; those that are over too, until they are swept away.
    pub fn sessions_of(&mut self, account: AccountId) -> Result<Vec<Session>, StoreError> {
        self.plain(|conn| {
            let mut found = rows::sessions_of(conn, account)?;
            found.sort_by_key(|session| std::cmp::Reverse(session.rotated_s));
            Ok(found)
        })
    }

    /// Devices of an account and when each was seen, the latest first.
    pub fn devices_of(&mut self, account: AccountId) -> Result<Vec<(Device, u64)>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT id, model, system, push_token, address, seen FROM devices WHERE account = ?1
                ORDER BY seen DESC, id";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map([db(account.0)], |row| {
                let (id, model, system) = (DeviceId(row.get(0)?), row.get(1)?, row.get(2)?);
                Ok((Device { id, model, system, push_token: row.get(3)?, address: row.get(4)? }, rows::num(row, 5)?))
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Sessions that ended at `since_s` or later, and when: what a process must refuse after a start.
    pub fn ended_since(&mut self, since_s: u64) -> Result<Vec<(Session, u64)>, StoreError> {
        self.plain(|conn| {
            let sql = format!(
                "SELECT {}, ended_at FROM sessions WHERE ended IS NOT NULL AND ended_at >= ?1 ORDER BY ended_at LIMIT ?2",
                rows::SESSION_COLUMNS
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let found = statement.query_map((db(since_s), MAX_RECENT), |row| {
                Ok((rows::session_from(row)?, rows::num(row, rows::SESSION_WIDTH)?))
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }
}
