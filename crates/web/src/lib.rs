//! convene-web
