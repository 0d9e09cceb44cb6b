//! Organisations: who is in, as what. By which way they come is in [`super::joining`], departments and policy in
//! [`super::departments`], profiles in [`super::members`].
//!
//! Each function decides before it writes.

use convene_accounts::department::{self, Department, Place, ROOT};
use convene_accounts::directory;
use convene_accounts::profile::Profile;
use convene_accounts::role::{self, Act, Case, Role};
use convene_accounts::{Code, audit};
use convene_types::{AccountId, DeptId, OrgId, UserId};

use super::Work;
use super::accounts::{Answer, settle};
use super::joining::Terms;
use crate::error::StoreError;
use crate::orgs::{Change, Op, Outcome, Seat};
use crate::rows::{self, db};

/// Who does it, from where, and what they may.
pub(super) struct Actor {
    pub(super) org: OrgId,
    pub(super) account: AccountId,
    pub(super) address: String,
    pub(super) role: Role,
}

impl Actor {
    /// Somebody who has no role there.
    pub(super) fn guest(org: OrgId, account: AccountId, address: &str) -> Self {
        Self { org, account, address: address.to_owned(), role: Role::Member }
    }
}

impl Work<'_> {
    /// Once only, if the operation says so.
    pub(super) fn org(&mut self, op: Op) -> Answer<Outcome> {
        let Some(once) = op.once else { return self.change_org(op) };
        if let Some((request, outcome)) = rows::done_once(self.conn, &once.key)? {
            let same = request == once.request;
            return Ok(outcome.filter(|_| same).ok_or_else(|| Code::Conflict.into()));
        }
        let outcome = settle!(self.change_org(op)?);
        let (kind, [a, b, c]) = outcome.to_stored();
        let sql = "INSERT INTO once (key, request, kind, a, b, c, made) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let row = (once.key, once.request, kind, db(a), db(b), db(c), db(self.now_s()));
        self.conn.prepare_cached(sql)?.execute(row)?;
        Ok(Ok(outcome))
    }

    fn change_org(&mut self, op: Op) -> Answer<Outcome> {
        let Op { org, by, address, change, once: _ } = op;
        // Strangers come here too: they have no role yet.
        let mut actor = Actor { org, account: by, address, role: Role::Member };
        if let Change::Found { name, title, owner } = change {
            return self.found(actor, &name, &title, owner);
        }
        if let Change::Join(way) = change {
            return self.join(actor, way);
        }
        actor.role = settle!(self.role_of(org, by)?.ok_or(Code::NotFound));
        if change.is_about_programs() {
            settle!(actor.role.require(Act::ManageKeys));
        }
        match change {
            Change::Found { .. } | Change::Join(_) => Ok(Err(Code::Internal.into())),
            Change::Rename { title } => self.rename_org(&actor, &title),
            Change::Dissolve => self.dissolve(&actor),
            Change::SetRole { account, role } => self.set_role(&actor, account, role),
            Change::Remove { account } => self.remove(&actor, account),
            Change::AddDepartment { parent, name, rank } => self.add_department(&actor, parent, &name, rank),
            Change::ChangeDepartment { id, parent, name, rank } => {
                self.change_department(&actor, Department { id, parent, name, rank })
            }
            Change::RemoveDepartment { id } => self.remove_department(&actor, id),
            Change::AddPosition { name, rank } => self.add_position(&actor, &name, rank),
            Change::ChangePosition { id, name, rank } => self.change_position(&actor, id, &name, rank),
            Change::RemovePosition { id } => self.remove_position(&actor, id),
            Change::Edit { account, edit } => self.edit(&actor, account, edit),
            Change::DecideEdit { request, yes } => self.decide_edit(&actor, request, yes),
            Change::Invite { whom, sealed, dept, ask, valid_for_s } => {
                self.invite(&actor, Terms { whom, sealed, dept, ask, valid_for_s })
            }
            Change::Withdraw { id } => self.withdraw(&actor, id),
            Change::Decide { request, yes } => self.decide(&actor, request, yes),
            Change::SetPolicy { policy, version } => self.set_policy(&actor, &policy, version),
            Change::MakeKey { id, title, scopes } => self.make_key(&actor, id, &title, scopes),
            Change::EndKey { id } => self.end_key(&actor, id),
            Change::MakeWebhook { url, key, kinds } => self.make_webhook(&actor, &url, key, kinds),
            Change::EndWebhook { id } => self.end_webhook(&actor, id),
            Change::ReadAccesses { account } => self.read_accesses(&actor, account),
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
        let audit::Entry { at_ms, actor: by, from, act, target, detail } = &entry;
        let row = (org, db(number), at_ms, db(by.0), from, act, target, detail, hash.0);
        self.conn.prepare_cached(sql)?.execute(row)?;
        let sql = "UPDATE companies SET audit = ?2, audit_hash = ?3 WHERE org = ?1";
        self.conn.prepare_cached(sql)?.execute((org, db(number), hash.0))?;
        self.tell_webhooks(actor, act, target)
    }

    /// Who reads what others do is written down before they do.
    fn read_accesses(&mut self, actor: &Actor, account: Option<AccountId>) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ReadAudit));
        let of = account.map_or_else(|| format!("organisation:{}", actor.org), |account| format!("account:{account}"));
        self.audit(actor, "accesses.read", of, String::new())?;
        Ok(Ok(Outcome::Done))
    }

    fn found(&mut self, mut actor: Actor, name: &str, title: &str, owner: AccountId) -> Answer<Outcome> {
        settle!(department::check_name(name));
        settle!(department::check_name(title));
        settle!(self.active(owner)?);
        settle!(self.check_seats(owner)?);
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

    fn rename_org(&mut self, actor: &Actor, title: &str) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageOrganisation));
        settle!(department::check_name(title));
        let sql = "UPDATE companies SET title = ?2 WHERE org = ?1";
        self.conn.prepare_cached(sql)?.execute((db(actor.org.0), title))?;
        self.audit(actor, "organisation.rename", format!("organisation:{}", actor.org), String::new())?;
        Ok(Ok(Outcome::Done))
    }

    /// From now on nobody has a seat. The rows go by and by: there may be a million.
    fn dissolve(&mut self, actor: &Actor) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageOrganisation));
        self.audit(actor, "organisation.dissolve", format!("organisation:{}", actor.org), String::new())?;
        let sql = "UPDATE companies SET dissolved = ?2 WHERE org = ?1";
        self.conn.prepare_cached(sql)?.execute((db(actor.org.0), db(self.now_s().max(1))))?;
        self.end_integrations(actor.org)?;
        Ok(Ok(Outcome::Dissolved))
    }

    /// Gives somebody a seat. Whoever comes back is the user they were.
    pub(super) fn seat(
        &mut self,
        org: OrgId,
        account: AccountId,
        role: Role,
        dept: DeptId,
    ) -> Result<UserId, StoreError> {
        let row = rows::account(self.conn, account)?;
        let (shown, avatar) = row.map(|row| (row.display_name, row.picture)).unwrap_or_default();
        let name = rows::account_name(account);
        let sql = "INSERT INTO users (org, name, display_name) VALUES (?1, ?2, ?3)
            ON CONFLICT (org, name) DO UPDATE SET display_name = ?3 RETURNING id";
        let row = (db(org.0), &name, &shown);
        let user = UserId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?);
        let (kind, scopes) = role.to_stored();
        let sort = directory::sort_key(&shown);
        let sql = "INSERT INTO seats (org, account, user, role, scopes, joined, sort, profile)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let profile = rows::profile_text(&Profile { avatar, ..Profile::default() });
        let row = (db(org.0), db(account.0), db(user.0), kind, scopes, db(self.now_s()), &sort, profile);
        self.conn.prepare_cached(sql)?.execute(row)?;
        self.write_keys(org, account, &shown)?;
        let places = if dept == ROOT { Vec::new() } else { vec![Place { dept, position: None }] };
        self.write_places(org, account, &places, &sort)?;
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
        self.unseat(&seat)?;
        let act = if actor.account == account { "member.leave" } else { "member.remove" };
        self.audit(actor, act, format!("account:{account}"), String::new())?;
        Ok(Ok(Outcome::Removed(seat.user)))
    }

    fn unseat(&mut self, seat: &Seat) -> Result<(), StoreError> {
        let key = (db(seat.org.0), db(seat.account.0));
        self.take_places(seat.org, seat.account)?;
        self.take_keys(seat.org, seat.account, seat.user)?;
        self.conn.prepare_cached("DELETE FROM seats WHERE org = ?1 AND account = ?2")?.execute(key)?;
        let sql = "DELETE FROM edit_requests WHERE org = ?1 AND account = ?2";
        self.conn.prepare_cached(sql)?.execute(key)?;
        let sql = "UPDATE companies SET members = members - 1 WHERE org = ?1";
        self.conn.prepare_cached(sql)?.execute([key.0])?;
        self.prune_pictures(seat.account)
    }

    /// Takes all seats of an account that ends, unless an organisation would be left without owner.
    pub(super) fn leave_all(&mut self, account: AccountId) -> Answer<()> {
        let seats = rows::seats_of(self.conn, account)?;
        let actor = |seat: &Seat| Actor { org: seat.org, account, address: String::new(), role: seat.role };
        for seat in &seats {
            settle!(role::check_removal(self.case(&actor(seat), seat)?));
        }
        for seat in &seats {
            self.unseat(seat)?;
            self.audit(&actor(seat), "member.leave", format!("account:{account}"), String::new())?;
        }
        let id = [db(account.0)];
        for sql in ["DELETE FROM contacts WHERE owner = ?1", "DELETE FROM requests WHERE account = ?1"] {
            self.conn.prepare_cached(sql)?.execute(id)?;
        }
        // What chat shows of them from now on.
        let sql = "UPDATE users SET display_name = name WHERE name = ?1 AND org IN (SELECT org FROM companies)";
        self.conn.prepare_cached(sql)?.execute([rows::account_name(account)])?;
        Ok(Ok(()))
    }
}
