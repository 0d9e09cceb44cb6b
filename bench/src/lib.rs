//! Load tools: real WebRTC clients (webrtc-rs' sans-I/O PeerConnection, which shares no code with the server's media path)
//! and real QUIC sessions against the server binary in a process of its own, and the physical limit beside it.

pub mod api;
pub mod cache;
pub mod chat;
pub mod client;
pub mod cpu;
pub mod fleet;
pub mod janus;
pub mod limit;
pub mod mediasoup;
pub mod server;
pub mod sfu;
pub mod target;
pub mod udp;
