//! libFuzzer calls `targets/sdp.rs`.
#![no_main]

#[path = "../targets/sdp.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
