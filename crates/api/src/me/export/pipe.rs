//! From a thread that writes to a response that is sent: some pieces may be under way, and whoever does not take them for a
//! minute gets no more.

use std::io;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::Stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Bytes of one piece.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for a slow client.
const MAX_PIECES: usize = 8;
/// How long one may wait: it holds a thread, and a turn that others want.
const PATIENCE: Duration = Duration::from_secs(60);

/// The writing end. What is still in it when it is dropped is lost: flush it.
pub(super) struct Pipe {
    to: Sink,
    piece: Vec<u8>,
}

/// What pieces go into.
#[derive(Clone)]
pub(super) struct Sink {
    to: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
}

/// Both ends.
pub(super) fn new(runtime: Handle) -> (Sink, impl Stream<Item = io::Result<Bytes>>) {
    let (to, mut from) = mpsc::channel(MAX_PIECES);
    (Sink { to, runtime }, futures_util::stream::poll_fn(move |cx| from.poll_recv(cx)))
}

impl Sink {
    pub(super) fn pipe(self) -> Pipe {
        Pipe { to: self, piece: Vec::with_capacity(PIECE_BYTES) }
    }

    /// The response ends here, in the middle.
    pub(super) fn fail(&self, error: io::Error) {
        let _ = self.send(Err(error)); // nobody is there to see it
    }

    fn send(&self, piece: io::Result<Bytes>) -> io::Result<()> {
        match self.runtime.block_on(timeout(PATIENCE, self.to.send(piece))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "whoever asked has gone")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "whoever asked takes nothing")),
        }
    }
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES.saturating_sub(self.piece.len());
        let taken = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.piece.extend_from_slice(taken);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.to.send(Ok(piece.into()))
    }
}
