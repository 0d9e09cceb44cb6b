//! libFuzzer calls `targets/sctp.rs`.
#![no_main]

#[path = "../targets/sctp.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
