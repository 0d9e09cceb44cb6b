//! Addresses that serve a blob over HTTP for a while without a token: they are signed, and name whom they were given to, so
//! that what this user may no longer see is not served either.

use std::fmt;

use aws_lc_rs::hmac;
use convene_types::{ConvId, UserId};

/// How long an address serves: long enough to begin a download, short enough that a leaked one is soon worthless.
const LIFETIME_MS: i64 = 10 * 60 * 1000;

/// Makes and checks signatures.
pub(crate) struct Links {
    key: hmac::Key,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Links") // the key stays out of logs
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) user: UserId,
    pub(crate) conv: ConvId,
    /// SHA-256: the name of the blob.
    pub(crate) blob: [u8; 32],
    pub(crate) expires_ms: i64,
}

impl Links {
    /// With the secret of this database.
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// Path and query for this user, and until when they serve.
    pub(crate) fn make(&self, user: UserId, conv: ConvId, blob: [u8; 32], now_ms: i64) -> (String, i64) {
        let expires_ms = now_ms.saturating_add(LIFETIME_MS);
        let link = Link { user, conv, blob, expires_ms };
        let sig = hex(hmac::sign(&self.key, &link.signed()).as_ref());
        let path = format!("/im/blobs/{}?conv={conv}&user={user}&exp={expires_ms}&sig={sig}", hex(&blob));
        (path, expires_ms)
    }

    /// Whether we made it and it still serves.
    pub(crate) fn check(&self, link: &Link, sig: &str, now_ms: i64) -> bool {
        let Some(sig) = unhex::<32>(sig) else { return false };
        now_ms < link.expires_ms && hmac::verify(&self.key, &link.signed(), &sig).is_ok()
    }
}

impl Link {
    /// Fields of fixed length, so that no two links are signed alike.
    fn signed(&self) -> Vec<u8> {
        let numbers = [self.user.0.to_be_bytes(), self.conv.0.to_be_bytes(), self.expires_ms.to_be_bytes()];
        [numbers.as_flattened(), &self.blob].concat()
    }
}

/// Lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly `N` bytes.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_serves_as_it_is_and_for_a_while() {
        let links = Links::new(&[7; 32]);
        let (path, expires_ms) = links.make(UserId(1), ConvId(2), [3; 32], 1_000);
        let sig = path.split_once("sig=").unwrap().1;
        let link = Link { user: UserId(1), conv: ConvId(2), blob: [3; 32], expires_ms };
        assert!(links.check(&link, sig, expires_ms - 1));
        assert!(!links.check(&link, sig, expires_ms));
        let changed = [
            Link { user: UserId(2), ..link },
            Link { conv: ConvId(1), ..link },
            Link { blob: [4; 32], ..link },
            Link { expires_ms: expires_ms + 1, ..link },
        ];
        for changed in changed {
            assert!(!links.check(&changed, sig, 0), "{changed:?}");
        }
        for sig in ["", "00", &sig[1..], &sig.replace(&sig[..4], "zzzz")] {
            assert!(!links.check(&link, sig, 0), "{sig}");
        }
        assert!(!Links::new(&[8; 32]).check(&link, sig, 0));
    }

    #[test]
    fn hexadecimal_there_and_back() {
        assert_eq!(unhex::<2>(&hex(&[0, 255])), Some([0, 255]));
        for text in ["0", "00ff0", "+1ff", "zzzz", "0é1"] {
            assert_eq!(unhex::<2>(text), None, "{text}");
        }
    }
}
