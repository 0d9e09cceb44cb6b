//! One media worker: a thread, a socket, its rooms and peers, and the loop that serves them.
//!
//! A turn of the loop: sleep until a datagram, a command or a deadline; receive in batches; run commands and timers;
//! forward. Video waits up to [`GATHER`] so that packets of one frame leave in one GSO send; audio waits for nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convene_peer::transport::Identity;
use convene_types::{PeerId, RoomId};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

use crate::command::Command;
use crate::counters::Counters;
use crate::demux::Demux;
use crate::forward::Outbox;
use crate::negotiate::Ssrcs;
use crate::room::RoomState;
use crate::session::Session;
use crate::socket::{Inbox, Socket};
use crate::timers::{Owner, Timers};

pub(crate) const SOCKET: mio::Token = mio::Token(0);
pub(crate) const WAKE: mio::Token = mio::Token(1);

/// How long video may wait for more packets of its frame. Longer saves sends (GSO), and is added to every frame's delay;
/// a millisecond covers a frame that arrives back to back.
const GATHER: Duration = Duration::from_millis(1);

/// Receives in a row before timers and commands get a turn: 64 x 32 slots is a burst no single core forwards in a tick.
const MAX_RECEIVES_PER_TURN: usize = 16;

/// Commands in a row before media gets a turn.
const MAX_COMMANDS_PER_TURN: usize = 32;

/// How often counters are handed to the metrics registry.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// What a worker thread is made of.
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) poll: mio::Poll,
    pub(crate) socket: Socket,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) candidates: Vec<SocketAddr>,
    pub(crate) open_rooms: Arc<AtomicUsize>,
    pub(crate) metrics: Arc<convene_telemetry::Metrics>,
}

/// See the module.
pub(crate) struct Worker {
    pub(crate) socket: Socket,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) candidates: Vec<SocketAddr>,
    pub(crate) rooms: HashMap<RoomId, RoomState>,
    pub(crate) sessions: FxHashMap<PeerId, Session>,
    pub(crate) demux: Demux,
    pub(crate) timers: Timers,
    pub(crate) outbox: Outbox,
    pub(crate) counters: Counters,
    pub(crate) ssrcs: Ssrcs,
    /// Rooms with packets to forward, and since when the oldest of them waits.
    pub(crate) due: Vec<RoomId>,
    pub(crate) gather_since: Option<Instant>,
    pub(crate) urgent: bool,
    /// The room whose code runs, so that a panic is laid at its door.
    pub(crate) in_room: Option<RoomId>,
    poll: mio::Poll,
    more_to_read: bool,
    open_rooms: Arc<AtomicUsize>,
    stopping: bool,
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Self {
        let now = Instant::now();
        Self {
            socket: parts.socket,
            commands: parts.commands,
            identity: parts.identity,
            candidates: parts.candidates,
            rooms: HashMap::new(),
            sessions: FxHashMap::default(),
            demux: Demux::default(),
            timers: Timers::default(),
            outbox: Outbox::new(),
            counters: Counters::new(parts.index, parts.metrics, now),
            ssrcs: Ssrcs,
            due: Vec::new(),
            gather_since: None,
            urgent: false,
            in_room: None,
            poll: parts.poll,
            more_to_read: false,
            open_rooms: parts.open_rooms,
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
        self.counters.export(now, 0);
    }

    fn run_until_stop(&mut self, inbox: &mut Inbox) {
        let mut events = mio::Events::with_capacity(8);
        while !self.stopping {
            let before = Instant::now();
            let timeout = self.sleep_for(before);
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "poll failed");
            }
            let now = Instant::now();
            self.counters.slept(now - before);
            self.turn(now, inbox, events.iter().any(|event| event.token() == SOCKET));
        }
    }

    fn turn(&mut self, now: Instant, inbox: &mut Inbox, readable: bool) {
        if readable || self.more_to_read {
            self.receive(now, inbox);
        }
        self.run_commands(now);
        self.run_timers(now);
        self.flush_if_due(now);
        if self.counters.sample_due(now, SAMPLE_INTERVAL) {
            for room in self.rooms.values_mut() {
                self.counters.export_room(room.core.stats(), &mut room.exported);
            }
            self.counters.export(now, self.sessions.len());
        }
        self.open_rooms.store(self.rooms.len(), Ordering::Relaxed);
    }

    fn sleep_for(&self, now: Instant) -> Duration {
        if self.more_to_read || !self.commands.is_empty() {
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
            if !self.socket.receive(inbox) {
                return;
            }
            for (path, datagram) in inbox.datagrams() {
                self.handle_datagram(now, path, datagram);
            }
        }
        self.more_to_read = true;
    }

    fn run_commands(&mut self, now: Instant) {
        for _ in 0..MAX_COMMANDS_PER_TURN {
            let Ok(command) = self.commands.try_recv() else { return };
            match command {
                Command::OpenRoom { room, name, events, reply } => {
                    self.rooms.insert(room, RoomState::new(name, events, now));
                    let _ = reply.send(Ok(())); // the asker has gone: the room ends with its event channel
                }
                Command::CloseRoom { room } => self.close_room(now, room),
                Command::InRoom { room, action } => {
                    self.in_room = Some(room);
                    self.handle_action(now, room, action);
                    self.in_room = None;
                }
                Command::Stop => self.stopping = true,
            }
        }
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some(owner) = self.timers.pop_due(now) {
            match owner {
                Owner::Peer(id) => {
                    let Some(session) = self.sessions.get_mut(&id) else { continue };
                    session.entered_timer = None;
                    self.in_room = Some(session.room);
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
        let since = self.gather_since.take().unwrap_or(now);
        self.urgent = false;
        for room in std::mem::take(&mut self.due) {
            self.in_room = Some(room);
            self.flush_room(now, room, since);
            self.in_room = None;
        }
    }

    fn handle_panic(&mut self) {
        self.counters.panics += 1;
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
