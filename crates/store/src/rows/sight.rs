//! Who is hidden from whom, for chat: by the policy of their organisation, as in its directory. That one asks whole pages, in
//! SQL of its own.

use convene_accounts::department::Tree;
use convene_accounts::policy::{Directory, Policy, Who};
use convene_types::{OrgId, UserId};
use rusqlite::Connection;

use crate::error::StoreError;
use crate::orgs::Seat;
use crate::rows::{self, db};

/// What one user sees of the others.
pub(crate) struct Sight<'a> {
    conn: &'a Connection,
    policy: Policy,
    viewer: Seat,
    tree: Tree,
}

impl<'a> Sight<'a> {
    /// `None`: nobody is hidden from this user.
    pub(crate) fn of(conn: &'a Connection, org: OrgId, viewer: UserId) -> Result<Option<Self>, StoreError> {
        let Some((policy, _)) = rows::policy(conn, org)? else { return Ok(None) };
        if policy.directory == Directory::Everybody && policy.hidden.is_empty() {
            return Ok(None);
        }
        // Who has no seat comes with a token of an API key, not as a member: the policy is about members.
        let Some(viewer) = rows::seat_of_user(conn, viewer)? else { return Ok(None) };
        Ok(Some(Self { conn, policy, viewer, tree: rows::tree(conn, org)? }))
    }

    /// Whether the directory shows them. Who has no seat stands in none, and is hidden by nothing.
    pub(crate) fn sees(&self, other: UserId) -> Result<bool, StoreError> {
        if other == self.viewer.user {
            return Ok(true);
        }
        let Some(seen) = rows::seat_of_user(self.conn, other)? else { return Ok(true) };
        let who = Who { role: self.viewer.role, depts: &self.viewer.depts };
        Ok(self.policy.sees(who, &seen.depts, &self.tree))
    }

    /// Whether they are in a conversation together, or were: its log names both.
    pub(crate) fn knows(&self, other: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM members a JOIN members b ON b.conv = a.conv AND b.user = ?2
            WHERE a.user = ?1)";
        let key = (db(self.viewer.user.0), db(other.0));
        Ok(self.conn.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
    }
}
