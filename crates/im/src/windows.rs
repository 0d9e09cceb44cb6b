//! Flow control of a connection on which blobs move: wide enough for one blob to fill a long path, narrow enough that
//! what people write meanwhile does not wait behind it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use convene_flow::window::{Path, Window};
use web_transport_quinn as wt;

use crate::endpoint::{CONNECTION_WINDOW, SEND_WINDOW, STREAM_WINDOW};
use crate::session::Session;

/// Bytes of a download that are written before its window is asked for again.
const STEP_BYTES: usize = 16 * 1024;

/// What moves on one connection.
#[derive(Debug)]
pub(crate) struct Moves {
    uploads: u32,
    /// Of downloads.
    window: Window,
}

impl Default for Moves {
    fn default() -> Self {
        Self { uploads: 0, window: Window::new(Instant::now()) }
    }
}

/// An upload. While it lives, the connection has room for it beside everything else.
pub(crate) struct Upload {
    session: Arc<Session>,
    connection: Arc<wt::Session>,
}

impl Upload {
    pub(crate) fn begin(session: &Arc<Session>, connection: &Arc<wt::Session>) -> Self {
        let upload = Self { session: Arc::clone(session), connection: Arc::clone(connection) };
        upload.count(|uploads| uploads.saturating_add(1));
        upload
    }

    /// What all streams may send is counted as it is written (RFC 9000 §4.1): without room of its own an upload would
    /// leave none for the control stream.
    fn count(&self, change: impl Fn(u32) -> u32) {
        let mut moves = self.session.moves.lock();
        moves.uploads = change(moves.uploads);
        let window = CONNECTION_WINDOW.saturating_add(STREAM_WINDOW.saturating_mul(moves.uploads));
        self.connection.set_receive_window(window.into());
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.count(|uploads| uploads.saturating_sub(1));
    }
}

/// A download. While it lives, as much of it waits in the connection as the path takes (see [`Window`]): more would use up
/// what the client lets us send in all, and fill the queue of a slow path, and a message would wait for both.
pub(crate) struct Download<'a> {
    session: &'a Session,
    connection: &'a quinn::Connection,
}

impl<'a> Download<'a> {
    pub(crate) fn begin(session: &'a Session, connection: &'a quinn::Connection) -> Self {
        Self { session, connection }
    }

    /// Writes a piece, by and by.
    pub(crate) async fn write(&self, send: &mut wt::SendStream, mut piece: Bytes) -> Result<(), wt::WriteError> {
        while !piece.is_empty() {
            let path = self.connection.stats().path;
            let path = Path { rtt: path.rtt, congestion_window: path.cwnd };
            let window = self.session.moves.lock().window.at(path, Instant::now());
            self.connection.set_send_window(window);
            send.write_chunk(piece.split_to(piece.len().min(STEP_BYTES))).await?;
        }
        Ok(())
    }
}

impl Drop for Download<'_> {
    fn drop(&mut self) {
        self.connection.set_send_window(SEND_WINDOW); // another download asks again before it writes
    }
}
