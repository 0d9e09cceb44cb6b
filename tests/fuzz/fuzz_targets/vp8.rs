//! libFuzzer calls `targets/vp8.rs`.
#![no_main]

#[path = "../targets/vp8.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
