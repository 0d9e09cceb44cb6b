//! The server under test with chat in it, and the sockets of its clients.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::chat::net::Net;
use crate::chat::session::{Opening, Session};
use crate::cpu;
use crate::server::Server;
use crate::target::Process as _;

/// QUIC listens at the server's first port plus this.
const QUIC_OFFSET: u16 = 2;
/// Handshakes under way at once: enough to keep the server busy, and no more than its queue of strangers takes.
const OPENING_WINDOW: usize = 32;
/// The load is far above what a device and a conversation may do: without these the run measures the limits.
const SETTINGS: [(&str, &str); 5] = [
    ("CONVENE_IM_BIND", "127.0.0.1"),
    ("CONVENE_IM_DEVICE_SENDS_PER_S", "0"),
    ("CONVENE_IM_CONVERSATION_SENDS_PER_S", "0"),
    ("CONVENE_IM_DEVICE_REQUESTS_PER_S", "0"),
    // Everybody is pushed every message, however many there are.
    ("CONVENE_IM_PUSH_DELIVERIES_PER_S", "1000000000"),
];

/// The chat database in the data directory.
pub const DATABASE: &str = "chat.db";

/// Where the server runs and with what.
#[derive(Clone, Debug)]
pub struct Place {
    /// The server binary.
    pub binary: PathBuf,
    /// Its first port.
    pub port_base: u16,
    /// None: both have all cores.
    pub cores: Option<Cores>,
}

/// Who runs where.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// The server's.
    pub server: usize,
    /// That of the clients, and of this thread when the server has started.
    pub clients: usize,
}

/// A running server; ended when dropped.
pub struct Node {
    server: Server,
    /// Sockets of its clients.
    pub net: Arc<Net>,
}

impl Node {
    /// Starts the server on a data directory.
    pub fn start(place: &Place, data_dir: &Path) -> Result<Self> {
        let core = place.cores.map(|cores| cores.server);
        let server = Server::start_in(&place.binary, place.port_base, core, data_dir, &SETTINGS)?;
        place.cores.into_iter().for_each(|cores| cpu::pin(cores.clients));
        let quic = SocketAddr::from(([127, 0, 0, 1], place.port_base + QUIC_OFFSET));
        Ok(Self { server, net: Arc::new(Net::new(quic)?) })
    }

    /// CPU time of the server so far.
    pub fn cpu(&self) -> Result<Duration> {
        cpu::of_process(self.server.pid())
    }

    /// Resident memory of the server.
    pub fn resident_kib(&self) -> Result<u64> {
        cpu::resident_kib(self.server.pid())
    }

    /// Opens sessions for users `name(0)`, `name(1)`..., some at a time.
    pub async fn open(&self, numbers: std::ops::Range<usize>, name: fn(usize) -> String) -> Result<Vec<Session>> {
        let (mut opening, mut waiting) = (JoinSet::new(), numbers.collect::<VecDeque<_>>());
        let mut sessions = Vec::with_capacity(waiting.len());
        while let Some(number) = waiting.pop_front() {
            let net = self.net.clone();
            opening.spawn(async move { Session::open(&net, number, &name(number), Opening::default()).await });
            if opening.len() >= OPENING_WINDOW {
                sessions.extend(next(&mut opening).await?);
            }
        }
        while let Some(session) = next(&mut opening).await? {
            sessions.push(session);
        }
        Ok(sessions)
    }

    /// Waits until nothing has been pushed for a while; returns how many events were until then.
    pub async fn settle(&self) -> u64 {
        let mut before = self.net.tally.events();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let events = self.net.tally.events();
            if events == before {
                return events;
            }
            before = events;
        }
    }
}

async fn next(opening: &mut JoinSet<Result<Session>>) -> Result<Option<Session>> {
    opening.join_next().await.map(|done| done.context("opening a session panicked")?).transpose()
}
