//! What a call is: who is rung, who answers on which device, who comes and goes, how it ends, and what is written down of
//! it. [`Call`] is one of them, [`Book`] all that are on.
//!
//! ```text
//!             accept, join            the room is left, hang up
//!  Ringing ───────────────> Accepted ───────────────────────────> Left ──join──> Accepted
//!     ├─ decline ─> Declined ─┐
//!     ├─ time, cancel ─> Missed ┼─ join, while it is on ─> Accepted
//!  (in another call) Busy ──────┘
//!  any ── sent away ─> Removed
//! ```
//!
//! Not here: who may call whom (`convene-accounts`, `convene-im-core`), rooms and media, how anybody is told.
//!
//! Invariant: no clock, no I/O. A call that is over never changes again.

mod book;
mod call;
mod model;
#[cfg(test)]
mod tests;

pub use book::{Book, MAX_CALLS};
pub use call::{Call, ENTER_MS, RETURN_MS, RING_MS};
pub use model::{Device, MAX_RUNG, New, Outcome, Over, Person, Refusal, Standing};
