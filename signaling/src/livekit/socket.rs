//! The WebSocket of signaling: bounded, small while it is idle, and what is long goes packed (RFC 7692) where the client can.
//!
//! Offers and answers name every codec of a browser once for each section, 20 KB for a small call and 4 KB more for each picture
//! that somebody sees, both ways, whenever somebody comes or goes: a path of 1 Mbit/s is busy with each for half a second. Packed
//! they have an eighth, and less with each picture. No state is kept from one message to the next, which would be 370 KB for each
//! of many idle sockets.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use futures_util::SinkExt;
use yawc::close::CloseCode;
use yawc::{
    CompressionLevel, DeflatePool, Frame, HttpStream, IncomingUpgrade, OpCode, Options, WebSocket, WebSocketError,
};

use crate::http::Problem;
use crate::rooms::MAX_MESSAGE_BYTES;

/// Read and written at once. Longer messages get the room they need while they come and go; most sockets are idle most of the time.
const BUFFER_BYTES: usize = 4 * 1024;

/// Shorter messages go as they are: updates of speakers and the like, which a packer would not make much smaller.
const PACK_FROM_BYTES: usize = 512;

/// Packers, and unpackers, that are kept for the next message. Two are at work at once for each core at most.
const MAX_KEPT: usize = 32;

static OPTIONS: LazyLock<Options> = LazyLock::new(|| {
    // Both limits are exclusive; the first counts what is on the wire and what it unpacks to.
    Options::default()
        .with_limits(MAX_MESSAGE_BYTES + 1, MAX_MESSAGE_BYTES + 1)
        .with_compression_level(CompressionLevel::fast())
        .with_compression_threshold(PACK_FROM_BYTES)
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_deflate_pool(DeflatePool::new(MAX_KEPT))
        .with_read_buffer_capacity(BUFFER_BYTES)
        .with_write_buffer_capacity(BUFFER_BYTES)
});

/// A request that asks for a WebSocket.
pub(super) struct Upgrade(IncomingUpgrade);

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let asks = names(&parts.headers, &CONNECTION, "upgrade") && names(&parts.headers, &UPGRADE, "websocket");
        let refuse = || {
            Problem::new(StatusCode::UPGRADE_REQUIRED, "websocket_required", "this address takes WebSockets")
                .into_text()
        };
        if !asks {
            return Err(refuse());
        }
        IncomingUpgrade::from_request_parts(parts, state).await.map(Self).map_err(|_| refuse())
    }
}

impl Upgrade {
    /// Lets the client in; `serve` runs once the socket is there.
    pub(super) fn accept<F>(self, serve: impl FnOnce(Socket) -> F + Send + 'static) -> Result<Response, Problem>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let refused =
            |error: WebSocketError| Problem::new(StatusCode::BAD_REQUEST, "websocket_malformed", error.to_string());
        let (response, socket) = self.0.upgrade(OPTIONS.clone()).map_err(refused)?;
        tokio::spawn(async move {
            match socket.await {
                Ok(socket) => serve(Socket(socket)).await,
                Err(error) => tracing::debug!(%error, "a client left while its socket was made"),
            }
        });
        Ok(response.map(|_empty| Body::empty()))
    }
}

/// Whether a header has the word in its list (RFC 9110 §5.6.1).
fn names(headers: &HeaderMap, header: &HeaderName, word: &str) -> bool {
    let lists = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
}

/// What came from a client.
pub(super) enum Incoming {
    /// One message.
    Message(bytes::Bytes),
    /// A sign of life.
    Beat,
    /// A kind of message that no client sends.
    Text,
    /// It said goodbye.
    Closed,
}

/// An open one.
pub(super) struct Socket(WebSocket<HttpStream>);

impl Socket {
    /// What comes next. May be dropped and called again: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Incoming, WebSocketError> {
        let (opcode, _fin, payload) = match self.0.next_frame().await {
            Ok(frame) => frame.into_parts(),
            Err(WebSocketError::ConnectionClosed) => return Ok(Incoming::Closed),
            Err(error) => return Err(error),
        };
        Ok(match opcode {
            OpCode::Binary | OpCode::Continuation => Incoming::Message(payload),
            OpCode::Text => Incoming::Text,
            OpCode::Ping | OpCode::Pong => Incoming::Beat,
            OpCode::Close => Incoming::Closed,
        })
    }

    /// Takes a message, to write it with the next [`Socket::flush`] or earlier.
    pub(super) async fn feed(&mut self, message: Vec<u8>) -> Result<(), WebSocketError> {
        self.0.feed(Frame::binary(message)).await
    }

    pub(super) async fn flush(&mut self) -> Result<(), WebSocketError> {
        self.0.flush().await
    }

    /// Says goodbye.
    pub(super) async fn close(&mut self) -> Result<(), WebSocketError> {
        self.0.send(Frame::close(CloseCode::Normal, "")).await?;
        self.0.close().await
    }
}
