//! convene-sfu-core
