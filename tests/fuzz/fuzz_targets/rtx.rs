//! libFuzzer calls `targets/rtx.rs`.
#![no_main]

#[path = "../targets/rtx.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
