//! Whether a seat in a room of people may be held at this moment. Asked when a token is used, again when its holder is in
//! the room, and whenever something changes that it stands on.

use std::collections::HashMap;
use std::sync::Arc;

use convene_calls::{Book, Device};
use convene_store::Store;
use convene_store::calls::Standing;
use convene_types::{AccountId, CallId, ConvId, SessionId, UserId};
use parking_lot::Mutex;

use super::{device_of, now_ms, unhex};
use crate::token::{Claims, Grants, Seat};

/// What the holder of a seat may do in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Send media and data. Everybody receives.
    pub(crate) speak: bool,
    /// Milliseconds since 1970 when they may, while they may not and nothing else happens.
    silent_until_ms: Option<i64>,
}

/// The store does not answer: it is not known whether somebody has a seat. That is no reason to take it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable;

impl Rights {
    /// Of who has no seat, or of whom nothing is known yet.
    const NONE: Self = Self { speak: false, silent_until_ms: None };

    /// Writes them over what a token says.
    pub(crate) fn limit(self, grants: &mut Grants) {
        (grants.can_publish, grants.can_publish_data) = (Some(self.speak), Some(self.speak));
        grants.can_publish_sources.clear();
    }

    /// The rights of somebody in a conversation: what they may not write they may not say aloud either.
    pub(super) fn of(standing: &Standing) -> Self {
        Self::at(standing, now_ms())
    }

    fn at(standing: &Standing, now_ms: i64) -> Self {
        let (speak, until_ms) = (standing.may_speak(now_ms), standing.member.muted_until_ms);
        // In a group where only admins speak, the end of one's own mute changes nothing.
        let ends = !speak && standing.may_speak(until_ms);
        Self { speak, silent_until_ms: ends.then_some(until_ms) }
    }
}

/// A seat that was let in.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) seat: Seat,
    pub(super) by: Device,
    pub(super) rights: Rights,
    /// Milliseconds since 1970 when it was last let in.
    at_ms: i64,
    /// Another one each time that it is let in.
    turn: u64,
    /// When to look again, as the store did not answer.
    pub(super) again_ms: Option<i64>,
}

impl Held {
    /// When to look at it again, if nothing happens before.
    fn due_ms(&self) -> Option<i64> {
        self.rights.silent_until_ms.into_iter().chain(self.again_ms).min()
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
/// How long a seat that was let in may stay empty.
const UNUSED_MS: i64 = 60_000;

type Seats = HashMap<(String, String), Held>;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Judge {
    store: Store,
    book: Arc<Mutex<Book>>,
    /// Seats that were let in, by room and identity, until their holders are out.
    held: Arc<Mutex<Seats>>,
}

impl Judge {
    pub(super) fn new(store: Store, book: Arc<Mutex<Book>>) -> Self {
        Self { store, book, held: Arc::default() }
    }

    /// Whether the holder of this token, whose signature is good, has the seat at this moment.
    pub(crate) async fn look(&self, claims: &Claims) -> Result<Option<Rights>, Unavailable> {
        let (Some(seat), Some(by)) = (&claims.seat, device_of(&claims.identity)) else { return Ok(None) };
        self.rights(seat, by).await
    }

    /// The same of somebody who comes in. From here on the seat is looked at again when something changes.
    pub(crate) async fn admit(&self, room: &str, claims: &Claims) -> Result<Option<Rights>, Unavailable> {
        let (Some(seat), Some(by)) = (claims.seat.clone(), device_of(&claims.identity)) else { return Ok(None) };
        // Held first: a change that comes while the store is asked finds it.
        let key = (room.to_owned(), claims.identity.clone());
        let (at_ms, turn) = (now_ms(), rand::random());
        let held = Held { seat: seat.clone(), by, rights: Rights::NONE, at_ms, turn, again_ms: None };
        let before = self.held.lock().insert(key.clone(), held);
        let rights = self.rights(&seat, by).await;
        let mut all = self.held.lock();
        match (rights, before) {
            (Ok(Some(rights)), _) => {
                all.entry(key).and_modify(|held| held.rights = rights);
            }
            (Ok(None), Some(before)) => drop(all.insert(key, before)),
            (Ok(None), None) => drop(all.remove(&key)),
            // Its holder may be in the room, and something may have changed while the store was asked.
            (Err(Unavailable), before) => {
                all.entry(key).and_modify(|held| {
                    *held = Held { again_ms: Some(at_ms), ..before.unwrap_or_else(|| held.clone()) };
                });
            }
        }
        rights
    }

    /// What a seat lets its holder do; `None`: it is no seat any more.
    pub(super) async fn rights(&self, seat: &Seat, by: Device) -> Result<Option<Rights>, Unavailable> {
        let (account, conv) = (AccountId(seat.account), ConvId(seat.conv));
        let Some(login) = unhex(&seat.login).map(SessionId) else { return Ok(None) };
        let found = self.store.ask(move |reader| Ok((reader.session(login)?, reader.standing(account, conv)?)));
        let (session, standing) = found.await.map_err(|_| Unavailable)?;
        let now_s = u64::try_from(now_ms() / 1000).unwrap_or(0);
        let is_open = session.is_some_and(|session| session.account == account && session.is_open(now_s));
        let standing = standing.filter(|standing| standing.user == by.user && standing.member.role.is_some());
        let standing = standing.filter(|standing| is_open && !standing.dissolved && self.is_in_call(seat, by));
        Ok(standing.as_ref().map(Rights::of))
    }

    /// Seats of calls are for those who are in the call, on the device on which they answered.
    fn is_in_call(&self, seat: &Seat, by: Device) -> bool {
        let Some(call) = &seat.call else { return true };
        let Some(id) = unhex(call).map(CallId) else { return false };
        let book = self.book.lock();
        let person = book.get(id).filter(|call| call.has(by.user)).and_then(|call| call.people.get(&by.user));
        person.is_some_and(|person| person.device == Some(by.device))
    }

    /// The seats of these.
    pub(super) fn held(&self, whose: Whose) -> Vec<((String, String), Held)> {
        let is_meant = |held: &Held| match whose {
            Whose::Login(session) => unhex(&held.seat.login) == Some(session.0),
            Whose::User(user) => held.by.user == user,
            Whose::Conversation(conv) => held.seat.conv == conv.0,
            Whose::Everybody => true,
            Whose::Due(now_ms) => held.due_ms().is_some_and(|due| due <= now_ms),
        };
        let held = self.held.lock();
        held.iter().filter(|(_, held)| is_meant(held)).map(|(key, held)| (key.clone(), held.clone())).collect()
    }

    /// What the holder of a seat may do is another thing than before; `None`: it is no seat any more.
    pub(super) fn set_rights(&self, key: &(String, String), rights: Option<Rights>) {
        if let Some(held) = self.held.lock().get_mut(key) {
            (held.rights, held.again_ms) = (rights.unwrap_or(Rights::NONE), None);
        }
    }

    /// Nobody knows at this moment what the holder of a seat may do: it stays as it is, and is looked at again.
    pub(super) fn put_off(&self, key: &(String, String)) {
        if let Some(held) = self.held.lock().get_mut(key) {
            held.again_ms = Some(now_ms().saturating_add(AGAIN_MS));
        }
    }

    /// Drops seats that were let in a while ago and whose room is not open: their holders never came.
    pub(super) fn sweep(&self, is_open: impl Fn(&str) -> bool) {
        let old_ms = now_ms().saturating_sub(UNUSED_MS);
        self.held.lock().retain(|(room, _), held| held.at_ms > old_ms || is_open(room));
    }

    /// Which time it is that this seat was let in.
    pub(super) fn turn(&self, key: &(String, String)) -> Option<u64> {
        self.held.lock().get(key).map(|held| held.turn)
    }

    /// A seat is empty, unless it was let in again since `turn`: somebody who joins anew takes the place of who they were.
    pub(super) fn forget(&self, key: &(String, String), turn: u64) {
        let mut held = self.held.lock();
        if held.get(key).is_some_and(|held| held.turn == turn) {
            held.remove(key);
        }
    }
}
