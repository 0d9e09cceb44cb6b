//! The chat service: sessions over QUIC, WebTransport and WebSocket around the rules of `im-core` and the store.
//!
//! ```text
//!  accept -> quic ----\                    /-> writes --> store's writer --+--> ack, into the session's outbox
//!                      >- login, requests -+                               `--> fanout -> outboxes of members
//!  websocket ---------/                    \-> reads, blobs --> store's readers
//!
//!  outbox -> writer -> control stream, feeds, datagrams (or the socket)
//! ```
//!
//! Not here: what may happen to a conversation (`im-core`), how it is kept (`store`), HTTP (`signaling`).
//!
//! Invariant: nothing a session does waits for another session, and each queue between them has a bound. An early-data
//! flight changes nothing that its replay would change again.

mod accept;
mod blobs;
mod bulk;
mod confirmed;
mod endpoint;
mod fanout;
mod flood;
mod guard;
mod http;
mod hub;
mod links;
mod login;
mod options;
mod quic;
mod reads;
mod requests;
mod reset;
mod retention;
mod session;
mod shared;
mod start;
#[cfg(test)]
mod tests;
mod tickets;
mod websocket;
mod windows;
mod writer;
mod writes;

/// The messages that callers hand in and get out.
pub use convene_proto::im as wire;

pub use convene_im_core::model::{Policy, Refusal};
pub use convene_tls::Certificate;

pub use http::{Asker, Blob, Content};
pub use options::{Limits, Login, Logins, Options, Pictures};
pub use start::{Caller, Handle, Info, Server, StartError, start};
