//! How phone numbers are kept: sealed by AES-256-GCM, found by HMAC-SHA-256. `signaling` holds the keys; the store sees
//! sealed bytes and look-ups only.
//!
//! A sealed number: version (1 byte), key id (4 bytes, big endian), nonce (12), ciphertext and tag. The look-up is its
//! additional data, so that bytes moved to another row do not open. Numbers are padded to one length before they are sealed.
//!
//! Rotation: a new key becomes the current one, old ones stay until [`Vault::is_stale`] finds none of their numbers. The
//! look-up key cannot be rotated so: all numbers are opened and written again.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;

use crate::phone::{MAX_DIGITS, Phone};

/// Begins every sealed number.
const VERSION: u8 = 1;
/// Separates this use of a key from others.
const CONTEXT: &[u8] = b"convene phone 1";
/// A plus and the digits, filled up with zero bytes: the length of a number tells its country.
const PADDED: usize = MAX_DIGITS + 1;

/// Finds a number without knowing it: equal numbers have equal look-ups under one key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup(pub [u8; 32]);

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup(..)")
    }
}

/// A key that seals, and the name it is found by.
#[derive(Clone)]
pub struct SealingKey {
    /// Never used for another key.
    pub id: u32,
    /// Random.
    pub secret: [u8; 32],
}

/// Why a number does not open, or a vault cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// There is no key to seal with.
    #[error("there is no key to seal numbers with")]
    NoKey,
    /// Two keys have one id.
    #[error("two keys have the id {0}")]
    DuplicateKey(u32),
    /// The key is not in the configuration.
    #[error("a number is sealed with key {0}, which is not configured")]
    UnknownKey(u32),
    /// Cut off, changed, or of another row.
    #[error("a sealed number is damaged")]
    Damaged,
}

/// The keys.
pub struct Vault {
    finder: hmac::Key,
    /// The first one seals.
    keys: Vec<(u32, LessSafeKey)>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("keys", &self.keys.len()).finish()
    }
}

impl Vault {
    /// `lookup` finds; the first of `keys` seals, the others only open.
    pub fn new(lookup: &[u8; 32], keys: &[SealingKey]) -> Result<Self, VaultError> {
        let mut made: Vec<(u32, LessSafeKey)> = Vec::with_capacity(keys.len());
        for SealingKey { id, secret } in keys {
            if made.iter().any(|(known, _)| known == id) {
                return Err(VaultError::DuplicateKey(*id));
            }
            let key = UnboundKey::new(&AES_256_GCM, secret).map_err(|_| VaultError::NoKey)?;
            made.push((*id, LessSafeKey::new(key)));
        }
        if made.is_empty() {
            return Err(VaultError::NoKey);
        }
        Ok(Self { finder: hmac::Key::new(hmac::HMAC_SHA256, lookup), keys: made })
    }

    /// What a number is found by.
    #[must_use]
    pub fn lookup(&self, phone: &Phone) -> Lookup {
        let mut context = hmac::Context::with_key(&self.finder);
        context.update(CONTEXT);
        context.update(phone.e164().as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        Lookup(bytes)
    }

    /// Seals a number under the current key. `nonce` has to be random: 2^32 numbers a key are safe with that
    /// (NIST SP 800-38D §8.3).
    pub fn seal(&self, phone: &Phone, nonce: [u8; NONCE_LEN]) -> Result<Vec<u8>, VaultError> {
        let (id, key) = self.keys.first().ok_or(VaultError::NoKey)?;
        let mut sealed = Vec::with_capacity(1 + 4 + NONCE_LEN + PADDED + 16);
        sealed.push(VERSION);
        sealed.extend(id.to_be_bytes());
        sealed.extend(nonce);
        let mut body = phone.e164().as_bytes().to_vec();
        body.resize(PADDED, 0);
        let aad = Aad::from(additional(*id, self.lookup(phone)));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .map_err(|_| VaultError::Damaged)?;
        sealed.extend(body);
        Ok(sealed)
    }

    /// Opens what stands beside `lookup`.
    pub fn open(&self, lookup: Lookup, sealed: &[u8]) -> Result<Phone, VaultError> {
        let (id, rest) = split(sealed).ok_or(VaultError::Damaged)?;
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id).ok_or(VaultError::UnknownKey(id))?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Damaged)?;
        let mut body = body.to_vec();
        let aad = Aad::from(additional(id, lookup));
        let opened =
            key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut body).map_err(|_| VaultError::Damaged)?;
        let text = std::str::from_utf8(opened).map_err(|_| VaultError::Damaged)?;
        Phone::from_e164(text.trim_end_matches('\0')).ok_or(VaultError::Damaged)
    }

    /// Sealed with a key that is not the current one: seal it again when it passes by.
    #[must_use]
    pub fn is_stale(&self, sealed: &[u8]) -> bool {
        let current = self.keys.first().map(|(id, _)| *id);
        split(sealed).map(|(id, _)| id) != current
    }
}

fn split(sealed: &[u8]) -> Option<(u32, &[u8])> {
    let (version, rest) = sealed.split_first()?;
    let (id, rest) = rest.split_first_chunk::<4>()?;
    (*version == VERSION).then(|| (u32::from_be_bytes(*id), rest))
}

fn additional(id: u32, lookup: Lookup) -> Vec<u8> {
    [CONTEXT, &id.to_be_bytes(), &lookup.0].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(id: u32) -> SealingKey {
        SealingKey { id, secret: [u8::try_from(id).unwrap(); 32] }
    }

    fn phone(text: &str) -> Phone {
        Phone::from_e164(text).unwrap()
    }

    #[test]
    fn keys_are_rotated_without_losing_a_number() {
        let phone = phone("+8613800138000");
        let old = Vault::new(&[9; 32], &[key(1)]).unwrap();
        let sealed = old.seal(&phone, [7; 12]).unwrap();
        let both = Vault::new(&[9; 32], &[key(2), key(1)]).unwrap();
        assert_eq!(both.lookup(&phone), old.lookup(&phone));
        assert_eq!(both.open(both.lookup(&phone), &sealed), Ok(phone.clone()));
        assert!(both.is_stale(&sealed) && !old.is_stale(&sealed));
        let resealed = both.seal(&phone, [8; 12]).unwrap();
        let new = Vault::new(&[9; 32], &[key(2)]).unwrap();
        assert_eq!(new.open(new.lookup(&phone), &resealed), Ok(phone.clone()));
        assert_eq!(new.open(new.lookup(&phone), &sealed), Err(VaultError::UnknownKey(1)));
    }

    #[test]
    fn sealed_numbers_tell_neither_digits_nor_length() {
        let vault = Vault::new(&[9; 32], &[key(1)]).unwrap();
        let (long, short) = (phone("+8613800138000"), phone("+85251234567"));
        let (a, b) = (vault.seal(&long, [1; 12]).unwrap(), vault.seal(&short, [2; 12]).unwrap());
        assert_eq!(a.len(), b.len());
        assert!(!a.windows(5).any(|window| window == b"13800"));
        assert_ne!(vault.lookup(&long), vault.lookup(&short));
        assert_ne!(vault.lookup(&long), Vault::new(&[8; 32], &[key(1)]).unwrap().lookup(&long));
    }

    #[test]
    fn bytes_of_another_row_do_not_open() {
        let vault = Vault::new(&[9; 32], &[key(1)]).unwrap();
        let sealed = vault.seal(&phone("+8613800138000"), [1; 12]).unwrap();
        let other = vault.lookup(&phone("+8613800138001"));
        assert_eq!(vault.open(other, &sealed), Err(VaultError::Damaged));
    }

    #[test]
    fn a_vault_needs_keys_with_names_of_their_own() {
        assert_eq!(Vault::new(&[0; 32], &[]).err(), Some(VaultError::NoKey));
        assert_eq!(Vault::new(&[0; 32], &[key(1), key(1)]).err(), Some(VaultError::DuplicateKey(1)));
    }

    proptest! {
        #[test]
        fn one_changed_byte_never_opens(digits in "[1-9][0-9]{6,14}", at in 0_usize..49, flip in 1_u8..) {
            let vault = Vault::new(&[9; 32], &[key(1)]).unwrap();
            let phone = phone(&format!("+{digits}"));
            let lookup = vault.lookup(&phone);
            let mut sealed = vault.seal(&phone, [3; 12]).unwrap();
            prop_assert_eq!(vault.open(lookup, &sealed), Ok(phone));
            let at = at % sealed.len();
            sealed[at] ^= flip;
            prop_assert!(vault.open(lookup, &sealed).is_err());
            prop_assert!(vault.open(lookup, &sealed[..at]).is_err());
        }
    }
}
