//! convene-peer
