//! libFuzzer calls `targets/h264.rs`.
#![no_main]

#[path = "../targets/h264.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
