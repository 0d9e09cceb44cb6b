//! The seats in rooms of people that somebody sits in, by room and identity, and what each room was told last of its holder.
//!
//! Not here: what a seat lets its holder do, and when that is looked at ([`super::judge`], [`super::follow`]).
//!
//! Invariant: only who holds the lock of [`Told`] changes what somebody in a room may send by their seat.

use std::collections::HashMap;
use std::sync::Arc;

use convene_calls::Device;
use convene_types::{ConvId, SessionId, UserId};
use parking_lot::Mutex;

use super::{now_ms, unhex};
use crate::rooms::{Error, Joined, Mode, ParticipantId, Permission, RoomHandle, Speech};
use crate::token::Seat;

/// A room, and an identity in it.
pub(super) type Key = (String, String);

/// A seat that somebody sits in.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) seat: Seat,
    pub(super) by: Device,
    pub(super) sitter: Sitter,
    /// Milliseconds since 1970 when it was last let in.
    at_ms: i64,
    /// Milliseconds since 1970 when its holder may speak, while they may not and nothing else happens.
    silent_until_ms: Option<i64>,
    /// When to look again, as the store did not answer.
    again_ms: Option<i64>,
    told: Arc<tokio::sync::Mutex<Told>>,
}

impl Held {
    /// When to look at it again, if nothing happens before.
    fn due_ms(&self) -> Option<i64> {
        self.silent_until_ms.into_iter().chain(self.again_ms).min()
    }
}

/// Who sits there, as the room knows them.
#[derive(Clone, Debug)]
pub(super) struct Sitter {
    pub(super) id: ParticipantId,
    /// Another one for each join; a resume keeps it.
    pub(super) sid: String,
    pub(super) mode: Mode,
    /// What they might send as they came in.
    speech: Speech,
}

impl Sitter {
    pub(super) fn of(joined: &Joined) -> Self {
        let speech = speech_of(&joined.info.permission);
        Self { id: joined.participant, sid: joined.info.sid.clone(), mode: joined.mode, speech }
    }
}

/// What somebody may send by what they may do.
pub(super) const fn speech_of(permission: &Permission) -> Speech {
    Speech { media: permission.can_publish, data: permission.can_publish_data }
}

/// What a room was told last of who sits in a seat. Locked while somebody looks at the seat and tells the room, so that what
/// was read first is told first.
#[derive(Debug, Default)]
pub(super) struct Told {
    sid: String,
    /// `None`: the room was told, and has not said that it knows.
    speech: Option<Speech>,
}

impl Told {
    /// Tells the room what its holder may send, unless it knows. All else that it lets them do stays as it is.
    pub(super) async fn tell(&mut self, room: &RoomHandle, sitter: &Sitter, speech: Speech) -> Result<(), Error> {
        if self.sid != sitter.sid {
            *self = Self { sid: sitter.sid.clone(), speech: Some(sitter.speech) };
        }
        if self.speech == Some(speech) {
            return Ok(());
        }
        self.speech = None;
        room.set_speech(sitter.id, speech).await?;
        self.speech = Some(speech);
        Ok(())
    }
}

/// Which seats to look at again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    Login(SessionId),
    User(UserId),
    Conversation(ConvId),
    Everybody,
    /// Those that are due at this time, in milliseconds since 1970.
    Due(i64),
}

/// After how long a seat is looked at again of which the store knew nothing. Somebody who was removed meanwhile is there for
/// so long after it answers again; a store that is busy is asked no more often.
const AGAIN_MS: i64 = 5_000;
/// How long a seat that was let in stays known while its room is not open.
const UNUSED_MS: i64 = 60_000;

/// See the module. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<Key, Held>>>);

impl Seats {
    /// Somebody sits there from here on. What the room was told stays known, also of who sat there before.
    pub(super) fn take(&self, key: &Key, seat: Seat, by: Device, sitter: Sitter) {
        let mut all = self.0.lock();
        let told = all.get(key).map(|held| Arc::clone(&held.told)).unwrap_or_default();
        let held = Held { seat, by, sitter, at_ms: now_ms(), silent_until_ms: None, again_ms: None, told };
        all.insert(key.clone(), held);
    }

    pub(super) fn get(&self, key: &Key) -> Option<Held> {
        self.0.lock().get(key).cloned()
    }

    pub(super) fn told(&self, key: &Key) -> Option<Arc<tokio::sync::Mutex<Told>>> {
        self.0.lock().get(key).map(|held| Arc::clone(&held.told))
    }

    /// The seats of these.
    pub(super) fn of(&self, whose: Whose) -> Vec<(Key, Held)> {
        let is_meant = |held: &Held| match whose {
            Whose::Login(session) => unhex(&held.seat.login) == Some(session.0),
            Whose::User(user) => held.by.user == user,
            Whose::Conversation(conv) => held.seat.conv == conv.0,
            Whose::Everybody => true,
            Whose::Due(now_ms) => held.due_ms().is_some_and(|due| due <= now_ms),
        };
        let held = self.0.lock();
        held.iter().filter(|(_, held)| is_meant(held)).map(|(key, held)| (key.clone(), held.clone())).collect()
    }

    /// It was looked at, and is again at this time if nothing happens before.
    pub(super) fn looked_at(&self, key: &Key, sid: &str, silent_until_ms: Option<i64>) {
        if let Some(held) = self.0.lock().get_mut(key).filter(|held| held.sitter.sid == sid) {
            (held.silent_until_ms, held.again_ms) = (silent_until_ms, None);
        }
    }

    /// Nobody knows at this moment what the holder of a seat may do: it stays as it is, and is looked at again.
    pub(super) fn put_off(&self, key: &Key) {
        if let Some(held) = self.0.lock().get_mut(key) {
            held.again_ms = Some(now_ms().saturating_add(AGAIN_MS));
        }
    }

    /// Drops seats that were let in a while ago and whose room is not open.
    pub(super) fn sweep(&self, is_open: impl Fn(&str) -> bool) {
        let old_ms = now_ms().saturating_sub(UNUSED_MS);
        self.0.lock().retain(|(room, _), held| held.at_ms > old_ms || is_open(room));
    }

    /// Who sits there.
    pub(super) fn sid(&self, key: &Key) -> Option<String> {
        self.0.lock().get(key).map(|held| held.sitter.sid.clone())
    }

    /// A seat is empty, unless somebody else sits there than this one: who joins anew takes the place of who they were.
    pub(super) fn forget(&self, key: &Key, sid: &str) {
        let mut all = self.0.lock();
        if all.get(key).is_some_and(|held| held.sitter.sid == sid) {
            all.remove(key);
        }
    }
}
