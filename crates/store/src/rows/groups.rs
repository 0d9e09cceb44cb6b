//! Groups of departments: who is to be put into one, and who is to be taken out.

use convene_types::{ConvId, DeptId, OrgId, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::{db, num};
use crate::error::StoreError;

/// Departments that stand in this one, itself included. `?1` is the organisation, `?2` the department.
const BELOW: &str = "WITH RECURSIVE below (id) AS (
    SELECT id FROM departments WHERE id = ?2 AND org = ?1
    UNION SELECT d.id FROM departments d JOIN below b ON d.org = ?1 AND d.parent = b.id)";

/// The group of a department, if it has one.
pub(crate) fn department_group(conn: &Connection, org: OrgId, dept: DeptId) -> Result<Option<ConvId>, StoreError> {
    let sql = "SELECT conv FROM department_groups WHERE org = ?1 AND dept = ?2";
    let key = (db(org.0), db(dept.0));
    Ok(conn.prepare_cached(sql)?.query_row(key, |row| num(row, 0).map(ConvId)).optional()?)
}

/// Who has come to stand in a department, or below it, and was not put into its group for that; at most `limit`.
pub(crate) fn newcomers(conn: &Connection, org: OrgId, dept: DeptId, limit: u32) -> Result<Vec<UserId>, StoreError> {
    let sql = format!(
        "{BELOW} SELECT DISTINCT s.user FROM places p JOIN seats s ON s.org = p.org AND s.account = p.account
         WHERE p.org = ?1 AND p.dept IN (SELECT id FROM below) AND NOT EXISTS
            (SELECT 1 FROM department_members m WHERE m.org = ?1 AND m.dept = ?2 AND m.user = s.user)
         ORDER BY s.user LIMIT ?3"
    );
    users(conn, &sql, org, dept, limit)
}

/// Who was put into the group of a department and does not stand there any more; at most `limit`.
pub(crate) fn leavers(conn: &Connection, org: OrgId, dept: DeptId, limit: u32) -> Result<Vec<UserId>, StoreError> {
    let sql = format!(
        "{BELOW} SELECT m.user FROM department_members m WHERE m.org = ?1 AND m.dept = ?2 AND NOT EXISTS
            (SELECT 1 FROM seats s JOIN places p ON p.org = s.org AND p.account = s.account
             WHERE s.user = m.user AND s.org = ?1 AND p.dept IN (SELECT id FROM below))
         ORDER BY m.user LIMIT ?3"
    );
    users(conn, &sql, org, dept, limit)
}

fn users(conn: &Connection, sql: &str, org: OrgId, dept: DeptId, limit: u32) -> Result<Vec<UserId>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map((db(org.0), db(dept.0), limit), |row| num(row, 0).map(UserId))?;
    Ok(found.collect::<Result<_, _>>()?)
}
