//! Webhooks: what an endpoint is told of, how it is signed, and when it is tried again. The signature is LiveKit's: a token
//! of the API key whose `sha256` claim is that of the body, so that the receivers of its SDKs check it.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

use crate::error::{Code, Refusal};
use crate::set::{Named, Set};

/// Endpoints of one organisation.
pub const MAX_ENDPOINTS: u32 = 16;
/// Longest address.
pub const MAX_URL_BYTES: usize = 1_024;
/// Events that wait for one endpoint. More are not taken: whoever is away for that long reads what there is when it is back.
pub const MAX_WAITING: u32 = 10_000;
/// Hours an event is tried for. After that it is dropped and counted.
pub const MAX_AGE_S: u64 = 24 * 60 * 60;
/// How long a receiver may take to answer. It should note the event and think later.
pub const PATIENCE_MS: u64 = 10_000;
/// How long a signature is good: what is replayed later is refused. LiveKit's is the same.
pub const SIGNED_FOR_S: u64 = 300;
/// First pause after a failure; doubles up to [`MAX_PAUSE_MS`].
const PAUSE_MS: u64 = 1_000;
/// Longest pause: how late a receiver that is back is found.
const MAX_PAUSE_MS: u64 = 10 * 60_000;

/// See [`Kinds`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OfWebhooks;

impl Named for OfWebhooks {
    const NAMES: &'static [&'static str] = &["rooms", "members", "calls", "messages"];
}

/// What an endpoint is told of.
pub type Kinds = Set<OfWebhooks>;

impl Set<OfWebhooks> {
    /// Rooms, who comes and goes, tracks: in LiveKit's format.
    pub const ROOMS: Self = Self::nth(0);
    /// Who is in the organisation, and as what.
    pub const MEMBERS: Self = Self::nth(1);
    /// Calls: begun, answered, over.
    pub const CALLS: Self = Self::nth(2);
    /// What people write to each other, in every conversation of the organisation.
    pub const MESSAGES: Self = Self::nth(3);
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    nbf: u64,
    exp: u64,
    sha256: String,
}

/// The value of `Authorization` for a body sent at `now_s`.
pub fn sign(key: &str, secret: &str, body: &[u8], now_s: u64) -> Result<String, Refusal> {
    let sha256 = STANDARD.encode(digest::digest(&digest::SHA256, body));
    let claims = Claims { iss: key, nbf: now_s, exp: now_s.saturating_add(SIGNED_FOR_S), sha256 };
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(|_| Code::Internal.into())
}

/// Milliseconds to wait after this many failures in a row. `random` spreads endpoints that failed together: between half
/// and all of the pause.
#[must_use]
pub fn pause_ms(failures: u32, random: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(20);
    let whole = PAUSE_MS.saturating_mul(1_u64 << doublings).min(MAX_PAUSE_MS);
    let half = whole / 2;
    half.saturating_add(half.saturating_mul(u64::from(random)) / u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_names_key_time_and_body() {
        let token = sign("key", "secret", b"{}", 1_700_000_000).unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&json).unwrap();
        // printf '{}' | openssl dgst -sha256 -binary | base64
        assert_eq!(claims["sha256"], "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=");
        assert_eq!((claims["iss"].as_str(), claims["nbf"].as_u64()), (Some("key"), Some(1_700_000_000)));
        assert_eq!(claims["exp"].as_u64(), Some(1_700_000_300));
        assert_ne!(sign("key", "other", b"{}", 1_700_000_000).unwrap(), token);
    }

    #[test]
    fn pauses_double_and_stay_in_their_bounds() {
        let rows = [(0, 1_000), (1, 1_000), (2, 2_000), (5, 16_000), (11, 600_000), (u32::MAX, 600_000)];
        for (failures, whole) in rows {
            assert_eq!((pause_ms(failures, 0), pause_ms(failures, u32::MAX)), (whole / 2, whole), "{failures}");
        }
    }

    #[test]
    fn kinds_have_names() {
        let names = ["rooms", "members", "calls", "messages"];
        let all = Kinds::parse(names).unwrap();
        assert_eq!((all, all.names()), (Kinds::from_bits(255), names.to_vec()));
        let some = Kinds::ROOMS.and(Kinds::CALLS);
        assert!(some.has(Kinds::CALLS) && !some.has(Kinds::MESSAGES) && !some.has(all));
        assert_eq!(Kinds::parse(["rooms", "x"]), None);
    }
}
