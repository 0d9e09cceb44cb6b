//! What this server sends to others over HTTP: text messages through providers, and webhooks. Small signed requests, each with a
//! deadline, none following a redirect, none reading an answer of more than [`MAX_ANSWER_BYTES`].
//!
//! Not here: what is in a request and what an answer means (`convene-sms`), or how a
//! webhook is signed (`convene-accounts`).

mod client;
mod courier;
mod sms;

pub use client::{Client, MAX_ANSWER_BYTES, Outgoing, Reach, Reply, SendError};
pub use courier::{Courier, CourierOptions, NotDelivered};
pub use sms::{NotSent, Provider, Sms};
