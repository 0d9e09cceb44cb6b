//! Pages of logs.

use bytes::Bytes;
use convene_proto::im::{self, Code};
use convene_proto::limits::{MAX_PAGE_EVENTS, MAX_PAYLOAD_BYTES};
use convene_types::{ConvId, Seq, Useq, UserId};
use prost::Message as _;
use rusqlite::Connection;

use super::visible::seen;
use crate::error::{Fault, StoreError, refused};
use crate::rows::{self, db};

/// Events of a page if the client does not say.
const DEFAULT_PAGE_EVENTS: u32 = 100;
/// Tag and length around an event in a reply.
const EVENT_OVERHEAD: usize = 5;

/// Which end of a range is read first, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) backward: bool,
    pub(super) events: u32,
    pub(super) bytes: usize,
    /// The first event is read whatever its size.
    pub(super) at_least_one: bool,
}

pub(super) fn fetch(conn: &Connection, user: UserId, request: &im::Fetch) -> Result<im::FetchReply, Fault> {
    let seen = seen(conn, user, ConvId(request.conv))?;
    if request.after > seen.head.0 {
        return refused(Code::BeyondHead, "a cursor beyond the head");
    }
    let low = Seq(request.after).max(seen.floor());
    let high = if request.before == 0 { seen.head } else { seen.head.min(Seq(request.before - 1)) };
    let events = if request.limit == 0 { DEFAULT_PAGE_EVENTS } else { request.limit.min(MAX_PAGE_EVENTS) };
    let bounds = Bounds { backward: request.backward, events, bytes: MAX_PAYLOAD_BYTES, at_least_one: true };
    let events = decoded(seen.conv(), range(conn, seen.conv(), (low, high), bounds)?)?;
    // With nothing between them, both ends stand where the page would have begun.
    let empty = if request.backward { high.max(low) } else { low };
    Ok(im::FetchReply {
        conv: request.conv,
        from: events.first().map_or(empty.0, |event| event.seq.saturating_sub(1)),
        to: events.last().map_or(empty.0, |event| event.seq),
        events,
        head: seen.head.0,
        head_ord: seen.head_ord.0,
        floor: seen.floor().0,
    })
}

pub(super) fn events_after(
    conn: &Connection,
    user: UserId,
    conv: ConvId,
    after: Seq,
    max_bytes: usize,
) -> Result<(Seq, Vec<Bytes>), Fault> {
    let seen = seen(conn, user, conv)?;
    let bounds = Bounds { backward: false, events: MAX_PAGE_EVENTS, bytes: max_bytes, at_least_one: true };
    let events = range(conn, conv, (after.max(seen.floor()), seen.head), bounds)?;
    let to = events.last().map_or(after, |(seq, _)| *seq);
    Ok((to, events.into_iter().map(|(_, event)| event).collect()))
}

/// Events of (low, high] from one end until the bounds are reached; ascending.
pub(super) fn range(
    conn: &Connection,
    conv: ConvId,
    span: (Seq, Seq),
    bounds: Bounds,
) -> Result<Vec<(Seq, Bytes)>, StoreError> {
    const UP: &str = "SELECT id, event FROM events WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
    const DOWN: &str = "SELECT id, event FROM events WHERE id > ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3";
    let Some((low, high)) = rows::event_span(conv, span) else { return Ok(Vec::new()) };
    let mut statement = conn.prepare_cached(if bounds.backward { DOWN } else { UP })?;
    let mut found = statement.query((low, high, bounds.events))?;
    let mut events: Vec<(Seq, Bytes)> = Vec::new();
    let mut left = bounds.bytes;
    while let Some(row) = found.next()? {
        let event: Vec<u8> = row.get(1)?;
        let size = event.len() + EVENT_OVERHEAD;
        if size > left && !(events.is_empty() && bounds.at_least_one) {
            break;
        }
        left = left.saturating_sub(size);
        events.push((rows::seq_of(row.get(0)?), event.into()));
    }
    if bounds.backward {
        events.reverse();
    }
    Ok(events)
}

pub(super) fn decoded(conv: ConvId, events: Vec<(Seq, Bytes)>) -> Result<Vec<im::Event>, StoreError> {
    events.into_iter().map(|(seq, bytes)| rows::decode_event(bytes, conv, seq)).collect()
}

pub(super) fn user_events_after(
    conn: &Connection,
    user: UserId,
    after: Useq,
    max_bytes: usize,
) -> Result<(Useq, Vec<im::UserEvent>), Fault> {
    let head = rows::useq_head(conn, user)?;
    if after.0 > head {
        return refused(Code::BeyondHead, "a cursor beyond the head of the user log");
    }
    let sql = "SELECT event FROM user_log WHERE user = ?1 AND useq > ?2 ORDER BY useq";
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = statement.query((db(user.0), db(after.0)))?;
    let (mut events, mut left, mut to) = (Vec::new(), max_bytes, after.0);
    while let Some(row) = found.next()? {
        let bytes: Vec<u8> = row.get(0)?;
        let size = bytes.len() + EVENT_OVERHEAD;
        if size > left && !events.is_empty() {
            break;
        }
        left = left.saturating_sub(size);
        // Conversation 0 does not exist: this is the user's own log.
        let damaged = StoreError::DamagedEvent { conv: 0, seq: to.saturating_add(1) };
        let event = im::UserEvent::decode(bytes.as_slice()).map_err(|_| damaged)?;
        to = event.useq;
        events.push(event);
    }
    Ok((Useq(to), events))
}
