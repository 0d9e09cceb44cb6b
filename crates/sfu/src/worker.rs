//! One media worker: a thread, a socket, its rooms and peers, and the loop that serves them.
//!
//! A turn of the loop: sleep until a datagram, a command or a deadline; receive in batches; run commands and timers;
//! forward. Video waits up to [`GATHER`] so that packets of one frame leave in one GSO send; audio waits for nothing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convene_peer::transport::Identity;
use convene_types::{PeerId, RoomId};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

use crate::command::Command;
use crate::counters::Counters;
use crate::demux::Demux;
use crate::forward::Outbox;
use crate::lag::Lag;
use crate::negotiate::Ssrcs;
use crate::network::Network;
use crate::pipe::Pipes;
use crate::relocate::Relay;
use crate::room::RoomState;
use crate::session::Session;
use crate::shed::Shedder;
use crate::socket::{Inbox, Path};
use crate::timers::{Owner, Timers};
use crate::waker::Waker;

pub(crate) const SOCKET: mio::Token = mio::Token(0);
pub(crate) const WAKE: mio::Token = mio::Token(1);
/// Tokens from here on are connections.
pub(crate) const FIRST_LINK: usize = 2;

/// How long video may wait for more packets of its frame. Longer saves sends (GSO), and is added to every frame's delay;
/// a millisecond covers a frame that arrives back to back.
const GATHER: Duration = Duration::from_millis(1);

/// Receives in a row before timers and commands get a turn: 64 x 32 slots is a burst no single core forwards in a tick.
const MAX_RECEIVES_PER_TURN: usize = 16;

/// Packets to write (about 2 us each) from which nothing more is read before they are: what is read meanwhile, audio as well,
/// would wait for all of them. A frame of eight packets for a thousand is less.
const MAX_OWED: u64 = 8_192;

/// A wait of less is no sleep: `poll` looks, and something is there already.
const SLEPT: Duration = Duration::from_micros(200);

/// Commands in a row before media gets a turn.
const MAX_COMMANDS_PER_TURN: usize = 32;

/// How often counters are handed to the metrics registry.
pub(crate) const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// What a worker thread is made of.
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) poll: mio::Poll,
    pub(crate) waker: Arc<Waker>,
    pub(crate) network: Network,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) candidates: Vec<SocketAddr>,
    pub(crate) tcp_candidates: Vec<SocketAddr>,
    pub(crate) open_rooms: Arc<AtomicUsize>,
    /// Share of its time that it works, in thousandths.
    pub(crate) load: Arc<AtomicU32>,
    pub(crate) pipes: Pipes,
    pub(crate) metrics: Arc<convene_telemetry::Metrics>,
    pub(crate) loudest: u16,
}

/// See the module.
pub(crate) struct Worker {
    pub(crate) network: Network,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) candidates: Vec<SocketAddr>,
    pub(crate) tcp_candidates: Vec<SocketAddr>,
    /// In front of the ufrags of its peers, so that connections over TCP find it.
    pub(crate) tag: u16,
    pub(crate) rooms: FxHashMap<RoomId, RoomState>,
    /// Boxed: a session has 4 KB, and the table is walked for each packet and grows with each peer.
    pub(crate) sessions: FxHashMap<PeerId, Box<Session>>,
    /// Peers that went on to other workers and are still reached by the socket here.
    pub(crate) relays: FxHashMap<PeerId, Relay>,
    /// Sessions that are negotiated and not connected: each join asks, so they are counted.
    pub(crate) pending: usize,
    pub(crate) demux: Demux,
    pub(crate) timers: Timers,
    pub(crate) outbox: Outbox,
    pub(crate) pipes: Pipes,
    /// A piped packet on its way in.
    pub(crate) scratch: Vec<u8>,
    pub(crate) counters: Counters,
    pub(crate) ssrcs: Ssrcs,
    /// Rooms with packets to forward, and since when the oldest of them waits.
    pub(crate) due: VecDeque<RoomId>,
    pub(crate) gather_since: Option<Instant>,
    pub(crate) urgent: bool,
    /// Packets that the next flush writes, about.
    pub(crate) owed: u64,
    /// The room whose code runs, so that a panic is laid at its door.
    pub(crate) in_room: Option<RoomId>,
    loudest: u16,
    poll: mio::Poll,
    waker: Arc<Waker>,
    more_to_read: bool,
    pub(crate) lag: Lag,
    /// When it was last decided which rooms give way at once.
    pub(crate) chosen_at: Option<Instant>,
    open_rooms: Arc<AtomicUsize>,
    pub(crate) load: Arc<AtomicU32>,
    pub(crate) shedder: Shedder,
    stopping: bool,
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Self {
        let now = Instant::now();
        Self {
            network: parts.network,
            commands: parts.commands,
            identity: parts.identity,
            candidates: parts.candidates,
            tcp_candidates: parts.tcp_candidates,
            tag: parts.index as u16, // start() makes no more workers than ports
            rooms: FxHashMap::default(),
            sessions: FxHashMap::default(),
            relays: FxHashMap::default(),
            pending: 0,
            demux: Demux::default(),
            timers: Timers::default(),
            outbox: Outbox::new(),
            pipes: parts.pipes,
            scratch: Vec::new(),
            counters: Counters::new(parts.index, parts.metrics, now),
            ssrcs: Ssrcs,
            due: VecDeque::new(),
            gather_since: None,
            urgent: false,
            owed: 0,
            in_room: None,
            loudest: parts.loudest,
            poll: parts.poll,
            waker: parts.waker,
            more_to_read: false,
            lag: Lag::new(now),
            chosen_at: None,
            open_rooms: parts.open_rooms,
            load: parts.load,
            shedder: Shedder::default(),
            stopping: false,
        }
    }

    /// Runs until [`Command::Stop`]. A panic ends the room it happened in and nothing else.
    pub(crate) fn run(mut self) {
        let mut inbox = Inbox::new();
        while !self.stopping {
            // AssertUnwindSafe: whatever the panic left half done belongs to the room that is torn down next.
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| self.run_until_stop(&mut inbox)));
            if outcome.is_err() {
                self.handle_panic();
            }
        }
        let now = Instant::now();
        for room in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.close_room(now, room);
        }
        let _ = self.counters.export(now, 0);
    }

    fn run_until_stop(&mut self, inbox: &mut Inbox) {
        let mut events = mio::Events::with_capacity(8);
        while !self.stopping {
            let before = Instant::now();
            self.waker.doze();
            let timeout = self.sleep_for(before);
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "poll failed");
            }
            self.waker.awake();
            let now = Instant::now();
            self.counters.slept(now - before);
            if now - before >= SLEPT {
                self.lag.caught_up(now); // what is there came just now, or it would not have slept
            }
            self.network.links.note(&events);
            self.turn(now, inbox, events.iter().any(|event| event.token() == SOCKET));
        }
    }

    fn turn(&mut self, now: Instant, inbox: &mut Inbox, readable: bool) {
        if readable || self.more_to_read {
            self.receive(now, inbox);
        }
        self.receive_from_links(now);
        self.run_pipes(now);
        self.run_commands(now);
        self.run_timers(now);
        self.pipes.end_turn();
        self.flush_if_due(now);
        self.pipes.end_turn();
        if self.counters.sample_due(now, SAMPLE_INTERVAL) {
            self.sample(now);
        }
        self.open_rooms.store(self.rooms.len(), Ordering::Relaxed);
    }

    fn sleep_for(&self, now: Instant) -> Duration {
        if self.more_to_read || self.network.links.ready() > 0 || self.pipes.is_ready() || !self.commands.is_empty() {
            return Duration::ZERO;
        }
        let gather = self.gather_since.map(|since| since + GATHER);
        let next = [gather, self.timers.next(), Some(self.counters.next_sample(SAMPLE_INTERVAL))];
        next.into_iter().flatten().min().map_or(SAMPLE_INTERVAL, |at| at.saturating_duration_since(now))
    }

    /// The socket is edge-triggered: read until it is empty, or remember that it is not.
    fn receive(&mut self, now: Instant, inbox: &mut Inbox) {
        self.more_to_read = false;
        for _ in 0..MAX_RECEIVES_PER_TURN {
            let asked = Instant::now();
            let more = self.network.receive(inbox);
            let late = self.lag.is_late(asked, more);
            if !more {
                self.lag.caught_up(asked);
            }
            if late {
                self.choose_who_gives_way(asked);
            }
            for (path, datagram) in inbox.datagrams() {
                if late && self.gives_way(path, datagram) {
                    self.counters.dropped("late_video");
                    continue;
                }
                self.handle_datagram(now, path, datagram);
            }
            if !more {
                return;
            }
            if self.owed >= MAX_OWED {
                self.urgent = true;
                break;
            }
        }
        self.more_to_read = true;
    }

    /// Frames of connections, each like a datagram.
    fn receive_from_links(&mut self, now: Instant) {
        for _ in 0..self.network.links.ready() {
            let Some(id) = self.network.links.next_ready() else { break };
            let Some(mut reader) = self.network.links.read(id) else { continue };
            let path = Path { remote: reader.address, local_ip: None, via: None };
            while let Some(frame) = reader.next_frame() {
                self.handle_datagram(now, path, frame);
            }
            self.network.links.put_back(id, reader);
        }
    }

    /// Takes over a connection. It stays only if its first frame is a check that a peer here accepts.
    fn open_link(&mut self, now: Instant, stream: std::net::TcpStream, remote: SocketAddr, first: &[u8]) {
        let Some(address) = self.network.links.open(stream, remote, self.poll.registry()) else {
            return self.counters.dropped("tcp_refused");
        };
        let path = Path { remote: address, local_ip: None, via: None };
        self.handle_datagram(now, path, &mut first.to_vec());
        if self.network.links.drop_unclaimed(address) {
            self.counters.dropped("tcp_stranger");
        }
    }

    fn run_commands(&mut self, now: Instant) {
        for _ in 0..MAX_COMMANDS_PER_TURN {
            let Ok(command) = self.commands.try_recv() else { return };
            self.in_room = command.room();
            match command {
                Command::OpenRoom { room, name, events, reply } => {
                    self.rooms.insert(room, RoomState::new(name, self.pipes.own(), events, self.loudest, now));
                    let _ = reply.send(Ok(())); // the asker has gone: the room ends with its event channel
                }
                Command::CloseRoom { room } => self.close_room(now, room),
                Command::InRoom { room, action } => self.handle_action(now, room, action),
                Command::Connection { stream, remote, first } => self.open_link(now, stream, remote, &first),
                Command::Stop => self.stopping = true,
            }
            self.in_room = None;
        }
    }

    /// Those that were entered before, and no more: an owner whose deadline stays in the past would hold the worker, and
    /// everybody's media with it, for good.
    fn run_timers(&mut self, now: Instant) {
        for _ in 0..self.timers.len() {
            let Some(owner) = self.timers.pop_due(now) else { break };
            match owner {
                Owner::Peer(id) => {
                    self.in_room = self.sessions.get(&id).map(|session| session.room);
                    self.handle_peer_timeout(now, id);
                }
                Owner::Room(id) => {
                    self.in_room = Some(id);
                    self.handle_room_timeout(now, id);
                }
            }
            self.in_room = None;
        }
    }

    fn flush_if_due(&mut self, now: Instant) {
        let gathered = self.gather_since.is_some_and(|since| now.saturating_duration_since(since) >= GATHER);
        if !self.urgent && !gathered {
            return;
        }
        let since = self.gather_since.unwrap_or(now);
        (self.urgent, self.owed) = (false, 0);
        // One at a time, and the time stays until the last: those behind a room that panics go out in the next turn.
        while let Some(room) = self.due.pop_front() {
            self.in_room = Some(room);
            // Not the time of the turn: what took the worker until here is no queue of anybody's path.
            self.flush_room(Instant::now(), room, since);
            self.in_room = None;
        }
        self.gather_since = None;
    }

    fn handle_panic(&mut self) {
        self.counters.panics += 1;
        self.more_to_read = true; // the socket is edge-triggered, and may not have been read to its end
        let Some(room) = self.in_room.take() else {
            tracing::error!("worker panicked outside any room");
            return;
        };
        tracing::error!(%room, "room panicked and is closed");
        if let Some(state) = self.rooms.get_mut(&room) {
            state.failed();
        }
        let now = Instant::now();
        // The room's own data may be inconsistent: it is dropped without being asked anything.
        self.forget_room(now, room);
    }
}

#[cfg(test)]
pub(crate) mod tests;
