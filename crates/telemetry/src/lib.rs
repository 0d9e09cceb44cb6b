//! convene-telemetry
