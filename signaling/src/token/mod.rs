//! Room tokens: HS256 JWTs with the grants that LiveKit's server SDKs mint. Checks them, and mints them for the command
//! line, the development endpoint and refreshes.
//!
//! Not here: where a token travels in a request (`http::bearer`), and what a room does with a grant.

mod claims;
mod error;
mod mint;
mod permission;
mod verify;

pub use claims::{Claims, Grants, Seat};
pub use error::AuthError;
pub use mint::{MintError, Minter};
pub use verify::Verifier;

/// Longest token that is looked at. Tokens travel in request lines, so they have to leave room for a compressed SDP there;
/// raising it lets clients carry more metadata, lowering it refuses tokens with long attributes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Longest identity. It is copied into every data packet of its participant.
pub const MAX_IDENTITY_BYTES: usize = 256;
/// Longest room name. It is a map key, a log field and a URL segment.
pub const MAX_ROOM_NAME_BYTES: usize = 256;
/// What tokens that the server makes for people give as their issuer. No API key can have it: theirs have no colon.
pub const PEOPLE: &str = "convene:people";
/// How far the clock of whoever minted a token may run ahead of ours (`nbf`, RFC 7519 §4.1.5). LiveKit's verifier allows
/// the same minute.
pub const NOT_BEFORE_LEEWAY_S: u64 = 60;

/// Seconds since 1970, now.
pub(crate) fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
