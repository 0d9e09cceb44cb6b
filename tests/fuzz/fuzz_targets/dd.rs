//! libFuzzer calls `targets/dd.rs`.
#![no_main]

#[path = "../targets/dd.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
