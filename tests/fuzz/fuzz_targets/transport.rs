//! libFuzzer calls `targets/transport.rs`.
#![no_main]

#[path = "../targets/transport.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
