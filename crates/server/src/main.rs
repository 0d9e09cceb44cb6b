//! The binary `convene`.
fn main() {}
