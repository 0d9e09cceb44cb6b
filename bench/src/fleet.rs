//! Many subscribers on one thread: one poll over all their sockets.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::client::{Client, Seen};
use crate::server::Server;
use crate::udp::{Inbox, Udp};

/// Negotiations under way at once while joining. The clients' ICE takes half a second of timers whatever the server does,
/// so a small window would measure that; far above this, one core of clients is late for its own timers.
const JOIN_WINDOW: usize = 256;

/// How often timers of idle clients run.
const TICK: Duration = Duration::from_millis(20);

/// Subscribers and one publisher.
pub struct Fleet {
    /// Index 0 is the publisher.
    pub clients: Vec<Client>,
    poll: mio::Poll,
    events: mio::Events,
    inbox: Inbox,
    ticked: Instant,
}

impl Fleet {
    /// Connects one publisher by WHIP.
    pub fn new(server: &Server, agent: &ureq::Agent, room: &str) -> Result<Self> {
        let poll = mio::Poll::new()?;
        let mut publisher = Client::publisher(Udp::bind(poll.registry(), mio::Token(0))?)?;
        let offer = publisher.offer()?;
        publisher.accept(server.negotiate(agent, "whip", room, "publisher", &offer)?)?;
        let mut fleet = Self {
            clients: vec![publisher],
            poll,
            events: mio::Events::with_capacity(1024),
            inbox: Inbox::default(),
            ticked: Instant::now(),
        };
        fleet.wait_connected(1, Duration::from_secs(10))?;
        Ok(fleet)
    }

    /// Connects `count` subscribers by WHEP; returns how long that took.
    pub fn join(&mut self, server: &Server, agent: &ureq::Agent, room: &str, count: usize) -> Result<Duration> {
        let start = Instant::now();
        for number in 0..count {
            let udp = Udp::bind(self.poll.registry(), mio::Token(self.clients.len()))?;
            let mut client = Client::subscriber(udp)?;
            let offer = client.offer()?;
            client.accept(server.negotiate(agent, "whep", room, &format!("s{number}"), &offer)?)?;
            self.clients.push(client);
            self.turn(Duration::ZERO)?;
            let under_way = self.clients.iter().filter(|client| !client.connected).count();
            if under_way >= JOIN_WINDOW {
                self.wait_connected(self.clients.len() - JOIN_WINDOW / 2, Duration::from_secs(15))?;
            }
        }
        self.wait_connected(self.clients.len(), Duration::from_secs(15))?;
        Ok(start.elapsed())
    }

    /// Waits at most `timeout` for datagrams and handles them.
    pub fn turn(&mut self, timeout: Duration) -> Result<()> {
        self.poll.poll(&mut self.events, Some(timeout))?;
        for event in &self.events {
            if let Some(client) = self.clients.get_mut(event.token().0) {
                client.receive(&mut self.inbox);
            }
        }
        let now = Instant::now();
        if now - self.ticked >= TICK {
            self.ticked = now;
            self.clients.iter_mut().for_each(|client| client.tick(now));
        }
        Ok(())
    }

    /// What all subscribers have seen.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let subscribers = self.clients.iter().skip(1);
        subscribers.fold(Seen::default(), |sum, client| Seen {
            packets: sum.packets + client.seen.packets,
            lost: sum.lost + client.seen.lost,
            verified: sum.verified + client.seen.verified,
        })
    }

    fn wait_connected(&mut self, wanted: usize, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let connected = self.clients.iter().filter(|client| client.connected).count();
            if connected >= wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{connected} of {wanted} clients connected within {within:?}");
            }
            self.turn(Duration::from_millis(5))?;
        }
    }
}
