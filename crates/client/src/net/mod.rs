//! The network: finding a server, connecting over QUIC or a WebSocket, moving frames. Not here: what a frame means
//! (`sync`), and when to connect again (`shell`).

pub(crate) mod address;
pub(crate) mod bulk;
pub(crate) mod dial;
pub(crate) mod http;
mod info;
pub(crate) mod link;
mod quic;
pub(crate) mod tls;
mod websocket;

/// How often a silent connection says that it is there. Address translators forget a UDP flow after 30 s (Hätönen 2010);
/// RFC 8085 §3.5 asks for no more than every 15 s, and each one wakes a radio.
pub(crate) const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(27);
