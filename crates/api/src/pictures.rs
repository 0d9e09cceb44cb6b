//! Addresses of pictures of people: signed, and good for some hours, so that an `<img>` can show them, and a client of a room
//! that knows no accounts. Who may see somebody is given the address; who has it sees the picture until it expires.

use aws_lc_rs::hmac;
use convene_types::AccountId;

/// Addresses change so often, in seconds, and each is good for one to two of these: within, answers stay the same (`ETag`),
/// and browsers find what they have.
const PERIOD_S: u64 = 6 * 60 * 60;
/// Name of a picture: SHA-256 in hex digits.
const NAME_DIGITS: usize = 64;

/// Makes addresses and checks them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct PictureLinks(hmac::Key);

impl PictureLinks {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Path and query of a picture; none where there is none.
    pub(crate) fn path(&self, account: AccountId, name: &str, now_s: u64) -> Option<String> {
        if !is_name(name) {
            return None;
        }
        let expires_s = expires_s(now_s);
        let sig = hex(hmac::sign(&self.0, &signed(account, name, expires_s)).as_ref());
        Some(format!("/v1/pictures/{account}/{name}?expires={expires_s}&sig={sig}"))
    }

    /// Whether we made it and it is still good.
    pub(crate) fn check(&self, (account, name): (AccountId, &str), expires_s: u64, sig: &str, now_s: u64) -> bool {
        let Some(sig) = unhex(sig) else { return false };
        is_name(name) && now_s < expires_s && hmac::verify(&self.0, &signed(account, name, expires_s), &sig).is_ok()
    }
}

/// Until when an address serves that is made now.
pub(crate) fn expires_s(now_s: u64) -> u64 {
    (now_s / PERIOD_S).saturating_add(2).saturating_mul(PERIOD_S)
}

/// Of fixed length, so that no two are signed alike.
fn signed(account: AccountId, name: &str, expires_s: u64) -> Vec<u8> {
    [account.0.to_be_bytes().as_slice(), &expires_s.to_be_bytes(), name.as_bytes()].concat()
}

fn is_name(name: &str) -> bool {
    name.len() == NAME_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_serves_as_it_is_and_for_a_while() {
        let (links, name, now_s) = (PictureLinks::new(&[7; 32]), "ab".repeat(32), 1_700_000_000);
        let path = links.path(AccountId(17), &name, now_s).unwrap();
        let (_, query) = path.split_once("?expires=").unwrap();
        let (expires, sig) = query.split_once("&sig=").unwrap();
        let expires_s: u64 = expires.parse().unwrap();
        assert!((PERIOD_S..=2 * PERIOD_S).contains(&(expires_s - now_s)));
        let check = |account, name: &str, expires_s, sig: &str, now_s| {
            links.check((AccountId(account), name), expires_s, sig, now_s)
        };
        assert!(check(17, &name, expires_s, sig, now_s) && check(17, &name, expires_s, sig, expires_s - 1));
        assert!(!check(17, &name, expires_s, sig, expires_s));
        assert!(!check(18, &name, expires_s, sig, now_s));
        assert!(!check(17, &"ac".repeat(32), expires_s, sig, now_s));
        assert!(!check(17, &name, expires_s + 1, sig, now_s));
        for wrong in ["", "0", "zz", &sig[2..], &"0".repeat(64)] {
            assert!(!check(17, &name, expires_s, wrong, now_s), "{wrong}");
        }
        assert_eq!(links.path(AccountId(17), "", now_s), None);
        // The same within a period: answers with it in them stay the same.
        let begin = now_s / PERIOD_S * PERIOD_S;
        assert_eq!(links.path(AccountId(17), &name, begin), links.path(AccountId(17), &name, begin + PERIOD_S - 1));
    }
}
