//! A chat client as a library: it connects, keeps an exact copy of what its user may see in a local database, and sends.
//!
//! ```text
//! Client --orders--> shell (a thread) --> sync::Engine --> im_core::Replica   what is true
//!   ^                  |      ^               |
//!   +----- updates ----+      |               +--> db (SQLite)                 what is kept
//!                             +-- net: QUIC | WebSocket, blob: up and down     how it travels
//! ```
//!
//! Not here: how messages look, and notifications. `convene chat` is the example of an owner.
//!
//! Invariants: what [`Client::send`] accepted is in the database before it returns, and is sent under one client id until
//! the server has acknowledged or refused it (I2, I3, I16). A row that the server's words changed is written before its
//! owner hears of it, so a client that is killed at any point goes on from what it had shown. All queues are bounded; see
//! the constants for what happens when they are full.

pub mod account;
mod backoff;
mod blob;
pub mod body;
mod client;
mod config;
mod db;
mod dev;
mod device;
mod error;
mod net;
mod shell;
mod sync;
mod update;

pub use account::Account;
pub use client::{Client, Source};
pub use config::{Config, TokenSource};
pub use convene_im_core::replica::{Folded, State};
pub use convene_proto::im;
pub use convene_types::ClientId;
pub use convene_voice::draw::bars;
pub use db::outbox::{Outgoing, State as Progress};
pub use dev::token as dev_token;
pub use device::DeviceId;
pub use error::Error;
pub use net::address::ServerUrl;
pub use net::dial::Ways;
pub use net::link::Transport;
pub use sync::{Conversation, Message, Page};
pub use update::{Update, Updates};

/// Its programs in Rust are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Guide;
