//! One connection, whichever its transport: a control channel, what the server pushes, and bulk exchanges.
//!
//! Over QUIC each bulk exchange is a stream of its own. Over a WebSocket all share one channel; the request id tells them
//! apart: the upper half is the number of the exchange (0: control), the lower half counts within it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use convene_flow::window::Window;
use convene_proto::im::{self, Frame, frame::Body};
use convene_proto::{frame, limits};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::bulk::{Bulk, BulkWay, Reader};
use crate::error::Error;

/// Frames read and not looked at. When full, reading stops and flow control holds the server back: at most 4 MiB.
pub(super) const MAX_INCOMING: usize = 64;
/// Frames to be written. Requests are counted above, so this fills only when the network takes nothing.
pub(super) const MAX_OUTGOING: usize = 256;
/// Replies of one exchange that were read and not looked at. Above the parts that an upload has under way.
const MAX_REPLIES: usize = 32;

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// QUIC with our own protocol.
    Quic,
    /// A WebSocket on the HTTP port.
    WebSocket,
}

/// A connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) sender: Sender,
    /// What the server says outside of bulk exchanges. Ends with the connection.
    pub(crate) incoming: mpsc::Receiver<Frame>,
    /// The first flight travelled in 0-RTT and was taken: it must not be sent again.
    pub(crate) early: bool,
    pub(super) _tasks: JoinSet<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.sender.close("closed by the client");
    }
}

/// The writing half: cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sender(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    way: Way,
    control: mpsc::Sender<Bytes>,
    exchanges: AtomicU64,
    places: Arc<Semaphore>,
    heard: Arc<AtomicU64>,
    reason: Mutex<Option<String>>,
    /// Of uploads over QUIC.
    window: Mutex<Window>,
}

#[derive(Debug)]
pub(super) enum Way {
    Quic(quinn::Connection),
    WebSocket {
        /// Taken when there is nothing for control to say.
        bulk: mpsc::Sender<Bytes>,
        routes: Routes,
    },
}

/// Where replies of bulk exchanges go on a WebSocket, by number of the exchange.
pub(super) type Routes = Arc<Mutex<HashMap<u64, mpsc::Sender<Frame>>>>;

impl Sender {
    pub(super) fn new(way: Way, control: mpsc::Sender<Bytes>, heard: Arc<AtomicU64>) -> Self {
        let places = Arc::new(Semaphore::new(limits::MAX_BULK_STREAMS as usize));
        let exchanges = AtomicU64::new(0);
        let window = Mutex::new(Window::new(Instant::now()));
        Self(Arc::new(Shared { way, control, exchanges, places, heard, reason: Mutex::default(), window }))
    }

    pub(crate) fn transport(&self) -> Transport {
        match self.0.way {
            Way::Quic(_) => Transport::Quic,
            Way::WebSocket { .. } => Transport::WebSocket,
        }
    }

    /// Queues a frame for the control stream; false when the network takes nothing or the connection ended.
    pub(crate) fn control(&self, frame: &Frame) -> bool {
        self.0.control.try_send(self.encode(frame)).is_ok()
    }

    /// Sends what may be lost.
    pub(crate) fn hint(&self, hint: im::Hint) {
        let frame = frame::of(0, Body::Hint(hint));
        match &self.0.way {
            // A hint that does not fit is not sent: it may be lost by contract.
            Way::Quic(connection) => drop(connection.send_datagram(frame::without_prefix(frame::encode(&frame)))),
            Way::WebSocket { .. } => drop(self.0.control.try_send(self.encode(&frame))),
        }
    }

    /// Counts what arrived: equal twice means silence.
    pub(crate) fn heard(&self) -> u64 {
        match &self.0.way {
            Way::Quic(connection) => connection.stats().udp_rx.datagrams,
            Way::WebSocket { .. } => self.0.heard.load(Ordering::Relaxed),
        }
    }

    /// Ends the connection; the first reason stays.
    pub(crate) fn close(&self, reason: &str) {
        self.0.reason.lock().get_or_insert_with(|| reason.to_owned());
        match &self.0.way {
            Way::Quic(connection) => connection.close(0_u32.into(), b""),
            Way::WebSocket { routes, .. } => routes.lock().clear(),
        }
    }

    /// Why it ended.
    pub(crate) fn reason(&self) -> String {
        let reason = self.0.reason.lock().clone();
        reason.unwrap_or_else(|| match &self.0.way {
            Way::Quic(connection) => connection.close_reason().map_or_else(String::new, |reason| reason.to_string()),
            Way::WebSocket { .. } => "closed by the server".to_owned(),
        })
    }

    pub(super) fn encode(&self, frame: &Frame) -> Bytes {
        let bytes = frame::encode(frame);
        match self.0.way {
            Way::Quic(_) => bytes,
            Way::WebSocket { .. } => frame::without_prefix(bytes),
        }
    }

    /// Begins a bulk exchange; waits while as many as the server allows are under way.
    pub(crate) async fn bulk(&self) -> Result<Bulk, Error> {
        let place = self.0.places.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        let number = self.0.exchanges.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let way = match &self.0.way {
            Way::Quic(connection) => {
                let lost = |error: quinn::ConnectionError| Error::Lost(error.to_string());
                let (send, recv) = connection.open_bi().await.map_err(lost)?;
                BulkWay::Quic { connection: connection.clone(), send, reader: Reader::new(recv) }
            }
            Way::WebSocket { bulk, routes } => {
                let (to, replies) = mpsc::channel(MAX_REPLIES);
                routes.lock().insert(number, to);
                BulkWay::WebSocket { send: bulk.clone(), replies }
            }
        };
        Ok(Bulk { link: self.clone(), number, requests: 0, way, _place: place })
    }

    /// Of uploads over QUIC.
    pub(super) fn window(&self) -> MutexGuard<'_, Window> {
        self.0.window.lock()
    }

    /// Nobody waits for the replies of an exchange any more.
    pub(super) fn forget(&self, number: u64) {
        if let Way::WebSocket { routes, .. } = &self.0.way {
            routes.lock().remove(&number);
        }
    }
}
