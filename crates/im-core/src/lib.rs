//! What chat decides, without doing any of it: who may append what, what erasure leaves, how a client catches up, what a
//! slow device is still owed, and how a client keeps an exact copy of what it may see.
//!
//! Not here: bytes on a wire (`proto`), rows on a disk (`store`), sockets (`im`, `client`).
//!
//! Invariant: this crate reads no clock, draws no random number and does no I/O; time and ids come in as arguments.
//! Invariant: nothing that a stranger sends makes it panic or hold more than its named limits.

pub mod gate;
pub mod model;
pub mod outbox;
pub mod replica;
pub mod rules;
pub mod sync;

pub use model::{Conv, Member, Policy, Refusal, Target};
