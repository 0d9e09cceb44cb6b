//! libFuzzer calls `targets/rtp_rewrite.rs`.
#![no_main]

#[path = "../targets/rtp_rewrite.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
