//! The access log, for whom it is about and for who may read it of others.

use convene_types::AccountId;

use super::Reader;
use crate::accesses::Access;
use crate::error::StoreError;
use crate::rows::{db, num};

impl Reader {
    /// Requests of an account before this place in the log, the latest first, at most `limit`.
    pub fn accesses_of(&mut self, account: AccountId, before: i64, limit: u32) -> Result<Vec<Access>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT id, account, at, address, client, endpoint, status, code FROM accesses
                WHERE account = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map((db(account.0), before, limit), |row| {
                let (account, at_s) = (AccountId(num(row, 1)?), num(row, 2)?);
                let (address, client, endpoint) = (row.get(3)?, row.get(4)?, row.get(5)?);
                Ok(Access {
                    id: row.get(0)?,
                    account,
                    at_s,
                    address,
                    client,
                    endpoint,
                    status: row.get(6)?,
                    code: row.get(7)?,
                })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }
}
