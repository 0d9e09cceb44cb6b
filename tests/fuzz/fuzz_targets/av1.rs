//! libFuzzer calls `targets/av1.rs`.
#![no_main]

#[path = "../targets/av1.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
