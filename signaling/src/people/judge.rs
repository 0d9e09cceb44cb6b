//! Whether a seat in a room of people may be held at this moment. Asked when a token is used, again when its holder is in
//! the room, and whenever something changes that it stands on.

use std::sync::Arc;
use std::time::Duration;

use convene_calls::{Book, Device};
use convene_store::Store;
use convene_store::calls::Standing;
use convene_types::{AccountId, CallId, ConvId, SessionId};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::seats::{Key, Look, Seats, Sitter, Whose};
use super::{device_of, now_ms, unhex};
use crate::rooms::{self, Joined, LeaveReason, Mode, RoomHandle, Speech};
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
    /// Writes them over what a token says.
    pub(crate) fn limit(self, grants: &mut Grants) {
        (grants.can_publish, grants.can_publish_data) = (Some(self.speak), Some(self.speak));
        grants.can_publish_sources.clear();
    }

    /// What they come to by a protocol.
    fn speech(self, mode: Mode) -> Speech {
        let mut claims = Claims::default();
        self.limit(&mut claims.grants);
        Speech::of(&claims.permission_by(mode))
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

/// How long the store may take to say what a seat is worth while its holder waits for it. Longer, and who resumes waits until
/// their place is given away (19 s); shorter, and a busy disk refuses who comes in.
const AT_THE_DOOR: Duration = Duration::from_secs(2);
/// The same of somebody who is in the room. Shorter, and whoever was sent away stays for as long as the disk is slow, as each
/// answer comes too late; longer, and what else has ended waits longer behind a store that hangs.
const IN_THE_ROOM: Duration = Duration::from_secs(30);
/// Seats that are looked at again at the same time. More fill the queue of the store; with fewer a large meeting takes longer.
const AT_ONCE: usize = 8;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Judge {
    store: Store,
    book: Arc<Mutex<Book>>,
    pub(super) seats: Seats,
}

impl Judge {
    pub(super) fn new(store: Store, book: Arc<Mutex<Book>>) -> Self {
        Self { store, book, seats: Seats::default() }
    }

    /// Whether the holder of this token, whose signature is good, has the seat at this moment.
    pub(crate) async fn look(&self, claims: &Claims) -> Result<Option<Rights>, Unavailable> {
        let (Some(seat), Some(by)) = (&claims.seat, device_of(&claims.identity)) else { return Ok(None) };
        self.rights(seat, by, AT_THE_DOOR).await
    }

    /// The same of somebody who has come in: the room is told if they may do something else than it was told as they did, and
    /// they are out where it is no seat. From here on it is looked at again when something changes. `false`: it is no seat.
    pub(crate) async fn admit(&self, room: &RoomHandle, joined: &Joined, claims: &Claims) -> Result<bool, Unavailable> {
        let (Some(seat), Some(by)) = (claims.seat.clone(), device_of(&claims.identity)) else { return Ok(false) };
        let key = (room.name().to_owned(), claims.identity.clone());
        // Before the store is asked: a change that comes meanwhile finds it.
        let look = self.seats.take(&key, seat, by, Sitter::of(room, joined));
        self.settle(&key, &look, AT_THE_DOOR).await
    }

    /// Looks again at seats in rooms: who may not be there goes, and who may no longer speak is silent. A store that does not
    /// answer takes nobody's seat: it is asked again later.
    pub(super) async fn look_again(&self, whose: Whose) {
        let keys = self.seats.of(whose).into_iter().map(|(key, _)| key);
        let again = |key: Key| async move {
            if let Some(look) = self.seats.look(&key) {
                let _ = self.settle(&key, &look, IN_THE_ROOM).await; // it is put off where the store does not answer
            }
        };
        stream::iter(keys).for_each_concurrent(AT_ONCE, again).await;
    }

    /// Brings the room to what is found of a seat, unless somebody has looked at it later, which counts. `false`: it is no seat.
    async fn settle(&self, key: &Key, look: &Look, within: Duration) -> Result<bool, Unavailable> {
        let found = self.rights(&look.seat, look.by, within).await;
        let found = found.inspect_err(|Unavailable| self.seats.put_off(key, look))?;
        let mut told = look.told.lock().await;
        if !self.seats.is_held(key, look) || !told.takes(look) {
            return Ok(true); // whoever has the place by now is looked at by whoever gave it to them
        }
        let sitter = &look.sitter;
        let Some(rights) = found else {
            let _ = sitter.room.leave(sitter.id, LeaveReason::Removed).await; // an error says that they are out already
            self.seats.forget(key, look);
            return Ok(false);
        };
        self.seats.looked_at(key, look, rights.silent_until_ms);
        match told.tell(sitter, rights.speech(sitter.mode)).await {
            Ok(()) => {}
            Err(rooms::Error::ParticipantNotFound | rooms::Error::Closed) => self.seats.forget(key, look),
            Err(_) => self.seats.put_off(key, look),
        }
        Ok(true)
    }

    /// What a seat lets its holder do; `None`: it is no seat any more.
    async fn rights(&self, seat: &Seat, by: Device, within: Duration) -> Result<Option<Rights>, Unavailable> {
        let (account, conv) = (AccountId(seat.account), ConvId(seat.conv));
        let Some(login) = unhex(&seat.login).map(SessionId) else { return Ok(None) };
        let found = self.store.ask(move |reader| Ok((reader.session(login)?, reader.standing(account, conv)?)));
        let found = timeout(within, found).await.map_err(|_| Unavailable)?;
        let (session, standing) = found.map_err(|_| Unavailable)?;
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
}
