//! Appending an event: find a retry, load what the rules want to know, let them decide, write.

use aws_lc_rs::digest;
use bytes::Bytes;
use convene_accounts::webhook::Kinds;
use convene_im_core::model::{Member, Target};
use convene_im_core::rules::{self, Actor, BlobFact, Context, Decision, Effects, MemberEffect};
use convene_proto::im::{self, Code, user_event};
use convene_types::{ClientId, ConvId, Ordinal, OrgId, Seq, UserId};
use prost::Message as _;
use rusqlite::OptionalExtension as _;

use super::Work;
use super::webhooks::Waits;
use crate::error::{Fault, StoreError, refused, unknown_conversation};
use crate::ops::{Appended, UserPush};
use crate::rows::{self, MAX_USER_LOG, MemberRow, db};
use crate::told;

/// Bytes of SHA-256 that tell one payload from another. 16: nobody finds two by trying.
const HASH_BYTES: usize = 16;
/// How often a user's log is trimmed, in entries of theirs.
const TRIM_EVERY: u64 = 1_000;
/// Entries that go at once: what an earlier release has kept goes in the course of time, and holds nobody up.
const MAX_TRIMMED: u64 = 2 * TRIM_EVERY;

pub(super) type Hash = [u8; HASH_BYTES];

/// The envelope of a body.
pub(super) struct Request {
    pub(super) org: OrgId,
    pub(super) actor: UserId,
    pub(super) client_id: ClientId,
    pub(super) conv: ConvId,
}

/// What to write into a log.
pub(super) struct Entry {
    pub(super) conv: ConvId,
    pub(super) sender: UserId,
    pub(super) client_id: ClientId,
    pub(super) decision: Decision,
}

impl Work<'_> {
    pub(super) fn append(&mut self, request: Request, mut body: im::Body) -> Result<Appended, Fault> {
        let needs = rules::check(&body)?;
        let hash = hash_of(b"append", request.conv.0, &rules::payload_hash_input(&body));
        if let Some((conv, seq)) = self.find_retry(request.actor, request.client_id, &hash)? {
            return Ok(self.appended_before(conv, seq)?);
        }
        let at_ms = self.check_conv(&request)?;
        let actor = self.actor(&request)?;
        let target = needs.target.map(|seq| self.target(request.conv, seq)).transpose()?.flatten();
        let users = self.users(&request, &needs.users)?;
        if actor.is_some() {
            let others = newcomers(&body, &users);
            self.check_meetings(request.org, request.actor, &others)?;
        }
        if !needs.blobs.is_empty() {
            let facts = self.blob_facts(&request, &needs.blobs)?;
            rules::settle_blobs(&mut body, &facts)?;
        }
        let conv = self.cache.conv(self.conn, request.conv)?.ok_or_else(unknown_conversation)?;
        let actor = actor.as_ref().map_or(Actor::Server, Actor::User);
        let context = Context {
            conv: &conv.conv,
            actor,
            target: target.as_ref(),
            users: &users,
            now_ms: at_ms,
            policy: self.policy,
        };
        let decision = rules::decide(&context, body)?;
        if let Some(erasure) = &decision.effects.erase {
            super::erase::check_size(erasure)?;
        }
        let Request { org, actor: sender, client_id, conv } = request;
        let is_message = told::is_message(&decision.body);
        let appended = self.write(Entry { conv, sender, client_id, decision })?;
        self.remember(sender, client_id, (conv, appended.seq), &hash)?;
        if is_message {
            self.enqueue(org, Kinds::MESSAGES, &Waits::Event(conv, appended.seq))?;
        }
        Ok(appended)
    }

    /// What this client id was used for before, if it was (I3).
    pub(super) fn find_retry(
        &mut self,
        sender: UserId,
        client_id: ClientId,
        hash: &Hash,
    ) -> Result<Option<(ConvId, Seq)>, Fault> {
        let sql = "SELECT conv, seq, hash FROM dedup WHERE sender = ?1 AND client_id = ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let read = |row: &rusqlite::Row<'_>| Ok((rows::num(row, 0)?, rows::num(row, 1)?, row.get::<_, Vec<u8>>(2)?));
        let found = statement.query_row((db(sender.0), client_id.0), read).optional()?;
        let Some((conv, seq, known)) = found else { return Ok(None) };
        // Empty: the content was erased, and nothing is left to compare with.
        if !known.is_empty() && known != hash {
            return refused(Code::Conflict, "this client id was used with other content");
        }
        Ok(Some((ConvId(conv), Seq(seq))))
    }

    pub(super) fn remember(
        &mut self,
        sender: UserId,
        client_id: ClientId,
        (conv, seq): (ConvId, Seq),
        hash: &Hash,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO dedup (sender, client_id, conv, seq, hash) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut statement = self.conn.prepare_cached(sql)?;
        statement.execute((db(sender.0), client_id.0, db(conv.0), db(seq.0), hash.as_slice()))?;
        Ok(())
    }

    fn appended_before(&mut self, conv: ConvId, seq: Seq) -> Result<Appended, StoreError> {
        // A client id of a Create names no event: the first one stands for it.
        let seq = seq.max(Seq(1));
        let event = rows::load_event(self.conn, conv, seq)?;
        let event = event.ok_or(StoreError::DamagedEvent { conv: conv.0, seq: seq.0 })?;
        Ok(Appended { conv, seq, ord: Ordinal(event.ord), at_ms: event.at_ms, duplicate: true, ..Appended::default() })
    }

    /// The conversation is there for this organisation. Answers the time of the next event: it does not fall along a log,
    /// whatever the clock does.
    fn check_conv(&mut self, request: &Request) -> Result<i64, Fault> {
        let now_ms = self.now_ms;
        let row = self.cache.conv(self.conn, request.conv)?.filter(|row| row.conv.org == request.org);
        Ok(row.map(|row| now_ms.max(row.last_at_ms)).ok_or_else(unknown_conversation)?)
    }

    /// The actor's row; `None` for the server.
    fn actor(&mut self, request: &Request) -> Result<Option<Member>, Fault> {
        if request.actor == UserId(0) {
            return Ok(None);
        }
        let row = self.cache.member(self.conn, request.conv, request.actor)?;
        Ok(Some(row.ok_or_else(unknown_conversation)?.member.clone()))
    }

    fn target(&mut self, conv: ConvId, seq: Seq) -> Result<Option<Target>, StoreError> {
        let event = rows::load_event(self.conn, conv, seq)?;
        Ok(event.map(|event| {
            let kind = event.body.as_ref().map_or(0, rules::kind_number);
            Target { seq, sender: UserId(event.sender), at_ms: event.at_ms, kind }
        }))
    }

    fn users(&mut self, request: &Request, wanted: &[UserId]) -> Result<Vec<(UserId, Option<Member>)>, StoreError> {
        let mut found = Vec::with_capacity(wanted.len());
        for user in wanted {
            let row = self.cache.member(self.conn, request.conv, *user)?.map(|row| row.member.clone());
            if row.is_some() || self.is_in_org(request.org, *user)? {
                found.push((*user, row));
            }
        }
        Ok(found)
    }

    pub(super) fn is_in_org(&self, org: OrgId, user: UserId) -> Result<bool, StoreError> {
        // Whoever was removed from an organisation of people has a row in users still, and no seat.
        let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE id = ?1 AND org = ?2)
            AND (NOT EXISTS (SELECT 1 FROM companies WHERE org = ?2)
                OR EXISTS (SELECT 1 FROM seats WHERE user = ?1 AND org = ?2))";
        Ok(self.conn.prepare_cached(sql)?.query_row((db(user.0), db(org.0)), |row| row.get(0))?)
    }

    /// Those of the blobs that the sender may use.
    fn blob_facts(&mut self, request: &Request, wanted: &[Bytes]) -> Result<Vec<BlobFact>, StoreError> {
        self.cache.flush(self.conn)?;
        let mut facts = Vec::with_capacity(wanted.len());
        for id in wanted {
            let allowed = request.actor == UserId(0) || rows::may_use_blob(self.conn, request.org, request.actor, id)?;
            if let Some(row) = rows::load_blob(self.conn, request.org, id)?.filter(|_| allowed) {
                facts.push(BlobFact { blob: row.reference(), voice: row.facts.voice });
            }
        }
        Ok(facts)
    }

    /// Writes what was decided. Nothing here refuses.
    pub(super) fn write(&mut self, entry: Entry) -> Result<Appended, StoreError> {
        let Entry { conv, sender, client_id, decision: Decision { body, countable, effects } } = entry;
        let (now_ms, bump) = (self.now_ms, self.next_bump());
        let row = self.cache.conv(self.conn, conv)?.expect("loaded by whoever decided");
        let (head, head_ord) = (row.conv.head, row.conv.head_ord);
        let (org, at_ms) = (row.conv.org, rules::time_of(&body, now_ms, row.last_at_ms));
        let (seq, ord) = (head.next(), Ordinal(head_ord.0.saturating_add(u64::from(countable))));
        self.index(org, conv, seq, &body)?;
        let client_id = Bytes::copy_from_slice(&client_id.0);
        let event =
            im::Event { conv: conv.0, seq: seq.0, ord: ord.0, sender: sender.0, client_id, at_ms, body: Some(body) };
        let event = Bytes::from(event.encode_to_vec());
        let id = rows::event_id(conv, seq).ok_or(StoreError::NoPlace { conv: conv.0, seq: seq.0 })?;
        let sql = "INSERT INTO events (id, ord, event) VALUES (?1, ?2, ?3)";
        self.conn.prepare_cached(sql)?.execute((id, db(ord.0), event.as_ref()))?;
        self.cache.change_head(conv, |row| {
            (row.conv.head, row.conv.head_ord) = (seq, ord);
            (row.bump, row.last_at_ms) = (bump, at_ms);
        });
        let mut appended = Appended { conv, seq, ord, at_ms, event, ..Appended::default() };
        self.carry_out(effects, &mut appended, (head, head_ord))?;
        appended.sender_read = self.read_own(conv, sender, seq, ord)?;
        Ok(appended)
    }

    /// Remembers where blobs and edits are.
    fn index(&mut self, org: OrgId, conv: ConvId, seq: Seq, body: &im::Body) -> Result<(), StoreError> {
        if let Some(im::body::Kind::Edit(_)) = body.kind {
            let sql = "INSERT INTO edits (conv, target, seq) VALUES (?1, ?2, ?3)";
            self.conn.prepare_cached(sql)?.execute((db(conv.0), db(body.target), db(seq.0)))?;
        }
        if let Some(blob) = rows::blob_of(body) {
            let sql = "INSERT INTO blob_links (blob, conv, seq) VALUES (?1, ?2, ?3)";
            self.conn.prepare_cached(sql)?.execute((blob.as_ref(), db(conv.0), db(seq.0)))?;
            let sql = "UPDATE blobs SET refs = refs + 1 WHERE org = ?1 AND id = ?2";
            self.conn.prepare_cached(sql)?.execute((db(org.0), blob.as_ref()))?;
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        effects: Effects,
        appended: &mut Appended,
        before: (Seq, Ordinal),
    ) -> Result<(), StoreError> {
        if effects == Effects::default() {
            return Ok(());
        }
        appended.standing = changes_speech(&effects) || !effects.members.is_empty();
        let Effects { title, announcement, muted, dissolved, avatar, members, erase } = effects;
        self.cache.change_conv(appended.conv, |row| {
            let conv = &mut row.conv;
            conv.title = title.unwrap_or_else(|| std::mem::take(&mut conv.title));
            conv.announcement = announcement.unwrap_or_else(|| std::mem::take(&mut conv.announcement));
            conv.muted = muted.unwrap_or(conv.muted);
            conv.dissolved |= dissolved;
            conv.avatar = avatar.or_else(|| conv.avatar.take());
        });
        for effect in members {
            self.change_member(effect, appended, before)?;
        }
        if let Some(erasure) = erase {
            self.erase(appended.conv, &erasure, before.0)?;
        }
        Ok(())
    }

    fn change_member(
        &mut self,
        effect: MemberEffect,
        appended: &mut Appended,
        before: (Seq, Ordinal),
    ) -> Result<(), StoreError> {
        let (conv, seq) = (appended.conv, appended.seq);
        match effect {
            MemberEffect::Add { user, role, with_history } => {
                let (floor, floor_ord) = if with_history { (Seq(0), Ordinal(0)) } else { before };
                // What was said before they came is not unread, whether they may read it or not.
                let (read, read_ord) = before;
                let member = Member {
                    user,
                    role: Some(role),
                    floor,
                    floor_ord,
                    ceiling: None,
                    read,
                    read_ord,
                    muted_until_ms: 0,
                };
                self.cache.put_member(conv, MemberRow { member, joined: seq, changed: self.bump });
                self.count(conv, 1, i64::from(role == im::Role::Owner));
                appended.added.push((user, floor));
                let joined = im::Joined { conv: conv.0, floor: floor.0 };
                appended.pushes.push(self.log_for(user, user_event::Kind::Joined(joined))?);
            }
            MemberEffect::Remove { user } => {
                let held = self.update_member(conv, user, |member| {
                    member.ceiling = Some(seq);
                    member.role.take()
                })?;
                self.count(conv, -1, -i64::from(held.flatten() == Some(im::Role::Owner)));
                appended.removed.push(user);
                let left = im::Left { conv: conv.0, seq: seq.0 };
                appended.pushes.push(self.log_for(user, user_event::Kind::Left(left))?);
            }
            MemberEffect::Role { user, role } => {
                let held = self.update_member(conv, user, |member| member.role.replace(role))?.flatten();
                let owners = i64::from(role == im::Role::Owner) - i64::from(held == Some(im::Role::Owner));
                self.count(conv, 0, owners);
            }
            MemberEffect::Mute { user, until_ms } => {
                self.update_member(conv, user, |member| member.muted_until_ms = until_ms)?;
            }
        }
        Ok(())
    }

    /// Changes the row of one who is a member, as the rules have made sure. `None`: there is no row.
    fn update_member<T>(
        &mut self,
        conv: ConvId,
        user: UserId,
        change: impl FnOnce(&mut Member) -> T,
    ) -> Result<Option<T>, StoreError> {
        let Some(mut row) = self.cache.member(self.conn, conv, user)?.cloned() else { return Ok(None) };
        let result = change(&mut row.member);
        row.changed = self.bump;
        self.cache.put_member(conv, row);
        Ok(Some(result))
    }

    fn count(&mut self, conv: ConvId, members: i64, owners: i64) {
        let add = |count: u32, more: i64| u32::try_from(i64::from(count).saturating_add(more)).unwrap_or(0);
        self.cache.change_conv(conv, |row| {
            row.conv.members = add(row.conv.members, members);
            row.conv.owners = add(row.conv.owners, owners);
        });
    }

    /// Whoever says something has read what was said before. No entry in the user log: the event itself tells the
    /// sender's devices.
    fn read_own(&mut self, conv: ConvId, sender: UserId, seq: Seq, ord: Ordinal) -> Result<bool, StoreError> {
        if sender == UserId(0) {
            return Ok(false);
        }
        self.cache.set_read(self.conn, (conv, sender), (seq, ord))
    }

    /// Appends to a user's own log.
    pub(super) fn log_for(&mut self, user: UserId, kind: user_event::Kind) -> Result<UserPush, StoreError> {
        let useq = rows::useq_head(self.conn, user)?.saturating_add(1);
        let event = im::UserEvent { useq, at_ms: self.now_ms, kind: Some(kind) };
        let sql = "INSERT INTO user_log (user, useq, event) VALUES (?1, ?2, ?3)";
        self.conn.prepare_cached(sql)?.execute((db(user.0), db(useq), event.encode_to_vec()))?;
        if useq.is_multiple_of(TRIM_EVERY) {
            self.trim_log_of(user, useq)?;
        }
        Ok(UserPush { user, useq: convene_types::Useq(useq), event })
    }

    /// Takes away what nobody is sent any more.
    fn trim_log_of(&self, user: UserId, head: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM user_log WHERE user = ?1 AND useq <= min(?2,
            ?3 + (SELECT min(useq) FROM user_log WHERE user = ?1))";
        let key = (db(user.0), db(head.saturating_sub(MAX_USER_LOG)), db(MAX_TRIMMED));
        self.conn.prepare_cached(sql)?.execute(key)?;
        Ok(())
    }
}

/// Whom this would let in. Others have been in the conversation, and are known in it.
fn newcomers(body: &im::Body, users: &[(UserId, Option<Member>)]) -> Vec<UserId> {
    let Some(im::body::Kind::Members(change)) = &body.kind else { return Vec::new() };
    let strange = |user: &UserId| users.iter().any(|(known, row)| known == user && row.is_none());
    change.add.iter().map(|member| UserId(member.user)).filter(strange).collect()
}

/// Whether who may speak in the group is another question than before.
const fn changes_speech(effects: &Effects) -> bool {
    effects.dissolved || effects.muted.is_some()
}

/// Tells one payload from another. `what` keeps an append and a create apart.
pub(super) fn hash_of(what: &[u8], conv: u64, payload: &[u8]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(what);
    context.update(&conv.to_be_bytes());
    context.update(payload);
    let mut hash = [0; HASH_BYTES];
    let digest = context.finish();
    hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}
