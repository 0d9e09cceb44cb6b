//! convene-signaling
