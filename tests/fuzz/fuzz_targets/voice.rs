//! libFuzzer calls `targets/voice.rs`.
#![no_main]

#[path = "../targets/voice.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
