//! The one place where refusals and drops are counted.

/// A named limit or check refused something. `name` is one of a closed set, never anything a client wrote.
pub(crate) fn refused(name: &'static str) {
    tracing::debug!(name, "refused");
}
