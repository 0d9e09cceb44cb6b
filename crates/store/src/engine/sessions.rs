//! Sessions and devices of accounts, and the sweeping away of what is over.

use convene_accounts::session::{self, Advance, End, MAX_SESSIONS, Session};
use convene_accounts::{Code, Refusal};
use convene_types::{AccountId, SessionId};

use super::Work;
use super::accounts::{Answer, settle};
use crate::accounts::{Device, Entry, MAX_DEVICE_BYTES, MAX_DEVICES, Outcome, Which};
use crate::error::StoreError;
use crate::orgs::ONCE_S;
use crate::rows::{self, db};

/// Rows of a kind that one sweep deletes: a transaction of some milliseconds.
const MAX_SWEPT: usize = 2_000;

pub(super) fn check_device(device: &Device) -> Result<(), Refusal> {
    let Device { model, system, push_token, address, .. } = device;
    let short = [model, system, push_token, address].iter().all(|text| text.len() <= MAX_DEVICE_BYTES);
    if short { Ok(()) } else { Err(Code::Malformed.into()) }
}

impl Work<'_> {
    /// Whether a session can begin so. Asked before anything is written.
    pub(super) fn check_entry(&self, entry: &Entry) -> Answer<()> {
        settle!(check_device(&entry.device));
        // 128 random bits are met again only by who repeats themselves.
        let known = rows::session(self.conn, entry.session)?.is_some();
        Ok(if known { Err(Code::Conflict.into()) } else { Ok(()) })
    }

    /// A session begins. Where there are too many, the one unused for longest ends.
    pub(super) fn enter(&mut self, account: AccountId, entry: &Entry, mut ended: Vec<Session>) -> Answer<Outcome> {
        self.write_device(account, &entry.device)?;
        let now_s = self.now_s();
        let mut open = rows::sessions_of(self.conn, account)?;
        open.retain(|session| session.is_open(now_s));
        open.sort_by_key(|session| session.rotated_s);
        let over = open.len().saturating_add(1).saturating_sub(MAX_SESSIONS);
        for old in open.into_iter().take(over) {
            let old = Session { ended: Some(End::Crowded), ..old };
            self.write_session(&old)?;
            ended.push(old);
        }
        let session = session::begin(entry.session, account, entry.device.id, entry.seed, now_s);
        self.write_session(&session)?;
        Ok(Ok(Outcome::SignedIn { session, ended }))
    }

    /// Refused as stolen, the session has ended.
    pub(super) fn refresh(&mut self, id: SessionId, generation: u32) -> Answer<Outcome> {
        let row = settle!(rows::session(self.conn, id)?.ok_or(Code::SessionEnded));
        match session::advance(&row, generation, self.now_s()) {
            Advance::Rotated(next) => {
                self.write_session(&next)?;
                Ok(Ok(Outcome::Refreshed(next)))
            }
            Advance::Again => Ok(Ok(Outcome::Refreshed(row))),
            Advance::Stolen(next) => {
                self.write_session(&next)?;
                Ok(Err(Code::SessionStolen.into()))
            }
            Advance::Over => Ok(Err(Code::SessionEnded.into())),
        }
    }

    pub(super) fn end_sessions(
        &mut self,
        account: AccountId,
        which: Which,
        end: End,
    ) -> Result<Vec<Session>, StoreError> {
        let now_s = self.now_s();
        let mut ended = Vec::new();
        for session in rows::sessions_of(self.conn, account)? {
            let meant = match which {
                Which::One(id) => session.id == id,
                Which::Device(device) => session.device == device,
                Which::AllBut(id) => session.id != id,
                Which::All => true,
            };
            if meant && session.is_open(now_s) {
                let session = Session { ended: Some(end), ..session };
                self.write_session(&session)?;
                ended.push(session);
            }
        }
        if let Which::Device(device) = which {
            let sql = "DELETE FROM devices WHERE account = ?1 AND id = ?2";
            self.conn.prepare_cached(sql)?.execute((db(account.0), device.0))?;
        }
        Ok(ended)
    }

    fn write_session(&self, session: &Session) -> Result<(), StoreError> {
        let sql = "INSERT INTO sessions (id, account, device, seed, generation, began, rotated, ended, ended_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
            ON CONFLICT (id) DO UPDATE SET generation = ?5, rotated = ?7, ended = ?8, ended_at = ?9";
        let Session { id, account, device, seed, generation, began_s, rotated_s, ended } = session;
        let (ended, ended_at) = (ended.map(End::number), ended.map(|_| db(self.now_s())));
        let (began, rotated) = (db(*began_s), db(*rotated_s));
        let row = (id.0, db(account.0), device.0, seed, generation, began, rotated, ended, ended_at);
        self.conn.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    pub(super) fn write_device(&mut self, account: AccountId, device: &Device) -> Result<(), StoreError> {
        let sql = "INSERT INTO devices (account, id, model, system, push_token, address, seen)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            ON CONFLICT (account, id) DO UPDATE SET model = ?3, system = ?4, push_token = ?5, address = ?6, seen = ?7";
        let Device { id, model, system, push_token, address } = device;
        let seen = db(self.now_s());
        self.conn.prepare_cached(sql)?.execute((db(account.0), id.0, model, system, push_token, address, seen))?;
        let sql = "DELETE FROM devices WHERE account = ?1 AND id != ?2 AND id NOT IN
            (SELECT id FROM devices WHERE account = ?1 ORDER BY id = ?2 DESC, seen DESC, id LIMIT ?3)";
        let most = i64::try_from(MAX_DEVICES).unwrap_or(i64::MAX);
        self.conn.prepare_cached(sql)?.execute((db(account.0), id.0, most))?;
        Ok(())
    }

    /// Rows of organisations that have ended. Their name, their audit log and what was said in them stay.
    fn sweep_dissolved(&self, limit: i64) -> Result<bool, StoreError> {
        let mut more = false;
        let tables = [
            ("directory", "org, key, account"),
            ("places", "org, account, rank"),
            ("seats", "org, account"),
            ("departments", "id"),
            ("positions", "id"),
            ("invitations", "id"),
            ("requests", "id"),
            ("edit_requests", "id"),
        ];
        for (table, key) in tables {
            let sql = format!(
                "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table}
                    WHERE org IN (SELECT org FROM companies WHERE dissolved > 0) LIMIT ?1)"
            );
            more |= self.conn.prepare_cached(&sql)?.execute([limit])? >= MAX_SWEPT;
        }
        Ok(more)
    }

    pub(super) fn sweep(&mut self, before_s: u64) -> Answer<Outcome> {
        let now = db(self.now_s());
        let limit = i64::try_from(MAX_SWEPT).unwrap_or(i64::MAX);
        let idle = db(before_s.saturating_sub(session::IDLE_S));
        let statements = [
            (
                "DELETE FROM challenges WHERE (lookup, purpose) IN
                (SELECT lookup, purpose FROM challenges WHERE expires <= ?1 LIMIT ?2)",
                now,
            ),
            (
                "DELETE FROM usages WHERE (act, subject, key) IN
                (SELECT act, subject, key FROM usages WHERE ends <= ?1 LIMIT ?2)",
                now,
            ),
            (
                "DELETE FROM sessions WHERE id IN
                (SELECT id FROM sessions WHERE ended IS NOT NULL AND ended_at < ?1 LIMIT ?2)",
                db(before_s),
            ),
            ("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE rotated < ?1 LIMIT ?2)", idle),
            (
                "DELETE FROM once WHERE key IN (SELECT key FROM once WHERE made < ?1 LIMIT ?2)",
                db(self.now_s().saturating_sub(ONCE_S)),
            ),
        ];
        let mut more = self.sweep_dissolved(limit)?;
        for (sql, time) in statements {
            more |= self.conn.prepare_cached(sql)?.execute((time, limit))? >= MAX_SWEPT;
        }
        Ok(Ok(Outcome::Swept { more }))
    }
}
