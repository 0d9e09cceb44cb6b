//! Groups of departments that do not have in them who stands there. For whoever mends them: the caller is `signaling`.

use convene_types::{DeptId, OrgId, UserId};
use rusqlite::Connection;

use super::Reader;
use crate::error::StoreError;
use crate::rows::{self, db, num};

impl Reader {
    /// Organisations in which groups follow departments, and which have such groups.
    pub fn orgs_with_groups(&mut self) -> Result<Vec<OrgId>, StoreError> {
        self.plain(|conn| {
            let sql =
                "SELECT DISTINCT g.org FROM department_groups g JOIN companies c ON c.org = g.org AND c.dissolved = 0";
            let mut statement = conn.prepare_cached(sql)?;
            let all = statement.query_map([], |row| num(row, 0).map(OrgId))?.collect::<Result<Vec<_>, _>>()?;
            let mut wanted = Vec::new();
            for org in all {
                if rows::policy(conn, org)?.is_some_and(|(policy, _)| policy.department_groups) {
                    wanted.push(org);
                }
            }
            Ok(wanted)
        })
    }

    /// Departments of an organisation whose groups somebody has to be put into or taken out of.
    pub fn groups_behind(&mut self, org: OrgId) -> Result<Vec<DeptId>, StoreError> {
        self.plain(|conn| {
            let mut statement = conn.prepare_cached("SELECT dept FROM department_groups WHERE org = ?1")?;
            let all = statement.query_map([db(org.0)], |row| num(row, 0).map(DeptId))?;
            let all = all.collect::<Result<Vec<_>, _>>()?;
            let mut behind = Vec::new();
            for dept in all {
                if is_behind(conn, org, dept)? {
                    behind.push(dept);
                }
            }
            Ok(behind)
        })
    }

    /// Whether somebody has to be put into the group of this department, or taken out, and the organisation wants that.
    pub fn is_group_behind(&mut self, org: OrgId, dept: DeptId) -> Result<bool, StoreError> {
        self.plain(|conn| {
            let wanted = rows::policy(conn, org)?.is_some_and(|(policy, _)| policy.department_groups);
            let Some(conv) = rows::department_group(conn, org, dept)?.filter(|_| wanted) else { return Ok(false) };
            let dissolved = rows::load_conv(conn, conv)?.is_none_or(|row| row.conv.dissolved);
            Ok(dissolved || is_behind(conn, org, dept)?)
        })
    }

    /// Departments with groups that somebody stands in, or was put into the group of.
    pub fn groups_around(&mut self, org: OrgId, user: UserId) -> Result<Vec<DeptId>, StoreError> {
        self.plain(|conn| {
            let sql = "WITH RECURSIVE up (id) AS (
                    SELECT p.dept FROM places p JOIN seats s ON s.org = p.org AND s.account = p.account
                        WHERE s.user = ?2 AND p.org = ?1
                    UNION SELECT d.parent FROM departments d JOIN up u ON d.id = u.id WHERE d.org = ?1)
                SELECT g.dept FROM department_groups g WHERE g.org = ?1 AND (g.dept IN (SELECT id FROM up)
                    OR EXISTS (SELECT 1 FROM department_members m WHERE m.org = ?1 AND m.dept = g.dept AND m.user = ?2))";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map((db(org.0), db(user.0)), |row| num(row, 0).map(DeptId))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }
}

fn is_behind(conn: &Connection, org: OrgId, dept: DeptId) -> Result<bool, StoreError> {
    let even = rows::newcomers(conn, org, dept, 1)?.is_empty() && rows::leavers(conn, org, dept, 1)?.is_empty();
    Ok(!even)
}
