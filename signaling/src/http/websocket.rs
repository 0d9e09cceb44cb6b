//! What a WebSocket may hold. The library's defaults are made for few sockets with long messages: a read buffer of 128 KiB
//! each, which is zeroed for every read.

use axum::extract::ws::WebSocketUpgrade;

/// Read at once. Longer messages get the room they need while they come; most sockets are idle most of the time.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Written at once: what is smaller waits for a flush.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// With small buffers, and messages of at most so many bytes; the socket ends at a longer one.
pub(crate) fn bounded(upgrade: WebSocketUpgrade, max_message_bytes: usize) -> WebSocketUpgrade {
    upgrade
        .max_message_size(max_message_bytes)
        .max_frame_size(max_message_bytes)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
}
