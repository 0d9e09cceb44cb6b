//! How much of something large may be under way on a connection, beside what people say and write on the same path.
//!
//! Not here: how a transport says what it knows of its path, and how it is kept from sending more (`im`, `client`, `server`).
//!
//! Invariant: this crate reads no clock and does no I/O; time comes in as an argument.

pub mod ahead;
pub mod window;
