//! What is true: every event as it was committed, who may see which part of which log, who has read how far. Kept apart
//! from all that is tested, from the outcomes of the store's commits alone, and asked by every check.

use std::collections::{BTreeMap, BTreeSet};

use convene_im_core::rules::{Erasure, is_countable, tombstone};
use convene_proto::im::{self, Code, Role, body::Kind};
use convene_store::{Appended, Outcome};
use convene_types::{ClientId, Seq};
use prost::Message as _;

use crate::report::{Check, ensure};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// The network doubles requests, as no transport of ours does; then one may be refused and its double be taken.
    pub(crate) doubled: bool,
    pub(crate) logs: BTreeMap<u64, Log>,
    /// Where each client id of each sender stands.
    by_client: BTreeMap<(u64, Vec<u8>), (u64, u64)>,
    /// Texts that are unique, and where they are.
    texts: BTreeMap<String, (u64, u64)>,
    /// Read cursors, by user and conversation.
    pub(crate) reads: BTreeMap<(u64, u64), u64>,
    /// Sends that a device has written down.
    pub(crate) intents: BTreeMap<ClientId, Intent>,
    /// The newest event of each conversation that any device has an acknowledgement of.
    acked: BTreeMap<u64, u64>,
    /// What each sync has to know when it is through: by session and rid.
    pub(crate) owed: BTreeMap<(u64, u64), Vec<(u64, u64)>>,
    pub(crate) erased_texts: BTreeSet<String>,
}

/// One conversation.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) direct: bool,
    pub(crate) events: Vec<Entry>,
    pub(crate) stays: BTreeMap<u64, Vec<Stay>>,
    roles: BTreeMap<u64, Role>,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As it is in the log, erased or not.
    pub(crate) event: im::Event,
    /// As it was written.
    pub(crate) original: im::Body,
    /// The event that erased it; 0: none has.
    pub(crate) erased_by: u64,
}

/// A time as a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    pub(crate) floor: u64,
    pub(crate) joined: u64,
    pub(crate) ceiling: Option<u64>,
}

/// A send that a device has written down.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) user: u64,
    pub(crate) device: usize,
    pub(crate) conv: u64,
    /// Order among those of the device.
    pub(crate) number: u64,
    /// Its seq has to be above this one.
    above: u64,
    pub(crate) refused: bool,
}

impl Log {
    pub(crate) fn head(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn entry(&self, seq: u64) -> Option<&Entry> {
        self.events.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    /// Whether this was ever for the user to see.
    fn ever_visible(&self, user: u64, seq: u64) -> bool {
        let stays = self.stays.get(&user).map_or(&[][..], Vec::as_slice);
        stays.iter().any(|stay| seq > stay.floor && stay.ceiling.is_none_or(|ceiling| seq <= ceiling))
    }

    /// What the user sees at this time: (from, to], and whether they are a member.
    pub(crate) fn visible(&self, user: u64) -> Option<(u64, u64, bool)> {
        let stay = self.stays.get(&user)?.last()?;
        Some((stay.floor, stay.ceiling.unwrap_or_else(|| self.head()), stay.ceiling.is_none()))
    }

    /// A device may still hold what was erased when its user had left: nobody tells it.
    pub(crate) fn may_keep(&self, user: u64, seq: u64) -> bool {
        let head = self.visible(user).map_or(0, |(_, head, _)| head);
        self.entry(seq).is_some_and(|entry| entry.erased_by > head)
    }

    /// Countable events of (from, to], counted one by one.
    pub(crate) fn count(&self, from: u64, to: u64) -> u64 {
        let within = self.events.iter().filter(|entry| entry.event.seq > from && entry.event.seq <= to);
        within.filter(|entry| is_countable(&entry.original)).count() as u64
    }

    fn role(&self, user: u64) -> Role {
        self.roles.get(&user).copied().unwrap_or_default()
    }

    /// Who is a member.
    pub(crate) fn members(&self) -> impl Iterator<Item = (u64, Stay)> {
        self.stays
            .iter()
            .filter_map(|(user, stays)| stays.last().map(|stay| (*user, *stay)))
            .filter(|(_, stay)| stay.ceiling.is_none())
    }
}

impl Oracle {
    /// Takes a commit in, in the order of the batch.
    pub(crate) fn committed(&mut self, outcome: &Outcome) -> Check {
        match outcome {
            Outcome::Appended(appended) => self.appended(appended),
            Outcome::Swept { appended, .. } => appended.iter().try_for_each(|appended| self.appended(appended)),
            Outcome::Created { conv, events, duplicate } => {
                let direct = |body: &im::Body| {
                    !members_of(body).is_some_and(|change| change.add.iter().any(|m| m.role() == Role::Owner))
                };
                for event in events {
                    let decoded = decode(event)?;
                    self.logs.entry(conv.0).or_default().direct = decoded.body.as_ref().is_some_and(direct);
                    self.appended(event)?;
                }
                ensure!(*duplicate == events.is_empty(), I3, "a conversation is made once, or found");
                Ok(())
            }
            // See `read`.
            Outcome::Read { .. }
            | Outcome::Settings { .. }
            | Outcome::User { .. }
            | Outcome::Upload(_)
            | Outcome::Expired(_)
            | Outcome::Account(_)
            | Outcome::Org(_)
            | Outcome::Webhook(_)
            | Outcome::Done => Ok(()),
        }
    }

    /// A read cursor after a `Read` of it.
    pub(crate) fn read(&mut self, user: u64, conv: u64, asked: u64, got: u64) -> Check {
        let before = self.reads.get(&(user, conv)).copied().unwrap_or(0);
        let head = self.logs.get(&conv).map_or(0, Log::head);
        ensure!(got <= head, I10, "read cursor {got} of user {user} in {conv}, whose head is {head}");
        ensure!(
            got == before.max(asked),
            I10,
            "read cursor of user {user} in {conv}: {before}, read {asked}, is {got}"
        );
        self.reads.insert((user, conv), got);
        Ok(())
    }

    fn appended(&mut self, appended: &Appended) -> Check {
        let (conv, seq) = (appended.conv.0, appended.seq.0);
        if appended.duplicate {
            let known = self.logs.get(&conv).and_then(|log| log.entry(seq)).is_some();
            ensure!(known, I3, "a retry is told of {conv}/{seq}, which is not there");
            return Ok(());
        }
        let event = decode(appended)?;
        let log = self.logs.entry(conv).or_default();
        ensure!(seq == log.head() + 1, I1, "event {seq} of {conv}, whose head was {}", log.head());
        ensure!((event.conv, event.seq) == (conv, seq), I1, "event {}/{} came as {conv}/{seq}", event.conv, event.seq);
        let key = (event.sender, event.client_id.to_vec());
        if let Some(twin) = self.by_client.insert(key, (conv, seq)) {
            ensure!(false, I3, "{conv}/{seq} and {twin:?} have one client id");
        }
        let body = event.body.clone().unwrap_or_default();
        if let Some(text) = token(&body)
            && let Some(twin) = self.texts.insert(text.to_owned(), (conv, seq))
        {
            ensure!(false, I3, "{conv}/{seq} and {twin:?} are one send");
        }
        log.check(&event, &body)?;
        self.join_and_leave(appended, &body)?;
        if event.sender != 0 {
            self.reads.insert((event.sender, conv), seq);
        }
        self.logs.entry(conv).or_default().events.push(Entry { event, original: body.clone(), erased_by: 0 });
        self.erase(conv, seq, &body);
        Ok(())
    }

    fn join_and_leave(&mut self, appended: &Appended, body: &im::Body) -> Check {
        let (conv, seq) = (appended.conv.0, appended.seq.0);
        let log = self.logs.entry(conv).or_default();
        let change = members_of(body).cloned().unwrap_or_default();
        let added: Vec<_> = change.add.iter().map(|member| member.user).collect();
        let told: Vec<_> = appended.added.iter().map(|(user, _)| user.0).collect();
        ensure!(added == told, I13, "{conv}/{seq} adds {added:?}, fan-out is told {told:?}");
        let told: Vec<_> = appended.removed.iter().map(|user| user.0).collect();
        ensure!(change.remove == told, I13, "{conv}/{seq} removes {:?}, fan-out is told {told:?}", change.remove);
        for user in &change.remove {
            log.roles.remove(user);
            log.stays.entry(*user).or_default().last_mut().into_iter().for_each(|stay| stay.ceiling = Some(seq));
        }
        for member in &change.role {
            log.roles.insert(member.user, member.role());
        }
        for member in &change.add {
            let floor = if member.with_history { 0 } else { seq - 1 };
            log.roles.insert(member.user, member.role());
            log.stays.entry(member.user).or_default().push(Stay { floor, joined: seq, ceiling: None });
            self.reads.insert((member.user, conv), seq - 1);
        }
        Ok(())
    }

    fn erase(&mut self, conv: u64, by: u64, body: &im::Body) {
        let Some(erasure) = Erasure::of(body) else { return };
        let log = self.logs.entry(conv).or_default();
        for entry in &mut log.events {
            let Some(standing) = entry.event.body.as_mut() else { continue };
            if entry.event.seq < by && erasure.covers(Seq(entry.event.seq), standing) {
                self.erased_texts.extend(token(standing).map(str::to_owned));
                *standing = tombstone(standing, erasure.reason);
                entry.erased_by = by;
            }
        }
    }

    /// Something reached a user, by whatever way: it has to be theirs to see, and as it was committed.
    pub(crate) fn shown(&self, user: u64, event: &im::Event) -> Check {
        let (conv, seq) = (event.conv, event.seq);
        let Some(log) = self.logs.get(&conv) else {
            ensure!(false, I2, "{conv}/{seq} is nowhere");
            return Ok(());
        };
        ensure!(log.ever_visible(user, seq), I13, "{conv}/{seq} reached user {user}: {:?}", log.stays.get(&user));
        let Some(entry) = log.entry(seq) else {
            ensure!(false, I2, "{conv}/{seq} is beyond the head");
            return Ok(());
        };
        let as_written = im::Event { body: Some(entry.original.clone()), ..entry.event.clone() };
        // The reason is that of the first erasure, which a device may learn of after a later one.
        let erased = |event: &im::Event| match event.body.as_ref().and_then(|body| body.kind.as_ref()) {
            Some(Kind::Tombstone(left)) => Some(left.kind),
            _ => None,
        };
        let emptied = erased(event).is_some() && erased(event) == erased(&entry.event);
        ensure!(
            emptied || *event == entry.event || *event == as_written,
            I2,
            "{conv}/{seq} is {:?}, came as {event:?}",
            entry.event
        );
        Ok(())
    }

    /// A device has an acknowledgement.
    pub(crate) fn acked(&mut self, user: u64, ack: &im::Ack) -> Check {
        let place = self.by_client.get(&(user, ack.client_id.to_vec())).copied();
        let (conv, seq) = (ack.conv, ack.seq);
        ensure!(place == Some((conv, seq)), I2, "user {user} was told {conv}/{seq}, the send is at {place:?}");
        let entry = self.logs.get(&conv).and_then(|log| log.entry(seq));
        let told = entry.map(|entry| (entry.event.ord, entry.event.at_ms));
        ensure!(told == Some((ack.ord, ack.at_ms)), I2, "{conv}/{seq} is {told:?}, acknowledged as {ack:?}");
        let newest = self.acked.entry(conv).or_default();
        *newest = seq.max(*newest);
        Ok(())
    }

    /// A device has written a send down.
    pub(crate) fn intends(&mut self, client_id: ClientId, user: u64, device: usize, conv: u64) {
        let (number, above) = (self.intents.len() as u64, self.acked.get(&conv).copied().unwrap_or(0));
        self.intents.insert(client_id, Intent { user, device, conv, number, above, refused: false });
    }

    /// Where a send is.
    pub(crate) fn place(&self, user: u64, client_id: &[u8]) -> Option<(u64, u64)> {
        self.by_client.get(&(user, client_id.to_vec())).copied()
    }

    /// I16: what the store refuses is not there. Another payload by the same id is refused for that very reason.
    pub(crate) fn refused(&self, user: u64, client_id: &ClientId, code: Code) -> Check {
        let place = self.place(user, &client_id.0);
        ensure!(place.is_none() || code == Code::Conflict, I16, "the store refused what is at {place:?}: {code:?}");
        Ok(())
    }

    /// I4 and I16, when everything is over.
    pub(crate) fn check_sends(&self) -> Check {
        let mut last: BTreeMap<(usize, u64), (u64, u64)> = BTreeMap::new();
        let mut intents: Vec<_> = self.intents.iter().collect();
        intents.sort_by_key(|(_, intent)| intent.number);
        for (client_id, intent) in intents {
            let place = self.place(intent.user, &client_id.0);
            if intent.refused {
                ensure!(
                    place.is_none() || self.doubled,
                    I16,
                    "send {} was refused, and is at {place:?}",
                    intent.number
                );
                continue;
            }
            let Some((conv, seq)) = place else {
                ensure!(false, I16, "send {} of device {} is lost", intent.number, intent.device);
                continue;
            };
            ensure!(conv == intent.conv, I16, "send {} went to another conversation", intent.number);
            ensure!(seq > intent.above, I4, "{conv}/{seq} was sent when {} was acknowledged", intent.above);
            let before = last.insert((intent.device, conv), (seq, intent.number)).unwrap_or_default();
            ensure!(before.0 < seq, I4, "send {} is at {seq}, the later {} at {}", before.1, intent.number, before.0);
        }
        Ok(())
    }
}

impl Log {
    /// What follows from the log before it.
    fn check(&self, event: &im::Event, body: &im::Body) -> Check {
        let (seq, sender) = (event.seq, event.sender);
        let before = self.events.last().map_or((0, 0), |entry| (entry.event.ord, entry.event.at_ms));
        let ord = before.0 + u64::from(is_countable(body));
        ensure!(event.ord == ord, I9, "event {seq} has ordinal {}, counted {ord}", event.ord);
        ensure!(event.at_ms >= before.1, I1, "event {seq} is older than the one before");
        let in_it = self.stays.get(&sender).and_then(|stays| stays.last()).is_some_and(|stay| stay.ceiling.is_none());
        ensure!(sender == 0 || in_it || self.events.is_empty(), I16, "event {seq} is of {sender}, who is no member");
        let author = self.entry(body.target).map_or(0, |entry| entry.event.sender);
        let admin = sender == 0 || (!self.direct && self.role(sender) >= Role::Admin);
        let may = match &body.kind {
            Some(Kind::Edit(_)) => author == sender,
            Some(Kind::Recall(_)) => author == sender || admin,
            _ => true,
        };
        ensure!(may, I12, "event {seq} of {sender} changes what {author} has said");
        Ok(())
    }
}

fn decode(appended: &Appended) -> Check<im::Event> {
    let event = im::Event::decode(appended.event.clone());
    ensure!(event.is_ok(), Store, "an event that is none: {event:?}");
    Ok(event.unwrap_or_default())
}

fn members_of(body: &im::Body) -> Option<&im::MemberChange> {
    match &body.kind {
        Some(Kind::Members(change)) => Some(change),
        _ => None,
    }
}

/// The unique part of a text or an edit.
pub(crate) fn token(body: &im::Body) -> Option<&str> {
    match &body.kind {
        Some(Kind::Text(text)) => text.text.split(' ').next(),
        Some(Kind::Edit(edit)) => edit.text.split(' ').next(),
        _ => None,
    }
}
