//! How people come into an organisation: invitations, links, requests that somebody decides.
//!
//! Each function decides before it writes.

use convene_accounts::Code;
use convene_accounts::department::ROOT;
use convene_accounts::invitation::{self, Entry, Guest, Invitation, MAX_OPEN, Request, Say, State, Whom};
use convene_accounts::role::{Act, Role};
use convene_types::{AccountId, DeptId, InviteId, OrgId};
use rusqlite::OptionalExtension as _;

use super::Work;
use super::accounts::{Answer, settle};
use super::orgs::Actor;
use crate::error::StoreError;
use crate::orgs::{Invited, JoinBy, MAX_MEMBERS, MAX_SEATS, Outcome};
use crate::rows::{self, db};

/// An invitation that is to be made.
pub(super) struct Terms {
    pub(super) whom: Invited,
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) dept: DeptId,
    pub(super) ask: bool,
    pub(super) valid_for_s: u64,
}

impl Work<'_> {
    pub(super) fn invite(&mut self, actor: &Actor, terms: Terms) -> Answer<Outcome> {
        let Terms { whom, sealed, dept, ask, valid_for_s } = terms;
        let (number, link, uses) = match whom {
            Invited::Number(lookup) => (Some(lookup.0), None, 1),
            Invited::Link { hash, uses } => (None, Some(hash.0), uses),
        };
        settle!(invitation::check_terms(actor.role, valid_for_s, uses));
        if dept != ROOT && !rows::has_department(self.conn, actor.org, dept)? {
            return Ok(Err(Code::NotFound.into()));
        }
        let sql = "SELECT count(*) FROM (SELECT 1 FROM invitations WHERE org = ?1 AND ended = 0 LIMIT ?2)";
        let open =
            self.conn.prepare_cached(sql)?.query_row((db(actor.org.0), db(MAX_OPEN)), |row| rows::num(row, 0))?;
        if open >= MAX_OPEN {
            return Ok(Err(Code::TooMany.into()));
        }
        let sql = "INSERT INTO invitations (org, number, sealed, link, uses, dept, ask, expires, ended)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0) RETURNING id";
        let expires = db(self.now_s().saturating_add(valid_for_s));
        let row = (db(actor.org.0), number, sealed, link, uses, db(dept.0), ask, expires);
        let id = InviteId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?);
        self.audit(actor, "invitation.make", format!("invitation:{id}"), format!(r#"{{"uses":{uses},"ask":{ask}}}"#))?;
        Ok(Ok(Outcome::Invited(id)))
    }

    pub(super) fn withdraw(&mut self, actor: &Actor, id: InviteId) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageMembers));
        let sql = "UPDATE invitations SET ended = 1, sealed = NULL WHERE id = ?1 AND org = ?2 AND ended = 0";
        if self.conn.prepare_cached(sql)?.execute((db(id.0), db(actor.org.0)))? == 0 {
            return Ok(Err(Code::NotFound.into()));
        }
        self.audit(actor, "invitation.withdraw", format!("invitation:{id}"), String::new())?;
        Ok(Ok(Outcome::Done))
    }

    pub(super) fn join(&mut self, mut actor: Actor, way: JoinBy) -> Answer<Outcome> {
        let guest = settle!(self.active(actor.account)?);
        let found = match way {
            JoinBy::Number(id) => rows::invitation_by_id(self.conn, id)?,
            JoinBy::Link(hash) => rows::invitation_by_link(self.conn, hash)?,
        };
        // A link is not used by its number in the list.
        let meant = |row: &Invitation| {
            matches!((way, row.whom), (JoinBy::Number(_), Whom::Number(_)) | (JoinBy::Link(_), Whom::Link { .. }))
        };
        let found = settle!(found.filter(meant).ok_or(Code::InvitationEnded));
        let (lookup, _) = settle!(guest.phone.ok_or(Code::InvitationEnded));
        actor.org = found.org;
        if !rows::company_exists(self.conn, found.org)? {
            return Ok(Err(Code::InvitationEnded.into()));
        }
        let is_member = rows::seat(self.conn, found.org, actor.account)?.is_some();
        let entry = settle!(invitation::accept(&found, Guest { lookup, is_member }, self.now_s()));
        let (next, asked) = match entry {
            Entry::In(next) => (next, false),
            Entry::Asked(next) => (next, true),
        };
        if asked && self.open_request(&actor)? {
            return Ok(Err(Code::Conflict.into()));
        }
        settle!(self.check_room(found.org)?);
        settle!(self.check_seats(actor.account)?);
        self.write_invitation(&next)?;
        if asked {
            return self.ask(&actor, next.dept);
        }
        let user = self.seat(actor.org, actor.account, Role::Member, self.dept_or_root(actor.org, next.dept)?)?;
        self.audit(
            &actor,
            "member.join",
            format!("account:{}", actor.account),
            format!(r#"{{"invitation":{}}}"#, next.id),
        )?;
        Ok(Ok(Outcome::Joined { org: actor.org, account: actor.account, user }))
    }

    fn check_room(&self, org: OrgId) -> Answer<()> {
        let sql = "SELECT members FROM companies WHERE org = ?1";
        let members = self.conn.prepare_cached(sql)?.query_row([db(org.0)], |row| rows::num(row, 0))?;
        Ok(if members < MAX_MEMBERS { Ok(()) } else { Err(Code::TooMany.into()) })
    }

    pub(super) fn check_seats(&self, account: AccountId) -> Answer<()> {
        let full = rows::seats_of(self.conn, account)?.len() >= MAX_SEATS;
        Ok(if full { Err(Code::TooMany.into()) } else { Ok(()) })
    }

    /// The department that was meant may be gone by the time that somebody comes.
    fn dept_or_root(&self, org: OrgId, dept: DeptId) -> Result<DeptId, StoreError> {
        Ok(if rows::has_department(self.conn, org, dept)? { dept } else { ROOT })
    }

    fn write_invitation(&self, row: &Invitation) -> Result<(), StoreError> {
        let uses = match row.whom {
            Whom::Number(_) => 1,
            Whom::Link { left, .. } => left,
        };
        let sql = "UPDATE invitations SET uses = ?2, ended = ?3, sealed = CASE WHEN ?3 THEN NULL ELSE sealed END WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(row.id.0), uses, row.ended))?;
        Ok(())
    }

    fn open_request(&self, actor: &Actor) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM requests WHERE org = ?1 AND account = ?2 AND state = 1";
        Ok(self.conn.prepare_cached(sql)?.exists((db(actor.org.0), db(actor.account.0)))?)
    }

    fn ask(&mut self, actor: &Actor, dept: DeptId) -> Answer<Outcome> {
        let sql = "INSERT INTO requests (org, account, dept, state, made) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id";
        let row = (db(actor.org.0), db(actor.account.0), db(dept.0), State::Open.number(), db(self.now_s()));
        let id = InviteId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?);
        self.audit(actor, "request.make", format!("request:{id}"), String::new())?;
        Ok(Ok(Outcome::Asked(id)))
    }

    pub(super) fn decide(&mut self, actor: &Actor, id: InviteId, yes: bool) -> Answer<Outcome> {
        let sql = "SELECT account, state, dept FROM requests WHERE id = ?1 AND org = ?2";
        let key = (db(id.0), db(actor.org.0));
        let found = self.conn.prepare_cached(sql)?.query_row(key, rows::request_from).optional()?;
        let (request, dept): (Request, DeptId) = settle!(found.ok_or(Code::NotFound));
        let say = if yes { Say::Yes(actor.role) } else { Say::No(actor.role) };
        let state = settle!(invitation::decide(&request, say));
        let account = request.account;
        let is_member = rows::seat(self.conn, actor.org, account)?.is_some();
        let comes = state == State::Approved && !is_member;
        if comes {
            settle!(self.active(account)?);
            settle!(self.check_room(actor.org)?);
            settle!(self.check_seats(account)?);
        }
        let sql = "UPDATE requests SET state = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((key.0, state.number()))?;
        let act = if yes { "request.approve" } else { "request.decline" };
        self.audit(actor, act, format!("request:{id}"), format!(r#"{{"account":{account}}}"#))?;
        if !comes {
            return Ok(Ok(Outcome::Done));
        }
        let user = self.seat(actor.org, account, Role::Member, self.dept_or_root(actor.org, dept)?)?;
        Ok(Ok(Outcome::Joined { org: actor.org, account, user }))
    }
}
