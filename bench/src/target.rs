//! A media server under load: how a client publishes to it and subscribes.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};

use crate::client::{Client, Media};
use crate::server::Http;
use crate::udp::Udp;

/// Offers that wait for their answers at once. One after the other, each join would take the server's whole answer long, and
/// the clients' core would be idle meanwhile.
const ASKED_AT_ONCE: usize = 8;

/// See the module.
pub trait Target {
    /// Negotiates a publisher.
    fn publish(&mut self, client: &mut Client, room: &str, name: &str) -> Result<()>;
    /// Makes a subscriber of so many streams of the room and begins to negotiate it.
    fn subscribe(&mut self, udp: Udp, room: &str, name: &str, wanted: (Media, usize)) -> Result<Joining>;
}

/// One whose process is measured.
pub trait Measured: Target {
    /// The process, for CPU time and memory.
    fn pid(&self) -> u32;
}

/// A subscriber to be.
pub struct Joining {
    /// It.
    pub client: Client,
    /// Brings the answer that it waits for, if it waits for one.
    pub answer: Option<Receiver<Result<String>>>,
}

/// The process of a server; dropped, it ends.
pub trait Process {
    /// Its process id.
    fn pid(&self) -> u32;
    /// Where it is asked.
    fn http(&self) -> Http;
}

/// A server by WHIP and WHEP.
pub struct Whip<S> {
    server: S,
    http: Http,
    offers: Sender<Offer>,
}

struct Offer {
    room: String,
    name: String,
    sdp: String,
    answer: Sender<Result<String>>,
}

impl<S: Process> Whip<S> {
    /// A server of ours. Call it where its clients run: the threads that ask it are on the same core.
    #[must_use]
    pub fn new(server: S) -> Self {
        let http = server.http();
        Self::asking(http, server)
    }
}

impl Whip<()> {
    /// One that somebody else has started; see [`Whip::new`].
    #[must_use]
    pub fn running(http: Http) -> Self {
        Self::asking(http, ())
    }
}

impl<S> Whip<S> {
    fn asking(http: Http, server: S) -> Self {
        let (offers, waiting) = channel::<Offer>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..ASKED_AT_ONCE {
            let (http, waiting) = (http.clone(), Arc::clone(&waiting));
            // They end with the target, which has the other end of the channel.
            std::thread::spawn(move || {
                while let Some(offer) = waiting.lock().ok().and_then(|waiting| waiting.recv().ok()) {
                    let answer = http.negotiate("whep", &offer.room, &offer.name, &offer.sdp);
                    let _ = offer.answer.send(answer); // nobody waits any more: the run failed
                }
            });
        }
        Self { server, http, offers }
    }
}

impl<S: Process> Measured for Whip<S> {
    fn pid(&self) -> u32 {
        self.server.pid()
    }
}

impl<S> Target for Whip<S> {
    fn publish(&mut self, client: &mut Client, room: &str, name: &str) -> Result<()> {
        let offer = client.offer()?;
        client.accept(self.http.negotiate("whip", room, name, &offer)?)
    }

    fn subscribe(&mut self, udp: Udp, room: &str, name: &str, (media, streams): (Media, usize)) -> Result<Joining> {
        let mut client = Client::subscriber(udp, media, streams)?;
        let (answer, answered) = channel();
        let offer = Offer { room: room.to_owned(), name: name.to_owned(), sdp: client.offer()?, answer };
        self.offers.send(offer).ok().context("nobody asks the server")?;
        Ok(Joining { client, answer: Some(answered) })
    }
}
