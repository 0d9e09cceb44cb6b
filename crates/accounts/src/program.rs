//! Tokens of programs: what a server of an organisation signs with an API key, to be let into `/v1`. HS256 JWTs with `iss` the
//! key, `aud` [`AUDIENCE`] and `exp`; any library makes them, and the secret itself does not travel.
//!
//! The audience is what tells them from tokens that let somebody into a room: those are signed with the same key, and lie in
//! browsers of people who are to read nothing here.

use jsonwebtoken::{EncodingKey, Header};
use serde::{Deserialize, Serialize};

use crate::apikey::{ApiKey, Keyring};
use crate::token::{self, Audience, Date, NOT_BEFORE_LEEWAY_S, TokenError};

/// What `aud` says.
pub const AUDIENCE: &str = "convene-api";
/// How long one may live. A program makes a new one whenever it likes, and a copy that was found in a log is soon worth
/// nothing.
pub const MAX_TTL_S: u64 = 60 * 60;

#[derive(Clone, Deserialize)]
struct Wire {
    #[serde(default)]
    aud: Audience,
    exp: Option<Date>,
    nbf: Option<Date>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    nbf: u64,
    exp: u64,
}

/// A token of the key with this secret, good for so long from `now_s` (seconds since 1970) on.
pub fn sign(key: &str, secret: &str, valid_for_s: u64, now_s: u64) -> Result<String, TokenError> {
    let claims = Claims { iss: key, aud: AUDIENCE, nbf: now_s, exp: now_s.saturating_add(valid_for_s) };
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(|_| TokenError::Malformed)
}

impl Keyring {
    /// The key that a token speaks for at `now_s` (seconds since 1970): the signature first, and only then what it says.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<ApiKey, TokenError> {
        let (key, secret) = self.find(&token::issuer(token)?).ok_or(TokenError::UnknownKey)?;
        let Wire { aud, exp, nbf } = token::read(token, &secret)?;
        if !aud.has(AUDIENCE) {
            return Err(TokenError::Audience);
        }
        let expires_s = token::expiry(exp, nbf, now_s)?;
        // Clocks differ.
        let latest_s = now_s.saturating_add(MAX_TTL_S).saturating_add(NOT_BEFORE_LEEWAY_S);
        if expires_s > latest_s { Err(TokenError::LivesTooLong) } else { Ok(key) }
    }
}

#[cfg(test)]
mod tests {
    use convene_types::OrgId;
    use serde_json::{Value, json};

    use super::*;
    use crate::apikey::{KeyId, KeyScopes, Secrets};

    const NOW: u64 = 1_700_000_000;

    fn ring() -> (Keyring, ApiKey, String) {
        let ring = Keyring::new(Secrets::new(&[7; 32]));
        let key = ApiKey { id: KeyId([1; 16]), org: OrgId(7), scopes: KeyScopes::DIRECTORY };
        ring.insert(key);
        let (_, secret) = ring.find(&key.id.to_string()).unwrap();
        (ring, key, secret)
    }

    #[test]
    fn what_is_signed_is_believed_until_its_key_ends() {
        let (ring, key, secret) = ring();
        let token = sign(&key.id.to_string(), &secret, MAX_TTL_S, NOW).unwrap();
        let rows = [
            (NOW - NOT_BEFORE_LEEWAY_S - 1, Some(TokenError::NotYetValid)),
            (NOW - NOT_BEFORE_LEEWAY_S, None),
            (NOW + MAX_TTL_S - 1, None),
            (NOW + MAX_TTL_S, Some(TokenError::Expired)),
        ];
        for (now, want) in rows {
            assert_eq!(ring.verify(&token, now).err(), want, "{now}");
        }
        let forged = sign(&key.id.to_string(), "guess", 60, NOW).unwrap();
        assert_eq!(ring.verify(&forged, NOW), Err(TokenError::BadSignature));
        assert_eq!(ring.verify(&token, NOW), Ok(key));
        ring.remove(key.id);
        assert_eq!(ring.verify(&token, NOW), Err(TokenError::UnknownKey));
    }

    #[test]
    fn what_lets_into_a_room_reads_nothing_here() {
        let (ring, key, secret) = ring();
        let iss = key.id.to_string();
        let of = |claims: Value| {
            let key = EncodingKey::from_secret(secret.as_bytes());
            jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
        };
        let rows = [
            (json!({ "iss": iss, "sub": "ana", "exp": NOW + 60, "video": { "roomJoin": true } }), TokenError::Audience),
            (json!({ "iss": iss, "aud": "convene-chat", "exp": NOW + 60 }), TokenError::Audience),
            (json!({ "iss": iss, "aud": [AUDIENCE] }), TokenError::Expired),
            (json!({ "iss": iss, "aud": AUDIENCE, "exp": NOW + 6 * MAX_TTL_S }), TokenError::LivesTooLong),
            (json!({ "iss": "devkey", "aud": AUDIENCE, "exp": NOW + 60 }), TokenError::UnknownKey),
        ];
        for (claims, want) in rows {
            assert_eq!(ring.verify(&of(claims.clone()), NOW), Err(want), "{claims}");
        }
        assert_eq!(ring.verify("", NOW), Err(TokenError::Missing));
    }
}
