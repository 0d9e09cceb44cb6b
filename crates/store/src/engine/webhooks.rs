//! Endpoints of webhooks, and what waits for them.

use convene_accounts::Code;
use convene_accounts::apikey::{KeyId, KeyScopes};
use convene_accounts::webhook::{Kinds, MAX_ENDPOINTS, MAX_URL_BYTES, MAX_WAITING};
use convene_types::{ConvId, OrgId, Seq};
use rusqlite::OptionalExtension as _;

use super::Work;
use super::accounts::{Answer, settle};
use super::orgs::Actor;
use crate::error::StoreError;
use crate::orgs::Outcome;
use crate::rows::{self, db};
use crate::told;
use crate::webhooks::{Enqueued, Op};

/// The organisation of endpoints of the configuration.
const CONFIGURED: OrgId = OrgId(0);

/// What waits for an endpoint.
pub(super) enum Waits<'a> {
    /// JSON.
    Body(&'a str),
    /// A message: where it is.
    Event(ConvId, Seq),
}

impl Work<'_> {
    pub(super) fn webhook(&mut self, op: Op) -> Result<Enqueued, StoreError> {
        match op {
            Op::Configure(endpoints) => self.configure(&endpoints).map(|()| Enqueued::default()),
            Op::Enqueue { org, kind, body } => self.enqueue(org.unwrap_or(CONFIGURED), kind, &Waits::Body(&body)),
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

    fn insert_webhook(&mut self, org: OrgId, url: &str, key: &str, kinds: Kinds) -> Result<i64, StoreError> {
        self.cache.forget_wanted();
        let sql =
            "INSERT INTO webhooks (org, url, key, kinds, made, waiting) VALUES (?1, ?2, ?3, ?4, ?5, 0) RETURNING id";
        let row = (db(org.0), url, key, kinds.bits(), db(self.now_s()));
        Ok(self.conn.prepare_cached(sql)?.query_row(row, |row| row.get(0))?)
    }

    pub(super) fn forget_webhook(&mut self, id: i64) -> Result<(), StoreError> {
        self.cache.forget_wanted();
        self.conn.prepare_cached("DELETE FROM webhook_outbox WHERE endpoint = ?1")?.execute([id])?;
        self.conn.prepare_cached("DELETE FROM webhooks WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Puts something into the outbox for every endpoint that is told of it. Where there is none it costs a look into memory.
    pub(super) fn enqueue(&mut self, org: OrgId, kind: Kinds, what: &Waits<'_>) -> Result<Enqueued, StoreError> {
        let mut enqueued = Enqueued::default();
        if !self.cache.is_wanted(self.conn, &[CONFIGURED, org], kind)? {
            return Ok(enqueued);
        }
        let (body, event) = match what {
            Waits::Body(body) => (*body, None),
            Waits::Event(conv, seq) => ("", rows::event_id(*conv, *seq)),
        };
        let sql = "SELECT id, waiting FROM webhooks WHERE org IN (0, ?1) AND kinds & ?2 != 0";
        let mut statement = self.conn.prepare_cached(sql)?;
        let found = statement.query_map((db(org.0), kind.bits()), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let found = found.collect::<Result<Vec<(i64, u32)>, _>>()?;
        for (endpoint, waiting) in found {
            if waiting >= MAX_WAITING {
                enqueued.full = enqueued.full.saturating_add(1);
                continue;
            }
            let sql = "INSERT INTO webhook_outbox (endpoint, body, event, made) VALUES (?1, ?2, ?3, ?4)";
            self.conn.prepare_cached(sql)?.execute((endpoint, body, event, db(self.now_s())))?;
            self.conn.prepare_cached("UPDATE webhooks SET waiting = waiting + 1 WHERE id = ?1")?.execute([endpoint])?;
            enqueued.waiting = enqueued.waiting.saturating_add(1);
        }
        self.enqueued.add(enqueued);
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
        let (org, at_s) = (actor.org, self.now_s());
        let actor = format!("account:{}", actor.account);
        let body = told::member(&told::MemberAct { org, number, at_s, actor, act, target });
        self.enqueue(org, Kinds::MEMBERS, &Waits::Body(&body)).map(drop)
    }

    pub(super) fn make_webhook(&mut self, actor: &Actor, url: &str, key: KeyId, kinds: Kinds) -> Answer<Outcome> {
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
        let sql = "SELECT 1 FROM webhooks WHERE id = ?1 AND org = ?2";
        if !self.conn.prepare_cached(sql)?.exists((id, db(actor.org.0)))? {
            return Ok(Err(Code::NotFound.into()));
        }
        self.forget_webhook(id)?;
        self.audit(actor, "webhook.end", format!("webhook:{id}"), String::new())?;
        Ok(Ok(Outcome::Done))
    }
}
