//! API keys of organisations: what a program of theirs has in place of a person's session. LiveKit's server SDKs sign
//! tokens with the secret, so that it has to be known here; it is not kept, but made again from the server's key and the
//! id each time ([`Secrets`]). The store keeps which ids are good. A stolen database has no secret in it, and the server's
//! key alone does not say which ids there are.
//!
//! [`Keyring`] is the part that every check of a token asks: in memory, and the same for all who check.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use convene_types::OrgId;

use crate::role::{Role, Scopes};
use crate::set::{Named, Set};

/// Keys of one organisation that are good at a time: one a program, and two while one is replaced.
pub const MAX_KEYS: u32 = 32;

const CONTEXT: &[u8] = b"convene api key 1";
const PREFIX: &str = "ck_";

/// Names a key. Random; no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl KeyId {
    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let good =
            digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        good.then(|| u128::from_str_radix(digits, 16).ok().map(|number| Self(number.to_be_bytes()))).flatten()
    }
}

/// See [`KeyScopes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OfKeys;

impl Named for OfKeys {
    const NAMES: &'static [&'static str] = &["rooms", "directory", "audit"];
}

/// What a key is for. Empty: for nothing.
pub type KeyScopes = Set<OfKeys>;

impl Set<OfKeys> {
    /// Rooms of the organisation: LiveKit's server API, and tokens that let people in.
    pub const ROOMS: Self = Self::nth(0);
    /// Reading who is in the organisation.
    pub const DIRECTORY: Self = Self::nth(1);
    /// Reading the audit log.
    pub const AUDIT: Self = Self::nth(2);

    /// What a program of these scopes sees of an organisation, as the role of somebody who sees the same.
    #[must_use]
    pub fn role(self) -> Role {
        let pairs = [(Self::DIRECTORY, Scopes::MEMBERS), (Self::AUDIT, Scopes::AUDIT)];
        let held = pairs.into_iter().filter(|(scope, _)| self.has(*scope));
        Role::Admin(held.fold(Scopes::default(), |sum, (_, scope)| sum.and(scope)))
    }
}

/// What a good key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Which.
    pub id: KeyId,
    /// Whose.
    pub org: OrgId,
    /// What for.
    pub scopes: KeyScopes,
}

/// What the name of every room of an organisation begins with. Keys of an organisation are good for these rooms only.
#[must_use]
pub fn room_prefix(org: OrgId) -> String {
    format!("o{org}:")
}

/// The organisation whose room this is by its name.
#[must_use]
pub fn org_of_room(name: &str) -> Option<OrgId> {
    let (id, _) = name.strip_prefix('o')?.split_once(':')?;
    let id = id.parse().ok().map(OrgId)?;
    name.starts_with(&room_prefix(id)).then_some(id)
}

/// Makes the secrets of keys.
#[derive(Clone)]
pub struct Secrets(hmac::Key);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// From 32 random bytes that only the server has.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The secret of a key: 43 characters.
    #[must_use]
    pub fn of(&self, id: KeyId, org: OrgId) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(CONTEXT);
        context.update(&id.0);
        context.update(&org.0.to_be_bytes());
        URL_SAFE_NO_PAD.encode(context.sign())
    }
}

/// The keys that are good. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Keyring {
    secrets: Secrets,
    good: Arc<RwLock<HashMap<KeyId, ApiKey>>>,
}

impl Keyring {
    /// An empty one.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, good: Arc::default() }
    }

    /// A key is good from now on.
    pub fn insert(&self, key: ApiKey) {
        self.good.write().unwrap_or_else(PoisonError::into_inner).insert(key.id, key);
    }

    /// A key is good no more.
    pub fn remove(&self, id: KeyId) {
        self.good.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// All keys of an organisation are good no more.
    pub fn remove_org(&self, org: OrgId) {
        self.good.write().unwrap_or_else(PoisonError::into_inner).retain(|_, key| key.org != org);
    }

    /// A good key and its secret.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<(ApiKey, String)> {
        let id = KeyId::parse(id)?;
        let key = self.good.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()?;
        Some((key, self.secrets.of(key.id, key.org)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8, org: u64) -> ApiKey {
        ApiKey { id: KeyId([id; 16]), org: OrgId(org), scopes: KeyScopes::ROOMS }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = KeyId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255]);
        assert_eq!(id.to_string(), "ck_000102030405060708090a0b0c0d feff".replace(' ', ""));
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        let upper = id.to_string().to_uppercase();
        for wrong in ["", "ck_", "ck_00", "devkey", upper.as_str(), &format!("ck_+{}", "0".repeat(31))] {
            assert_eq!(KeyId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_of_one_key_one_organisation_and_one_server() {
        let [one, other] = [[7; 32], [8; 32]].map(|secret| Secrets::new(&secret));
        let (id, org) = (KeyId([1; 16]), OrgId(1));
        assert_eq!(one.of(id, org), one.of(id, org));
        assert_eq!(one.of(id, org).len(), 43);
        assert_ne!(one.of(id, org), other.of(id, org));
        assert_ne!(one.of(id, org), one.of(KeyId([2; 16]), org));
        assert_ne!(one.of(id, org), one.of(id, OrgId(2)));
    }

    #[test]
    fn a_key_is_good_until_it_is_taken_out() {
        let ring = Keyring::new(Secrets::new(&[7; 32]));
        let clone = ring.clone();
        for known in [key(1, 1), key(2, 1), key(3, 2)] {
            ring.insert(known);
        }
        let good = |n, org| clone.find(&key(n, org).id.to_string()).map(|(found, _)| found);
        assert_eq!((good(1, 1), good(4, 1)), (Some(key(1, 1)), None));
        ring.remove(key(1, 1).id);
        assert_eq!((good(1, 1), good(2, 1)), (None, Some(key(2, 1))));
        ring.remove_org(OrgId(1));
        assert_eq!((good(2, 1), good(3, 2)), (None, Some(key(3, 2))));
    }

    #[test]
    fn scopes_have_names() {
        let all = KeyScopes::parse(["rooms", "directory", "audit"]).unwrap();
        assert_eq!(all, KeyScopes::from_bits(255));
        assert_eq!(all.names(), ["rooms", "directory", "audit"]);
        assert_eq!(KeyScopes::parse(["rooms", "all"]), None);
        assert!(all.has(KeyScopes::AUDIT) && !KeyScopes::ROOMS.has(KeyScopes::AUDIT));
        assert_eq!(KeyScopes::parse([]), Some(KeyScopes::default()));
    }

    #[test]
    fn no_room_of_one_organisation_begins_like_that_of_another() {
        assert_eq!(room_prefix(OrgId(7)), "o7:");
        assert!(!"o71:x".starts_with(&room_prefix(OrgId(7))));
        assert_eq!(org_of_room("o7:x:y"), Some(OrgId(7)));
        for none in ["", "o7", "o:x", "o+7:x", "o07:x", "x7:x"] {
            assert_eq!(org_of_room(none), None, "{none}");
        }
    }
}
