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
use crate::rooms::{Error, Joined, Mode, ParticipantId, RoomHandle, Speech};
use crate::token::Seat;

/// A room, and an identity in it.
pub(super) type Key = (String, String);

/// A seat that somebody sits in.
#[derive(Clone, Debug)]
struct Held {
    seat: Seat,
    by: Device,
    sitter: Sitter,
    /// The number of the look with which it was taken.
    taken: u64,
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

/// A look at a seat that is under way.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) seat: Seat,
    pub(super) by: Device,
    pub(super) sitter: Sitter,
    pub(super) told: Arc<tokio::sync::Mutex<Told>>,
    taken: u64,
    /// Grows from look to look, and is given before the store is asked.
    number: u64,
}

/// Who sits there, as the room knows them.
#[derive(Clone, Debug)]
pub(super) struct Sitter {
    /// Rooms of one name follow each other, and each counts its participants anew.
    pub(super) room: RoomHandle,
    pub(super) id: ParticipantId,
    /// Another one for each join; a resume keeps it.
    sid: String,
    pub(super) mode: Mode,
    /// What they might send as they came in.
    speech: Speech,
}

impl Sitter {
    pub(super) fn of(room: &RoomHandle, joined: &Joined) -> Self {
        let (room, speech) = (room.clone(), Speech::of(&joined.info.permission));
        Self { room, id: joined.participant, sid: joined.info.sid.clone(), mode: joined.mode, speech }
    }

    /// Whether this very one is in the room still.
    pub(super) async fn is_there(&self, identity: &str) -> bool {
        self.room.participant(identity).await.is_ok_and(|info| info.sid == self.sid)
    }

    /// Whether this one has the place of the other one by now, who is out.
    fn is_after(&self, other: &Self) -> bool {
        match self.room.sid() == other.room.sid() {
            true => self.id > other.id,
            false => other.room.is_closed(), // before that nobody makes another one of its name
        }
    }
}

/// What a room was told last of who sits in a seat. Locked while somebody tells the room, not while the store is asked: who asked
/// later has told what counts, also where they were answered first.
#[derive(Debug, Default)]
pub(super) struct Told {
    sid: String,
    /// `None`: the room was told, and has not said that it knows.
    speech: Option<Speech>,
    /// The look that has told it.
    look: u64,
}

impl Told {
    /// Whether what this look has found is to be told: no later one has told anything yet.
    pub(super) fn takes(&mut self, look: &Look) -> bool {
        let takes = self.look <= look.number;
        self.look = self.look.max(look.number);
        takes
    }

    /// Tells the room what its holder may send, unless it knows. All else that it lets them do stays as it is.
    pub(super) async fn tell(&mut self, sitter: &Sitter, speech: Speech) -> Result<(), Error> {
        if self.sid != sitter.sid {
            (self.sid, self.speech) = (sitter.sid.clone(), Some(sitter.speech));
        }
        if self.speech == Some(speech) {
            return Ok(());
        }
        self.speech = None;
        sitter.room.set_speech(sitter.id, speech).await?;
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
pub(super) struct Seats(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    held: HashMap<Key, Held>,
    /// How many looks there were.
    looks: u64,
}

impl All {
    fn look(&mut self, held: &Held) -> Look {
        self.looks = self.looks.wrapping_add(1);
        let Held { seat, by, sitter, taken, told, .. } = held.clone();
        Look { seat, by, sitter, told, taken, number: self.looks }
    }

    /// The seat, unless it was taken by somebody else, or again, since this look began.
    fn of(&mut self, key: &Key, look: &Look) -> Option<&mut Held> {
        self.held.get_mut(key).filter(|held| held.taken == look.taken)
    }
}

impl Seats {
    /// Somebody sits there from here on, and their seat is looked at; unless they have lost their place to somebody else already,
    /// who came later and was faster here. What the room was told stays known, also of who sat there before.
    pub(super) fn take(&self, key: &Key, seat: Seat, by: Device, sitter: Sitter) -> Look {
        let mut all = self.0.lock();
        let before = all.held.get(key);
        let told = before.map(|held| Arc::clone(&held.told)).unwrap_or_default();
        let is_late = before.is_some_and(|held| held.sitter.is_after(&sitter));
        let taken = all.looks.wrapping_add(1);
        let held = Held { seat, by, sitter, taken, at_ms: now_ms(), silent_until_ms: None, again_ms: None, told };
        let look = all.look(&held);
        if !is_late {
            all.held.insert(key.clone(), held);
        }
        look
    }

    /// Begins to look at a seat again.
    pub(super) fn look(&self, key: &Key) -> Option<Look> {
        let mut all = self.0.lock();
        let held = all.held.get(key).cloned()?;
        Some(all.look(&held))
    }

    /// Whether the seat is still the one that this look is at.
    pub(super) fn is_held(&self, key: &Key, look: &Look) -> bool {
        self.0.lock().of(key, look).is_some()
    }

    /// The seats of these.
    pub(super) fn of(&self, whose: Whose) -> Vec<(Key, Seat)> {
        let is_meant = |held: &Held| match whose {
            Whose::Login(session) => unhex(&held.seat.login) == Some(session.0),
            Whose::User(user) => held.by.user == user,
            Whose::Conversation(conv) => held.seat.conv == conv.0,
            Whose::Everybody => true,
            Whose::Due(now_ms) => held.due_ms().is_some_and(|due| due <= now_ms),
        };
        let all = self.0.lock();
        all.held.iter().filter(|(_, held)| is_meant(held)).map(|(key, held)| (key.clone(), held.seat.clone())).collect()
    }

    /// It was looked at, and is again at this time if nothing happens before.
    pub(super) fn looked_at(&self, key: &Key, look: &Look, silent_until_ms: Option<i64>) {
        if let Some(held) = self.0.lock().of(key, look) {
            (held.silent_until_ms, held.again_ms) = (silent_until_ms, None);
        }
    }

    /// Nobody knows at this moment what the holder of a seat may do: it stays as it is, and is looked at again.
    pub(super) fn put_off(&self, key: &Key, look: &Look) {
        if let Some(held) = self.0.lock().of(key, look) {
            held.again_ms = Some(now_ms().saturating_add(AGAIN_MS));
        }
    }

    /// Drops seats that were let in a while ago and whose room is not open.
    pub(super) fn sweep(&self) {
        let old_ms = now_ms().saturating_sub(UNUSED_MS);
        self.0.lock().held.retain(|_, held| held.at_ms > old_ms || !held.sitter.room.is_closed());
    }

    /// A seat is empty.
    pub(super) fn forget(&self, key: &Key, look: &Look) {
        let mut all = self.0.lock();
        if all.of(key, look).is_some() {
            all.held.remove(key);
        }
    }
}
