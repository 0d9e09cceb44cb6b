//! What people change about themselves, and what follows from it in the organisations that they are in: names, pictures,
//! requests that they take back, all that is known of them.
//!
//! An organisation's policy decides what it shows: an edit that it does not let happen leaves it as it was, and is no
//! refusal of the whole.

use std::collections::HashSet;

use convene_accounts::invitation::{self, Request, Say};
use convene_accounts::profile::{Edit, Profile};
use convene_accounts::{Code, department};
use convene_types::{AccountId, DeptId, InviteId, OrgId};
use rusqlite::OptionalExtension as _;

use super::Work;
use super::accounts::{Answer, settle};
use super::orgs::Actor;
use crate::accounts::{Outcome, Picture};
use crate::blobs::key_of;
use crate::error::StoreError;
use crate::orgs::{Member, Seat};
use crate::rows::{self, db};

impl Work<'_> {
    pub(super) fn rename_account(&mut self, account: AccountId, name: &str, address: &str) -> Answer<Outcome> {
        let row = settle!(self.active(account)?);
        settle!(department::check_name(name));
        let sql = "UPDATE accounts SET display_name = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(account.0), name))?;
        // Where somebody goes by another name, they have chosen to.
        let edit = |member: &Member| {
            let display_name = (member.display_name == row.display_name).then(|| name.to_owned());
            Edit { display_name, ..Edit::default() }
        };
        self.show(account, address, edit)
    }

    pub(super) fn set_picture(
        &mut self,
        account: AccountId,
        picture: Option<Picture>,
        address: &str,
    ) -> Answer<Outcome> {
        settle!(self.active(account)?);
        let name = picture.as_ref().map(Picture::name).unwrap_or_default();
        if let Some(picture) = &picture {
            self.write_picture(account, &name, picture)?;
        }
        let sql = "UPDATE accounts SET picture = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(account.0), &name))?;
        let edit = |member: &Member| {
            let avatar = (member.profile.avatar != name).then(|| name.clone());
            Edit { avatar, ..Edit::default() }
        };
        let shown = self.show(account, address, edit)?;
        self.prune_pictures(account)?;
        Ok(shown)
    }

    /// The object belongs to the picture from here on, and to the upload no more. Of a picture that is there already, the
    /// first object stays.
    fn write_picture(&mut self, account: AccountId, name: &str, picture: &Picture) -> Result<(), StoreError> {
        let sql = "INSERT INTO pictures (account, name, mime, size, object) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (account, name) DO NOTHING";
        let object = key_of(&picture.upload);
        let row = (db(account.0), name, &picture.mime, db(picture.size), &object);
        if self.conn.prepare_cached(sql)?.execute(row)? == 0 {
            self.trash(&object)?;
        }
        self.conn.prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([picture.upload])?;
        Ok(())
    }

    /// Edits the profile in each organisation as if the person had done it there.
    fn show(&mut self, account: AccountId, address: &str, edit: impl Fn(&Member) -> Edit) -> Answer<Outcome> {
        let mut shown = Vec::new();
        for Seat { org, user, role, .. } in rows::seats_of(self.conn, account)? {
            let Some(member) = rows::member(self.conn, org, account)? else { continue };
            let edit = edit(&member);
            if edit.is_empty() {
                continue;
            }
            let actor = Actor { org, account, address: address.to_owned(), role };
            // Locked there, or too many that wait: it stays as it was.
            if self.edit(&actor, account, edit)?.is_ok() {
                shown.push((org, user));
            }
        }
        Ok(Ok(Outcome::Shown(shown)))
    }

    /// Pictures that nothing shows, and nothing is about to show, go.
    pub(super) fn prune_pictures(&mut self, account: AccountId) -> Result<(), StoreError> {
        let mut statement = self.conn.prepare_cached("SELECT name, object FROM pictures WHERE account = ?1")?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let all: Vec<_> = statement.query_map([db(account.0)], read)?.collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Ok(());
        }
        let wanted = self.wanted_pictures(account)?;
        for (name, object) in all.into_iter().filter(|(name, _)| !wanted.contains(name)) {
            let sql = "DELETE FROM pictures WHERE account = ?1 AND name = ?2";
            self.conn.prepare_cached(sql)?.execute((db(account.0), name))?;
            self.trash(&object)?;
        }
        Ok(())
    }

    fn wanted_pictures(&self, account: AccountId) -> Result<HashSet<String>, StoreError> {
        let mut wanted: HashSet<String> =
            rows::account(self.conn, account)?.map(|row| row.picture).into_iter().collect();
        let mut profiles = self.conn.prepare_cached("SELECT profile FROM seats WHERE account = ?1")?;
        for text in profiles.query_map([db(account.0)], |row| row.get::<_, String>(0))? {
            wanted.insert(serde_json::from_str::<Profile>(&text?).unwrap_or_default().avatar);
        }
        let sql = "SELECT edit FROM edit_requests WHERE account = ?1 AND state = 1";
        let mut waiting = self.conn.prepare_cached(sql)?;
        for text in waiting.query_map([db(account.0)], |row| row.get::<_, String>(0))? {
            wanted.extend(rows::edit(&text?).avatar);
        }
        Ok(wanted)
    }

    pub(super) fn withdraw_request(&mut self, account: AccountId, id: InviteId, address: &str) -> Answer<Outcome> {
        let sql = "SELECT account, state, dept, org FROM requests WHERE id = ?1 AND account = ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((rows::request_from(row)?, OrgId(rows::num(row, 3)?)));
        let found = self.conn.prepare_cached(sql)?.query_row((db(id.0), db(account.0)), read).optional()?;
        let ((request, _), org): ((Request, DeptId), OrgId) = settle!(found.ok_or(Code::NotFound));
        let state = settle!(invitation::decide(&request, Say::Withdraw(account)));
        self.conn
            .prepare_cached("UPDATE requests SET state = ?2 WHERE id = ?1")?
            .execute((db(id.0), state.number()))?;
        if rows::company_exists(self.conn, org)? {
            let actor = Actor::guest(org, account, address);
            self.audit(&actor, "request.withdraw", format!("request:{id}"), String::new())?;
        }
        Ok(Ok(Outcome::Done))
    }

    /// What others wrote leaves the organisation with it, so its log says so.
    pub(super) fn note_export(&mut self, account: AccountId, address: &str) -> Result<(), StoreError> {
        for Seat { org, role, .. } in rows::seats_of(self.conn, account)? {
            let actor = Actor { org, account, address: address.to_owned(), role };
            self.audit(&actor, "member.export", format!("account:{account}"), String::new())?;
        }
        Ok(())
    }
}
