//! Flow control of a connection on which blobs move: wide enough for one blob to fill a long path, narrow enough that
//! what people write meanwhile does not wait behind it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use convene_im_core::window::{Path, Window};
use convene_proto::im::{self, frame::Body};
use web_transport_quinn as wt;

use crate::endpoint::{CONNECTION_WINDOW, SEND_WINDOW, STREAM_WINDOW};
use crate::session::Session;

/// Bytes of a download that are written before its window is asked for again.
const STEP_BYTES: usize = 16 * 1024;

/// Where a blob goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// What moves on one connection.
#[derive(Debug)]
pub(crate) struct Moves {
    up: u32,
    /// Of downloads.
    window: Window,
}

impl Default for Moves {
    fn default() -> Self {
        Self { up: 0, window: Window::new(Instant::now()) }
    }
}

/// The way of the blob that a frame moves, if it moves any.
pub(crate) fn moves(frame: &im::Frame) -> Option<Way> {
    match frame.body {
        Some(Body::BlobBegin(_) | Body::BlobPart(_)) => Some(Way::Up),
        Some(Body::BlobGet(_)) => Some(Way::Down),
        _ => None,
    }
}

/// One blob. While it lives, the connection has room for it.
pub(crate) struct Moving {
    way: Way,
    session: Arc<Session>,
    connection: Arc<wt::Session>,
}

impl Moving {
    pub(crate) fn begin(way: Way, session: &Arc<Session>, connection: &Arc<wt::Session>) -> Self {
        let moving = Self { way, session: Arc::clone(session), connection: Arc::clone(connection) };
        if way == Way::Up {
            moving.count_up(|up| up.saturating_add(1));
        }
        moving
    }

    /// What all streams may send is counted as it is written (RFC 9000 §4.1): without room of its own an upload would
    /// leave none for the control stream.
    fn count_up(&self, change: impl Fn(u32) -> u32) {
        let mut moves = self.session.moves.lock();
        moves.up = change(moves.up);
        let window = CONNECTION_WINDOW.saturating_add(STREAM_WINDOW.saturating_mul(moves.up));
        self.connection.set_receive_window(window.into());
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        match self.way {
            Way::Up => self.count_up(|up| up.saturating_sub(1)),
            // Another download on this connection asks again before it writes.
            Way::Down => self.connection.set_send_window(SEND_WINDOW),
        }
    }
}

/// Writes a piece of a download by and by. Of it as much waits in the connection as the path takes (see [`Window`]): more
/// would use up what the client lets us send in all, and fill the queue of a slow path, and a message would wait for both.
pub(crate) async fn write(
    session: &Session,
    connection: &quinn::Connection,
    send: &mut wt::SendStream,
    mut bytes: Bytes,
) -> Result<(), wt::WriteError> {
    while !bytes.is_empty() {
        let path = connection.stats().path;
        let path = Path { rtt: path.rtt, congestion_window: path.cwnd };
        let window = session.moves.lock().window.at(path, Instant::now());
        connection.set_send_window(window);
        send.write_chunk(bytes.split_to(bytes.len().min(STEP_BYTES))).await?;
    }
    Ok(())
}
