//! Groups of departments follow who stands there, where the organisation wants that. One step is one transaction: an event
//! in the group's log, and who was put in or taken out for it. Whoever changes who stands where does not wait for it; a later
//! step finds what is left to do, also after a crash.

use convene_proto::im::{self, body::Kind};
use convene_types::{ClientId, ConvId, DeptId, OrgId, UserId};

use super::Work;
use super::append::Request;
use crate::error::Fault;
use crate::ops::Outcome;
use crate::rows::{self, db};

/// People of one step who come, and as many who go: together within what one event may name.
const MAX_STEP: u32 = 200;

impl Work<'_> {
    /// Puts people into the group of a department and takes others out. Nothing to do: nothing happens.
    pub(super) fn follow_department(
        &mut self,
        org: OrgId,
        dept: DeptId,
        client_id: ClientId,
    ) -> Result<Outcome, Fault> {
        let wanted = rows::policy(self.conn, org)?.is_some_and(|(policy, _)| policy.department_groups);
        let Some(conv) = rows::department_group(self.conn, org, dept)?.filter(|_| wanted) else {
            return Ok(Outcome::Done);
        };
        if self.cache.conv(self.conn, conv)?.is_none_or(|row| row.conv.dissolved) {
            return self.forget_group(org, dept);
        }
        let come = rows::newcomers(self.conn, org, dept, MAX_STEP)?;
        let gone = rows::leavers(self.conn, org, dept, MAX_STEP)?;
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for user in &come {
            if !self.is_present(conv, *user)? {
                add.push(im::Member { user: user.0, role: im::Role::Member.into(), ..im::Member::default() });
            }
        }
        for user in &gone {
            if self.is_present(conv, *user)? {
                remove.push(user.0);
            }
        }
        let outcome = if add.is_empty() && remove.is_empty() {
            Outcome::Done
        } else {
            let change = im::MemberChange { add, remove, ..im::MemberChange::default() };
            let body = im::Body { kind: Some(Kind::Members(change)), ..im::Body::default() };
            Outcome::Appended(self.append(Request { org, actor: UserId(0), client_id, conv }, body)?)
        };
        self.note_members(org, dept, &come, &gone)?;
        Ok(outcome)
    }

    fn is_present(&mut self, conv: ConvId, user: UserId) -> Result<bool, Fault> {
        Ok(self.cache.member(self.conn, conv, user)?.is_some_and(|row| row.member.role.is_some()))
    }

    fn note_members(&self, org: OrgId, dept: DeptId, come: &[UserId], gone: &[UserId]) -> Result<(), Fault> {
        let sql = "INSERT INTO department_members (org, dept, user) VALUES (?1, ?2, ?3)";
        let mut insert = self.conn.prepare_cached(sql)?;
        for user in come {
            insert.execute((db(org.0), db(dept.0), db(user.0)))?;
        }
        let sql = "DELETE FROM department_members WHERE org = ?1 AND dept = ?2 AND user = ?3";
        let mut delete = self.conn.prepare_cached(sql)?;
        for user in gone {
            delete.execute((db(org.0), db(dept.0), db(user.0)))?;
        }
        Ok(())
    }

    /// It was dissolved: the next one who wants a group makes another one.
    fn forget_group(&self, org: OrgId, dept: DeptId) -> Result<Outcome, Fault> {
        for table in ["department_groups", "department_members"] {
            let sql = format!("DELETE FROM {table} WHERE org = ?1 AND dept = ?2");
            self.conn.prepare_cached(&sql)?.execute((db(org.0), db(dept.0)))?;
        }
        Ok(Outcome::Done)
    }
}
