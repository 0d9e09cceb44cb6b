//! How rows of the database become values, for the writer and the readers alike. Also the loads that both need.

mod accounts;
mod groups;
mod orgs;
mod place;
mod sight;
mod webhooks;

use bytes::Bytes;
use convene_im_core::model::{Conv, Member};
use convene_im_core::rules;
use convene_proto::im;
use convene_types::{ConvId, Ordinal, OrgId, Seq, UserId};
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::StoreError;
use crate::ops::{BlobFacts, BlobRow};

pub(crate) use accounts::{
    SESSION_COLUMNS, SESSION_WIDTH, account, account_by_lookup, accounts_after, challenge, session, session_from,
    sessions_of, usage_from,
};
pub(crate) use groups::{department_group, leavers, newcomers};
pub(crate) use orgs::{
    INVITATION, account_name, asked_from, audit_head_from, audit_record_from, company_exists, done_once, edit,
    edit_text, has_department, has_position, invitation_by_id, invitation_by_link, invitation_from, invitations_for,
    member, member_at, places_of, policy, policy_text, profile_text, request_from, seat, seat_of_user, seats_of, tree,
};
pub(crate) use place::{event_id, event_span, seq_of};
pub(crate) use sight::Sight;
pub(crate) use webhooks::{WEBHOOK, wanted_kinds, webhook_from, webhooks_of};

/// To the database's signed numbers. What a client names beyond them is beyond every head as well.
pub(crate) fn db(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// From the database's signed numbers, which are never negative where this is used.
pub(crate) fn num(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A small number: a count of members.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or(u32::MAX))
}

/// A conversation with what the rules do not look at.
#[derive(Clone, Debug)]
pub(crate) struct ConvRow {
    pub(crate) conv: Conv,
    /// The two of a direct conversation.
    pub(crate) pair: Option<(UserId, UserId)>,
    pub(crate) bump: u64,
    pub(crate) last_at_ms: i64,
    /// Retention has gone over the log up to here, ...
    pub(crate) swept: Seq,
    /// ... and took something last at this value of the bump.
    pub(crate) swept_bump: u64,
}

impl ConvRow {
    /// The other one of a direct conversation; 0 if there is none.
    pub(crate) fn peer_of(&self, user: UserId) -> u64 {
        self.pair.map_or(0, |(low, high)| if low == user { high.0 } else { low.0 })
    }
}

/// Order of what [`conv_from`] reads.
pub(crate) const CONV_COLUMNS: &str = "c.id, c.org, c.kind, c.low, c.high, c.head, c.head_ord, c.members, c.owners, \
     c.bump, c.last_at, c.muted, c.dissolved, c.title, c.announcement, c.avatar, c.swept, c.swept_bump";
/// How many those are.
pub(crate) const CONV_WIDTH: usize = 18;

pub(crate) fn conv_from(row: &Row<'_>) -> rusqlite::Result<ConvRow> {
    let pair = match (row.get::<_, Option<i64>>(3)?, row.get::<_, Option<i64>>(4)?) {
        (Some(_), Some(_)) => Some((UserId(num(row, 3)?), UserId(num(row, 4)?))),
        (None, _) | (_, None) => None,
    };
    let avatar = row.get::<_, Option<Vec<u8>>>(15)?.and_then(|bytes| im::BlobRef::decode(bytes.as_slice()).ok());
    let conv = Conv {
        id: ConvId(num(row, 0)?),
        org: OrgId(num(row, 1)?),
        kind: im::ConversationKind::try_from(row.get::<_, i32>(2)?).unwrap_or_default(),
        title: row.get(13)?,
        announcement: row.get(14)?,
        muted: row.get(11)?,
        dissolved: row.get(12)?,
        avatar,
        head: Seq(num(row, 5)?),
        head_ord: Ordinal(num(row, 6)?),
        members: count(row, 7)?,
        owners: count(row, 8)?,
    };
    let (swept, swept_bump) = (Seq(num(row, 16)?), num(row, 17)?);
    Ok(ConvRow { conv, pair, bump: num(row, 9)?, last_at_ms: row.get(10)?, swept, swept_bump })
}

/// A member with what the rules do not look at.
#[derive(Clone, Debug)]
pub(crate) struct MemberRow {
    pub(crate) member: Member,
    /// The event that let them in.
    pub(crate) joined: Seq,
    /// Value of the bump when they came, went or got another role.
    pub(crate) changed: u64,
}

/// Order of what [`member_from`] reads.
pub(crate) const MEMBER_COLUMNS: &str =
    "m.user, m.role, m.joined, m.floor, m.floor_ord, m.ceiling, m.read, m.read_ord, m.muted_until, m.changed";

/// Reads [`MEMBER_COLUMNS`] that begin at column `at`.
pub(crate) fn member_from(row: &Row<'_>, at: usize) -> rusqlite::Result<MemberRow> {
    let role = im::Role::try_from(row.get::<_, i32>(at + 1)?).unwrap_or_default();
    let ceiling = row.get::<_, Option<i64>>(at + 5)?.map(|seq| Seq(u64::try_from(seq).unwrap_or(0)));
    let member = Member {
        user: UserId(num(row, at)?),
        role: (role != im::Role::Unspecified).then_some(role),
        floor: Seq(num(row, at + 3)?),
        floor_ord: Ordinal(num(row, at + 4)?),
        ceiling,
        read: Seq(num(row, at + 6)?),
        read_ord: Ordinal(num(row, at + 7)?),
        muted_until_ms: row.get(at + 8)?,
    };
    Ok(MemberRow { member, joined: Seq(num(row, at + 2)?), changed: num(row, at + 9)? })
}

pub(crate) fn load_conv(conn: &Connection, conv: ConvId) -> Result<Option<ConvRow>, StoreError> {
    let sql = const_format(CONV_COLUMNS, "FROM conversations c WHERE c.id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([db(conv.0)], conv_from).optional()?)
}

pub(crate) fn load_member(conn: &Connection, conv: ConvId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
    let sql = const_format(MEMBER_COLUMNS, "FROM members m WHERE m.conv = ?1 AND m.user = ?2");
    Ok(conn.prepare_cached(&sql)?.query_row([db(conv.0), db(user.0)], |row| member_from(row, 0)).optional()?)
}

pub(crate) fn const_format(columns: &str, rest: &str) -> String {
    format!("SELECT {columns} {rest}")
}

/// The encoded event.
pub(crate) fn load_event_bytes(conn: &Connection, conv: ConvId, seq: Seq) -> Result<Option<Bytes>, StoreError> {
    let Some(id) = event_id(conv, seq) else { return Ok(None) };
    let mut statement = conn.prepare_cached("SELECT event FROM events WHERE id = ?1")?;
    let bytes: Option<Vec<u8>> = statement.query_row([id], |row| row.get(0)).optional()?;
    Ok(bytes.map(Bytes::from))
}

pub(crate) fn load_event(conn: &Connection, conv: ConvId, seq: Seq) -> Result<Option<im::Event>, StoreError> {
    load_event_bytes(conn, conv, seq)?.map(|bytes| decode_event(bytes, conv, seq)).transpose()
}

pub(crate) fn decode_event(bytes: Bytes, conv: ConvId, seq: Seq) -> Result<im::Event, StoreError> {
    im::Event::decode(bytes).map_err(|_| StoreError::DamagedEvent { conv: conv.0, seq: seq.0 })
}

/// Countable ordinal at a seq of the log; 0 before its begin.
pub(crate) fn ord_at(conn: &Connection, conv: ConvId, seq: Seq) -> Result<Ordinal, StoreError> {
    if seq == Seq(0) {
        return Ok(Ordinal(0));
    }
    let mut statement = conn.prepare_cached("SELECT ord FROM events WHERE id = ?1")?;
    let ord = statement.query_row([event_id(conv, seq)], |row| num(row, 0)).optional()?;
    // The log is dense (I1): a seq up to the head that is not there was lost with the disk.
    ord.map(Ordinal).ok_or(StoreError::DamagedEvent { conv: conv.0, seq: seq.0 })
}

/// Order of what [`user_from`] reads: of `users u`, with the picture that their organisation shows.
pub(crate) const USER_COLUMNS: &str = "u.id, u.name, u.display_name, \
     (SELECT json_extract(s.profile, '$.avatar') FROM seats s WHERE s.user = u.id)";

pub(crate) fn load_user(conn: &Connection, user: UserId) -> Result<Option<(OrgId, im::User)>, StoreError> {
    let sql = format!("SELECT u.org, {USER_COLUMNS} FROM users u WHERE u.id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    Ok(statement.query_row([db(user.0)], |row| Ok((OrgId(num(row, 0)?), user_from(row, 1)?))).optional()?)
}

/// Reads [`USER_COLUMNS`] that begin at column `at`.
pub(crate) fn user_from(row: &Row<'_>, at: usize) -> rusqlite::Result<im::User> {
    let picture = row.get::<_, Option<String>>(at + 3)?.and_then(|name| from_hex(&name)).unwrap_or_default();
    Ok(im::User { id: num(row, at)?, name: row.get(at + 1)?, display_name: row.get(at + 2)?, picture })
}

/// A hash by its name. Anything else names no picture.
fn from_hex(name: &str) -> Option<Bytes> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    name.as_bytes().chunks(2).map(pair).collect()
}

/// Entries of a user's own log that are kept: weeks of a person's. Whoever is further behind starts over. More of them are
/// more to read at once when somebody comes back.
pub(crate) const MAX_USER_LOG: u64 = 10_000;

/// Last entry of a user's log.
pub(crate) fn useq_head(conn: &Connection, user: UserId) -> Result<u64, StoreError> {
    let mut statement = conn.prepare_cached("SELECT ifnull(max(useq), 0) FROM user_log WHERE user = ?1")?;
    Ok(statement.query_row([db(user.0)], |row| num(row, 0))?)
}

pub(crate) fn load_bump(conn: &Connection) -> Result<u64, StoreError> {
    Ok(conn.prepare_cached("SELECT value FROM bump")?.query_row([], |row| num(row, 0))?)
}

pub(crate) fn load_settings(conn: &Connection, user: UserId, conv: ConvId) -> Result<im::Settings, StoreError> {
    let mut statement = conn.prepare_cached("SELECT settings FROM settings WHERE user = ?1 AND conv = ?2")?;
    let bytes: Option<Vec<u8>> = statement.query_row([db(user.0), db(conv.0)], |row| row.get(0)).optional()?;
    let stored = bytes.and_then(|bytes| im::Settings::decode(bytes.as_slice()).ok());
    Ok(stored.unwrap_or_else(|| im::Settings { conv: conv.0, ..im::Settings::default() }))
}

pub(crate) fn load_blob(conn: &Connection, org: OrgId, id: &[u8]) -> Result<Option<BlobRow>, StoreError> {
    let sql = "SELECT id, size, mime, voice, object FROM blobs WHERE org = ?1 AND id = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        let voice: Option<Vec<u8>> = row.get(3)?;
        let voice = voice.and_then(|bytes| im::Voice::decode(bytes.as_slice()).ok());
        let facts = BlobFacts { id: row.get(0)?, size: num(row, 1)?, mime: row.get(2)?, voice };
        Ok(BlobRow { facts, key: row.get(4)? })
    };
    Ok(statement.query_row((db(org.0), id), read).optional()?)
}

/// Whether a user may read a blob through anything: having uploaded it, or an event they see.
pub(crate) fn may_use_blob(conn: &Connection, org: OrgId, user: UserId, id: &[u8]) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM blob_owners WHERE org = ?1 AND blob = ?3 AND user = ?2) OR EXISTS (
        SELECT 1 FROM blob_links l
        JOIN members m ON m.conv = l.conv AND m.user = ?2
        JOIN conversations c ON c.id = l.conv AND c.org = ?1
        WHERE l.blob = ?3 AND l.seq > m.floor AND (m.ceiling IS NULL OR l.seq <= m.ceiling))";
    Ok(conn.prepare_cached(sql)?.query_row((db(org.0), db(user.0), id), |row| row.get(0))?)
}

/// The blob that a body carries, if it carries one. The rules know which kinds do.
pub(crate) fn blob_of(body: &im::Body) -> Option<Bytes> {
    rules::check(body).ok()?.blobs.into_iter().next()
}
