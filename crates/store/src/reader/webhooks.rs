//! Endpoints of webhooks and what waits for them: the callers are `api` and `outbound`.

use convene_types::OrgId;

use super::Reader;
use crate::error::StoreError;
use crate::rows::{self, num};
use crate::webhooks::{Endpoint, Waiting};

/// Endpoints that are looked at in one go.
const MAX_ENDPOINTS: u32 = 1_000;

impl Reader {
    /// Endpoints of an organisation.
    pub fn webhooks_of(&mut self, org: OrgId) -> Result<Vec<Endpoint>, StoreError> {
        self.plain(|conn| rows::webhooks_of(conn, org))
    }

    /// Endpoints that something waits for, behind this one.
    pub fn waiting_webhooks(&mut self, after: i64) -> Result<Vec<Endpoint>, StoreError> {
        self.plain(|conn| {
            let sql = format!("{} WHERE waiting > 0 AND id > ?1 ORDER BY id LIMIT ?2", rows::WEBHOOK);
            let mut statement = conn.prepare_cached(&sql)?;
            Ok(statement.query_map((after, MAX_ENDPOINTS), rows::webhook_from)?.collect::<Result<_, _>>()?)
        })
    }

    /// What waits for an endpoint, in its order, at most `limit`.
    pub fn webhook_outbox(&mut self, endpoint: i64, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        self.plain(|conn| {
            let sql = "SELECT id, body, made FROM webhook_outbox WHERE endpoint = ?1 ORDER BY id LIMIT ?2";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map((endpoint, limit), |row| {
                Ok(Waiting { id: row.get(0)?, body: row.get(1)?, made_s: num(row, 2)? })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }
}
