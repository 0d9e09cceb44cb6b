//! What happens elsewhere and concerns what people have open: sessions end, members go, groups change, rooms are left.
//!
//! Each listener that falls behind is told so, and then looks at everything of its kind.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use convene_accounts::apikey::room_prefix;
use convene_api::{Change, Ended};
use convene_calls::Call;
use convene_im::wire::Code;
use convene_store::Op;
use convene_types::{AccountId, ConvId, DeviceId, OrgId, UserId};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::seats::Whose;
use super::{People, device_of, now_ms};
use crate::rooms::{Happening, What};

/// How often calls are looked at: ringing ends so much late at most.
const TICK: Duration = Duration::from_millis(250);
/// How often seats are looked for that are due: what a mute that ends is late by at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often seats that were never taken are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Members of a conversation that are compared with who is in its call. A call rings no more than a hundred.
const MAX_COMPARED: usize = 100_000;

pub(super) fn spawn(people: &People) {
    let inner = &people.inner;
    follow(people, inner.api.ends(), People::login_ended, People::look_at_logins);
    follow(people, inner.api.changes(), People::member_changed, People::look_at_everything);
    follow(people, inner.api.changes(), People::groups_follow, People::look_at_groups);
    follow(people, inner.chat.standings(), People::conversation_changed, People::look_at_everything);
    follow(people, inner.rooms.happenings(), People::happened, People::look_at_rooms);
    tokio::spawn(tick(people.clone()));
    tokio::spawn(look_at_due(people.clone()));
    tokio::spawn(keep_groups(people.clone()));
}

/// Runs `work` for each, and `all` after some were missed, until the other side is gone.
fn follow<T, W, A>(people: &People, mut from: Receiver<T>, work: fn(People, T) -> W, all: fn(People) -> A)
where
    T: Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let people = people.clone();
    tokio::spawn(async move {
        loop {
            match from.recv().await {
                Ok(event) => work(people.clone(), event).await,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "behind with what ends: looking at all that is open");
                    all(people.clone()).await;
                }
                Err(RecvError::Closed) => return,
            }
        }
    });
}

/// Groups of departments that a stop or a busy store has left behind.
async fn keep_groups(people: People) {
    let mut passes = interval(SWEEP_EVERY); // the first one at once
    passes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        passes.tick().await;
        people.look_at_departments().await;
    }
}

/// Seats whose holders may do something else because time has passed, and those of which the store knew nothing.
async fn look_at_due(people: People) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        people.judge_again(Whose::Due(now_ms())).await;
    }
}

async fn tick(people: People) {
    let mut sweeps = interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            () = people.next_pass() => people.pass(),
            _ = sweeps.tick() => people.inner.judge.seats.sweep(),
        }
    }
}

impl People {
    /// While there are calls, again and again.
    async fn next_pass(&self) {
        let idle = self.inner.book.lock().is_empty();
        if idle {
            self.inner.begun.notified().await;
        }
        sleep(TICK).await;
    }

    async fn login_ended(self, ended: Ended) {
        self.inner.chat.end_login(ended.session, Code::Revoked);
        self.judge_again(Whose::Login(ended.session)).await;
        self.hang_up_on(ended.account, ended.device).await;
    }

    /// Somebody has signed out on a device: whoever of theirs has answered there and is not in the room yet is out of the call.
    /// Devices are named by clients, so that other accounts may have one of the same name, and an account may be signed in
    /// on it twice.
    async fn hang_up_on(&self, account: AccountId, device: DeviceId) {
        let now_s = u64::try_from(now_ms() / 1_000).unwrap_or(0);
        let found = self.inner.store.ask(move |reader| Ok((reader.seats_of(account)?, reader.sessions_of(account)?)));
        // A store that cannot answer changes nothing: who is out does not get in, and has a minute to.
        let Ok((seats, sessions)) = found.await else { return };
        if sessions.iter().any(|session| session.device == device && session.is_open(now_s)) {
            return;
        }
        let has_answered = |call: &Call, user: UserId| {
            call.has(user) && call.people.get(&user).is_some_and(|person| person.device == Some(device))
        };
        let users: Vec<UserId> = seats.into_iter().map(|seat| seat.user).collect();
        let on = |call: &Call| users.iter().find(|user| has_answered(call, **user)).map(|user| (call.id, *user));
        let meant: Vec<_> = self.inner.book.lock().all().filter_map(on).collect();
        for (id, user) in meant {
            let _ = self.change(id, |call| call.hang_up(user, now_ms())); // a refusal says that they have gone already
        }
    }

    async fn look_at_logins(self) {
        let store = self.inner.store.clone();
        let now_s = u64::try_from(now_ms() / 1_000).unwrap_or(0);
        let since_s = now_s.saturating_sub(convene_accounts::session::MAX_AGE_S);
        if let Ok(ended) = store.ask(move |reader| reader.ended_since(since_s)).await {
            let ended: HashSet<_> = ended.into_iter().map(|(session, _)| session.id).collect();
            self.inner.chat.end_logins_unless(|login| !ended.contains(&login.session), Code::Revoked);
        }
        self.judge_again(Whose::Everybody).await;
    }

    async fn member_changed(self, change: Change) {
        if let Change::Removed { user, .. } = change {
            self.inner.chat.end_sessions(user, None, Code::Revoked);
            self.judge_again(Whose::User(user)).await;
            self.send_away(user, |_| true);
        }
        if let Change::KeyEnded { org, id } = change {
            self.inner.rooms.send_away(&room_prefix(org), &id.to_string()).await;
        }
        if let Change::Dissolved { org } = change {
            self.organisation_ended(org).await;
        }
        if let Change::Profile { user, .. } = change {
            // Whoever has gone in the meantime has nobody to tell.
            let _ = self.inner.chat.publish(Op::TellProfile { user }).await;
            self.show_again(user).await;
        }
    }

    /// Nobody has a seat in it any more, and no key of it is good.
    async fn organisation_ended(&self, org: OrgId) {
        self.inner.chat.end_organisation(org, Code::Revoked);
        let calls: Vec<_> = self.inner.book.lock().all().filter(|call| call.org == org).cloned().collect();
        for call in calls {
            for user in call.people.keys() {
                self.send_away(*user, |other| other.id == call.id);
            }
        }
        self.inner.rooms.delete_all(&room_prefix(org)).await;
    }

    /// Members, roles, mutes of a conversation, or its end.
    async fn conversation_changed(self, conv: ConvId) {
        self.judge_again(Whose::Conversation(conv)).await;
        let Some(call) = self.inner.book.lock().of_conversation(conv).cloned() else { return };
        let here = self.inner.store.ask(move |reader| reader.callable(conv, MAX_COMPARED)).await;
        // A store that cannot answer changes nothing: who is out does not get in.
        let Ok(here) = here else { return };
        for user in call.people.keys().filter(|user| here.binary_search(user).is_err()) {
            self.send_away(*user, |other| other.id == call.id);
        }
    }

    /// Apart from what ends rights: a large group takes its time, and nobody's seat waits for that.
    async fn groups_follow(self, change: Change) {
        self.departments_changed(change).await;
    }

    async fn look_at_groups(self) {
        self.look_at_departments().await;
    }

    async fn look_at_everything(self) {
        self.look_at_chat().await;
        let keyring = self.inner.api.keyring().clone();
        self.inner.rooms.send_away_unless(move |key| keyring.find(key).is_some()).await;
        self.judge_again(Whose::Everybody).await;
        let calls: Vec<_> = self.inner.book.lock().all().map(|call| call.conv).collect();
        for conv in calls {
            self.clone().conversation_changed(conv).await;
        }
    }

    /// Ends the chat sessions of those who have lost their seat lately.
    async fn look_at_chat(&self) {
        let mut users = Vec::new();
        for change in self.inner.api.latest_ends() {
            if let Change::Removed { user, .. } = change {
                users.push(user);
            } else if let Change::Dissolved { org } = change {
                self.inner.chat.end_organisation(org, Code::Revoked);
            }
        }
        let all = users.clone();
        let back = self.inner.store.ask(move |reader| {
            let mut seated = HashSet::new();
            for user in all {
                seated.extend(reader.seat_of_user(user)?.map(|seat| seat.user));
            }
            Ok(seated)
        });
        // Where the store does not answer, nobody is back: whoever has a seat opens chat again.
        let back = back.await.unwrap_or_default();
        for user in users.into_iter().filter(|user| !back.contains(user)) {
            self.inner.chat.end_sessions(user, None, Code::Revoked);
        }
    }

    async fn happened(self, happening: Arc<Happening>) {
        let room = &happening.room.name;
        match &happening.what {
            What::Seated(identity) => self.moved(room, identity, true).await,
            What::Unseated(identity) => self.moved(room, identity, false).await,
            What::Started | What::Finished | What::Joined(_) | What::Left(_) => {}
            What::Published(..) | What::Unpublished(..) => {}
        }
    }

    /// Somebody took a seat in a room, or is out of it.
    async fn moved(&self, room: &str, identity: &str, came: bool) {
        let Some(by) = device_of(identity) else { return };
        if !came {
            self.left(room, identity).await;
        }
        let Some(id) = super::ring::call_of(room) else { return };
        // A refusal says that the call is over.
        let _ = self.change(id, |call| {
            if came {
                call.entered(by, now_ms());
            } else {
                call.exited(by, now_ms())
            }
            Ok(())
        });
    }

    /// A seat is looked at no more once nobody sits in it. Whoever has joined anew has sent away who they were.
    async fn left(&self, room: &str, identity: &str) {
        let key = (room.to_owned(), identity.to_owned());
        let seats = &self.inner.judge.seats;
        let Some(look) = seats.look(&key) else { return };
        if !look.sitter.is_there(identity).await {
            seats.forget(&key, &look);
        }
    }

    async fn look_at_rooms(self) {
        let calls: Vec<_> = self.inner.book.lock().all().cloned().collect();
        for call in calls {
            let room = super::ring::room_of(call.org, call.id);
            let here = match self.inner.rooms.get(&room) {
                Some(handle) => handle.participants().await.unwrap_or_default(),
                None => Vec::new(),
            };
            for (user, person) in &call.people {
                let Some(device) = person.device else { continue };
                let identity = super::identity(convene_calls::Device { user: *user, device });
                let came = here.iter().any(|info| info.identity == identity);
                self.moved(&room, &identity, came).await;
            }
        }
    }

    async fn judge_again(&self, whose: Whose) {
        self.inner.judge.look_again(whose).await;
    }
}

impl People {
    /// Somebody goes by another name or picture: their seats in rooms say so, too.
    async fn show_again(&self, user: UserId) {
        for ((room, identity), seat) in self.inner.judge.seats.of(Whose::User(user)) {
            let (account, conv) = (AccountId(seat.account), ConvId(seat.conv));
            // A store that cannot answer leaves them as they were.
            let found = self.inner.store.ask(move |reader| reader.standing(account, conv)).await;
            let (Ok(Some(standing)), Some(handle)) = (found, self.inner.rooms.get(&room)) else { continue };
            // A refusal says that they have gone.
            drop(handle.update_participant(&identity, self.shown(&seat, &standing)).await);
        }
    }
}
