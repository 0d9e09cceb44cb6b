//! One call, from the first ring to its end.

use std::collections::BTreeMap;

use convene_types::{CallId, ConvId, OrgId, UserId};

use crate::model::{Device, MAX_RUNG, New, Outcome, Over, Person, Refusal, Standing, person};

/// How long devices ring. Longer annoys, shorter misses who has to find their phone.
pub const RING_MS: i64 = 45_000;
/// How long somebody who has answered may take to come into the room: a slow phone asks for its camera first.
pub const ENTER_MS: i64 = 60_000;
/// How long somebody whose seat in the room is gone counts as in the call: a client that joins anew is there by then.
pub const RETURN_MS: i64 = 20_000;
/// How far ahead of what was kept of a call its version goes on after a stop of the server: devices may have been told of
/// changes that were not kept any more, and of two states the one with the higher version counts.
const VERSIONS_SKIPPED: u32 = 1_000;

/// A call. Who it is told to, and what is written down, is read off its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub id: CallId,
    /// Where.
    pub org: OrgId,
    /// The conversation it belongs to.
    pub conv: ConvId,
    /// Between two: over as soon as one leaves.
    pub direct: bool,
    /// Who called.
    pub caller: UserId,
    /// Begun with camera.
    pub video: bool,
    /// When it began to ring.
    pub started_ms: i64,
    /// When the first one answered.
    pub answered_ms: Option<i64>,
    /// Grows with every change that anybody is told of.
    pub version: u32,
    /// Everybody, the caller included.
    pub people: BTreeMap<UserId, Person>,
    /// Set once, for good.
    pub over: Option<Over>,
    /// The server has stopped, and nobody has come into the room since.
    pub interrupted: bool,
}

impl Call {
    /// Begins to ring. `is_busy` says who is in another call.
    pub fn begin(new: New, is_busy: impl Fn(UserId) -> bool, now_ms: i64) -> Result<Self, Refusal> {
        let New { id, org, conv, direct, caller, video, callees } = new;
        let mut people = BTreeMap::new();
        for user in callees.into_iter().filter(|user| *user != caller.user) {
            let standing = if is_busy(user) { Standing::Busy } else { Standing::Ringing };
            people.insert(user, person(standing, None, now_ms));
        }
        if people.is_empty() || people.len() > MAX_RUNG {
            return Err(Refusal::Count);
        }
        people.insert(caller.user, person(Standing::Accepted, Some(caller.device), now_ms));
        let caller = caller.user;
        let (started_ms, answered_ms, over) = (now_ms, None, None);
        let (version, interrupted) = (0, false);
        let mut call =
            Self { id, org, conv, direct, caller, video, started_ms, answered_ms, version, people, over, interrupted };
        call.settle(now_ms);
        Ok(call)
    }

    /// Goes on after a stop of the server, from what was kept of it. Nobody is in the room: who was has [`RETURN_MS`] to come
    /// back. It rings for as long as it would have.
    #[must_use]
    pub fn resumed(mut self, now_ms: i64) -> Self {
        for person in self.people.values_mut().filter(|person| person.standing == Standing::Accepted) {
            (person.present, person.accepted_ms) = (false, now_ms);
            person.left_ms = person.joined_ms.map(|_| now_ms);
        }
        self.interrupted = self.answered_ms.is_some();
        self.version = self.version.saturating_add(VERSIONS_SKIPPED);
        self
    }

    /// Until then devices ring.
    #[must_use]
    pub const fn rings_until_ms(&self) -> i64 {
        self.started_ms.saturating_add(RING_MS)
    }

    /// From the first answer to the end. 0 where nobody knows when that was: the server has stopped before.
    #[must_use]
    pub fn duration_ms(&self) -> i64 {
        let end = self.over.filter(|over| over.outcome != Outcome::Interrupted).map(|over| over.at_ms);
        self.answered_ms.zip(end).map_or(0, |(from, to)| to.saturating_sub(from).max(0))
    }

    /// Whether somebody is in it, or about to be.
    #[must_use]
    pub fn has(&self, user: UserId) -> bool {
        self.standing(user) == Some(Standing::Accepted)
    }

    /// How somebody stands.
    #[must_use]
    pub fn standing(&self, user: UserId) -> Option<Standing> {
        self.people.get(&user).map(|person| person.standing)
    }

    /// Somebody answers. The first device counts; said again by it, it is the same answer.
    pub fn accept(&mut self, by: Device, now_ms: i64) -> Result<(), Refusal> {
        match self.on(by.user)?.standing {
            Standing::Ringing => self.take_in(by, now_ms),
            Standing::Accepted | Standing::Left => self.same_device(by),
            // The ringing is over; whoever comes late joins.
            Standing::Declined | Standing::Busy | Standing::Missed => Err(Refusal::NotNow),
            Standing::Removed => Err(Refusal::NotInvited),
        }
    }

    /// Somebody of the conversation comes in: as an answer, later, or again.
    pub fn join(&mut self, by: Device, now_ms: i64) -> Result<(), Refusal> {
        self.live()?;
        match self.standing(by.user) {
            Some(Standing::Removed) => Err(Refusal::NotInvited),
            Some(Standing::Accepted) => self.same_device(by),
            Some(Standing::Ringing | Standing::Declined | Standing::Busy | Standing::Missed | Standing::Left)
            | None => {
                // Two is two: nobody else is in a direct conversation.
                self.take_in(by, now_ms)
            }
        }
    }

    /// Somebody says no, on any device.
    pub fn decline(&mut self, user: UserId, now_ms: i64) -> Result<(), Refusal> {
        match self.on(user)?.standing {
            Standing::Ringing => {
                self.set(user, Standing::Declined, now_ms);
                Ok(())
            }
            Standing::Declined => Ok(()),
            Standing::Accepted | Standing::Busy | Standing::Missed | Standing::Left => Err(Refusal::NotNow),
            Standing::Removed => Err(Refusal::NotInvited),
        }
    }

    /// The caller gives up before anybody has answered.
    pub fn cancel(&mut self, user: UserId, now_ms: i64) -> Result<(), Refusal> {
        self.on(user)?;
        if user != self.caller || self.answered_ms.is_some() {
            return Err(Refusal::NotNow);
        }
        self.set(user, Standing::Left, now_ms);
        Ok(())
    }

    /// Somebody goes.
    pub fn hang_up(&mut self, user: UserId, now_ms: i64) -> Result<(), Refusal> {
        match self.on(user)?.standing {
            Standing::Accepted => {
                self.set(user, Standing::Left, now_ms);
                Ok(())
            }
            Standing::Left => Ok(()),
            Standing::Ringing | Standing::Declined | Standing::Busy | Standing::Missed => Err(Refusal::NotNow),
            Standing::Removed => Err(Refusal::NotInvited),
        }
    }

    /// Somebody may be here no more. False: that changes nothing.
    pub fn remove(&mut self, user: UserId, now_ms: i64) -> bool {
        let gone = self.live().is_ok() && self.standing(user).is_some_and(|standing| standing != Standing::Removed);
        if gone {
            self.set(user, Standing::Removed, now_ms);
        }
        gone
    }

    /// A device took its seat in the room. False: that changes nothing.
    pub fn entered(&mut self, by: Device, now_ms: i64) -> bool {
        if self.live().is_err() {
            return false;
        }
        let Some(person) = self.people.get_mut(&by.user) else { return false };
        if person.standing != Standing::Accepted || person.device != Some(by.device) || person.present {
            return false;
        }
        person.present = true;
        person.joined_ms.get_or_insert(now_ms);
        self.interrupted = false;
        self.settle(now_ms);
        true
    }

    /// A device's seat in the room is gone. Not yet the end: it may come back within [`RETURN_MS`].
    pub fn exited(&mut self, by: Device, now_ms: i64) {
        let live = self.live().is_ok();
        let Some(person) = self.people.get_mut(&by.user).filter(|_| live) else { return };
        if person.device == Some(by.device) && person.present {
            person.present = false;
            person.left_ms = Some(now_ms);
        }
    }

    /// When [`Call::handle_timeout`] wants to be called; `None`: not before something else happens.
    #[must_use]
    pub fn timeout_ms(&self) -> Option<i64> {
        self.live().ok()?;
        self.people.values().filter_map(|person| self.deadline(person)).min()
    }

    /// Time has passed. False: that changes nothing.
    pub fn handle_timeout(&mut self, now_ms: i64) -> bool {
        let due = |call: &Self| {
            let mut people = call.people.iter();
            people.find(|(_, person)| call.deadline(person).is_some_and(|at| at <= now_ms)).map(|(user, _)| *user)
        };
        let mut changed = false;
        while self.live().is_ok()
            && let Some(user) = due(self)
        {
            let ringing = self.standing(user) == Some(Standing::Ringing);
            self.set(user, if ringing { Standing::Missed } else { Standing::Left }, now_ms);
            changed = true;
        }
        changed
    }

    /// Until when somebody may stay as they are.
    fn deadline(&self, person: &Person) -> Option<i64> {
        match person.standing {
            Standing::Ringing => Some(self.rings_until_ms()),
            Standing::Accepted if person.present => None,
            // While it rings, the caller need not be in the room: how long it rings is bounded.
            Standing::Accepted => match person.left_ms {
                Some(left_ms) => Some(left_ms.max(person.accepted_ms).saturating_add(RETURN_MS)),
                None => self.answered_ms.map(|at| at.max(person.accepted_ms).saturating_add(ENTER_MS)),
            },
            Standing::Declined | Standing::Busy | Standing::Missed | Standing::Left | Standing::Removed => None,
        }
    }

    fn live(&self) -> Result<(), Refusal> {
        if self.over.is_some() { Err(Refusal::Over) } else { Ok(()) }
    }

    fn on(&self, user: UserId) -> Result<&Person, Refusal> {
        self.live()?;
        self.people.get(&user).ok_or(Refusal::NotInvited)
    }

    fn same_device(&self, by: Device) -> Result<(), Refusal> {
        let same = self.people.get(&by.user).is_some_and(|person| person.device == Some(by.device));
        if same { Ok(()) } else { Err(Refusal::AnsweredElsewhere) }
    }

    fn take_in(&mut self, by: Device, now_ms: i64) -> Result<(), Refusal> {
        let known = self.people.get(&by.user);
        if known.is_none() && self.people.len() > MAX_RUNG {
            return Err(Refusal::Count);
        }
        let (joined_ms, left_ms) = known.map_or((None, None), |person| (person.joined_ms, person.left_ms));
        let answer = Person { joined_ms, left_ms, ..person(Standing::Accepted, Some(by.device), now_ms) };
        self.people.insert(by.user, answer);
        if by.user != self.caller {
            self.answered_ms.get_or_insert(now_ms);
        }
        self.settle(now_ms);
        Ok(())
    }

    /// Takes somebody out of where they stand.
    fn set(&mut self, user: UserId, standing: Standing, now_ms: i64) {
        if let Some(person) = self.people.get_mut(&user) {
            person.leave(standing, now_ms);
        }
        self.settle(now_ms);
    }

    /// Something has changed: whether that ends it.
    fn settle(&mut self, now_ms: i64) {
        self.version = self.version.saturating_add(1);
        let count = |standing| self.people.values().filter(|person| person.standing == standing).count();
        let (accepted, ringing) = (count(Standing::Accepted), count(Standing::Ringing));
        let outcome = match self.answered_ms {
            None if !self.has(self.caller) => Outcome::Cancelled,
            None if ringing == 0 => self.unanswered(),
            Some(_) if accepted == 0 || self.direct && accepted < 2 => {
                if self.interrupted {
                    Outcome::Interrupted
                } else {
                    Outcome::Ended
                }
            }
            None | Some(_) => return,
        };
        for person in self.people.values_mut() {
            match person.standing {
                Standing::Ringing => person.leave(Standing::Missed, now_ms),
                Standing::Accepted => person.leave(Standing::Left, now_ms),
                Standing::Declined | Standing::Busy | Standing::Missed | Standing::Left | Standing::Removed => {}
            }
        }
        self.over = Some(Over { outcome, at_ms: now_ms });
    }

    /// Nobody rings any more, and nobody came. What weighs most is that somebody did not hear it.
    fn unanswered(&self) -> Outcome {
        let any = |standing| self.people.values().any(|person| person.standing == standing);
        match () {
            () if any(Standing::Missed) => Outcome::Missed,
            () if any(Standing::Declined) => Outcome::Declined,
            () if any(Standing::Busy) => Outcome::Busy,
            () => Outcome::Missed,
        }
    }
}
