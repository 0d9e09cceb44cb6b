//! Where a worker's datagrams go: its UDP socket, or one of its TCP connections.

use crate::links::{self, Links};
use crate::socket::{Path, Sent, Socket};

/// See the module.
pub(crate) struct Network {
    pub(crate) socket: Socket,
    pub(crate) links: Links,
}

impl Network {
    /// Sends `contents`, cut into datagrams of `segment` bytes (the last may be shorter).
    pub(crate) fn send(&mut self, path: Path, contents: &[u8], segment: usize) -> Sent {
        match links::link_of(path.remote) {
            None => self.socket.send(path, contents, segment),
            Some(link) => self.links.send(link, contents, segment),
        }
    }

    /// Segments one send may carry.
    pub(crate) fn max_segments(&self) -> usize {
        self.socket.max_segments()
    }
}
