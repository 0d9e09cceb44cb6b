//! Mints tokens.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};

use super::claims::{Claims, Wire};
use super::unix_now;

/// Signs with one API key.
#[derive(Clone)]
pub struct Minter {
    api_key: String,
    secret: String,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The claims name an API key that this server does not have.
    #[error("no such api key")]
    UnknownKey,
    /// Signing failed.
    #[error("cannot sign the token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minter").field("api_key", &self.api_key).finish() // the secret stays out of logs
    }
}

impl Minter {
    /// Signs with `secret`, and says so by `api_key` in `iss`.
    #[must_use]
    pub fn new(api_key: &str, secret: &str) -> Self {
        Self { api_key: api_key.to_owned(), secret: secret.to_owned() }
    }

    /// A token with these claims that lives for `ttl` from now. `api_key`, `expires_at` and `not_before` of the claims are
    /// not read.
    pub fn mint(&self, claims: &Claims, ttl: Duration) -> Result<String, MintError> {
        let now = unix_now();
        let claims = claims.clone();
        let wire = Wire {
            iss: self.api_key.clone(),
            sub: claims.identity,
            exp: Some(now.saturating_add(ttl.as_secs()).into()),
            nbf: Some(now.into()),
            name: claims.name,
            metadata: claims.metadata,
            attributes: claims.attributes,
            kind: claims.kind,
            video: claims.grants,
            seat: claims.seat,
        };
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        jsonwebtoken::encode(&Header::default(), &wire, &key).map_err(MintError::Sign)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::token::{AuthError, Grants, MAX_TOKEN_BYTES, Verifier};

    #[test]
    fn what_is_minted_is_verified() {
        let grants = Grants { room_join: true, room: "r".into(), can_publish: Some(false), ..Grants::default() };
        let claims = Claims { identity: "alice".into(), name: "Alice".into(), grants, ..Claims::default() };
        let verifier = Verifier::new(HashMap::from([("key".to_owned(), "secret".to_owned())]));
        let token = Minter::new("key", "secret").mint(&claims, Duration::from_secs(60)).unwrap();
        let read = verifier.verify(&token).unwrap();
        assert_eq!((&read.identity, &read.name, &read.grants), (&claims.identity, &claims.name, &claims.grants));
        assert_eq!(read.expires_at - read.not_before, 60);

        let again = verifier.verify(&verifier.refresh(&read, Duration::from_secs(600)).unwrap()).unwrap();
        assert_eq!(again.expires_at - again.not_before, 600);
        assert_eq!(
            Claims { expires_at: 0, not_before: 0, ..again },
            Claims { expires_at: 0, not_before: 0, ..read.clone() }
        );

        let long = Claims { metadata: "m".repeat(MAX_TOKEN_BYTES), ..read.clone() };
        let short = verifier.verify(&verifier.refresh(&long, Duration::from_secs(60)).unwrap()).unwrap();
        assert_eq!((short.metadata.as_str(), &short.grants), ("", &read.grants), "it is good, if it says less");

        let foreign = Minter::new("other", "secret").mint(&claims, Duration::from_secs(60)).unwrap();
        assert_eq!(verifier.verify(&foreign).unwrap_err().code, AuthError::UNKNOWN_KEY);
        assert!(matches!(verifier.refresh(&claims, Duration::from_secs(1)), Err(MintError::UnknownKey)));
    }
}
