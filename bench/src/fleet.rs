//! Many clients on one thread: one poll over all their sockets.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::client::{Client, Media, Seen};
use crate::target::Target;
use crate::udp::{Inbox, Udp};

/// Negotiations under way at once while joining. The clients' ICE takes half a second of timers whatever the server does,
/// so a small window would measure that; far above this, one core of clients is late for its own timers.
const JOIN_WINDOW: usize = 256;

/// How often timers of idle clients run.
const TICK: Duration = Duration::from_millis(20);

/// Nothing is under way any more when nothing has come for so long, or after the longest wait.
const QUIET: Duration = Duration::from_millis(300);
const MAX_SETTLE: Duration = Duration::from_secs(5);

/// Longest wait for one client to connect.
const CONNECT: Duration = Duration::from_secs(15);

/// Publishers and subscribers.
pub struct Fleet {
    clients: Vec<Client>,
    /// Indices of the publishers, in the order in which they came.
    publishers: Vec<usize>,
    ip: IpAddr,
    poll: mio::Poll,
    events: mio::Events,
    inbox: Inbox,
    ticked: Instant,
}

impl Fleet {
    /// Nobody yet. `ip`: where their sockets are.
    pub fn new(ip: IpAddr) -> Result<Self> {
        Ok(Self {
            clients: Vec::new(),
            publishers: Vec::new(),
            ip,
            poll: mio::Poll::new()?,
            events: mio::Events::with_capacity(1024),
            inbox: Inbox::default(),
            ticked: Instant::now(),
        })
    }

    /// Connects a publisher.
    pub fn publish(&mut self, target: &mut dyn Target, room: &str, media: Media) -> Result<()> {
        let number = self.clients.len();
        let mut client = Client::publisher(self.socket()?, media, u32::try_from(number)?)?;
        target.publish(&mut client, room, &format!("p{number}"))?;
        self.publishers.push(number);
        self.clients.push(client);
        self.wait_connected(self.clients.len(), CONNECT)
    }

    /// Connects `count` subscribers of so many streams each; how long that took.
    pub fn join(
        &mut self,
        target: &mut dyn Target,
        room: &str,
        media: Media,
        (count, streams): (usize, usize),
    ) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..count {
            let number = self.clients.len();
            let client = target.subscribe(self.socket()?, room, &format!("s{number}"), (media, streams))?;
            self.clients.push(client);
            self.turn(Duration::ZERO)?;
            let under_way = self.clients.iter().filter(|client| !client.connected).count();
            if under_way >= JOIN_WINDOW {
                self.wait_connected(self.clients.len() - JOIN_WINDOW / 2, CONNECT)?;
            }
        }
        self.wait_connected(self.clients.len(), CONNECT)?;
        Ok(start.elapsed())
    }

    fn socket(&self) -> Result<Udp> {
        Udp::bind(self.poll.registry(), mio::Token(self.clients.len()), self.ip)
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

    /// Lets what is under way arrive: until nothing has come for a while.
    pub fn settle(&mut self) -> Result<()> {
        let latest = Instant::now() + MAX_SETTLE;
        let (mut seen, mut quiet) = (self.seen().packets, Instant::now());
        while quiet.elapsed() < QUIET && Instant::now() < latest {
            self.turn(Duration::from_millis(5))?;
            let now = self.seen().packets;
            if now != seen {
                (seen, quiet) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// How many publish.
    #[must_use]
    pub fn publishers(&self) -> usize {
        self.publishers.len()
    }

    /// A publisher by its place among them.
    pub fn publisher(&mut self, place: usize) -> Option<&mut Client> {
        self.publishers.get(place).and_then(|index| self.clients.get_mut(*index))
    }

    /// Those who receive.
    pub fn subscribers(&mut self) -> impl Iterator<Item = &mut Client> {
        let publishers = &self.publishers;
        self.clients.iter_mut().enumerate().filter(|(index, _)| !publishers.contains(index)).map(|(_, client)| client)
    }

    /// What all subscribers have seen.
    pub fn seen(&mut self) -> Seen {
        self.subscribers().fold(Seen::default(), |sum, client| Seen {
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
