//! How a conversation stands for the user: title, role, counts, cursors. Registers, set by a sync or by an event.

use convene_proto::im::{self, ConversationKind, Role, body::Kind};
use convene_types::{Seq, UserId};

use crate::rules::is_countable;

/// Do not disturb, for ever.
const FOR_EVER_MS: i64 = -1;

/// The registers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Direct or group.
    pub kind: ConversationKind,
    /// Of a group.
    pub title: String,
    /// Of a group.
    pub announcement: String,
    /// Only admins may send messages.
    pub muted: bool,
    /// It can be read, not written.
    pub dissolved: bool,
    /// The user's role; unspecified: no member any more.
    pub role: Role,
    /// How many members there are.
    pub member_count: u32,
    /// Of a direct conversation: the other one.
    pub peer: UserId,
    /// Time of the newest event.
    pub at_ms: i64,
    /// Newest event there is for this user.
    pub head: Seq,
    /// Countable events up to the head.
    pub head_ord: u64,
    /// Events up to this one are hidden.
    pub floor: Seq,
    /// Countable events up to the floor.
    pub floor_ord: u64,
    /// Read up to here.
    pub read: Seq,
    /// Countable events up to the read cursor.
    pub read_ord: u64,
    /// The user's own settings.
    pub settings: im::Settings,
}

impl State {
    /// Unread messages, exactly: no event has to be known for it.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.head_ord.saturating_sub(self.read_ord.max(self.floor_ord))
    }

    /// The user does not want to be disturbed by it.
    #[must_use]
    pub fn is_quiet(&self, now_ms: i64) -> bool {
        self.settings.muted_until_ms.is_some_and(|until| until == FOR_EVER_MS || until > now_ms)
    }

    /// From what a sync says. Personal cursors merge, the rest is taken over.
    pub(super) fn take(&mut self, delta: &im::ConversationDelta) {
        self.kind = delta.kind();
        self.title.clone_from(&delta.title);
        self.announcement.clone_from(&delta.announcement);
        (self.muted, self.dissolved) = (delta.muted, delta.dissolved);
        (self.role, self.member_count) = (delta.role(), delta.member_count);
        (self.peer, self.at_ms) = (UserId(delta.peer), delta.at_ms);
        self.raise_head(Seq(delta.head), delta.head_ord);
    }

    /// From what the shell has kept.
    pub(super) fn restore(&mut self, row: im::ConversationDelta) {
        self.take(&row);
        (self.floor, self.floor_ord) = (Seq(row.floor), row.floor_ord);
        (self.read, self.read_ord) = (Seq(row.read_seq), row.read_ord);
        self.settings = row.settings.unwrap_or_default();
    }

    /// What the shell keeps.
    pub(super) fn to_delta(&self, conv: u64) -> im::ConversationDelta {
        im::ConversationDelta {
            conv,
            kind: self.kind.into(),
            title: self.title.clone(),
            head: self.head.0,
            head_ord: self.head_ord,
            floor: self.floor.0,
            floor_ord: self.floor_ord,
            read_seq: self.read.0,
            read_ord: self.read_ord,
            role: self.role.into(),
            member_count: self.member_count,
            settings: Some(self.settings.clone()),
            at_ms: self.at_ms,
            peer: self.peer.0,
            dissolved: self.dissolved,
            announcement: self.announcement.clone(),
            muted: self.muted,
            ..im::ConversationDelta::default()
        }
    }

    /// The head only rises.
    pub(super) fn raise_head(&mut self, head: Seq, ord: u64) {
        if head > self.head {
            self.head = head;
            self.head_ord = self.head_ord.max(ord);
        }
    }

    /// The read cursor only rises, and so merges by maximum. One that came with a push of joining had no ordinal.
    pub(super) fn raise_read(&mut self, read: Seq, ord: u64) {
        if read >= self.read {
            self.read = read;
            self.read_ord = self.read_ord.max(ord);
            // What was read is there, even if its push has not come.
            self.raise_head(read, ord);
        }
    }

    /// The event behind all those taken in so far.
    pub(super) fn apply(&mut self, me: UserId, event: &im::Event) {
        let Some(body) = &event.body else { return };
        self.at_ms = event.at_ms;
        match &body.kind {
            Some(Kind::Members(change)) => self.members(me, change),
            Some(Kind::Group(change)) => self.group(change),
            Some(
                Kind::Mute(_)
                | Kind::Text(_)
                | Kind::Voice(_)
                | Kind::Image(_)
                | Kind::File(_)
                | Kind::Location(_)
                | Kind::Card(_)
                | Kind::Custom(_)
                | Kind::Edit(_)
                | Kind::Recall(_)
                | Kind::React(_)
                | Kind::Pin(_)
                | Kind::Call(_)
                | Kind::Erase(_)
                | Kind::Tombstone(_),
            )
            | None => {}
        }
    }

    /// The event right above the floor tells the ordinal there.
    pub(super) fn note_floor(&mut self, event: &im::Event) {
        if self.floor != Seq(0) && event.seq == self.floor.next().0 {
            let counts = event.body.as_ref().is_some_and(is_countable);
            self.floor_ord = self.floor_ord.max(event.ord.saturating_sub(u64::from(counts)));
        }
    }

    fn members(&mut self, me: UserId, change: &im::MemberChange) {
        let (added, removed) = (change.add.len(), change.remove.len());
        let count = (self.member_count as usize + added).saturating_sub(removed);
        self.member_count = u32::try_from(count).unwrap_or(u32::MAX);
        if change.remove.contains(&me.0) {
            self.role = Role::Unspecified;
        }
        if let Some(entry) = change.add.iter().chain(&change.role).find(|entry| entry.user == me.0) {
            self.role = entry.role();
        }
    }

    fn group(&mut self, change: &im::GroupChange) {
        if let Some(title) = &change.title {
            self.title.clone_from(title);
        }
        if let Some(announcement) = &change.announcement {
            self.announcement.clone_from(announcement);
        }
        self.muted = change.muted.unwrap_or(self.muted);
        self.dissolved |= change.dissolved.unwrap_or(false);
    }

    /// Fields that are absent do not change.
    pub(super) fn set(&mut self, settings: im::Settings) {
        let own = &mut self.settings;
        own.conv = settings.conv;
        own.muted_until_ms = settings.muted_until_ms.or(own.muted_until_ms);
        own.pinned = settings.pinned.or(own.pinned);
        own.hidden = settings.hidden.or(own.hidden);
        own.draft = settings.draft.or(own.draft.take());
    }
}
