//! What a user does for themselves: read cursors, settings, the profile. Each change is an entry of the user's own log.

use convene_im_core::rules;
use convene_proto::im::{self, Code, user_event};
use convene_proto::limits::MAX_TITLE_BYTES;
use convene_types::{ConvId, OrgId, Seq, UserId};
use prost::Message as _;
use rusqlite::OptionalExtension as _;

use super::Work;
use crate::error::{Fault, StoreError, refused, unknown_conversation};
use crate::ops::Outcome;
use crate::rows::{self, USER_COLUMNS, db};

/// Longest name of a user or organisation: as long as the names that a token carries.
const MAX_NAME_BYTES: usize = MAX_TITLE_BYTES;

impl Work<'_> {
    pub(super) fn read(&mut self, user: UserId, conv: ConvId, seq: Seq) -> Result<Outcome, Fault> {
        let head = self.cache.conv(self.conn, conv)?.ok_or_else(unknown_conversation)?.conv.clone();
        let mut row = self.cache.member(self.conn, conv, user)?.ok_or_else(unknown_conversation)?.clone();
        if rules::check_read(&row.member, head.head, seq)?.is_none() {
            let (seq, ord) = (row.member.read, row.member.read_ord);
            return Ok(Outcome::Read { seq, ord, risen: false, push: None });
        }
        let ord = if seq == head.head { head.head_ord } else { rows::ord_at(self.conn, conv, seq)? };
        (row.member.read, row.member.read_ord) = (seq, ord);
        self.cache.put_member(conv, row);
        let cursor = im::ReadCursor { conv: conv.0, seq: seq.0, ord: ord.0 };
        let push = Some(self.log_for(user, user_event::Kind::Read(cursor))?);
        Ok(Outcome::Read { seq, ord, risen: true, push })
    }

    pub(super) fn settings(&mut self, user: UserId, change: im::Settings) -> Result<Outcome, Fault> {
        rules::check_settings(&change)?;
        let conv = ConvId(change.conv);
        self.cache.member(self.conn, conv, user)?.ok_or_else(unknown_conversation)?;
        let known = rows::load_settings(self.conn, user, conv)?;
        let merged = im::Settings {
            conv: conv.0,
            muted_until_ms: change.muted_until_ms.or(known.muted_until_ms),
            pinned: change.pinned.or(known.pinned),
            hidden: change.hidden.or(known.hidden),
            draft: change.draft.clone().or(known.draft),
        };
        let sql = "INSERT INTO settings (user, conv, settings) VALUES (?1, ?2, ?3)
            ON CONFLICT (user, conv) DO UPDATE SET settings = ?3";
        self.conn.prepare_cached(sql)?.execute((db(user.0), db(conv.0), merged.encode_to_vec()))?;
        Ok(Outcome::Settings { push: self.log_for(user, user_event::Kind::Settings(change))? })
    }

    pub(super) fn ensure_user(&mut self, org: &str, name: &str, display_name: &str) -> Result<Outcome, Fault> {
        if org.is_empty() || name.is_empty() {
            return refused(Code::Malformed, "a user without name or organisation");
        }
        if [org, name, display_name].iter().any(|text| text.len() > MAX_NAME_BYTES) {
            return refused(Code::TooLong, format!("a name, at most {MAX_NAME_BYTES} bytes"));
        }
        let org = self.ensure_org(org)?;
        let sql = format!("SELECT {USER_COLUMNS} FROM users u WHERE u.org = ?1 AND u.name = ?2");
        let found = self.conn.prepare_cached(&sql)?.query_row((db(org.0), name), |row| rows::user_from(row, 0));
        let Some(known) = found.optional()? else {
            return Ok(Outcome::User { org, user: self.insert_user(org, name, display_name)?, push: None });
        };
        if display_name.is_empty() || known.display_name == display_name {
            return Ok(Outcome::User { org, user: known, push: None });
        }
        let user = im::User { display_name: display_name.to_owned(), ..known };
        let sql = "UPDATE users SET display_name = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(user.id), display_name))?;
        let push = Some(self.log_for(UserId(user.id), user_event::Kind::Profile(user.clone()))?);
        Ok(Outcome::User { org, user, push })
    }

    pub(super) fn tell_profile(&mut self, user: UserId) -> Result<Outcome, Fault> {
        let Some((_, shown)) = rows::load_user(self.conn, user)? else {
            return refused(Code::UnknownUser, format!("user {user} is not there"));
        };
        Ok(Outcome::Settings { push: self.log_for(user, user_event::Kind::Profile(shown))? })
    }

    pub(super) fn ensure_org(&mut self, name: &str) -> Result<OrgId, StoreError> {
        let find = "SELECT id FROM orgs WHERE name = ?1";
        let found = self.conn.prepare_cached(find)?.query_row([name], |row| rows::num(row, 0)).optional()?;
        if let Some(org) = found {
            return Ok(OrgId(org));
        }
        let sql = "INSERT INTO orgs (name) VALUES (?1) RETURNING id";
        Ok(OrgId(self.conn.prepare_cached(sql)?.query_row([name], |row| rows::num(row, 0))?))
    }

    fn insert_user(&mut self, org: OrgId, name: &str, display_name: &str) -> Result<im::User, StoreError> {
        let display_name = if display_name.is_empty() { name } else { display_name };
        let sql =
            "INSERT INTO users (org, name, display_name) VALUES (?1, ?2, ?3) RETURNING id, name, display_name, NULL";
        let row = (db(org.0), name, display_name);
        Ok(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::user_from(row, 0))?)
    }
}
