//! libFuzzer calls `targets/im_frame.rs`.
#![no_main]

#[path = "../targets/im_frame.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
