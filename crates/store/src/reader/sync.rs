//! Catching a client up after any absence: every conversation that changed, the newest events of the first ones, and the
//! user's own log, cut into frames.

use std::cmp::Reverse;

use convene_im_core::sync::{Head, Part, Plan};
use convene_proto::im::{self, Code};
use convene_proto::limits::{MAX_CURSORS, MAX_PAYLOAD_BYTES};
use convene_types::{ConvId, Seq, Useq, UserId};
use prost::Message as _;
use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::pages::{Bounds, decoded, range, user_events_after};
use super::visible::Seen;
use crate::error::{Fault, StoreError, refused};
use crate::rows::{self, CONV_COLUMNS, CONV_WIDTH, MAX_USER_LOG, MEMBER_COLUMNS, db};

/// Events of one conversation in a reply: the bytes they may take end sooner.
const MAX_READ: u32 = 1_000;
/// A new device learns from the conversations themselves what a longer log of changes led to.
const MAX_FIRST_USER_EVENTS: u64 = 1_000;
/// Bytes of the user's own log in a reply, which is made as a whole: more than a new device is ever sent.
const MAX_USER_LOG_BYTES: usize = 5 * 1024 * 1024;
/// Tag and length around a part of a reply.
const PART_OVERHEAD: usize = 5;

pub(super) fn sync(conn: &Connection, user: UserId, request: &im::Sync) -> Result<Vec<im::SyncReply>, Fault> {
    if request.cursors.len() > MAX_CURSORS {
        return refused(Code::TooLong, format!("{} cursors, at most {MAX_CURSORS}", request.cursors.len()));
    }
    let bump = rows::load_bump(conn)?;
    if request.bump > bump {
        return refused(Code::BeyondHead, "a bump beyond the newest one");
    }
    let cursors: FxHashMap<_, _> = request.cursors.iter().map(|at| (ConvId(at.conv), Seq(at.seq))).collect();
    check_cursors(conn, user, &cursors)?;
    let mut frames = Frames::new(user_log(conn, user, request)?);
    let changed = changed(conn, user, request.bump)?;
    let mut events: Vec<Vec<im::Event>> = changed.iter().map(|_| Vec::new()).collect();
    let parts = fill(conn, request, &changed, &cursors, &mut events)?;
    for ((seen, part), events) in changed.iter().zip(parts).zip(events) {
        let settings = Some(rows::load_settings(conn, user, seen.conv())?);
        let (from, to, limited) = (part.from.0, part.to.0, part.limited);
        frames.push(im::ConversationDelta { from, to, limited, events, settings, ..state(user, seen) });
    }
    Ok(frames.finish(bump))
}

/// Reads the events that the plan wants, newest first.
fn fill(
    conn: &Connection,
    request: &im::Sync,
    changed: &[Seen],
    cursors: &FxHashMap<ConvId, Seq>,
    events: &mut [Vec<im::Event>],
) -> Result<Vec<Part>, StoreError> {
    let head = |seen: &Seen| Head {
        conv: seen.conv(),
        head: seen.head,
        floor: seen.floor(),
        cursor: cursors.get(&seen.conv()).copied(),
    };
    let heads: Vec<_> = changed.iter().map(head).collect();
    let places: FxHashMap<_, _> = heads.iter().enumerate().map(|(at, head)| (head.conv, at)).collect();
    let mut plan = Plan::new(request, &heads);
    while let Some(read) = plan.next_read() {
        let most = u32::try_from(read.max_events).unwrap_or(u32::MAX).min(MAX_READ);
        let bounds = Bounds { backward: true, events: most, bytes: read.max_bytes, at_least_one: false };
        let found = range(conn, read.conv, (read.after, read.to), bounds)?;
        let from = found.first().map_or(read.to, |(seq, _)| Seq(seq.0.saturating_sub(1)));
        plan.filled(&read, from, found.iter().map(|(_, event)| event.len()).sum());
        if let Some(events) = places.get(&read.conv).and_then(|at| events.get_mut(*at)) {
            let newer = std::mem::replace(events, decoded(read.conv, found)?);
            events.extend(newer);
        }
    }
    Ok(plan.finish())
}

/// A client that is ahead of the log was told things that are gone, as after a backup was restored: it starts anew.
fn check_cursors(conn: &Connection, user: UserId, cursors: &FxHashMap<ConvId, Seq>) -> Result<(), Fault> {
    let sql = "SELECT c.head FROM members m JOIN conversations c ON c.id = m.conv WHERE m.conv = ?1 AND m.user = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    for (conv, seq) in cursors {
        let mut found = statement.query((db(conv.0), db(user.0)))?;
        // Of conversations the user is not in, nothing is said.
        let Some(row) = found.next()? else { continue };
        if seq.0 > rows::num(row, 0)? {
            return refused(Code::BeyondHead, format!("a cursor beyond the head of conversation {conv}"));
        }
    }
    Ok(())
}

/// Conversations in which something happened that the user sees, most recently changed first.
fn changed(conn: &Connection, user: UserId, since: u64) -> Result<Vec<Seen>, StoreError> {
    let sql = format!(
        "SELECT {CONV_COLUMNS}, {MEMBER_COLUMNS} FROM members m JOIN conversations c ON c.id = m.conv
         WHERE m.user = ?1 AND CASE m.role WHEN 0 THEN max(m.changed, c.swept_bump) ELSE c.bump END > ?2
         ORDER BY CASE m.role WHEN 0 THEN m.changed ELSE c.bump END DESC"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((rows::conv_from(row)?, rows::member_from(row, CONV_WIDTH)?));
    let found = statement.query_map((db(user.0), db(since)), read)?;
    let seen = found.map(|row| {
        let (conv, member) = row?;
        Seen::of(conn, conv, member)
    });
    let mut seen = seen.collect::<Result<Vec<_>, StoreError>>()?;
    // Retention changes a conversation and does not move it up: the newest events go to where somebody said something.
    seen.sort_by_key(|seen| Reverse(seen.head_at_ms));
    Ok(seen)
}

/// All conversations of a user as they stand.
pub(super) fn overview(conn: &Connection, user: UserId) -> Result<Vec<im::ConversationDelta>, StoreError> {
    Ok(changed(conn, user, 0)?.iter().map(|seen| state(user, seen)).collect())
}

/// How the conversation stands, without events.
fn state(user: UserId, seen: &Seen) -> im::ConversationDelta {
    let (conv, member) = (&seen.row.conv, &seen.member.member);
    let mut delta = im::ConversationDelta {
        conv: conv.id.0,
        kind: conv.kind.into(),
        head: seen.head.0,
        head_ord: seen.head_ord.0,
        floor: member.floor.0,
        floor_ord: member.floor_ord.0,
        read_seq: member.read.0,
        read_ord: member.read_ord.0,
        at_ms: seen.head_at_ms,
        swept: seen.row.swept.min(seen.head).0,
        peer: seen.row.peer_of(user),
        title: conv.title.clone(),
        ..im::ConversationDelta::default()
    };
    // Who left is not told what became of the group.
    if let Some(role) = member.role {
        delta.role = role.into();
        delta.member_count = conv.members;
        delta.dissolved = conv.dissolved;
        delta.announcement.clone_from(&conv.announcement);
        delta.muted = conv.muted;
    }
    delta
}

/// The user's own log in pieces that fit into frames: where each ends, and its entries.
struct UserLog {
    from: u64,
    pieces: Vec<(u64, Vec<im::UserEvent>)>,
}

fn user_log(conn: &Connection, user: UserId, request: &im::Sync) -> Result<UserLog, Fault> {
    let head = rows::useq_head(conn, user)?;
    // Whoever starts over asks like this, and is never told to start over: it would not end.
    let first = request.useq == 0 && request.bump == 0;
    if !first && head.saturating_sub(request.useq) > MAX_USER_LOG {
        return too_far_behind();
    }
    let from = if first && head > MAX_FIRST_USER_EVENTS { head } else { request.useq };
    let (mut at, mut pieces) = (from, Vec::new());
    loop {
        let (Useq(to), events) = user_events_after(conn, user, Useq(at), MAX_PAYLOAD_BYTES)?;
        pieces.push((to, events));
        at = to;
        if to >= head {
            return Ok(UserLog { from, pieces });
        }
        if !first && pieces.len() * MAX_PAYLOAD_BYTES > MAX_USER_LOG_BYTES {
            return too_far_behind();
        }
    }
}

/// The conversations themselves say what all those changes led to: it costs less to start anew.
fn too_far_behind<T>() -> Result<T, Fault> {
    refused(Code::BeyondHead, "too far behind in the user log: start over with a sync from 0")
}

/// Frames of the reply as they fill.
struct Frames {
    done: Vec<im::SyncReply>,
    open: im::SyncReply,
    bytes: usize,
}

impl Frames {
    fn new(log: UserLog) -> Self {
        let mut frames = Self { done: Vec::new(), open: im::SyncReply::default(), bytes: 0 };
        let mut from = log.from;
        for (at, (to, events)) in log.pieces.into_iter().enumerate() {
            if at > 0 {
                frames.close();
            }
            frames.bytes = events.iter().map(|event| event.encoded_len() + PART_OVERHEAD).sum();
            frames.open =
                im::SyncReply { useq_from: from, useq_to: to, user_events: events, ..im::SyncReply::default() };
            from = to;
        }
        frames
    }

    fn push(&mut self, delta: im::ConversationDelta) {
        let size = delta.encoded_len() + PART_OVERHEAD;
        if self.bytes > 0 && self.bytes + size > MAX_PAYLOAD_BYTES {
            self.close();
        }
        self.bytes += size;
        self.open.conversations.push(delta);
    }

    /// Another frame follows. It covers nothing of the user log, at the place this one has reached.
    fn close(&mut self) {
        let useq = self.open.useq_to;
        let next = im::SyncReply { useq_from: useq, useq_to: useq, ..im::SyncReply::default() };
        let full = std::mem::replace(&mut self.open, next);
        self.done.push(im::SyncReply { more: true, ..full });
        self.bytes = 0;
    }

    fn finish(mut self, bump: u64) -> Vec<im::SyncReply> {
        self.open.bump = bump;
        self.done.push(self.open);
        self.done
    }
}
