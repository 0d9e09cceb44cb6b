//! `GET /im`: the WebSocket. One binary message is one frame; the token travels in the first one.

use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use convene_im::Handle;
use futures_util::{SinkExt as _, StreamExt as _, future};

/// Longest message: a frame, and room to say that a longer one is too long. Beyond that the socket ends.
const MAX_MESSAGE_BYTES: usize = 128 * 1024;
/// Read at once; longer messages get the room they need while they come. The library's 128 KiB are made for few sockets
/// with long messages, and are zeroed for every read: most of ours are idle most of the time.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Written at once: what is smaller waits for a flush.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Hands the socket to the chat service.
pub(super) async fn upgrade(State(chat): State<Handle>, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    let upgraded = upgrade.on_upgrade(|socket| async move {
        let (sink, stream) = socket.split();
        let sink = sink.with(|frame: Bytes| future::ready(Ok::<_, axum::Error>(Message::Binary(frame))));
        // Pings are answered below us. Text is no frame, and is told so.
        let frames = stream.take_while(|message| future::ready(message.is_ok())).filter_map(|message| {
            future::ready(match message {
                Ok(Message::Binary(frame)) => Some(frame),
                Ok(Message::Text(text)) => Some(Bytes::from(text)),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) | Err(_) => None,
            })
        });
        chat.serve_websocket(sink, frames).await;
    });
    future::ready(upgraded).await
}
