//! libFuzzer calls `targets/rtcp.rs`.
#![no_main]

#[path = "../targets/rtcp.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
