//! The whole service over real sockets on loopback: a small quinn client, a WebSocket that is two channels, a store in a
//! folder of its own.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing among many")]

mod blobs;
mod client;
mod early;
mod faults;
mod harness;
mod pushes;
mod refusals;
mod relay;
mod sessions;
