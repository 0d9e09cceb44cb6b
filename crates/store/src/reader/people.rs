//! Members, receipts, users.

use convene_proto::im::{self, Code};
use convene_proto::limits::MAX_FOUND_USERS;
use convene_types::{ConvId, Seq, UserId};
use rusqlite::{Connection, OptionalExtension as _};

use super::visible::seen;
use crate::error::{Fault, StoreError, refused};
use crate::rows::{self, MEMBER_COLUMNS, Sight, USER_COLUMNS, db};

const DEFAULT_PAGE: u32 = 200;
const MAX_PAGE: u32 = 1_000;

pub(super) fn members(conn: &Connection, conv: ConvId) -> Result<Vec<(UserId, Seq)>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT user, floor FROM members WHERE conv = ?1 AND role > 0")?;
    let found = statement.query_map([db(conv.0)], |row| Ok((UserId(rows::num(row, 0)?), Seq(rows::num(row, 1)?))))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn conversations_of(conn: &Connection, user: UserId) -> Result<Vec<ConvId>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT conv FROM members WHERE user = ?1 AND role > 0")?;
    let found = statement.query_map([db(user.0)], |row| rows::num(row, 0).map(ConvId))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn get_members(conn: &Connection, user: UserId, request: &im::GetMembers) -> Result<im::MembersPage, Fault> {
    let seen = seen(conn, user, ConvId(request.conv))?.present()?;
    let limit = page(if request.limit == 0 { DEFAULT_PAGE } else { request.limit });
    let sql = format!(
        "SELECT {MEMBER_COLUMNS} FROM members m WHERE m.conv = ?1 AND m.user > ?2 AND m.role > 0
         ORDER BY m.user LIMIT ?3"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    // One more than asked for tells whether there are more.
    let key = (db(request.conv), db(request.after), limit.saturating_add(1));
    let found = statement.query_map(key, |row| rows::member_from(row, 0))?;
    let mut members = found.map(|row| row.map(|row| wire(&row.member))).collect::<Result<Vec<_>, _>>()?;
    let more = cut(&mut members, limit);
    Ok(im::MembersPage { conv: request.conv, members, more, total: seen.row.conv.members })
}

fn wire(member: &convene_im_core::model::Member) -> im::Member {
    im::Member {
        user: member.user.0,
        role: member.role.unwrap_or_default().into(),
        with_history: false,
        read_seq: member.read.0,
        muted_until_ms: member.muted_until_ms,
    }
}

fn page(limit: u32) -> u32 {
    limit.min(MAX_PAGE)
}

/// Takes off what is beyond the page; answers whether there was any.
fn cut<T>(found: &mut Vec<T>, limit: u32) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    more
}

/// Counts present members who were there when the event was written: somebody who came later and finds it in the history
/// is no reader it was meant for. The rows of a conversation lie side by side, so counting 100,000 takes some 10 ms.
pub(super) fn receipts(conn: &Connection, user: UserId, request: &im::GetReceipts) -> Result<im::Receipts, Fault> {
    let seen = seen(conn, user, ConvId(request.conv))?.present()?;
    if request.seq > seen.head.0 {
        return refused(Code::BeyondHead, "beyond the head");
    }
    if !seen.sees(Seq(request.seq)) {
        return refused(Code::BadTarget, "no such event");
    }
    let event = rows::load_event(conn, seen.conv(), Seq(request.seq))?;
    let sender = event.map_or(0, |event| event.sender);
    let sql = "SELECT count(*), count(*) FILTER (WHERE read >= ?2) FROM members
        WHERE conv = ?1 AND role > 0 AND joined <= ?2 AND user != ?3";
    let key = (db(request.conv), db(request.seq), db(sender));
    let (members, readers) =
        conn.prepare_cached(sql)?.query_row(key, |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))?;
    let (users, more) = if request.limit == 0 { (Vec::new(), false) } else { readers_page(conn, request, sender)? };
    Ok(im::Receipts { conv: request.conv, seq: request.seq, members, readers, users, more })
}

fn readers_page(conn: &Connection, request: &im::GetReceipts, sender: u64) -> Result<(Vec<u64>, bool), StoreError> {
    let limit = page(request.limit);
    let sql = "SELECT user FROM members
        WHERE conv = ?1 AND role > 0 AND joined <= ?2 AND user != ?3 AND user > ?4 AND (read >= ?2) != ?5
        ORDER BY user LIMIT ?6";
    let key =
        (db(request.conv), db(request.seq), db(sender), db(request.after), request.unread, limit.saturating_add(1));
    let mut statement = conn.prepare_cached(sql)?;
    let mut users = statement.query_map(key, |row| rows::num(row, 0))?.collect::<Result<Vec<_>, _>>()?;
    let more = cut(&mut users, limit);
    Ok((users, more))
}

pub(super) fn find_users(conn: &Connection, user: UserId, request: &im::FindUsers) -> Result<im::Users, Fault> {
    let wanted = request.ids.len() + request.names.len();
    if wanted > MAX_FOUND_USERS {
        return refused(Code::TooLong, format!("{wanted} users, at most {MAX_FOUND_USERS}"));
    }
    let Some((org, _)) = rows::load_user(conn, user)? else {
        return refused(Code::UnknownUser, "the asking user is not there");
    };
    let mut users = Vec::with_capacity(wanted);
    let of = |field: &str| format!("SELECT {USER_COLUMNS} FROM users u WHERE u.org = ?1 AND u.{field} = ?2");
    let mut by_id = conn.prepare_cached(&of("id"))?;
    for id in &request.ids {
        users.extend(by_id.query_row((db(org.0), db(*id)), |row| rows::user_from(row, 0)).optional()?);
    }
    let mut by_name = conn.prepare_cached(&of("name"))?;
    for name in &request.names {
        users.extend(by_name.query_row((db(org.0), name), |row| rows::user_from(row, 0)).optional()?);
    }
    users.sort_by_key(|user| user.id);
    users.dedup_by_key(|user| user.id);
    if let Some(sight) = Sight::of(conn, org, user)? {
        users = shown(&sight, users)?;
    }
    Ok(im::Users { users })
}

/// Without those who are hidden.
fn shown(sight: &Sight<'_>, users: Vec<im::User>) -> Result<Vec<im::User>, StoreError> {
    let mut shown = Vec::with_capacity(users.len());
    for user in users {
        if sight.finds(UserId(user.id))? {
            shown.push(user);
        }
    }
    Ok(shown)
}
