//! What the load tool of accounts is made of: a store with a large organisation, the router of `/v1` over it, and clients of
//! both.

pub mod directory;
pub mod fill;
pub mod rates;
pub mod world;
