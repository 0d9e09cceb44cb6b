//! Bulk exchanges: a page of history or a blob each. They give way to what people write.

use std::time::Instant;

use bytes::Bytes;
use convene_flow::window::Path;
use convene_proto::im::{Frame, frame::Body};
use convene_proto::{Decoder, frame};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::link::Sender;
use super::quic::SEND_WINDOW;
use crate::error::Error;

/// One read from a stream: a few packets.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of an upload that are written before its window is asked for again.
const STEP_BYTES: usize = 16 * 1024;

/// One bulk exchange: requests out, replies in.
#[derive(Debug)]
pub(crate) struct Bulk {
    pub(super) link: Sender,
    pub(super) number: u64,
    pub(super) requests: u64,
    pub(super) way: BulkWay,
    pub(super) _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) enum BulkWay {
    /// A stream of its own.
    Quic { connection: quinn::Connection, send: quinn::SendStream, reader: Reader },
    /// What the socket takes when there is nothing else to say, and the replies by its number.
    WebSocket { send: mpsc::Sender<Bytes>, replies: mpsc::Receiver<Frame> },
}

impl Bulk {
    /// Sends a request and waits for nothing but room.
    pub(crate) async fn send(&mut self, body: Body) -> Result<(), Error> {
        self.requests = self.requests.wrapping_add(1);
        let frame = frame::of(self.number << 32 | self.requests, body);
        let bytes = self.link.encode(&frame);
        match &mut self.way {
            BulkWay::Quic { connection, send, .. } => {
                let written = write(&self.link, connection, send, bytes).await;
                written.map_err(|error| Error::Lost(error.to_string()))
            }
            BulkWay::WebSocket { send, .. } => send.send(bytes).await.map_err(|_| Error::Lost(self.link.reason())),
        }
    }

    /// The next reply; a refusal is an error. Cancelling loses nothing.
    pub(crate) async fn recv(&mut self) -> Result<Body, Error> {
        let frame = match &mut self.way {
            BulkWay::Quic { reader, .. } => reader.next().await?,
            BulkWay::WebSocket { replies, .. } => replies.recv().await,
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
        match &mut self.way {
            BulkWay::Quic { connection, send, .. } => {
                let _ = send.finish(); // already finished or reset: as good
                connection.set_send_window(SEND_WINDOW); // another upload asks again before it writes
            }
            BulkWay::WebSocket { .. } => self.link.forget(self.number),
        }
    }
}

/// Writes a frame, by and by if it is long. Of uploads as much waits in the connection as its path takes (see
/// [`Window`](convene_flow::window::Window)): more would fill the queue of a slow path, and messages would wait in it.
async fn write(
    link: &Sender,
    connection: &quinn::Connection,
    send: &mut quinn::SendStream,
    mut bytes: Bytes,
) -> Result<(), quinn::WriteError> {
    while bytes.len() > STEP_BYTES {
        let path = connection.stats().path;
        let path = Path { rtt: path.rtt, congestion_window: path.cwnd };
        connection.set_send_window(link.window().at(path, Instant::now()));
        send.write_chunk(bytes.split_to(STEP_BYTES)).await?;
    }
    send.write_chunk(bytes).await
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
