//! Many clients on one thread: one poll over all their sockets.

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::client::{Client, Media, Seen};
use crate::target::Target;
use crate::udp::{Inbox, Udp};

/// Negotiations under way at once while joining. One takes 0.12 s of the clients' timers whatever the server does, so a small
/// window would measure that: 128 are 1,000 joins a second at most. Below what a server takes on at once (2,000).
const JOIN_WINDOW: usize = 1_024;

/// How often timers of idle clients run.
const TICK: Duration = Duration::from_millis(20);

/// How often sockets are read while throughput is measured. A client that slept until the next datagram would have the
/// server's core wake it for each, which no network card asks of a sender.
pub const READ_EVERY: Duration = Duration::from_millis(2);

/// Longest wait for what is under way.
const MAX_SETTLE: Duration = Duration::from_secs(5);

/// Longest wait for one client to connect.
const CONNECT: Duration = Duration::from_secs(15);

/// Publishers and subscribers.
pub struct Fleet {
    clients: Vec<Client>,
    /// Answers that some of them wait for.
    answers: Vec<(usize, Receiver<Result<String>>)>,
    /// How many of them are connected; to count them each time would cost more than their handshakes.
    connected: usize,
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
            answers: Vec::new(),
            connected: 0,
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
            let joining = target.subscribe(self.socket()?, room, &format!("s{number}"), (media, streams))?;
            self.clients.push(joining.client);
            self.answers.extend(joining.answer.map(|answer| (number, answer)));
            self.turn(Duration::ZERO)?;
            if self.clients.len().saturating_sub(self.connected) >= JOIN_WINDOW {
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
            let Some(client) = self.clients.get_mut(event.token().0) else { continue };
            let before = client.connected;
            client.receive(&mut self.inbox);
            self.connected = self.connected + usize::from(client.connected) - usize::from(before);
        }
        self.take_answers()?;
        let now = Instant::now();
        if now - self.ticked >= TICK {
            self.ticked = now;
            for client in &mut self.clients {
                let before = client.connected;
                client.tick(now);
                self.connected = self.connected + usize::from(client.connected) - usize::from(before);
            }
        }
        Ok(())
    }

    fn take_answers(&mut self) -> Result<()> {
        let mut at = 0;
        while let Some((number, answer)) = self.answers.get(at) {
            match answer.try_recv() {
                Ok(answer) => {
                    self.clients.get_mut(*number).context("no such client")?.accept(answer?)?;
                    self.answers.swap_remove(at);
                }
                Err(TryRecvError::Empty) => at += 1,
                Err(TryRecvError::Disconnected) => bail!("nobody answers client {number}"),
            }
        }
        Ok(())
    }

    /// Sleeps, then handles what has arrived.
    pub fn look(&mut self, after: Duration) -> Result<()> {
        std::thread::sleep(after);
        self.turn(Duration::ZERO)
    }

    /// Lets what is under way arrive: until nothing has come for so long.
    pub fn settle(&mut self, quiet_for: Duration) -> Result<()> {
        let latest = Instant::now() + MAX_SETTLE;
        let (mut seen, mut quiet) = (self.seen().packets, Instant::now());
        while quiet.elapsed() < quiet_for && Instant::now() < latest {
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
            verified: sum.verified + client.seen.verified,
        })
    }

    fn wait_connected(&mut self, wanted: usize, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let connected = self.connected;
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
