//! Rows the writer has seen lately: heads of conversations and their members. Written to the database before each commit,
//! dropped whole when a transaction fails.
//!
//! Invariant: the writer reads and changes `conversations` and `members` only through this cache; before SQL of its own
//! touches them it flushes.

use std::collections::hash_map::Entry;

use convene_accounts::webhook::Kinds;
use convene_types::{ConvId, Ordinal, OrgId, Seq, UserId};
use prost::Message as _;
use rusqlite::Connection;
use rustc_hash::FxHashMap;

use crate::error::StoreError;
use crate::rows::{self, ConvRow, MemberRow, db};

/// About 300 bytes each: 6 MB. Above it the cache starts again from nothing.
const MAX_CONVS: usize = 20_000;
/// About 150 bytes each: 15 MB.
const MAX_MEMBERS: usize = 100_000;

/// What of a conversation has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dirty {
    No,
    /// The numbers that each event changes.
    Head,
    All,
}

#[derive(Debug, Default)]
pub(crate) struct Cache {
    convs: FxHashMap<ConvId, (ConvRow, Dirty)>,
    /// `None`: looked up, never was a member.
    members: FxHashMap<(ConvId, UserId), Option<MemberRow>>,
    dirty_convs: Vec<ConvId>,
    dirty_members: Vec<((ConvId, UserId), Stale)>,
    /// What webhooks of each organisation are told of: asked for each message. `None`: not read yet.
    wanted: Option<FxHashMap<OrgId, Kinds>>,
}

/// What of a member has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    All,
    /// The read cursor, which each event of their own raises.
    Read,
}

impl Cache {
    /// The conversation, from here or from the database.
    pub(crate) fn conv(&mut self, conn: &Connection, id: ConvId) -> Result<Option<&ConvRow>, StoreError> {
        let found = match self.convs.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let Some(row) = rows::load_conv(conn, id)? else { return Ok(None) };
                entry.insert((row, Dirty::No))
            }
        };
        Ok(Some(&found.0))
    }

    /// Changes the numbers that each event changes.
    pub(crate) fn change_head(&mut self, id: ConvId, change: impl FnOnce(&mut ConvRow)) {
        self.change(id, Dirty::Head, change);
    }

    /// Changes anything of a conversation.
    pub(crate) fn change_conv(&mut self, id: ConvId, change: impl FnOnce(&mut ConvRow)) {
        self.change(id, Dirty::All, change);
    }

    fn change(&mut self, id: ConvId, what: Dirty, change: impl FnOnce(&mut ConvRow)) {
        let (row, dirty) = self.convs.get_mut(&id).expect("changed only after it was loaded in the same operation");
        if *dirty == Dirty::No {
            self.dirty_convs.push(id);
        }
        *dirty = (*dirty).max(what);
        change(row);
    }

    /// The member, from here or from the database.
    pub(crate) fn member(
        &mut self,
        conn: &Connection,
        conv: ConvId,
        user: UserId,
    ) -> Result<Option<&MemberRow>, StoreError> {
        let found = match self.members.entry((conv, user)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(rows::load_member(conn, conv, user)?),
        };
        Ok(found.as_ref())
    }

    pub(crate) fn put_member(&mut self, conv: ConvId, row: MemberRow) {
        let key = (conv, row.member.user);
        self.dirty_members.push((key, Stale::All));
        self.members.insert(key, Some(row));
    }

    /// Sets the read cursor of who has a row. False: they have none.
    pub(crate) fn set_read(
        &mut self,
        conn: &Connection,
        key: (ConvId, UserId),
        (seq, ord): (Seq, Ordinal),
    ) -> Result<bool, StoreError> {
        self.member(conn, key.0, key.1)?;
        let Some(Some(row)) = self.members.get_mut(&key) else { return Ok(false) };
        (row.member.read, row.member.read_ord) = (seq, ord);
        self.dirty_members.push((key, Stale::Read));
        Ok(true)
    }

    /// Writes what has changed.
    pub(crate) fn flush(&mut self, conn: &Connection) -> Result<(), StoreError> {
        for id in self.dirty_convs.drain(..) {
            if let Some((row, dirty)) = self.convs.get_mut(&id) {
                write_conv(conn, row, *dirty == Dirty::All)?;
                *dirty = Dirty::No;
            }
        }
        // A member that sends much in one batch stands here once for each event, and is written once, whole if need be.
        self.dirty_members.sort_unstable();
        self.dirty_members.dedup_by_key(|(key, _)| *key);
        for (key, stale) in self.dirty_members.drain(..) {
            if let Some(Some(row)) = self.members.get(&key) {
                match stale {
                    Stale::All => write_member(conn, key.0, row)?,
                    Stale::Read => write_read(conn, key.0, row)?,
                }
            }
        }
        Ok(())
    }

    /// Whether any endpoint of one of these organisations is told of it.
    pub(crate) fn is_wanted(&mut self, conn: &Connection, orgs: &[OrgId], kind: Kinds) -> Result<bool, StoreError> {
        let wanted = match self.wanted.take() {
            Some(wanted) => wanted,
            None => rows::wanted_kinds(conn)?,
        };
        let wanted = self.wanted.insert(wanted);
        Ok(orgs.iter().any(|org| wanted.get(org).is_some_and(|kinds| kinds.has(kind))))
    }

    /// There are no endpoints, as far as was looked.
    pub(crate) fn none_wanted(&self) -> bool {
        self.wanted.as_ref().is_some_and(FxHashMap::is_empty)
    }

    /// Endpoints have changed.
    pub(crate) fn forget_wanted(&mut self) {
        self.wanted = None;
    }

    /// After a commit: stays within its bound.
    pub(crate) fn trim(&mut self) {
        if self.convs.len() > MAX_CONVS || self.members.len() > MAX_MEMBERS {
            self.clear();
        }
    }

    /// After a failure: what it holds may never have been written.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn write_conv(conn: &Connection, row: &ConvRow, all: bool) -> Result<(), StoreError> {
    let conv = &row.conv;
    let sql = "UPDATE conversations SET head = ?2, head_ord = ?3, bump = ?4, last_at = ?5 WHERE id = ?1";
    let head = (db(conv.id.0), db(conv.head.0), db(conv.head_ord.0), db(row.bump), row.last_at_ms);
    conn.prepare_cached(sql)?.execute(head)?;
    if all {
        let sql = "UPDATE conversations SET members = ?2, owners = ?3, muted = ?4, dissolved = ?5, title = ?6,
            announcement = ?7, avatar = ?8, swept = ?9, swept_bump = ?10 WHERE id = ?1";
        let avatar = conv.avatar.as_ref().map(im_bytes);
        let (title, announcement) = (&conv.title, &conv.announcement);
        let (swept, swept_bump) = (db(row.swept.0), db(row.swept_bump));
        conn.prepare_cached(sql)?.execute((
            db(conv.id.0),
            conv.members,
            conv.owners,
            conv.muted,
            conv.dissolved,
            title,
            announcement,
            avatar,
            swept,
            swept_bump,
        ))?;
    }
    Ok(())
}

fn im_bytes(avatar: &convene_proto::im::BlobRef) -> Vec<u8> {
    avatar.encode_to_vec()
}

fn write_read(conn: &Connection, conv: ConvId, row: &MemberRow) -> Result<(), StoreError> {
    let sql = "UPDATE members SET read = ?3, read_ord = ?4 WHERE conv = ?1 AND user = ?2";
    let member = &row.member;
    conn.prepare_cached(sql)?.execute((db(conv.0), db(member.user.0), db(member.read.0), db(member.read_ord.0)))?;
    Ok(())
}

fn write_member(conn: &Connection, conv: ConvId, row: &MemberRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO members
        (conv, user, role, joined, floor, floor_ord, ceiling, read, read_ord, muted_until, changed)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
        ON CONFLICT (conv, user) DO UPDATE SET role = ?3, joined = ?4, floor = ?5, floor_ord = ?6, ceiling = ?7,
        read = ?8, read_ord = ?9, muted_until = ?10, changed = ?11";
    let member = &row.member;
    conn.prepare_cached(sql)?.execute((
        db(conv.0),
        db(member.user.0),
        member.role.map_or(0, |role| role as i32),
        db(row.joined.0),
        db(member.floor.0),
        db(member.floor_ord.0),
        member.ceiling.map(|seq| db(seq.0)),
        db(member.read.0),
        db(member.read_ord.0),
        member.muted_until_ms,
        db(row.changed),
    ))?;
    Ok(())
}
