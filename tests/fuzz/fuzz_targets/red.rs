//! libFuzzer calls `targets/red.rs`.
#![no_main]

#[path = "../targets/red.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
