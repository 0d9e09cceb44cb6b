//! libFuzzer calls `targets/sfu_core.rs`.
#![no_main]

#[path = "../targets/sfu_core.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
