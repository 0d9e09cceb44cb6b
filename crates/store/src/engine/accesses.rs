//! The access log.

use super::Work;
use crate::accesses::{Access, Op};
use crate::error::StoreError;
use crate::rows::db;

/// Rows that one sweep deletes: a transaction of some milliseconds.
const MAX_FORGOTTEN: u32 = 5_000;

impl Work<'_> {
    pub(super) fn access(&mut self, op: Op) -> Result<(), StoreError> {
        match op {
            Op::Note(accesses) => accesses.iter().try_for_each(|access| self.note_access(access)),
            Op::Forget { before_s } => {
                let sql = "DELETE FROM accesses WHERE id IN (SELECT id FROM accesses WHERE at < ?1 LIMIT ?2)";
                self.conn.prepare_cached(sql)?.execute((db(before_s), MAX_FORGOTTEN))?;
                Ok(())
            }
        }
    }

    fn note_access(&self, access: &Access) -> Result<(), StoreError> {
        // The request that ends an account is noted after its end: nothing of it is kept.
        let sql = "INSERT INTO accesses (account, at, address, client, endpoint, status, code)
            SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE id = ?1 AND state = 3)";
        let Access { account, at_s, address, client, endpoint, status, code, .. } = access;
        let row = (db(account.0), db(*at_s), address, client, endpoint, status, code);
        self.conn.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }
}
