//! What people ask about themselves: requests that wait, pictures, and what an export is made of.

use convene_types::{AccountId, InviteId, OrgId, UserId};
use rusqlite::{OptionalExtension as _, Row};

use super::Reader;
use crate::accounts::OwnRequest;
use crate::error::StoreError;
use crate::ops::{BlobFacts, BlobRow};
use crate::rows::{self, db, num};

/// Blobs that are named at a time.
const MAX_BLOBS: u32 = 1_000;

impl Reader {
    /// Requests of somebody to be let in that nobody has decided, the latest first.
    pub fn requests_of(&mut self, account: AccountId) -> Result<Vec<OwnRequest>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT r.id, r.org, c.title, r.made FROM requests r
                JOIN companies c ON c.org = r.org AND c.dissolved = 0
                WHERE r.account = ?1 AND r.state = 1 ORDER BY r.id DESC";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map([db(account.0)], |row| {
                let (id, org) = (InviteId(num(row, 0)?), OrgId(num(row, 1)?));
                Ok(OwnRequest { id, org, title: row.get(2)?, made_s: num(row, 3)? })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// A picture of somebody, by its name.
    pub fn picture(&mut self, account: AccountId, name: &str) -> Result<Option<BlobRow>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT mime, size, object FROM pictures WHERE account = ?1 AND name = ?2";
            let read = |row: &Row<'_>| {
                let (mime, size, key) = (row.get(0)?, num(row, 1)?, row.get(2)?);
                // Its name says which it is; nobody asks for it by its hash.
                Ok(BlobRow { facts: BlobFacts { id: [0; 32], size, mime, voice: None }, key })
            };
            Ok(conn.prepare_cached(sql)?.query_row((db(account.0), name), read).optional()?)
        })
    }

    /// A blob that a user has uploaded.
    pub fn own_blob(&mut self, org: OrgId, user: UserId, id: &[u8]) -> Result<Option<BlobRow>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT 1 FROM blob_owners WHERE org = ?1 AND blob = ?2 AND user = ?3";
            let owned = conn.prepare_cached(sql)?.exists((db(org.0), id, db(user.0)))?;
            if owned { rows::load_blob(conn, org, id) } else { Ok(None) }
        })
    }

    /// Blobs that a user has uploaded and that are there still, behind this one in their order.
    pub fn blobs_of(&mut self, org: OrgId, user: UserId, after: &[u8]) -> Result<Vec<BlobRow>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT blob FROM blob_owners WHERE org = ?1 AND user = ?2 AND blob > ?3 ORDER BY blob LIMIT ?4";
            let mut statement = conn.prepare_cached(sql)?;
            let key = (db(org.0), db(user.0), after, MAX_BLOBS);
            let ids = statement.query_map(key, |row| row.get::<_, Vec<u8>>(0))?.collect::<Result<Vec<_>, _>>()?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(rows::load_blob(conn, org, &id)?);
            }
            Ok(found)
        })
    }
}
