//! The whole service over real sockets on loopback: a small quinn client, a WebSocket that is two channels, a store in a
//! folder of its own.

mod blobs;
mod client;
mod early;
mod harness;
mod pushes;
mod refusals;
mod relay;
mod sessions;
