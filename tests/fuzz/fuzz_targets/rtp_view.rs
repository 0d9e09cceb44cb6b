//! libFuzzer calls `targets/rtp_view.rs`.
#![no_main]

#[path = "../targets/rtp_view.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
