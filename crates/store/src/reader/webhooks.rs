//! Endpoints of webhooks and what waits for them: the callers are `api` and `outbound`.

use convene_proto::im;
use convene_types::OrgId;
use prost::Message as _;
use rusqlite::Row;

use super::Reader;
use crate::error::StoreError;
use crate::rows::{self, num};
use crate::told;
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
            let sql = "SELECT o.id, o.body, o.made, w.org, o.event, e.event FROM webhook_outbox o
                JOIN webhooks w ON w.id = o.endpoint LEFT JOIN events e ON e.id = o.event
                WHERE o.endpoint = ?1 ORDER BY o.id LIMIT ?2";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map((endpoint, limit), waiting_from)?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }
}

/// Of a message: as it is by now.
fn waiting_from(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    let (id, made_s, org) = (row.get(0)?, num(row, 2)?, OrgId(num(row, 3)?));
    let body = match row.get::<_, Option<i64>>(4)? {
        None => row.get(1)?,
        Some(_) => {
            let bytes = row.get::<_, Option<Vec<u8>>>(5)?.unwrap_or_default();
            told::message(org, &im::Event::decode(bytes.as_slice()).unwrap_or_default())
        }
    };
    Ok(Waiting { id, body, made_s })
}
