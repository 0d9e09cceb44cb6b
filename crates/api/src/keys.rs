//! All keys of accounts come from one secret: what an operator has to keep is 32 bytes, and no two uses share a key.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::{hkdf, hmac};
use convene_accounts::apikey;
use convene_accounts::receipt::ReceiptKey;
use convene_accounts::session::RefreshKey;
use convene_accounts::token::Authority;
use convene_accounts::vault::{SealingKey, Vault, VaultError};
use convene_accounts::verification::CodeKey;

use crate::pictures::PictureLinks;

/// Length of the secret.
pub const SECRET_BYTES: usize = 32;
/// The name that access tokens give as their issuer. No API key can have it: theirs have no colon.
pub(crate) const ISSUER: &str = "convene:accounts";
/// Of the sealing key. Another secret is another database, so there is one.
const SEALING_KEY: u32 = 1;

/// The keys.
pub struct Keys {
    pub(crate) vault: Vault,
    pub(crate) codes: CodeKey,
    pub(crate) refresh: RefreshKey,
    pub(crate) access: Authority,
    pub(crate) rooms: String,
    pub(crate) api: apikey::Secrets,
    pub(crate) receipts: ReceiptKey,
    pub(crate) links: LinkKey,
    pub(crate) pictures: PictureLinks,
}

/// Makes the secrets of links that are asked for with an `Idempotency-Key`.
pub(crate) struct LinkKey(hmac::Key);

impl LinkKey {
    /// The same for the same request, and nobody else's guess.
    pub(crate) fn secret(&self, once: &[u8; 32]) -> [u8; 32] {
        let mut secret = [0; 32];
        secret.copy_from_slice(hmac::sign(&self.0, once).as_ref());
        secret
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Makes them from the secret: HKDF-SHA-256 (RFC 5869), each with a label of its own.
    pub fn derive(secret: &[u8; SECRET_BYTES]) -> Result<Self, VaultError> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"convene accounts 1").extract(secret);
        let key = |label: &str| expand(&prk, label).ok_or(VaultError::NoKey);
        let sealing = SealingKey { id: SEALING_KEY, secret: key("seal numbers")? };
        let vault = Vault::new(&key("find numbers")?, &[sealing])?;
        let hex = |key: [u8; SECRET_BYTES]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let access = hex(key("access tokens")?);
        let rooms = hex(key("room tokens")?);
        Ok(Self {
            vault,
            codes: CodeKey::new(&key("codes")?),
            refresh: RefreshKey::new(&key("refresh tokens")?),
            access: Authority::new(HashMap::from([(ISSUER.to_owned(), access)])),
            rooms,
            api: apikey::Secrets::new(&key("api keys")?),
            receipts: ReceiptKey::new(&key("receipts")?),
            links: LinkKey(hmac::Key::new(hmac::HMAC_SHA256, &key("links")?)),
            pictures: PictureLinks::new(&key("pictures")?),
        })
    }
}

struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        SECRET_BYTES
    }
}

fn expand(prk: &hkdf::Prk, label: &str) -> Option<[u8; SECRET_BYTES]> {
    let mut bytes = [0; SECRET_BYTES];
    prk.expand(&[label.as_bytes()], Length).ok()?.fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use convene_accounts::phone::Phone;

    use super::*;

    #[test]
    fn the_same_secret_finds_the_same_numbers_and_another_one_none() {
        let phone = Phone::from_e164("+8613800138000").unwrap();
        let [one, again, other] = [[7; 32], [7; 32], [8; 32]].map(|secret| Keys::derive(&secret).unwrap());
        let sealed = one.vault.seal(&phone, [1; 12]).unwrap();
        assert_eq!(again.vault.open(again.vault.lookup(&phone), &sealed).unwrap(), phone);
        assert_ne!(one.vault.lookup(&phone), other.vault.lookup(&phone));
        assert!(other.vault.open(other.vault.lookup(&phone), &sealed).is_err());
    }

    #[test]
    fn no_two_uses_share_a_key() {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"s").extract(&[7; 32]);
        let labels = [
            "seal numbers",
            "find numbers",
            "access tokens",
            "room tokens",
            "codes",
            "refresh tokens",
            "api keys",
            "receipts",
            "links",
            "pictures",
        ];
        let keys: std::collections::HashSet<_> = labels.iter().map(|label| expand(&prk, label).unwrap()).collect();
        assert_eq!(keys.len(), labels.len());
    }
}
