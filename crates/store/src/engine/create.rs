//! Making conversations. A direct one of two users is made once, and found again.

use convene_im_core::model::Conv;
use convene_im_core::rules::{self, Decision, Effects, MemberEffect};
use convene_proto::im::{self, Code, ConversationKind};
use convene_types::{ClientId, ConvId, OrgId, Seq, UserId};
use prost::Message as _;
use rusqlite::OptionalExtension as _;

use super::Work;
use super::append::{Entry, hash_of};
use crate::error::{Fault, StoreError, refused};
use crate::ops::Outcome;
use crate::rows::{self, Sight, db};

pub(super) struct Request {
    pub(super) org: OrgId,
    pub(super) maker: UserId,
    pub(super) client_id: ClientId,
    pub(super) kind: ConversationKind,
    pub(super) title: String,
    pub(super) members: Vec<UserId>,
}

impl Work<'_> {
    pub(super) fn create(&mut self, request: Request) -> Result<Outcome, Fault> {
        let Request { org, maker, client_id, kind, title, members } = request;
        let others = rules::check_create(maker, kind, &title, &members, self.policy)?;
        let body = rules::founding(maker, kind, &others);
        let hash = hash_of(title.as_bytes(), 0, &body.encode_to_vec());
        if let Some((conv, _)) = self.find_retry(maker, client_id, &hash)? {
            return Ok(Outcome::Created { conv, duplicate: true, events: Vec::new() });
        }
        for user in std::iter::once(&maker).chain(&others) {
            if !self.is_in_org(org, *user)? {
                return refused(Code::UnknownUser, format!("user {user} is not there"));
            }
        }
        self.check_meetings(org, maker, &others)?;
        let pair = match (kind, others.first()) {
            (ConversationKind::Direct, Some(other)) => Some((maker.min(*other), maker.max(*other))),
            (ConversationKind::Direct | ConversationKind::Group | ConversationKind::Unspecified, _) => None,
        };
        if let Some(conv) = pair.map(|pair| self.find_direct(org, pair)).transpose()?.flatten() {
            self.remember(maker, client_id, (conv, Seq(0)), &hash)?;
            return Ok(Outcome::Created { conv, duplicate: true, events: Vec::new() });
        }
        let conv = self.insert_conv(&Conv { org, kind, title, ..Conv::default() }, pair)?;
        let effects = Effects { members: founders(&body), ..Effects::default() };
        let decision = Decision { countable: rules::is_countable(&body), body, effects };
        let first = self.write(Entry { conv, sender: maker, client_id, decision })?;
        self.remember(maker, client_id, (conv, Seq(0)), &hash)?;
        Ok(Outcome::Created { conv, duplicate: false, events: vec![first] })
    }

    /// Whoever is hidden from somebody in the directory is not written to by them either, nor put into a group, unless they
    /// have written to each other before.
    pub(super) fn check_meetings(&self, org: OrgId, user: UserId, others: &[UserId]) -> Result<(), Fault> {
        if others.is_empty() {
            return Ok(()); // as nearly always: a message lets nobody in
        }
        let Some(sight) = Sight::of(self.conn, org, user)? else { return Ok(()) };
        for other in others {
            let pair = (user.min(*other), user.max(*other));
            if !sight.sees(*other)? && self.find_direct(org, pair)?.is_none() {
                return refused(Code::UnknownUser, format!("user {other} is not there"));
            }
        }
        Ok(())
    }

    fn find_direct(&self, org: OrgId, (low, high): (UserId, UserId)) -> Result<Option<ConvId>, StoreError> {
        let sql = "SELECT id FROM conversations WHERE org = ?1 AND low = ?2 AND high = ?3";
        let mut statement = self.conn.prepare_cached(sql)?;
        let found = statement.query_row((db(org.0), db(low.0), db(high.0)), |row| rows::num(row, 0)).optional()?;
        Ok(found.map(ConvId))
    }

    /// An empty log. It is in the cache afterwards.
    fn insert_conv(&mut self, conv: &Conv, pair: Option<(UserId, UserId)>) -> Result<ConvId, StoreError> {
        let sql = "INSERT INTO conversations (org, kind, low, high, head, head_ord, members, owners, bump, last_at,
            muted, dissolved, title, announcement) VALUES (?1, ?2, ?3, ?4, 0, 0, 0, 0, 0, 0, 0, 0, ?5, '') RETURNING id";
        let (low, high) = (pair.map(|(low, _)| db(low.0)), pair.map(|(_, high)| db(high.0)));
        let row = (db(conv.org.0), conv.kind as i32, low, high, &conv.title);
        let id = ConvId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?);
        self.cache.conv(self.conn, id)?;
        Ok(id)
    }
}

/// Those the first event lets in.
fn founders(body: &im::Body) -> Vec<MemberEffect> {
    let Some(im::body::Kind::Members(change)) = &body.kind else { return Vec::new() };
    let add = |member: &im::Member| MemberEffect::Add {
        user: UserId(member.user),
        role: member.role(),
        with_history: member.with_history,
    };
    change.add.iter().map(add).collect()
}
