//! Who somebody is: tokens of chat users, minted by a backend (or the command line) and checked by the server.
//!
//! Not here: what a user may do in a conversation (`im-core`), room tokens (`signaling::token`), where users are kept
//! (`store`).
//!
//! Invariant: this crate never reads a clock; callers say what time it is.

pub mod token;
