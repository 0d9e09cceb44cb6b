//! libFuzzer calls `targets/im_replica.rs`.
#![no_main]

#[path = "../targets/im_replica.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
