//! Ids that clients see: a prefix and twelve random characters, as the LiveKit protocol has them.

use rand::RngExt;

/// 62^12 ids: a collision within one node's life is out of reach.
const LENGTH: usize = 12;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `PA_…`, `TR_…`, `RM_…`.
pub(crate) fn new_sid(prefix: &str) -> String {
    let mut rng = rand::rng();
    let random = (0..LENGTH).filter_map(|_| ALPHABET.get(rng.random_range(0..ALPHABET.len())).copied().map(char::from));
    prefix.chars().chain(random).collect()
}
