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
        Ok(self.looks_up(other)?.unwrap_or(true))
    }

    /// Whether they are found by number or name: by those whom the directory shows them, and by those in whose logs they are.
    /// Who has no seat any more is found by the latter alone: nobody knows from whom they were hidden.
    pub(crate) fn finds(&self, other: UserId) -> Result<bool, StoreError> {
        Ok(self.looks_up(other)?.unwrap_or(false) || self.knows(other)?)
    }

    /// What the directory says. `None`: it has nobody of that number.
    fn looks_up(&self, other: UserId) -> Result<Option<bool>, StoreError> {
        if other == self.viewer.user {
            return Ok(Some(true));
        }
        let who = Who { role: self.viewer.role, depts: &self.viewer.depts };
        let seen = rows::seat_of_user(self.conn, other)?;
        Ok(seen.map(|seen| self.policy.sees(who, &seen.depts, &self.tree)))
    }

    /// Whether they are in a conversation together, or were: its log names both.
    fn knows(&self, other: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM members a JOIN members b ON b.conv = a.conv AND b.user = ?2
            WHERE a.user = ?1)";
        let key = (db(self.viewer.user.0), db(other.0));
        Ok(self.conn.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
    }
}
