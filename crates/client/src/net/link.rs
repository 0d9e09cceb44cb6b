//! One connection, whichever its transport: a control channel, what the server pushes, and bulk exchanges.
//!
//! Over QUIC each bulk exchange is a stream of its own. Over a WebSocket all share one channel; the request id tells them
//! apart: the upper half is the number of the exchange (0: control), the lower half counts within it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use convene_proto::im::{self, Frame, frame::Body};
use convene_proto::{Decoder, frame, limits};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::error::Error;

/// Frames read and not looked at. When full, reading stops and flow control holds the server back: at most 4 MiB.
pub(super) const MAX_INCOMING: usize = 64;
/// Frames to be written. Requests are counted above, so this fills only when the network takes nothing.
pub(super) const MAX_OUTGOING: usize = 256;
/// Replies of one exchange that were read and not looked at. Above the parts that an upload has under way.
const MAX_REPLIES: usize = 32;
/// One read from a stream: a few packets.
const READ_BYTES: usize = 16 * 1024;

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
}

#[derive(Debug)]
pub(super) enum Way {
    Quic(quinn::Connection),
    WebSocket(Routes),
}

/// Where replies of bulk exchanges go on a WebSocket, by number of the exchange.
pub(super) type Routes = Arc<Mutex<HashMap<u64, mpsc::Sender<Frame>>>>;

impl Sender {
    pub(super) fn new(way: Way, control: mpsc::Sender<Bytes>, heard: Arc<AtomicU64>) -> Self {
        let places = Arc::new(Semaphore::new(limits::MAX_BULK_STREAMS as usize));
        let exchanges = AtomicU64::new(0);
        Self(Arc::new(Shared { way, control, exchanges, places, heard, reason: Mutex::new(None) }))
    }

    pub(crate) fn transport(&self) -> Transport {
        match self.0.way {
            Way::Quic(_) => Transport::Quic,
            Way::WebSocket(_) => Transport::WebSocket,
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
            Way::WebSocket(_) => drop(self.0.control.try_send(self.encode(&frame))),
        }
    }

    /// Counts what arrived: equal twice means silence.
    pub(crate) fn heard(&self) -> u64 {
        match &self.0.way {
            Way::Quic(connection) => connection.stats().udp_rx.datagrams,
            Way::WebSocket(_) => self.0.heard.load(Ordering::Relaxed),
        }
    }

    /// Ends the connection; the first reason stays.
    pub(crate) fn close(&self, reason: &str) {
        self.0.reason.lock().get_or_insert_with(|| reason.to_owned());
        match &self.0.way {
            Way::Quic(connection) => connection.close(0_u32.into(), b""),
            Way::WebSocket(routes) => routes.lock().clear(),
        }
    }

    /// Why it ended.
    pub(crate) fn reason(&self) -> String {
        let reason = self.0.reason.lock().clone();
        reason.unwrap_or_else(|| match &self.0.way {
            Way::Quic(connection) => connection.close_reason().map_or_else(String::new, |reason| reason.to_string()),
            Way::WebSocket(_) => "closed by the server".to_owned(),
        })
    }

    fn encode(&self, frame: &Frame) -> Bytes {
        let bytes = frame::encode(frame);
        match self.0.way {
            Way::Quic(_) => bytes,
            Way::WebSocket(_) => frame::without_prefix(bytes),
        }
    }

    /// Begins a bulk exchange; waits while as many as the server allows are under way.
    pub(crate) async fn bulk(&self) -> Result<Bulk, Error> {
        let place = self.0.places.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        let number = self.0.exchanges.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let (stream, replies) = match &self.0.way {
            Way::Quic(connection) => {
                let lost = |error: quinn::ConnectionError| Error::Lost(error.to_string());
                (Some(connection.open_bi().await.map_err(lost)?), None)
            }
            Way::WebSocket(routes) => {
                let (to, replies) = mpsc::channel(MAX_REPLIES);
                routes.lock().insert(number, to);
                (None, Some(replies))
            }
        };
        let (send, reader) = stream.map_or((None, None), |(send, recv)| (Some(send), Some(Reader::new(recv))));
        Ok(Bulk { link: self.clone(), number, requests: 0, send, reader, replies, _place: place })
    }
}

/// One bulk exchange: requests out, replies in.
#[derive(Debug)]
pub(crate) struct Bulk {
    link: Sender,
    number: u64,
    requests: u64,
    send: Option<quinn::SendStream>,
    reader: Option<Reader>,
    replies: Option<mpsc::Receiver<Frame>>,
    _place: OwnedSemaphorePermit,
}

impl Bulk {
    /// Sends a request and waits for nothing but room.
    pub(crate) async fn send(&mut self, body: Body) -> Result<(), Error> {
        self.requests = self.requests.wrapping_add(1);
        let frame = frame::of(self.number << 32 | self.requests, body);
        let bytes = self.link.encode(&frame);
        let lost = |text: String| Error::Lost(text);
        match &mut self.send {
            Some(stream) => stream.write_chunk(bytes).await.map_err(|error| lost(error.to_string())),
            None => self.link.0.control.send(bytes).await.map_err(|_| lost(self.link.reason())),
        }
    }

    /// The next reply; a refusal is an error. Cancelling loses nothing.
    pub(crate) async fn recv(&mut self) -> Result<Body, Error> {
        let frame = match (&mut self.reader, &mut self.replies) {
            (Some(reader), _) => reader.next().await?,
            (None, Some(replies)) => replies.recv().await,
            (None, None) => None,
        };
        match frame.ok_or_else(|| Error::Lost(self.link.reason()))?.body {
            Some(Body::Error(error)) => Err(Error::refused(error)),
            Some(body) => Ok(body),
            None => Err(Error::Protocol("a reply without a body".to_owned())),
        }
    }

    /// One request, one reply.
    pub(crate) async fn request(&mut self, body: Body) -> Result<Body, Error> {
        self.send(body).await?;
        self.recv().await
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.send {
            let _ = stream.finish(); // already finished or reset: as good
        }
        if let Way::WebSocket(routes) = &self.link.0.way {
            routes.lock().remove(&self.number);
        }
    }
}

/// Frames from a QUIC stream.
#[derive(Debug)]
pub(super) struct Reader {
    stream: quinn::RecvStream,
    decoder: Decoder,
}

impl Reader {
    pub(super) fn new(stream: quinn::RecvStream) -> Self {
        Self { stream, decoder: Decoder::default() }
    }

    /// The next frame; `None` at the end of the stream. Frames that are none are skipped. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(convene_proto::FrameError::TooLarge) => return Err(Error::Protocol("frame too large".to_owned())),
                Err(error) => {
                    tracing::warn!(%error, "skipped what is no frame");
                    continue;
                }
            }
            let chunk = self.stream.read_chunk(READ_BYTES, true).await;
            match chunk.map_err(|error| Error::Lost(error.to_string()))? {
                Some(chunk) => self.decoder.push(&chunk.bytes),
                None => return Ok(None),
            }
        }
    }
}
