//! convene-bench
