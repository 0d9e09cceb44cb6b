//! convene-rtp
