//! How organisations are built, and their policy.

use convene_accounts::Code;
use convene_accounts::department::{self, Department, MAX_POSITIONS};
use convene_accounts::policy::Policy;
use convene_accounts::role::Act;
use convene_types::{DeptId, OrgId, PositionId};

use super::Work;
use super::accounts::{Answer, settle};
use super::orgs::Actor;
use crate::orgs::Outcome;
use crate::rows::{self, db};

impl Work<'_> {
    pub(super) fn add_department(&mut self, actor: &Actor, parent: DeptId, name: &str, rank: i32) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageDepartments));
        settle!(rows::tree(self.conn, actor.org)?.check_insert(parent, name));
        let sql = "INSERT INTO departments (org, parent, name, rank, members) VALUES (?1, ?2, ?3, ?4, 0) RETURNING id";
        let row = (db(actor.org.0), db(parent.0), name, rank);
        let id = DeptId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?);
        self.audit(actor, "department.add", format!("department:{id}"), format!(r#"{{"parent":{parent}}}"#))?;
        Ok(Ok(Outcome::Department(id)))
    }

    pub(super) fn change_department(&mut self, actor: &Actor, row: Department) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageDepartments));
        let Department { id, parent, name, rank } = row;
        settle!(rows::tree(self.conn, actor.org)?.check_change(id, parent, &name));
        let sql = "UPDATE departments SET parent = ?2, name = ?3, rank = ?4 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(id.0), db(parent.0), name, rank))?;
        self.audit(actor, "department.change", format!("department:{id}"), format!(r#"{{"parent":{parent}}}"#))?;
        Ok(Ok(Outcome::Done))
    }

    pub(super) fn remove_department(&mut self, actor: &Actor, id: DeptId) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageDepartments));
        let sql = "SELECT count(*) FROM places WHERE org = ?1 AND dept = ?2";
        let members = self.conn.prepare_cached(sql)?.query_row((db(actor.org.0), db(id.0)), |row| rows::num(row, 0))?;
        settle!(rows::tree(self.conn, actor.org)?.check_remove(id, members));
        self.conn.prepare_cached("DELETE FROM departments WHERE id = ?1")?.execute([db(id.0)])?;
        self.audit(actor, "department.remove", format!("department:{id}"), String::new())?;
        Ok(Ok(Outcome::Done))
    }

    pub(super) fn add_position(&mut self, actor: &Actor, name: &str, rank: i32) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageDepartments));
        settle!(self.check_position(actor.org, name, None)?);
        let sql = "SELECT count(*) FROM positions WHERE org = ?1";
        let count = self.conn.prepare_cached(sql)?.query_row([db(actor.org.0)], |row| rows::num(row, 0))?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= MAX_POSITIONS {
            return Ok(Err(Code::TooMany.into()));
        }
        let sql = "INSERT INTO positions (org, name, rank) VALUES (?1, ?2, ?3) RETURNING id";
        let row = (db(actor.org.0), name, rank);
        let id = PositionId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?);
        self.audit(actor, "position.add", format!("position:{id}"), String::new())?;
        Ok(Ok(Outcome::Position(id)))
    }

    pub(super) fn change_position(&mut self, actor: &Actor, id: PositionId, name: &str, rank: i32) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageDepartments));
        if !rows::has_position(self.conn, actor.org, id)? {
            return Ok(Err(Code::NotFound.into()));
        }
        settle!(self.check_position(actor.org, name, Some(id))?);
        let sql = "UPDATE positions SET name = ?2, rank = ?3 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(id.0), name, rank))?;
        self.audit(actor, "position.change", format!("position:{id}"), String::new())?;
        Ok(Ok(Outcome::Done))
    }

    pub(super) fn remove_position(&mut self, actor: &Actor, id: PositionId) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageDepartments));
        if !rows::has_position(self.conn, actor.org, id)? {
            return Ok(Err(Code::NotFound.into()));
        }
        for sql in ["UPDATE places SET position = NULL WHERE position = ?1", "DELETE FROM positions WHERE id = ?1"] {
            self.conn.prepare_cached(sql)?.execute([db(id.0)])?;
        }
        self.audit(actor, "position.remove", format!("position:{id}"), String::new())?;
        Ok(Ok(Outcome::Done))
    }

    fn check_position(&self, org: OrgId, name: &str, oneself: Option<PositionId>) -> Answer<()> {
        settle!(department::check_name(name));
        let sql = "SELECT 1 FROM positions WHERE org = ?1 AND name = ?2 AND id != ?3";
        let own = oneself.map_or(0, |id| db(id.0));
        let taken = self.conn.prepare_cached(sql)?.exists((db(org.0), name, own))?;
        Ok(if taken { Err(Code::NameTaken.into()) } else { Ok(()) })
    }

    pub(super) fn set_policy(&mut self, actor: &Actor, policy: &Policy, version: u64) -> Answer<Outcome> {
        let (old, current) = settle!(rows::policy(self.conn, actor.org)?.ok_or(Code::NotFound));
        // Plain members do not learn its version by trying.
        for act in policy.acts_to_replace(&old) {
            settle!(actor.role.require(act));
        }
        if version != current {
            return Ok(Err(Code::Stale.into()));
        }
        settle!(policy.check());
        if *policy == old {
            return Ok(Ok(Outcome::Policy(current)));
        }
        let (text, next) = (rows::policy_text(policy), current.saturating_add(1));
        let sql = "UPDATE companies SET policy = ?2, policy_version = ?3 WHERE org = ?1";
        self.conn.prepare_cached(sql)?.execute((db(actor.org.0), text, db(next)))?;
        self.audit(actor, "policy.change", format!("policy:{next}"), String::new())?;
        Ok(Ok(Outcome::Policy(next)))
    }
}
