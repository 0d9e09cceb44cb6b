//! Any bytes as a RED payload: no panic, and what comes out is the end of what went in.

use convene_rtp::red;

pub(crate) fn run(payload: &[u8]) {
    if let Some(primary) = red::primary(payload) {
        assert!(payload.ends_with(primary) && primary.len() < payload.len());
    }
}
