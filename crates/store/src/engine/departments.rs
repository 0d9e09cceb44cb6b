//! How organisations are built, and their policy.

use convene_accounts::Code;
use convene_accounts::department::{self, Department, Place};
use convene_accounts::policy::Policy;
use convene_accounts::role::Act;
use convene_types::{AccountId, DeptId, OrgId};

use super::Work;
use super::accounts::{Answer, settle};
use super::orgs::Actor;
use crate::error::StoreError;
use crate::orgs::Outcome;
use crate::rows::{self, db};

impl Work<'_> {
    pub(super) fn add_department(&mut self, actor: &Actor, parent: DeptId, name: &str, rank: i32) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageDepartments));
        settle!(rows::tree(self.conn, actor.org)?.check_insert(parent, name));
        let sql = "INSERT INTO departments (org, parent, name, rank) VALUES (?1, ?2, ?3, ?4) RETURNING id";
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
        let sql = "SELECT count(*) FROM places WHERE dept = ?1";
        let members = self.conn.prepare_cached(sql)?.query_row([db(id.0)], |row| rows::num(row, 0))?;
        settle!(rows::tree(self.conn, actor.org)?.check_remove(id, members));
        self.conn.prepare_cached("DELETE FROM departments WHERE id = ?1")?.execute([db(id.0)])?;
        self.audit(actor, "department.remove", format!("department:{id}"), String::new())?;
        Ok(Ok(Outcome::Done))
    }

    pub(super) fn set_places(&mut self, actor: &Actor, account: AccountId, depts: &[DeptId]) -> Answer<Outcome> {
        settle!(actor.role.require(Act::ManageDepartments));
        settle!(rows::seat(self.conn, actor.org, account)?.ok_or(Code::NotFound));
        let places: Vec<_> = depts.iter().map(|dept| Place { dept: *dept, position: None }).collect();
        settle!(department::check_places(&places));
        for dept in depts {
            if !rows::has_department(self.conn, actor.org, *dept)? {
                return Ok(Err(Code::NotFound.into()));
            }
        }
        self.write_places(actor.org, account, depts)?;
        let ids: Vec<_> = depts.iter().map(|dept| dept.to_string()).collect();
        let detail = format!(r#"{{"departments":[{}]}}"#, ids.join(","));
        self.audit(actor, "member.places", format!("account:{account}"), detail)?;
        Ok(Ok(Outcome::Done))
    }

    pub(super) fn write_places(&self, org: OrgId, account: AccountId, depts: &[DeptId]) -> Result<(), StoreError> {
        let key = (db(org.0), db(account.0));
        self.conn.prepare_cached("DELETE FROM places WHERE org = ?1 AND account = ?2")?.execute(key)?;
        let sql = "INSERT INTO places (org, account, rank, dept) VALUES (?1, ?2, ?3, ?4)";
        let mut insert = self.conn.prepare_cached(sql)?;
        for (rank, dept) in (0_u32..).zip(depts) {
            insert.execute((key.0, key.1, rank, db(dept.0)))?;
        }
        Ok(())
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
