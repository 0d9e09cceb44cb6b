//! API keys of organisations. Whether somebody may make and end them, and webhooks, is asked once for all: see
//! [`super::orgs`].

use convene_accounts::apikey::{KeyId, KeyScopes, MAX_KEYS};
use convene_accounts::{Code, department};
use convene_types::OrgId;

use super::Work;
use super::accounts::{Answer, settle};
use super::orgs::Actor;
use crate::error::StoreError;
use crate::orgs::Outcome;
use crate::rows::{self, db};

impl Work<'_> {
    pub(super) fn make_key(&mut self, actor: &Actor, id: KeyId, title: &str, scopes: KeyScopes) -> Answer<Outcome> {
        settle!(department::check_name(title));
        if scopes == KeyScopes::default() {
            return Ok(Err(Code::BadValue.into()));
        }
        let sql = "SELECT count(*) FROM api_keys WHERE org = ?1 AND ended IS NULL";
        let open: u32 = self.conn.prepare_cached(sql)?.query_row([db(actor.org.0)], |row| row.get(0))?;
        if open >= MAX_KEYS {
            return Ok(Err(Code::TooMany.into()));
        }
        let sql = "INSERT INTO api_keys (id, org, title, scopes, maker, made) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let row = (id.0, db(actor.org.0), title, scopes.bits(), db(actor.account.0), db(self.now_s()));
        self.conn.prepare_cached(sql)?.execute(row)?;
        let detail = format!(r#"{{"scopes":{}}}"#, scopes.bits());
        self.audit(actor, "key.make", format!("key:{id}"), detail)?;
        Ok(Ok(Outcome::Key(id)))
    }

    pub(super) fn end_key(&mut self, actor: &Actor, id: KeyId) -> Answer<Outcome> {
        let sql = "UPDATE api_keys SET ended = ?3 WHERE id = ?1 AND org = ?2 AND ended IS NULL";
        if self.conn.prepare_cached(sql)?.execute((id.0, db(actor.org.0), db(self.now_s())))? == 0 {
            return Ok(Err(Code::NotFound.into()));
        }
        self.audit(actor, "key.end", format!("key:{id}"), String::new())?;
        Ok(Ok(Outcome::Done))
    }

    /// An organisation ends: what its programs work with ends with it, and what waits for them goes.
    pub(super) fn end_integrations(&mut self, org: OrgId) -> Result<(), StoreError> {
        let sql = "UPDATE api_keys SET ended = ?2 WHERE org = ?1 AND ended IS NULL";
        self.conn.prepare_cached(sql)?.execute((db(org.0), db(self.now_s())))?;
        for endpoint in rows::webhooks_of(self.conn, org)? {
            self.forget_webhook(endpoint.id)?;
        }
        Ok(())
    }
}
