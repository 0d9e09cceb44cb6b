//! Whether a seat in a room of people may be held at this moment. Asked when a token is used, again when its holder is in
//! the room, and whenever something changes that it stands on.

use std::sync::Arc;
use std::time::Duration;

use convene_calls::{Book, Device};
use convene_store::Store;
use convene_store::calls::Standing;
use convene_types::{AccountId, CallId, ConvId, SessionId};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::seats::{Held, Key, Seats, Sitter, speech_of};
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
        speech_of(&claims.permission_by(mode))
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

/// How long the store may take to say what a seat is worth. Longer, and who resumes waits until their place is given away (19 s);
/// shorter, and a busy disk refuses who comes in.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

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
        self.rights(seat, by).await
    }

    /// The same of somebody who has come in: the room is told if they may do something else than it was told as they did, and
    /// they are out where it is no seat. From here on it is looked at again when something changes.
    pub(crate) async fn admit(
        &self,
        room: &RoomHandle,
        joined: &Joined,
        claims: &Claims,
    ) -> Result<Option<Rights>, Unavailable> {
        let (Some(seat), Some(by)) = (claims.seat.clone(), device_of(&claims.identity)) else { return Ok(None) };
        let key = (room.name().to_owned(), claims.identity.clone());
        // Before the store is asked: a change that comes meanwhile finds it.
        self.seats.take(&key, seat, by, Sitter::of(joined));
        self.settle(&key, room).await
    }

    /// Looks at a seat, and brings the room to what is found. Where the store does not answer it stays as it is.
    pub(super) async fn settle(&self, key: &Key, room: &RoomHandle) -> Result<Option<Rights>, Unavailable> {
        let Some(told) = self.seats.told(key) else { return Ok(None) };
        let mut told = told.lock().await;
        // Only now, as somebody else may have taken it meanwhile.
        let Some(Held { seat, by, sitter, .. }) = self.seats.get(key) else { return Ok(None) };
        let rights = self.rights(&seat, by).await.inspect_err(|Unavailable| self.seats.put_off(key))?;
        let Some(found) = rights else {
            let _ = room.leave(sitter.id, LeaveReason::Removed).await; // an error says that they are out already
            self.seats.forget(key, &sitter.sid);
            return Ok(None);
        };
        self.seats.looked_at(key, &sitter.sid, found.silent_until_ms);
        match told.tell(room, &sitter, found.speech(sitter.mode)).await {
            Ok(()) => {}
            Err(rooms::Error::ParticipantNotFound | rooms::Error::Closed) => self.seats.forget(key, &sitter.sid),
            Err(_) => self.seats.put_off(key),
        }
        Ok(rights)
    }

    /// What a seat lets its holder do; `None`: it is no seat any more.
    async fn rights(&self, seat: &Seat, by: Device) -> Result<Option<Rights>, Unavailable> {
        let (account, conv) = (AccountId(seat.account), ConvId(seat.conv));
        let Some(login) = unhex(&seat.login).map(SessionId) else { return Ok(None) };
        let found = self.store.ask(move |reader| Ok((reader.session(login)?, reader.standing(account, conv)?)));
        let found = timeout(ANSWER_WITHIN, found).await.map_err(|_| Unavailable)?;
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
