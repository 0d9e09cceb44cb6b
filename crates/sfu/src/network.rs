//! Where a worker's datagrams go: its UDP socket, or one of its TCP connections; those of a peer that came from another
//! worker go out by that one's socket, because it is the address that the peer knows.

use std::sync::Arc;

use crate::links::{self, Links};
use crate::socket::{Inbox, Path, Sent, Socket};

/// See the module.
pub(crate) struct Network {
    own: usize,
    /// By worker.
    sockets: Arc<[Socket]>,
    pub(crate) links: Links,
}

impl Network {
    pub(crate) fn new(own: usize, sockets: Arc<[Socket]>) -> Self {
        Self { own, sockets, links: Links::default() }
    }

    /// Fills the inbox from the worker's own socket. `false`: nothing was waiting.
    pub(crate) fn receive(&self, inbox: &mut Inbox) -> bool {
        self.sockets.get(self.own).is_some_and(|socket| socket.receive(inbox))
    }

    /// Sends `contents`, cut into datagrams of `segment` bytes (the last may be shorter).
    pub(crate) fn send(&mut self, path: Path, contents: &[u8], segment: usize) -> Sent {
        match (links::link_of(path.remote), self.sockets.get(path.via.unwrap_or(self.own))) {
            (Some(link), _) => self.links.send(link, contents, segment),
            (None, Some(socket)) => socket.send(path, contents, segment),
            (None, None) => Sent::Dropped,
        }
    }

    /// Segments one send may carry.
    pub(crate) fn max_segments(&self) -> usize {
        self.sockets.get(self.own).map_or(1, Socket::max_segments)
    }
}
