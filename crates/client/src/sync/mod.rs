//! The engine: what a client does with what its owner asks and its server says. It holds the replica and the database,
//! and answers with outputs; it opens no connection, reads no clock and draws no random number but from what it is given.
//!
//! Everything the replica changes in one step is written in one transaction before anything is told or sent
//! ([`Engine::settle`]), so a crash at any point leaves a database that the next start goes on from.

mod command;
mod frames;
mod outgoing;
mod pages;
mod reads;
mod requests;
#[cfg(test)]
mod seats;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use convene_im_core::replica::{Replica, Request, Saved};
use convene_proto::im::{self, Frame, frame::Body};
use convene_proto::{frame, limits};
use convene_types::{ClientId, DeviceId, UserId};
use prost::Message as _;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::db::Database;
use crate::db::meta::Key;
use crate::error::Error;
use crate::net::link::Transport;
use crate::shell::Work;
use crate::update::Update;

pub(crate) use command::Command;
pub use pages::{Conversation, Message, Page};
use reads::Reads;
use requests::{Asked, Requests};

/// Own messages and cursors that travel right behind `Hello`. A 0-RTT flight has to fit into the window that the server
/// gave in the last session, 64 KiB.
const MAX_FLIGHT: usize = 16;
/// What a flight's messages may take of that window.
const MAX_FLIGHT_BYTES: usize = 32 * 1024;

/// The time, as both clocks have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) unix_ms: i64,
}

/// What the shell is to do.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "taken one by one, never stored in numbers")]
pub(crate) enum Output {
    /// Write this to the control stream.
    Control(Frame),
    /// Send this, or lose it.
    Hint(im::Hint),
    /// Do this over the connection.
    Work(Work),
    /// Tell the owner.
    Update(Update),
    /// End the connection.
    End(End),
}

/// Why a connection ends, and whether there is to be another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) reason: String,
    pub(crate) retry: Retry,
}

/// When to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Not before this, and then a random part.
    After(Duration),
    /// The same, with another token.
    WithToken,
    /// When the owner says so.
    Never,
}

impl End {
    pub(crate) fn later(reason: String) -> Self {
        Self { reason, retry: Retry::After(Duration::ZERO) }
    }
}

/// In whose name it speaks, as far as its owner says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seat {
    /// Empty: that of the only seat.
    pub(crate) organisation: String,
    /// The tokens are of a sign-in.
    pub(crate) signed_in: bool,
}

/// The engine.
pub(crate) struct Engine {
    db: Database,
    rng: StdRng,
    name: String,
    device: DeviceId,
    /// In whose name it speaks; empty: that of the only seat.
    organisation: String,
    /// Its tokens are said to be of a sign-in, whoever keeps that.
    signed_in: bool,
    /// Who this is; `None` before the first session.
    me: Option<im::User>,
    replica: Option<Replica>,
    limits: im::Limits,
    /// A connection is there, so that outputs for it make sense.
    link: Option<(Transport, bool)>,
    welcomed: bool,
    /// The connection is to be ended: what else it brings is not looked at.
    ending: bool,
    synced: bool,
    requests: Requests,
    /// Requests of the replica that wait for the connection.
    held: VecDeque<Request>,
    reads: Reads,
    /// Up to which event of each conversation [`Update::Event`] has told.
    told: HashMap<u64, u64>,
    /// Conversations that were forgotten, and of which no sync has told since.
    forgotten: HashSet<u64>,
    uploading: HashSet<ClientId>,
    /// Rows whose files were uploaded in this session, and that the server has neither taken nor refused yet. No longer than
    /// that: it forgets a file after a day, and a program may sleep for as long.
    uploaded: HashSet<ClientId>,
    /// When uploads that were refused for the time being are tried again.
    uploads_at: Option<Instant>,
    waiters: pages::Waiters,
    when_synced: Vec<command::Answer<()>>,
    out: VecDeque<Output>,
}

impl Engine {
    pub(crate) fn open(db: Database, name: String, seat: Seat) -> Result<Self, Error> {
        let Seat { organisation, signed_in } = seat;
        Ok(Self { organisation, signed_in, ..Self::with_rng(db, name, rand::make_rng())? })
    }

    fn with_rng(db: Database, name: String, mut rng: StdRng) -> Result<Self, Error> {
        let device = match db.value(Key::Device)?.as_deref().and_then(DeviceId::from_wire) {
            Some(device) => device,
            None => {
                let device = DeviceId(rng.random());
                db.set_value(Key::Device, &device.0)?;
                device
            }
        };
        let me = match db.value(Key::Me)? {
            Some(bytes) => im::User::decode(Bytes::from(bytes)).ok(),
            None => None,
        };
        let mut engine = Self {
            db,
            rng,
            name,
            device,
            organisation: String::new(),
            signed_in: false,
            me: me.clone(),
            replica: None,
            limits: im::Limits::default(),
            link: None,
            welcomed: false,
            ending: false,
            synced: false,
            requests: Requests::default(),
            held: VecDeque::new(),
            reads: Reads::default(),
            told: HashMap::new(),
            forgotten: HashSet::new(),
            uploading: HashSet::new(),
            uploaded: HashSet::new(),
            uploads_at: None,
            waiters: pages::Waiters::default(),
            when_synced: Vec::new(),
            out: VecDeque::new(),
        };
        if let Some(me) = me {
            engine.replica = Some(engine.restore(&me)?);
        }
        Ok(engine)
    }

    #[cfg(test)]
    fn seeded(seed: u64) -> Self {
        Self::with_rng(Database::in_memory(), "test".to_owned(), rand::SeedableRng::seed_from_u64(seed)).unwrap()
    }

    /// The replica as the database has it.
    fn restore(&mut self, me: &im::User) -> Result<Replica, Error> {
        let (useq, bump) = self.db.position()?;
        let rows = self.db.conversations()?;
        let rows = rows.into_iter().map(|row| self.db.trim(row)).collect::<Result<Vec<_>, _>>()?;
        self.told = rows.iter().map(|row| (row.delta.conv, row.spans.last().map_or(0, |(_, to)| to.0))).collect();
        let events = self.db.events(None)?;
        let outgoing = self.db.outgoing_of(None)?.iter().filter_map(outgoing::to_replica).collect();
        Ok(Replica::restore(UserId(me.id), Saved { useq, bump, rows, events, outgoing }))
    }

    /// The first flight of a session: `Hello`, and what else need not wait for its answer. All of it may travel in 0-RTT.
    pub(crate) fn flight(&mut self, token: String, now: Now) -> Result<Vec<Frame>, Error> {
        let sync = self.replica.as_mut().map_or_else(im::Sync::default, Replica::handle_connected);
        let hello = im::Hello {
            version: limits::VERSION,
            token,
            device_id: Bytes::copy_from_slice(&self.device.0),
            client: self.name.clone(),
            sync: Some(sync),
            org: self.organisation.clone(),
        };
        let rid = self.requests.open(Asked::Hello, now.instant);
        let mut frames = vec![frame::of(rid, Body::Hello(hello))];
        self.settle(None)?;
        let mut bytes = 0;
        while let Some(Request::Send(send)) = self.held.front() {
            bytes += send.encoded_len();
            if frames.len() > MAX_FLIGHT || bytes > MAX_FLIGHT_BYTES {
                break;
            }
            let Some(Request::Send(send)) = self.held.pop_front() else { break };
            frames.push(self.send_frame(send, now));
        }
        self.reads.begin(self.db.reads()?);
        for _ in 0..MAX_FLIGHT {
            let Some((conv, seq)) = self.reads.pop(now.instant) else { break };
            frames.push(self.read_frame(conv, seq, now));
        }
        Ok(frames)
    }

    /// A connection is there; the flight is on its way.
    pub(crate) fn linked(&mut self, transport: Transport, early: bool) {
        self.link = Some((transport, early));
    }

    /// The connection is gone, or none came.
    pub(crate) fn lost(&mut self, reason: &str) -> Result<(), Error> {
        (self.link, self.welcomed, self.synced, self.ending) = (None, false, false, false);
        self.requests.lose(reason);
        self.uploading.clear();
        self.uploaded.clear();
        self.uploads_at = None;
        if let Some(replica) = &mut self.replica {
            replica.handle_disconnected();
        }
        self.settle(None)?;
        self.held.clear();
        self.reads.end();
        self.answer_all_waiters();
        Ok(())
    }

    /// When to call [`Engine::wake`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let replica = self.replica.as_ref().filter(|_| self.welcomed).and_then(Replica::poll_timeout);
        replica.into_iter().chain(self.uploads_at).chain(self.reads.deadline()).min()
    }

    /// Since when the longest request waits for its answer.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.requests.oldest()
    }

    pub(crate) fn wake(&mut self, now: Now) -> Result<(), Error> {
        if let Some(replica) = &mut self.replica {
            replica.handle_timeout(now.instant);
        }
        if self.uploads_at.is_some_and(|at| at <= now.instant) {
            self.uploads_at = None;
            self.start_uploads()?;
        }
        self.reads.wake(now.instant);
        self.settle(None)
    }

    /// The next thing to do. The shell settles what frames brought before it asks.
    pub(crate) fn poll(&mut self, now: Now) -> Option<Output> {
        self.release(now);
        self.out.pop_front()
    }

    pub(crate) fn keep_info(&self, info: &[u8]) -> Result<(), Error> {
        if self.db.value(Key::Info)?.as_deref() == Some(info) {
            return Ok(());
        }
        self.db.set_value(Key::Info, info)
    }

    pub(crate) fn is_without_udp(&self, network: &str, now: Now) -> Result<bool, Error> {
        self.db.is_without_udp(network, now.unix_ms)
    }

    pub(crate) fn set_without_udp(&self, network: &str, until_ms: i64, now: Now) -> Result<(), Error> {
        if until_ms == 0 && !self.db.is_without_udp(network, now.unix_ms)? {
            return Ok(());
        }
        self.db.set_without_udp(network, until_ms, now.unix_ms)
    }

    fn tell(&mut self, update: Update) {
        self.out.push_back(Output::Update(update));
    }

    fn end(&mut self, reason: impl Into<String>, retry: Retry) {
        self.ending = true;
        self.out.push_back(Output::End(End { reason: reason.into(), retry }));
    }
}
