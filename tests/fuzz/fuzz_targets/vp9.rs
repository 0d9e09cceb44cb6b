//! libFuzzer calls `targets/vp9.rs`.
#![no_main]

#[path = "../targets/vp9.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
