//! convene-signaling

mod http;
pub mod token;
