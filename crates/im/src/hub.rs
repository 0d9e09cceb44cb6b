//! Who is online: the sessions of each user, and who watches whose presence. Fan-out looks receivers up here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use convene_im_core::outbox::HintKey;
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body, hint};
use convene_types::{CallId, DeviceId, UserId};
use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use crate::session::{End, Session};

/// Most users whose "last seen" is remembered. It is kept since the start of the server only; more would be 16 bytes each.
const MAX_LAST_SEEN: usize = 1_000_000;

type Map<V> = DashMap<UserId, V, FxBuildHasher>;

/// See the module.
#[derive(Default)]
pub(crate) struct Hub {
    users: Map<Vec<Arc<Session>>>,
    watchers: Map<Vec<Arc<Session>>>,
    last_seen_ms: Map<i64>,
    /// Calls that each user is shown, for devices that connect while they are on.
    calls: Map<Vec<(CallId, Bytes)>>,
    count: AtomicUsize,
    numbers: AtomicU64,
}

impl Hub {
    /// A number above those of all sessions before.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// From here on the session gets what its user's conversations say.
    pub(crate) fn add(&self, session: &Arc<Session>) {
        self.users.entry(session.owner.user).or_default().push(Arc::clone(session));
        self.count.fetch_add(1, Ordering::Relaxed);
        // Behind the line above: a call that begins in between is told twice, and never not at all.
        if let Some(calls) = self.calls.get(&session.owner.user) {
            calls.iter().for_each(|(_, frame)| session.push(frame.clone()));
        }
    }

    /// The handshake of a session is done: it replaces older ones of its device, and its user is seen online. Never called
    /// for a flight of early data alone, which might be somebody's replay (I15).
    pub(crate) fn confirmed(&self, session: &Arc<Session>) {
        let mut others_online = false;
        if let Some(sessions) = self.users.get(&session.owner.user) {
            for other in sessions.iter().filter(|other| !Arc::ptr_eq(other, session)) {
                others_online |= other.is_confirmed();
                if other.owner.device != session.owner.device {
                    continue;
                }
                if other.number < session.number {
                    other.end(replaced());
                } else if other.is_confirmed() {
                    session.end(replaced()); // its handshake took longer than that of a later one
                }
            }
        }
        if !others_online {
            self.tell_presence(session.owner.user, true, 0);
        }
    }

    /// Forgets a session.
    pub(crate) fn remove(&self, session: &Arc<Session>, now_ms: i64) {
        let user = session.owner.user;
        self.watch(session, Vec::new());
        let Some(mut sessions) = self.users.get_mut(&user) else { return };
        let before = sessions.len();
        sessions.retain(|other| !Arc::ptr_eq(other, session));
        let removed = before - sessions.len();
        let online = sessions.iter().any(|other| other.is_confirmed());
        drop(sessions);
        self.users.remove_if(&user, |_, sessions| sessions.is_empty());
        self.count.fetch_sub(removed, Ordering::Relaxed);
        if removed > 0 && session.is_confirmed() && !online {
            if self.last_seen_ms.len() < MAX_LAST_SEEN || self.last_seen_ms.contains_key(&user) {
                self.last_seen_ms.insert(user, now_ms);
            }
            self.tell_presence(user, false, now_ms);
        }
    }

    /// Shows a call to a user. `kept`: for devices that connect later; none: it is over.
    pub(crate) fn show_call(&self, user: UserId, id: CallId, kept: Option<Bytes>, frame: &Bytes) {
        let mut calls = self.calls.entry(user).or_default();
        calls.retain(|(other, _)| *other != id);
        calls.extend(kept.map(|frame| (id, frame)));
        // Sent while the entry is held, so that two states of a call keep their order.
        self.each(user, |session| session.push(frame.clone()));
        drop(calls);
        self.calls.remove_if(&user, |_, calls| calls.is_empty());
    }

    /// Does something with each session of a user.
    pub(crate) fn each(&self, user: UserId, mut work: impl FnMut(&Arc<Session>)) {
        if let Some(sessions) = self.users.get(&user) {
            sessions.iter().for_each(&mut work);
        }
    }

    /// Does something with every session.
    pub(crate) fn every(&self, mut work: impl FnMut(&Arc<Session>)) {
        for sessions in &self.users {
            sessions.iter().for_each(&mut work);
        }
    }

    /// Whether a user has any session.
    pub(crate) fn has(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    /// Whether a user has a session whose handshake is done.
    pub(crate) fn is_online(&self, user: UserId) -> bool {
        self.users.get(&user).is_some_and(|sessions| sessions.iter().any(|session| session.is_confirmed()))
    }

    /// Ends the sessions of a user, or of one device of theirs.
    pub(crate) fn end(&self, user: UserId, device: Option<DeviceId>, end: &End) {
        self.each(user, |session| {
            if device.is_none_or(|device| device == session.owner.device) {
                session.end(end.clone());
            }
        });
    }

    /// From here on the session is told when these come and go, instead of those before, and how they stand.
    pub(crate) fn watch(&self, session: &Arc<Session>, users: Vec<UserId>) {
        let before = std::mem::replace(&mut *session.watched.lock(), users.clone());
        for user in before {
            if let Some(mut watchers) = self.watchers.get_mut(&user) {
                watchers.retain(|other| !Arc::ptr_eq(other, session));
            }
            self.watchers.remove_if(&user, |_, watchers| watchers.is_empty());
        }
        for user in users {
            self.watchers.entry(user).or_default().push(Arc::clone(session));
            let (key, frame) = self.presence(user);
            session.hint(key, frame);
        }
    }

    /// Somebody goes by another name or picture: told to whoever watches them.
    pub(crate) fn tell_profile(&self, shown: &im::User) {
        if let Some(watchers) = self.watchers.get(&UserId(shown.id)) {
            let frame = hint_frame(hint::Kind::Profile(shown.clone()));
            watchers.iter().for_each(|session| session.hint(HintKey::Profile(UserId(shown.id)), frame.clone()));
        }
    }

    fn presence(&self, user: UserId) -> (HintKey, Bytes) {
        let online = self.is_online(user);
        let last_seen_ms = self.last_seen_ms.get(&user).filter(|_| !online).map_or(0, |at| *at);
        presence(user, online, last_seen_ms)
    }

    fn tell_presence(&self, user: UserId, online: bool, last_seen_ms: i64) {
        if let Some(watchers) = self.watchers.get(&user) {
            let (key, frame) = presence(user, online, last_seen_ms);
            watchers.iter().for_each(|session| session.hint(key, frame.clone()));
        }
    }
}

fn presence(user: UserId, online: bool, last_seen_ms: i64) -> (HintKey, Bytes) {
    let kind = hint::Kind::Presence(im::Presence { user: user.0, online, last_seen_ms });
    (HintKey::Presence(user), hint_frame(kind))
}

/// A hint as it is queued: with its length prefix, which the writer takes off for a datagram.
pub(crate) fn hint_frame(kind: hint::Kind) -> Bytes {
    frame::encode(&frame::of(0, Body::Hint(im::Hint { kind: Some(kind) })))
}

fn replaced() -> End {
    End::Told { code: Code::Replaced, text: "another session of this device took over", retry_after_ms: 0 }
}
