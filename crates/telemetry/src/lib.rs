//! What operators see: log lines, Prometheus metrics, and the ops port that serves them.
//!
//! Invariant: metrics live in one [`Metrics`] that is passed around; there is no global state but the log subscriber.

mod log;
mod metrics;
mod ops;
mod probes;

pub use log::{LogError, LogFormat, init};
pub use metrics::Metrics;
pub use ops::{Ready, router, serve};
