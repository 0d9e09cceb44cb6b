//! Organisations: who is in, as what, and by which way they come. Departments and policy are in [`super::departments`].
//!
//! Each function decides before it writes.

use convene_accounts::department::{self, Department, ROOT};
use convene_accounts::invitation::{self, Entry, Guest, Invitation, MAX_OPEN, Request, Say, State, Whom};
use convene_accounts::role::{self, Act, Case, Role};
use convene_accounts::{Code, audit};
use convene_types::{AccountId, DeptId, InviteId, OrgId, UserId};
use rusqlite::OptionalExtension as _;

use super::Work;
use super::accounts::{Answer, settle};
use crate::error::StoreError;
use crate::orgs::{Change, Invited, JoinBy, MAX_MEMBERS, Op, Outcome, Seat};
use crate::rows::{self, db};

/// Who does it, from where, and what they may.
pub(super) struct Actor {
    pub(super) org: OrgId,
    pub(super) account: AccountId,
    pub(super) address: String,
    pub(super) role: Role,
}

impl Work<'_> {
    pub(super) fn org(&mut self, op: Op) -> Answer<Outcome> {
        let Op { org, by, address, change } = op;
        // Strangers come here too: they have no role yet.
        let mut actor = Actor { org, account: by, address, role: Role::Member };
        if let Change::Found { name, title, owner } = change {
            return self.found(actor, &name, &title, owner);
        }
        if let Change::Join(way) = change {
            return self.join(actor, way);
        }
        actor.role = settle!(self.role_of(org, by)?.ok_or(Code::NotFound));
        match change {
            Change::Found { .. } | Change::Join(_) => Ok(Err(Code::Internal.into())),
            Change::SetRole { account, role } => self.set_role(&actor, account, role),
            Change::Remove { account } => self.remove(&actor, account),
            Change::AddDepartment { parent, name, rank } => self.add_department(&actor, parent, &name, rank),
            Change::ChangeDepartment { id, parent, name, rank } => {
                self.change_department(&actor, Department { id, parent, name, rank })
            }
            Change::RemoveDepartment { id } => self.remove_department(&actor, id),
            Change::SetPlaces { account, depts } => self.set_places(&actor, account, &depts),
            Change::Invite { whom, dept, ask, valid_for_s } => self.invite(&actor, whom, dept, ask, valid_for_s),
            Change::Withdraw { id } => self.withdraw(&actor, id),
            Change::Decide { request, yes } => self.decide(&actor, request, yes),
            Change::SetPolicy { policy, version } => self.set_policy(&actor, &policy, version),
        }
    }

    fn role_of(&self, org: OrgId, account: AccountId) -> Result<Option<Role>, StoreError> {
        if account == AccountId(0) {
            return Ok(rows::company_exists(self.conn, org)?.then_some(Role::Owner));
        }
        Ok(rows::seat(self.conn, org, account)?.map(|seat| seat.role))
    }

    /// Appends to the audit log.
    pub(super) fn audit(&mut self, actor: &Actor, act: &str, target: String, detail: String) -> Result<(), StoreError> {
        let sql = "SELECT audit, audit_hash FROM companies WHERE org = ?1";
        let head = self.conn.prepare_cached(sql)?.query_row([db(actor.org.0)], rows::audit_head_from)?;
        let (at_ms, from) = (self.now_ms, actor.address.clone());
        let entry = audit::Entry { at_ms, actor: actor.account, from, act: act.into(), target, detail };
        let audit::Record { number, entry, hash } = head.append(actor.org, entry);
        let sql = "INSERT INTO audit (org, number, at_ms, actor, address, act, target, detail, hash)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let org = db(actor.org.0);
        let audit::Entry { at_ms, actor, from, act, target, detail } = entry;
        let row = (org, db(number), at_ms, db(actor.0), from, act, target, detail, hash.0);
        self.conn.prepare_cached(sql)?.execute(row)?;
        let sql = "UPDATE companies SET audit = ?2, audit_hash = ?3 WHERE org = ?1";
        self.conn.prepare_cached(sql)?.execute((org, db(number), hash.0))?;
        Ok(())
    }

    fn found(&mut self, mut actor: Actor, name: &str, title: &str, owner: AccountId) -> Answer<Outcome> {
        settle!(department::check_name(name));
        settle!(department::check_name(title));
        settle!(self.active(owner)?);
        if actor.account != owner && actor.account != AccountId(0) {
            return Ok(Err(Code::Forbidden.into()));
        }
        let taken = self.conn.prepare_cached("SELECT 1 FROM orgs WHERE name = ?1")?.exists([name])?;
        if taken {
            return Ok(Err(Code::NameTaken.into()));
        }
        let org = self.ensure_org(name)?;
        let sql = "INSERT INTO companies (org, title, members, policy, policy_version, audit, audit_hash)
            VALUES (?1, ?2, 0, '{}', 1, 0, ?3)";
        self.conn.prepare_cached(sql)?.execute((db(org.0), title, audit::Hash::START.0))?;
        actor.org = org;
        let (account, user) = (owner, self.seat(org, owner, Role::Owner, ROOT)?);
        self.audit(&actor, "organisation.found", format!("account:{owner}"), String::new())?;
        Ok(Ok(Outcome::Joined { org, account, user }))
    }

    /// Gives somebody a seat. Whoever comes back is the user they were.
    fn seat(&mut self, org: OrgId, account: AccountId, role: Role, dept: DeptId) -> Result<UserId, StoreError> {
        let shown = rows::account(self.conn, account)?.map(|row| row.display_name).unwrap_or_default();
        let name = rows::account_name(account);
        let sql = "INSERT INTO users (org, name, display_name) VALUES (?1, ?2, ?3)
            ON CONFLICT (org, name) DO UPDATE SET display_name = ?3 RETURNING id";
        let row = (db(org.0), &name, &shown);
        let user = UserId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?);
        let (kind, scopes) = role.to_stored();
        let sql = "INSERT INTO seats (org, account, user, role, scopes, joined) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let row = (db(org.0), db(account.0), db(user.0), kind, scopes, db(self.now_s()));
        self.conn.prepare_cached(sql)?.execute(row)?;
        if dept != ROOT {
            self.write_places(org, account, &[dept])?;
        }
        let sql = "UPDATE companies SET members = members + 1 WHERE org = ?1";
        self.conn.prepare_cached(sql)?.execute([db(org.0)])?;
        Ok(user)
    }

    fn case(&self, actor: &Actor, target: &Seat) -> Result<Case, StoreError> {
        let sql = "SELECT count(*) FROM seats WHERE org = ?1 AND role = 1";
        let owners = self.conn.prepare_cached(sql)?.query_row([db(actor.org.0)], |row| row.get(0))?;
        Ok(Case { actor: actor.role, target: target.role, oneself: actor.account == target.account, owners })
    }

    fn set_role(&mut self, actor: &Actor, account: AccountId, role: Role) -> Answer<Outcome> {
        let seat = settle!(rows::seat(self.conn, actor.org, account)?.ok_or(Code::NotFound));
        settle!(role::check_change(self.case(actor, &seat)?, role));
        let (kind, scopes) = role.to_stored();
        let sql = "UPDATE seats SET role = ?3, scopes = ?4 WHERE org = ?1 AND account = ?2";
        self.conn.prepare_cached(sql)?.execute((db(actor.org.0), db(account.0), kind, scopes))?;
        let detail = format!(r#"{{"role":{kind},"scopes":{scopes}}}"#);
        self.audit(actor, "member.role", format!("account:{account}"), detail)?;
        Ok(Ok(Outcome::Done))
    }

    fn remove(&mut self, actor: &Actor, account: AccountId) -> Answer<Outcome> {
        let seat = settle!(rows::seat(self.conn, actor.org, account)?.ok_or(Code::NotFound));
        settle!(role::check_removal(self.case(actor, &seat)?));
        self.unseat(actor.org, account)?;
        let act = if actor.account == account { "member.leave" } else { "member.remove" };
        self.audit(actor, act, format!("account:{account}"), String::new())?;
        Ok(Ok(Outcome::Removed(seat.user)))
    }

    fn unseat(&mut self, org: OrgId, account: AccountId) -> Result<(), StoreError> {
        let key = (db(org.0), db(account.0));
        self.conn.prepare_cached("DELETE FROM seats WHERE org = ?1 AND account = ?2")?.execute(key)?;
        self.conn.prepare_cached("DELETE FROM places WHERE org = ?1 AND account = ?2")?.execute(key)?;
        let sql = "UPDATE companies SET members = members - 1 WHERE org = ?1";
        self.conn.prepare_cached(sql)?.execute([key.0])?;
        Ok(())
    }

    /// Takes all seats of an account that ends, unless an organisation would be left without owner.
    pub(super) fn leave_all(&mut self, account: AccountId) -> Answer<()> {
        let seats = rows::seats_of(self.conn, account)?;
        let actor = |seat: &Seat| Actor { org: seat.org, account, address: String::new(), role: seat.role };
        for seat in &seats {
            settle!(role::check_removal(self.case(&actor(seat), seat)?));
        }
        for seat in &seats {
            self.unseat(seat.org, account)?;
            self.audit(&actor(seat), "member.leave", format!("account:{account}"), String::new())?;
        }
        // What chat shows of them from now on.
        let sql = "UPDATE users SET display_name = name WHERE name = ?1 AND org IN (SELECT org FROM companies)";
        self.conn.prepare_cached(sql)?.execute([rows::account_name(account)])?;
        Ok(Ok(()))
    }

    fn invite(&mut self, actor: &Actor, whom: Invited, dept: DeptId, ask: bool, valid_for_s: u64) -> Answer<Outcome> {
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
        let sql = "INSERT INTO invitations (org, number, link, uses, dept, ask, expires, ended)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0) RETURNING id";
        let expires = db(self.now_s().saturating_add(valid_for_s));
        let row = (db(actor.org.0), number, link, uses, db(dept.0), ask, expires);
        let id = InviteId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?);
        self.audit(actor, "invitation.make", format!("invitation:{id}"), format!(r#"{{"uses":{uses},"ask":{ask}}}"#))?;
        Ok(Ok(Outcome::Invited(id)))
    }

    fn withdraw(&mut self, actor: &Actor, id: InviteId) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageMembers));
        let sql = "UPDATE invitations SET ended = 1 WHERE id = ?1 AND org = ?2 AND ended = 0";
        if self.conn.prepare_cached(sql)?.execute((db(id.0), db(actor.org.0)))? == 0 {
            return Ok(Err(Code::NotFound.into()));
        }
        self.audit(actor, "invitation.withdraw", format!("invitation:{id}"), String::new())?;
        Ok(Ok(Outcome::Done))
    }

    fn join(&mut self, mut actor: Actor, way: JoinBy) -> Answer<Outcome> {
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

    /// The department that was meant may be gone by the time that somebody comes.
    fn dept_or_root(&self, org: OrgId, dept: DeptId) -> Result<DeptId, StoreError> {
        Ok(if rows::has_department(self.conn, org, dept)? { dept } else { ROOT })
    }

    fn write_invitation(&self, row: &Invitation) -> Result<(), StoreError> {
        let uses = match row.whom {
            Whom::Number(_) => 1,
            Whom::Link { left, .. } => left,
        };
        let sql = "UPDATE invitations SET uses = ?2, ended = ?3 WHERE id = ?1";
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

    fn decide(&mut self, actor: &Actor, id: InviteId, yes: bool) -> Answer<Outcome> {
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
