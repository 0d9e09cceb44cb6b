//! Organisations, for whoever has shown that they may ask: the callers are `signaling` and `server`.

use convene_accounts::audit::{self, Head, Record};
use convene_accounts::department::Tree;
use convene_accounts::invitation::Invitation;
use convene_accounts::policy::Policy;
use convene_accounts::vault::Lookup;
use convene_types::{AccountId, OrgId};
use rusqlite::OptionalExtension as _;

use super::Reader;
use crate::error::StoreError;
use crate::orgs::Seat;
use crate::rows::{self, db};

/// Records of the audit log that are read at a time.
const MAX_RECORDS: u32 = 1_000;

impl Reader {
    /// Somebody's seat.
    pub fn seat(&mut self, org: OrgId, account: AccountId) -> Result<Option<Seat>, StoreError> {
        self.plain(|conn| rows::seat(conn, org, account))
    }

    /// All seats of an account.
    pub fn seats_of(&mut self, account: AccountId) -> Result<Vec<Seat>, StoreError> {
        self.plain(|conn| rows::seats_of(conn, account))
    }

    /// All departments of an organisation.
    pub fn tree(&mut self, org: OrgId) -> Result<Tree, StoreError> {
        self.plain(|conn| rows::tree(conn, org))
    }

    /// The policy of an organisation, and its version.
    pub fn policy(&mut self, org: OrgId) -> Result<Option<(Policy, u64)>, StoreError> {
        self.plain(|conn| rows::policy(conn, org))
    }

    /// Open invitations of a number, of all organisations; some may have expired.
    pub fn invitations_for(&mut self, number: Lookup) -> Result<Vec<Invitation>, StoreError> {
        self.plain(|conn| rows::invitations_for(conn, number))
    }

    /// A page of the audit log behind `after`, at most `limit`.
    pub fn audit(&mut self, org: OrgId, after: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT number, at_ms, actor, address, act, target, detail, hash FROM audit
                WHERE org = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
            let mut statement = conn.prepare_cached(sql)?;
            let key = (db(org.0), db(after), limit.min(MAX_RECORDS));
            let found = statement.query_map(key, rows::audit_record_from)?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// A page of the audit log before `before`, the latest first, at most `limit`.
    pub fn audit_before(&mut self, org: OrgId, before: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT number, at_ms, actor, address, act, target, detail, hash FROM audit
                WHERE org = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";
            let mut statement = conn.prepare_cached(sql)?;
            let key = (db(org.0), db(before), limit.min(MAX_RECORDS));
            let found = statement.query_map(key, rows::audit_record_from)?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Reads the whole audit log of an organisation; what is wrong with it, if anything is. `None`: no such organisation.
    pub fn audit_fault(&mut self, org: OrgId) -> Result<Option<Result<Head, audit::Fault>>, StoreError> {
        // Noted first: what is appended meanwhile is behind it.
        let noted = self.plain(|conn| {
            let sql = "SELECT audit, audit_hash FROM companies WHERE org = ?1";
            Ok(conn.prepare_cached(sql)?.query_row([db(org.0)], rows::audit_head_from).optional()?)
        })?;
        let Some(noted) = noted else { return Ok(None) };
        let mut head = Head::START;
        while head.number < noted.number {
            let mut page = self.audit(org, head.number, MAX_RECORDS)?;
            page.retain(|record| record.number <= noted.number);
            if page.is_empty() {
                break;
            }
            match audit::verify(org, head, &page) {
                Ok(next) => head = next,
                Err(fault) => return Ok(Some(Err(fault))),
            }
        }
        Ok(Some(audit::verify_end(head, noted).map(|()| head)))
    }
}
