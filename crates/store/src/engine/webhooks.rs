//! Endpoints of webhooks, and what waits for them.

use convene_accounts::Code;
use convene_accounts::apikey::{KeyId, KeyScopes};
use convene_accounts::role::Act;
use convene_accounts::webhook::{Kinds, MAX_ENDPOINTS, MAX_URL_BYTES, MAX_WAITING};
use convene_types::OrgId;
use rusqlite::OptionalExtension as _;
use serde_json::json;

use super::Work;
use super::accounts::{Answer, settle};
use super::orgs::Actor;
use crate::error::StoreError;
use crate::orgs::Outcome;
use crate::rows::{self, db};
use crate::webhooks::{Enqueued, Op};

/// The organisation of endpoints of the configuration.
const CONFIGURED: OrgId = OrgId(0);

impl Work<'_> {
    pub(super) fn webhook(&mut self, op: Op) -> Result<Enqueued, StoreError> {
        match op {
            Op::Configure(endpoints) => self.configure(&endpoints).map(|()| Enqueued::default()),
            Op::Enqueue { org, kind, body } => self.enqueue(org, kind, &body),
            Op::Done { endpoint, up_to } => self.delivered(endpoint, up_to).map(|()| Enqueued::default()),
        }
    }

    fn configure(&mut self, endpoints: &[(String, String)]) -> Result<(), StoreError> {
        for old in rows::webhooks_of(self.conn, CONFIGURED)? {
            match endpoints.iter().find(|(url, _)| *url == old.url) {
                Some((_, key)) => {
                    self.conn.prepare_cached("UPDATE webhooks SET key = ?2 WHERE id = ?1")?.execute((old.id, key))?;
                }
                None => self.forget_webhook(old.id)?,
            }
        }
        for (url, key) in endpoints {
            let known = self.conn.prepare_cached("SELECT 1 FROM webhooks WHERE org = 0 AND url = ?1")?.exists([url])?;
            if !known {
                self.insert_webhook(CONFIGURED, url, key, Kinds::ROOMS)?;
            }
        }
        Ok(())
    }

    fn insert_webhook(&self, org: OrgId, url: &str, key: &str, kinds: Kinds) -> Result<i64, StoreError> {
        let sql =
            "INSERT INTO webhooks (org, url, key, kinds, made, waiting) VALUES (?1, ?2, ?3, ?4, ?5, 0) RETURNING id";
        let row = (db(org.0), url, key, kinds.bits(), db(self.now_s()));
        Ok(self.conn.prepare_cached(sql)?.query_row(row, |row| row.get(0))?)
    }

    fn forget_webhook(&self, id: i64) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM webhook_outbox WHERE endpoint = ?1")?.execute([id])?;
        self.conn.prepare_cached("DELETE FROM webhooks WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    fn enqueue(&mut self, org: Option<OrgId>, kind: Kinds, body: &str) -> Result<Enqueued, StoreError> {
        let org = org.unwrap_or(CONFIGURED);
        let sql = "SELECT id, waiting FROM webhooks WHERE org IN (0, ?1) AND kinds & ?2 != 0";
        let mut statement = self.conn.prepare_cached(sql)?;
        let found = statement.query_map((db(org.0), kind.bits()), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let found = found.collect::<Result<Vec<(i64, u32)>, _>>()?;
        let mut enqueued = Enqueued::default();
        for (endpoint, waiting) in found {
            if waiting >= MAX_WAITING {
                enqueued.full = enqueued.full.saturating_add(1);
                continue;
            }
            let sql = "INSERT INTO webhook_outbox (endpoint, body, made) VALUES (?1, ?2, ?3)";
            self.conn.prepare_cached(sql)?.execute((endpoint, body, db(self.now_s())))?;
            self.conn.prepare_cached("UPDATE webhooks SET waiting = waiting + 1 WHERE id = ?1")?.execute([endpoint])?;
            enqueued.waiting = enqueued.waiting.saturating_add(1);
        }
        Ok(enqueued)
    }

    fn delivered(&mut self, endpoint: i64, up_to: i64) -> Result<(), StoreError> {
        let sql = "DELETE FROM webhook_outbox WHERE endpoint = ?1 AND id <= ?2";
        let gone = self.conn.prepare_cached(sql)?.execute((endpoint, up_to))?;
        let sql = "UPDATE webhooks SET waiting = max(0, waiting - ?2) WHERE id = ?1";
        let gone = i64::try_from(gone).unwrap_or(i64::MAX);
        self.conn.prepare_cached(sql)?.execute((endpoint, gone))?;
        Ok(())
    }

    /// An act of the audit log that programs of the organisation may want to know of.
    pub(super) fn tell_webhooks(&mut self, actor: &Actor, act: &str, target: &str) -> Result<(), StoreError> {
        if !act.starts_with("member.") {
            return Ok(());
        }
        let sql = "SELECT audit FROM companies WHERE org = ?1";
        let number: i64 = self.conn.prepare_cached(sql)?.query_row([db(actor.org.0)], |row| row.get(0))?;
        let body = json!({
            "event": act.replace('.', "_"),
            "id": format!("EV_o{}_{number}", actor.org),
            "createdAt": self.now_s().to_string(),
            "organisation": actor.org.0,
            "actor": format!("account:{}", actor.account),
            "target": target,
        });
        self.enqueue(Some(actor.org), Kinds::MEMBERS, &body.to_string())?;
        Ok(())
    }

    pub(super) fn make_webhook(&mut self, actor: &Actor, url: &str, key: KeyId, kinds: Kinds) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageKeys));
        if url.len() > MAX_URL_BYTES {
            return Ok(Err(Code::BadValue.into()));
        }
        let sql = "SELECT scopes FROM api_keys WHERE id = ?1 AND org = ?2 AND ended IS NULL";
        let scopes = self.conn.prepare_cached(sql)?.query_row((key.0, db(actor.org.0)), |row| row.get::<_, u8>(0));
        settle!(scopes.optional()?.map(KeyScopes::from_bits).ok_or(Code::NotFound));
        let sql = "SELECT count(*) FROM webhooks WHERE org = ?1";
        let known: u32 = self.conn.prepare_cached(sql)?.query_row([db(actor.org.0)], |row| row.get(0))?;
        if known >= MAX_ENDPOINTS {
            return Ok(Err(Code::TooMany.into()));
        }
        let id = self.insert_webhook(actor.org, url, &key.to_string(), kinds)?;
        self.audit(actor, "webhook.make", format!("webhook:{id}"), format!(r#"{{"kinds":{}}}"#, kinds.bits()))?;
        Ok(Ok(Outcome::Webhook(id)))
    }

    pub(super) fn end_webhook(&mut self, actor: &Actor, id: i64) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageKeys));
        let sql = "SELECT 1 FROM webhooks WHERE id = ?1 AND org = ?2";
        if !self.conn.prepare_cached(sql)?.exists((id, db(actor.org.0)))? {
            return Ok(Err(Code::NotFound.into()));
        }
        self.forget_webhook(id)?;
        self.audit(actor, "webhook.end", format!("webhook:{id}"), String::new())?;
        Ok(Ok(Outcome::Done))
    }
}
