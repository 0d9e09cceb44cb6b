//! What organisations know of their members: names, fields, places, and what they are found by; and address books.
//!
//! Each function decides before it writes.

use convene_accounts::Code;
use convene_accounts::department::{Place, ROOT};
use convene_accounts::directory;
use convene_accounts::invitation::{MAX_OPEN, Say, State, decide};
use convene_accounts::profile::{Edit, Split};
use convene_accounts::role::Act;
use convene_types::{AccountId, InviteId, OrgId, UserId};
use rusqlite::OptionalExtension as _;

use super::Work;
use super::accounts::{Answer, settle};
use super::orgs::Actor;
use crate::accounts::{self, MAX_CONTACTS, MAX_NOTE_BYTES};
use crate::error::StoreError;
use crate::orgs::{Member, Outcome};
use crate::rows::{self, db};

impl Work<'_> {
    pub(super) fn edit(&mut self, actor: &Actor, account: AccountId, edit: Edit) -> Answer<Outcome> {
        let member = settle!(rows::member(self.conn, actor.org, account)?.ok_or(Code::NotFound));
        let Split { now, later } = if actor.account == account {
            let (policy, _) = settle!(rows::policy(self.conn, actor.org)?.ok_or(Code::NotFound));
            settle!(edit.clone().split(&policy, actor.role, &member.places))
        } else {
            settle!(edit.check_by(actor.role));
            Split { now: edit.clone(), later: Edit::default() }
        };
        settle!(edit.check());
        settle!(self.check_new_places(actor.org, &edit)?);
        if !later.is_empty() {
            settle!(self.check_waiting(actor.org)?);
        }
        if !now.is_empty() {
            self.write_edit(actor, &member, &now)?;
        }
        let waits = if later.is_empty() { None } else { Some(self.write_waiting(actor, &later)?) };
        Ok(Ok(Outcome::Edited(waits)))
    }

    fn check_new_places(&self, org: OrgId, edit: &Edit) -> Answer<()> {
        for Place { dept, position } in edit.new_places().unwrap_or_default() {
            let known = match position {
                Some(position) => rows::has_position(self.conn, org, position)?,
                None => true,
            };
            if !known || !rows::has_department(self.conn, org, dept)? {
                return Ok(Err(Code::NotFound.into()));
            }
        }
        Ok(Ok(()))
    }

    fn check_waiting(&self, org: OrgId) -> Answer<()> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM edit_requests WHERE org = ?1 AND state = 1 LIMIT ?2)";
        let open = self.conn.prepare_cached(sql)?.query_row((db(org.0), db(MAX_OPEN)), |row| rows::num(row, 0))?;
        Ok(if open < MAX_OPEN { Ok(()) } else { Err(Code::TooMany.into()) })
    }

    fn write_edit(&mut self, actor: &Actor, member: &Member, edit: &Edit) -> Result<(), StoreError> {
        let (org, account) = (actor.org, member.account);
        let key = (db(org.0), db(account.0));
        let mut sort = member.sort.clone();
        if let Some(name) = edit.display_name.as_ref().filter(|name| **name != member.display_name) {
            sort = directory::sort_key(name);
            self.take_keys(org, account, member.user)?;
            let sql = "UPDATE users SET display_name = ?2 WHERE id = ?1";
            self.conn.prepare_cached(sql)?.execute((db(member.user.0), name))?;
            self.write_keys(org, account, name)?;
            for sql in [
                "UPDATE seats SET sort = ?3 WHERE org = ?1 AND account = ?2",
                "UPDATE places SET sort = ?3 WHERE org = ?1 AND account = ?2",
            ] {
                self.conn.prepare_cached(sql)?.execute((key.0, key.1, &sort))?;
            }
        }
        let profile = edit.apply(member.profile.clone());
        if profile != member.profile {
            let sql = "UPDATE seats SET profile = ?3 WHERE org = ?1 AND account = ?2";
            self.conn.prepare_cached(sql)?.execute((key.0, key.1, rows::profile_text(&profile)))?;
        }
        if let Some(places) = edit.new_places() {
            self.take_places(org, account)?;
            self.write_places(org, account, &places, &sort)?;
        }
        // Which fields, and where somebody stands; what people write of themselves stays out of the log for good.
        self.audit(actor, "member.edit", format!("account:{account}"), summary(edit))
    }

    /// An edit that comes while another one waits is put on top of it.
    fn write_waiting(&mut self, actor: &Actor, edit: &Edit) -> Result<InviteId, StoreError> {
        let key = (db(actor.org.0), db(actor.account.0));
        let sql = "SELECT id, edit FROM edit_requests WHERE org = ?1 AND account = ?2 AND state = 1";
        let found =
            self.conn.prepare_cached(sql)?.query_row(key, |row| Ok((rows::num(row, 0)?, row.get::<_, String>(1)?)));
        let id = match found.optional()? {
            Some((id, text)) => {
                let both = rows::edit(&text).and(edit.clone());
                let sql = "UPDATE edit_requests SET edit = ?2, made = ?3 WHERE id = ?1";
                self.conn.prepare_cached(sql)?.execute((db(id), rows::edit_text(&both), db(self.now_s())))?;
                InviteId(id)
            }
            None => {
                let sql = "INSERT INTO edit_requests (org, account, edit, state, made) VALUES (?1, ?2, ?3, 1, ?4) RETURNING id";
                let row = (key.0, key.1, rows::edit_text(edit), db(self.now_s()));
                InviteId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?)
            }
        };
        self.audit(actor, "edit.ask", format!("edit:{id}"), summary(edit))?;
        Ok(id)
    }

    pub(super) fn decide_edit(&mut self, actor: &Actor, id: InviteId, yes: bool) -> Answer<Outcome> {
        let sql = "SELECT account, state, edit FROM edit_requests WHERE id = ?1 AND org = ?2";
        let key = (db(id.0), db(actor.org.0));
        let read = |row: &rusqlite::Row<'_>| Ok((rows::asked_from(row)?, row.get::<_, String>(2)?));
        let found = self.conn.prepare_cached(sql)?.query_row(key, read).optional()?;
        let (request, text) = settle!(found.ok_or(Code::NotFound));
        let account = request.account;
        let say = match yes {
            true => Say::Yes(actor.role),
            false if actor.account == account => Say::Withdraw(account),
            false => Say::No(actor.role),
        };
        // Who neither decides nor asked does not learn that it is there.
        let may_know = actor.role.may(Act::ManageMembers) || actor.account == account;
        settle!(if may_know { Ok(()) } else { Err(Code::Forbidden) });
        let state = settle!(decide(&request, say));
        let edit = rows::edit(&text);
        let member = rows::member(self.conn, actor.org, account)?;
        let applies = member.filter(|_| state == State::Approved);
        if applies.is_some() {
            // Departments may have gone since.
            settle!(edit.check());
            settle!(self.check_new_places(actor.org, &edit)?);
        }
        let sql = "UPDATE edit_requests SET state = ?2, edit = '' WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((key.0, state.number()))?;
        let act = match state {
            State::Approved => "edit.approve",
            State::Declined => "edit.decline",
            State::Withdrawn | State::Open => "edit.withdraw",
        };
        self.audit(actor, act, format!("edit:{id}"), format!(r#"{{"account":{account}}}"#))?;
        let Some(member) = applies else {
            self.prune_pictures(account)?;
            return Ok(Ok(Outcome::Done));
        };
        self.write_edit(actor, &member, &edit)?;
        self.prune_pictures(account)?;
        Ok(Ok(Outcome::Changed(account)))
    }

    /// Where somebody stands. Nothing may be there.
    pub(super) fn write_places(
        &self,
        org: OrgId,
        account: AccountId,
        places: &[Place],
        sort: &str,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO places (org, account, rank, dept, position, sort) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let mut insert = self.conn.prepare_cached(sql)?;
        // Who stands nowhere is listed at the root.
        let nowhere = [Place { dept: ROOT, position: None }];
        let places = if places.is_empty() { &nowhere } else { places };
        for (rank, Place { dept, position }) in (0_u32..).zip(places) {
            let position = position.map(|id| db(id.0));
            insert.execute((db(org.0), db(account.0), rank, db(dept.0), position, sort))?;
            self.conn
                .prepare_cached("UPDATE departments SET members = members + 1 WHERE id = ?1")?
                .execute([db(dept.0)])?;
        }
        Ok(())
    }

    pub(super) fn take_places(&self, org: OrgId, account: AccountId) -> Result<(), StoreError> {
        let key = (db(org.0), db(account.0));
        let sql = "UPDATE departments SET members = members - 1
            WHERE id IN (SELECT dept FROM places WHERE org = ?1 AND account = ?2)";
        self.conn.prepare_cached(sql)?.execute(key)?;
        self.conn.prepare_cached("DELETE FROM places WHERE org = ?1 AND account = ?2")?.execute(key)?;
        Ok(())
    }

    pub(super) fn write_keys(&self, org: OrgId, account: AccountId, name: &str) -> Result<(), StoreError> {
        let mut insert = self.conn.prepare_cached("INSERT INTO directory (org, key, account) VALUES (?1, ?2, ?3)")?;
        for key in directory::keys(name) {
            insert.execute((db(org.0), key, db(account.0)))?;
        }
        Ok(())
    }

    /// Those of the name as it is.
    pub(super) fn take_keys(&self, org: OrgId, account: AccountId, user: UserId) -> Result<(), StoreError> {
        let sql = "SELECT display_name FROM users WHERE id = ?1";
        let name: Option<String> =
            self.conn.prepare_cached(sql)?.query_row([db(user.0)], |row| row.get(0)).optional()?;
        let sql = "DELETE FROM directory WHERE org = ?1 AND key = ?2 AND account = ?3";
        let mut delete = self.conn.prepare_cached(sql)?;
        for key in directory::keys(&name.unwrap_or_default()) {
            delete.execute((db(org.0), key, db(account.0)))?;
        }
        Ok(())
    }

    pub(super) fn set_contact(
        &mut self,
        owner: AccountId,
        org: OrgId,
        contact: AccountId,
        note: &str,
    ) -> Answer<accounts::Outcome> {
        let colleagues = rows::seat(self.conn, org, owner)?.is_some() && rows::seat(self.conn, org, contact)?.is_some();
        if !colleagues {
            return Ok(Err(Code::NotFound.into()));
        }
        if note.len() > MAX_NOTE_BYTES || note.chars().any(|c| c.is_control() && c != '\n') {
            return Ok(Err(Code::BadValue.into()));
        }
        let key = (db(owner.0), db(org.0), db(contact.0));
        let sql = "SELECT count(*) FROM contacts WHERE owner = ?1 AND NOT (org = ?2 AND account = ?3)";
        if self.conn.prepare_cached(sql)?.query_row(key, |row| rows::num(row, 0))? >= MAX_CONTACTS {
            return Ok(Err(Code::TooMany.into()));
        }
        let sql = "INSERT INTO contacts (owner, org, account, note, made) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (owner, org, account) DO UPDATE SET note = ?4";
        self.conn.prepare_cached(sql)?.execute((key.0, key.1, key.2, note, db(self.now_s())))?;
        Ok(Ok(accounts::Outcome::Done))
    }

    pub(super) fn remove_contact(
        &mut self,
        owner: AccountId,
        org: OrgId,
        contact: AccountId,
    ) -> Answer<accounts::Outcome> {
        let sql = "DELETE FROM contacts WHERE owner = ?1 AND org = ?2 AND account = ?3";
        let gone = self.conn.prepare_cached(sql)?.execute((db(owner.0), db(org.0), db(contact.0)))?;
        Ok(if gone == 0 { Err(Code::NotFound.into()) } else { Ok(accounts::Outcome::Done) })
    }
}

/// JSON for the audit log: names of fields, and places.
fn summary(edit: &Edit) -> String {
    let fields = [
        ("display_name", edit.display_name.is_some()),
        ("avatar", edit.avatar.is_some()),
        ("about", edit.about.is_some()),
        ("email", edit.email.is_some()),
        ("workplace", edit.workplace.is_some()),
        ("employee_number", edit.employee_number.is_some()),
    ];
    let named: Vec<_> = fields.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
    serde_json::json!({ "fields": named, "places": edit.places }).to_string()
}
