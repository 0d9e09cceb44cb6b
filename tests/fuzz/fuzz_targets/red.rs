//! Any bytes as a RED payload: no panic, and what comes out is the end of what went in.
#![no_main]

use convene_rtp::red;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    if let Some(primary) = red::primary(payload) {
        assert!(payload.ends_with(primary) && primary.len() < payload.len());
    }
});
