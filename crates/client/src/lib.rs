//! The chat client.

#![allow(dead_code)]

mod backoff;
mod blob;
mod config;
mod error;
mod net;

pub use config::{Config, TokenSource};
pub use error::Error;
pub use net::address::ServerUrl;
pub use net::dial::Ways;
pub use net::link::Transport;
