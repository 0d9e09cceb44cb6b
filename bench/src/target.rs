//! A media server under load: how a client publishes to it and subscribes. One for Convene, one for each peer.

use anyhow::Result;

use crate::client::{Client, Media};
use crate::server::Server;
use crate::udp::Udp;

/// See the module.
pub trait Target {
    /// Its process, for CPU time and memory.
    fn pid(&self) -> u32;
    /// Negotiates a publisher.
    fn publish(&mut self, client: &mut Client, room: &str, name: &str) -> Result<()>;
    /// Makes and negotiates a subscriber of so many streams of the room.
    fn subscribe(&mut self, udp: Udp, room: &str, name: &str, wanted: (Media, usize)) -> Result<Client>;
}

/// Convene, by WHIP and WHEP.
pub struct Convene {
    server: Server,
    agent: ureq::Agent,
}

impl Convene {
    /// A running server.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { server, agent: ureq::Agent::new_with_defaults() }
    }
}

impl Target for Convene {
    fn pid(&self) -> u32 {
        self.server.pid()
    }

    fn publish(&mut self, client: &mut Client, room: &str, name: &str) -> Result<()> {
        let offer = client.offer()?;
        client.accept(self.server.negotiate(&self.agent, "whip", room, name, &offer)?)
    }

    fn subscribe(&mut self, udp: Udp, room: &str, name: &str, (media, streams): (Media, usize)) -> Result<Client> {
        let mut client = Client::subscriber(udp, media, streams)?;
        let offer = client.offer()?;
        client.accept(self.server.negotiate(&self.agent, "whep", room, name, &offer)?)?;
        Ok(client)
    }
}
