//! A device: the real replica, a database that survives crashes, and a connection. What the client's shell does, without
//! threads and sockets. The world hands frames in and takes frames out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use convene_im_core::replica::{Change, Output, Replica, Request};
use convene_proto::im::{self, Code, Frame, frame::Body, hint};
use convene_types::{ClientId, ConvId, Seq, UserId};

use crate::db::Db;
use crate::net::{Millis, NodeId};
use crate::oracle::Oracle;
use crate::report::{Check, ensure};

/// A request without an answer for so long ends the session: the connection is dead.
const PATIENCE_MS: Millis = 6000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) index: usize,
    pub(crate) node: NodeId,
    pub(crate) user: u64,
    pub(crate) db: Db,
    /// `None`: it has crashed.
    pub(crate) replica: Option<Replica>,
    pub(crate) link: Link,
    /// It neither reads nor does anything.
    pub(crate) frozen: bool,
    /// What its syncs ask for.
    shape: im::Sync,
    asked: BTreeMap<u64, (Asked, Millis)>,
    rid: u64,
    sessions: u64,
    /// Frames to be sent.
    pub(crate) out: Vec<Frame>,
    /// What it sent before the handshake of its last session was done: somebody has recorded it.
    pub(crate) flight: Vec<Frame>,
    /// The highest read cursor and log cursor seen of each conversation, with the floor at that time.
    seen: BTreeMap<u64, (Seq, Seq, Seq)>,
    /// Its database loses events: a mistake made on purpose.
    pub(crate) torn: bool,
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// None; the next one then.
    Down(Millis),
    Up(u64),
}

/// What an answer belongs to.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a few dozen at a time")]
pub(crate) enum Asked {
    Replica(Request),
    Read(u64, u64),
    Create(Vec<u8>),
    Settings,
    /// Another payload under a client id that is in use: where it is.
    Conflict(u64, u64),
    /// Something that may not be done.
    Forbidden(Vec<u8>),
}

impl Device {
    pub(crate) fn new(index: usize, node: NodeId, user: u64, shape: im::Sync) -> Self {
        Self {
            index,
            node,
            user,
            db: Db::default(),
            replica: Some(Replica::new(UserId(user))),
            link: Link::Down(0),
            frozen: false,
            shape,
            asked: BTreeMap::new(),
            rid: 0,
            sessions: 0,
            out: Vec::new(),
            flight: Vec::new(),
            seen: BTreeMap::new(),
            torn: false,
        }
    }

    pub(crate) fn is_online(&self) -> bool {
        matches!(self.link, Link::Up(_)) && self.replica.is_some()
    }

    /// When [`Device::tick`] has something to do.
    pub(crate) fn next_at(&self, start: Instant) -> Option<Millis> {
        if self.frozen {
            return None;
        }
        let again = match self.link {
            Link::Down(at) => Some(at),
            Link::Up(_) => self.asked.values().map(|(_, until)| *until).min(),
        };
        let replica = self.replica.as_ref().filter(|_| self.is_online()).and_then(Replica::poll_timeout);
        let replica = replica.map(|at| at.saturating_duration_since(start).as_micros().div_ceil(1000) as Millis);
        again.into_iter().chain(replica).min()
    }

    pub(crate) fn tick(&mut self, now: Millis, at: Instant, oracle: &mut Oracle) -> Check {
        match self.link {
            Link::Down(again) if again <= now => self.connect(now, oracle)?,
            Link::Up(_) if self.asked.values().any(|(_, until)| *until <= now) => self.cut(now + 100),
            Link::Down(_) | Link::Up(_) => {}
        }
        if let Some(replica) = self.replica.as_mut().filter(|_| matches!(self.link, Link::Up(_))) {
            replica.handle_timeout(at);
            self.settle(now, oracle)?;
        }
        Ok(())
    }

    /// Begins a session: what it says at once may be a flight of early data.
    fn connect(&mut self, now: Millis, oracle: &mut Oracle) -> Check {
        if self.replica.is_none() {
            self.replica = Some(Replica::restore(UserId(self.user), self.db.load()));
            self.seen.clear();
        }
        self.sessions += 1;
        self.link = Link::Up((self.index as u64) << 32 | self.sessions);
        self.asked.clear();
        self.out.clear();
        let Some(replica) = self.replica.as_mut() else { return Ok(()) };
        let sync = replica.handle_connected();
        let sync = self.shaped(sync);
        let hello = im::Hello { sync: Some(sync.clone()), version: 1, ..im::Hello::default() };
        self.ask(Asked::Replica(Request::Sync(sync)), Body::Hello(hello), now);
        for (conv, seq) in self.db.reads.clone() {
            self.ask(Asked::Read(conv, seq), Body::Read(im::Read { conv, seq }), now);
        }
        self.settle(now, oracle)?;
        self.flight = self.out.clone();
        for create in self.db.creates.clone() {
            self.ask(Asked::Create(create.client_id.to_vec()), Body::Create(create), now);
        }
        Ok(())
    }

    /// The session is over.
    pub(crate) fn cut(&mut self, again: Millis) {
        self.link = Link::Down(again);
        self.asked.clear();
        self.out.clear();
        self.replica.iter_mut().for_each(Replica::handle_disconnected);
    }

    /// The process dies. Its database stays.
    pub(crate) fn crash(&mut self, again: Millis) {
        self.cut(again);
        self.replica = None;
    }

    fn shaped(&self, sync: im::Sync) -> im::Sync {
        im::Sync { top: self.shape.top, per_conv: self.shape.per_conv, budget: self.shape.budget, ..sync }
    }

    pub(crate) fn ask(&mut self, asked: Asked, body: Body, now: Millis) {
        self.rid += 1;
        self.asked.insert(self.rid, (asked, now + PATIENCE_MS));
        self.out.push(convene_proto::frame::of(self.rid, body));
    }

    /// Nothing is under way, and nothing is left to be said.
    pub(crate) fn is_quiet(&self) -> bool {
        let waits = |outgoing: &convene_im_core::replica::Outgoing| {
            !matches!(outgoing.progress, convene_im_core::replica::Progress::Refused(_))
        };
        let sent = !self.db.outgoing.iter().any(waits) && self.db.reads.is_empty() && self.db.creates.is_empty();
        let settled = self.replica.as_ref().is_some_and(|replica| replica.poll_timeout().is_none());
        self.is_online() && self.asked.is_empty() && sent && settled
    }

    /// Takes a frame. `false`: the session is over.
    pub(crate) fn frame(&mut self, frame: Frame, at: Instant, oracle: &mut Oracle) -> Check<bool> {
        let rid = frame.rid;
        let Some(body) = frame.body else { return Ok(true) };
        self.check_frame(&body, oracle)?;
        let Some(replica) = self.replica.as_mut() else { return Ok(true) };
        match body {
            Body::Ack(ack) => self.acked(rid, &ack, at, oracle)?,
            Body::Deliver(deliver) => replica.handle_deliver(deliver, at),
            Body::DeliverUser(deliver) => replica.handle_deliver_user(deliver, at),
            Body::SyncReply(reply) => self.sync_reply(rid, reply, at, oracle)?,
            Body::FetchReply(reply) => {
                let asked = self.asked.remove(&rid).is_some();
                asked.then(|| replica.handle_fetch_reply(reply, at));
            }
            Body::Error(error) => self.refused(rid, &error, at, oracle)?,
            Body::Done(_) => {
                if let Some((Asked::Read(conv, seq), _)) = self.asked.remove(&rid) {
                    self.read_done(conv, seq);
                }
            }
            Body::Created(created) => {
                self.asked.remove(&rid);
                self.db.creates.retain(|create| create.client_id != created.client_id);
            }
            Body::Hint(im::Hint { kind: Some(hint::Kind::Head(head)) }) => replica.handle_head(&head),
            Body::Goodbye(_) => return Ok(false),
            _ => {}
        }
        Ok(true)
    }

    /// Everything that arrives has to be true, and for this user (I13).
    fn check_frame(&self, body: &Body, oracle: &Oracle) -> Check {
        let events: Vec<&im::Event> = match body {
            Body::Deliver(deliver) => deliver.events.iter().collect(),
            Body::FetchReply(reply) => reply.events.iter().collect(),
            Body::SyncReply(reply) => reply.conversations.iter().flat_map(|delta| &delta.events).collect(),
            _ => Vec::new(),
        };
        events.into_iter().try_for_each(|event| oracle.shown(self.user, event))
    }

    fn acked(&mut self, rid: u64, ack: &im::Ack, at: Instant, oracle: &mut Oracle) -> Check {
        match self.asked.remove(&rid) {
            Some((Asked::Conflict(conv, seq), _)) => {
                // Allowed when the content was erased: nothing is left to compare with.
                let place = (ack.conv, ack.seq, ack.duplicate);
                let body = oracle.logs.get(&conv).and_then(|log| log.entry(seq)).and_then(|e| e.event.body.clone());
                let erased = matches!(body.and_then(|body| body.kind), Some(im::body::Kind::Tombstone(_)));
                ensure!(
                    erased && place == (conv, seq, true),
                    I3,
                    "another payload was taken for {conv}/{seq}: {ack:?}"
                );
            }
            Some((Asked::Forbidden(_), _)) => ensure!(false, I16, "a send that is forbidden was taken: {ack:?}"),
            Some((Asked::Replica(_), _)) => {
                oracle.acked(self.user, ack)?;
                self.replica.iter_mut().for_each(|replica| replica.handle_ack(ack, at));
            }
            Some((Asked::Read(..) | Asked::Create(_) | Asked::Settings, _)) | None => {}
        }
        Ok(())
    }

    fn sync_reply(&mut self, rid: u64, reply: im::SyncReply, at: Instant, oracle: &mut Oracle) -> Check {
        let (more, Link::Up(session)) = (reply.more, self.link) else { return Ok(()) };
        let Some(replica) = self.replica.as_mut().filter(|_| self.asked.contains_key(&rid)) else { return Ok(()) };
        replica.handle_sync_reply(reply, at);
        if more {
            return Ok(());
        }
        self.asked.remove(&rid);
        for (conv, head) in oracle.owed.remove(&(session, rid)).unwrap_or_default() {
            let knows = replica.conversation(ConvId(conv)).map(|conversation| conversation.state().head.0);
            ensure!(knows >= Some(head), I7, "after a sync device {} knows {knows:?} of {conv}/{head}", self.index);
        }
        Ok(())
    }

    fn refused(&mut self, rid: u64, error: &im::Error, at: Instant, oracle: &mut Oracle) -> Check {
        let Some((asked, _)) = self.asked.remove(&rid) else { return Ok(()) };
        match asked {
            Asked::Replica(request) => {
                if let Request::Send(send) = &request {
                    let place = oracle.place(self.user, &send.client_id);
                    // Of a retry it says nothing that the store is out of order.
                    let says_nothing = is_passing(error.code());
                    ensure!(
                        place.is_none() || says_nothing || oracle.doubled,
                        I16,
                        "refused with {:?}, and is at {place:?}",
                        error.code()
                    );
                }
                self.replica.iter_mut().for_each(|replica| replica.handle_refused(&request, error, at));
            }
            Asked::Read(conv, seq) => {
                if !is_passing(error.code()) {
                    self.read_done(conv, seq);
                }
            }
            Asked::Create(client_id) => {
                if !is_passing(error.code()) {
                    self.db.creates.retain(|create| create.client_id != client_id);
                }
            }
            Asked::Forbidden(client_id) => {
                let place = oracle.place(self.user, &client_id);
                ensure!(place.is_none() || oracle.doubled, I16, "refused with {:?}, and is at {place:?}", error.code());
            }
            Asked::Conflict(..) | Asked::Settings => {}
        }
        Ok(())
    }

    fn read_done(&mut self, conv: u64, seq: u64) {
        if self.db.reads.get(&conv) == Some(&seq) {
            self.db.reads.remove(&conv);
        }
    }

    /// Writes what the replica wants written, in one transaction; then sends what it wants sent. Nothing of it happens if
    /// the world lets the device crash first.
    pub(crate) fn settle(&mut self, now: Millis, oracle: &mut Oracle) -> Check {
        let Some(replica) = self.replica.as_mut() else { return Ok(()) };
        let (mut changes, mut requests) = (Vec::new(), Vec::new());
        while let Some(output) = replica.poll() {
            match output {
                Output::Change(change) => changes.push(change),
                Output::Request(request) => requests.push(request),
            }
        }
        self.db.commit(replica, &changes, self.torn);
        self.check(&changes, oracle)?;
        for request in requests {
            let (request, body) = match request {
                Request::Fetch(fetch) => (Request::Fetch(fetch), Body::Fetch(fetch)),
                Request::Send(send) => (Request::Send(send.clone()), Body::Send(send)),
                Request::Sync(sync) => {
                    let sync = self.shaped(sync);
                    (Request::Sync(sync.clone()), Body::Sync(sync))
                }
            };
            self.ask(Asked::Replica(request), body, now);
        }
        Ok(())
    }

    /// I6, I10 and I13 of what has just changed.
    fn check(&mut self, changes: &[Change], oracle: &Oracle) -> Check {
        let Some(replica) = &self.replica else { return Ok(()) };
        for change in changes {
            let conv = match *change {
                Change::Event(conv, seq) => {
                    let event = replica.conversation(conv).and_then(|conversation| conversation.event(seq));
                    event.into_iter().try_for_each(|event| oracle.shown(self.user, event))?;
                    continue;
                }
                Change::Conversation(conv) => conv,
                // The server was never set back.
                Change::Forgotten(conv) => {
                    ensure!(false, I10, "device {} starts over, and forgets {conv}", self.index);
                    continue;
                }
                Change::Hidden(..) | Change::Position | Change::Outgoing(_) | Change::Profile => continue,
            };
            let Some(conversation) = replica.conversation(conv) else { continue };
            check_window(conversation, self.index)?;
            let log = oracle.logs.get(&conv.0);
            let (head, stays) = log.map_or((0, 0), |log| (log.head(), log.stays.get(&self.user).map_or(0, Vec::len)));
            let state = conversation.state();
            let (read, cursor, floor) = (state.read, conversation.cursor(), state.floor);
            ensure!(
                read.0 <= head && cursor.0 <= head && state.head.0 <= head,
                I10,
                "{conv}: beyond {head}: {state:?}"
            );
            let before = self.seen.insert(conv.0, (read, cursor, floor)).unwrap_or_default();
            // With another stay the cursors start over.
            let fell = (read < before.0 || cursor < before.1) && stays <= 1;
            ensure!(!fell, I10, "{conv} on device {}: {before:?}, then {:?}", self.index, (read, cursor, floor));
        }
        Ok(())
    }

    /// The user sends. It counts when it is written down.
    pub(crate) fn send(&mut self, client_id: ClientId, conv: u64, body: im::Body, oracle: &mut Oracle) {
        let Some(replica) = self.replica.as_mut() else { return };
        if replica.send(client_id, ConvId(conv), body).is_ok() {
            oracle.intends(client_id, self.user, self.index, conv);
        }
    }

    /// The user has read.
    pub(crate) fn read(&mut self, conv: u64, seq: u64, now: Millis) {
        let read = self.replica.as_mut().and_then(|replica| replica.mark_read(ConvId(conv), Seq(seq)));
        let Some(read) = read else { return };
        self.db.reads.insert(conv, read.seq);
        if self.is_online() {
            self.ask(Asked::Read(conv, read.seq), Body::Read(read), now);
        }
    }

    /// Whether a page of this conversation is asked for.
    pub(crate) fn is_fetching(&self, conv: u64) -> bool {
        let fetch = |(asked, _): &(Asked, Millis)| matches!(asked, Asked::Replica(Request::Fetch(f)) if f.conv == conv);
        self.asked.values().any(fetch)
    }
}

/// Nothing is shown past a hole (I6).
fn check_window(conversation: &convene_im_core::replica::Conversation, device: usize) -> Check {
    let window = conversation.newest();
    let mut at = window.from.0;
    for event in window.events() {
        at += 1;
        ensure!(event.seq == at, I6, "{} on device {device}: {} stands behind {}", event.conv, event.seq, at - 1);
    }
    let to = window.to.0;
    ensure!(at == to, I6, "{} on device {device}: the window ends at {at}, not {to}", conversation.id());
    Ok(())
}

fn is_passing(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Flood | Code::Internal | Code::TooEarly)
}

/// The simulation's clock as the replica sees it.
pub(crate) fn instant(start: Instant, now: Millis) -> Instant {
    start + Duration::from_millis(now)
}
