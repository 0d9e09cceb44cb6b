//! What the `sfu` load tool measures: a load, one run of it against a server, and the limit of the machine beside it.

mod latency;
mod overload;
mod run;
mod source;

pub use latency::{Latency, latencies, latency, ms};
pub use overload::{Overload, Parties, overload};
pub use run::{CLIENT_CORE, Row, SERVER_CORE, measure};
pub use source::{Load, Source};
