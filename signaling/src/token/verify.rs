//! Checks tokens against the server's API keys.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use convene_accounts::apikey::{KeyScopes, Keyring, room_prefix};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous};

use super::claims::{Claims, Wire};
use super::mint::{MintError, Minter};
use super::{AuthError, MAX_TOKEN_BYTES, NOT_BEFORE_LEEWAY_S, PEOPLE, unix_now};
use crate::people::{Judge, Rights, Unavailable};
use crate::rooms::{Joined, RoomHandle};

/// The API keys of this server and their secrets, and those of organisations.
#[derive(Clone, Default)]
pub struct Verifier {
    keys: HashMap<String, String>,
    judge: OnceLock<Judge>,
    organisations: Option<Keyring>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.keys.len()).finish() // secrets stay out of logs
    }
}

impl Verifier {
    /// Takes API keys and their secrets.
    #[must_use]
    pub fn new(keys: HashMap<String, String>) -> Self {
        Self { keys, judge: OnceLock::new(), organisations: None }
    }

    /// Takes keys of organisations as well. They are good for rooms of their organisation only.
    #[must_use]
    pub fn with_organisations(self, keyring: Keyring) -> Self {
        Self { organisations: Some(keyring), ..self }
    }

    /// Checks a token at this moment.
    pub fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        self.verify_at(token, unix_now())
    }

    /// Checks a token at `now` (seconds since 1970): the signature first, and only then anything it says.
    pub fn verify_at(&self, token: &str, now: u64) -> Result<Claims, AuthError> {
        if token.is_empty() {
            return Err(AuthError::new(AuthError::MISSING, "the request carries no token"));
        }
        if token.len() > MAX_TOKEN_BYTES {
            let reason = format!("the token is longer than {MAX_TOKEN_BYTES} bytes");
            return Err(AuthError::new(AuthError::TOO_LARGE, reason));
        }
        let (secret, prefix) = self.secret_for(token)?;
        let key = DecodingKey::from_secret(secret.as_bytes());
        let wire = jsonwebtoken::decode::<Wire>(token, &key, &signature_only()).map_err(refuse)?.claims;
        let claims = Claims { room_prefix: prefix, ..claims_at(wire, now)? };
        claims.check_prefix()?;
        Ok(claims)
    }

    /// From here on, tokens of people are looked at by this as well.
    pub(crate) fn set_judge(&self, judge: Judge) {
        let _ = self.judge.set(judge); // the first one stays
    }

    /// Whether whoever holds a token that is good may come in at this moment, and as what. Tokens of people are looked at, and
    /// whether the key of an organisation is good still; what a key of the configuration has signed is good by itself. What the
    /// holder of a seat may do goes before what the token says.
    pub async fn look(&self, claims: &mut Claims) -> Result<(), AuthError> {
        if claims.api_key != PEOPLE {
            return self.check_key(claims);
        }
        let rights = self.judge.get().ok_or_else(seat_gone)?.look(claims).await;
        known(rights)?.limit(&mut claims.grants);
        Ok(())
    }

    /// The same of somebody who has come in: who may do less or more by now than as they joined does so from here on, and so
    /// again when something changes. Where it is refused they are out, or their adapter has them leave.
    pub async fn admit(&self, room: &RoomHandle, joined: &Joined, claims: &Claims) -> Result<(), AuthError> {
        if claims.api_key != PEOPLE {
            return self.check_key(claims);
        }
        let stays = self.judge.get().ok_or_else(seat_gone)?.admit(room, joined, claims).await;
        if stays.map_err(unavailable)? { Ok(()) } else { Err(seat_gone()) }
    }

    fn check_key(&self, claims: &Claims) -> Result<(), AuthError> {
        let known = || self.organisations.as_ref().and_then(|keyring| keyring.find(&claims.api_key)).is_some();
        if claims.room_prefix.is_empty() || known() {
            return Ok(());
        }
        Err(AuthError::new(AuthError::UNKNOWN_KEY, "the API key was revoked"))
    }

    /// A minter for one of the keys.
    #[must_use]
    pub fn minter(&self, api_key: &str) -> Option<Minter> {
        if let Some(secret) = self.keys.get(api_key) {
            return Some(Minter::new(api_key, secret));
        }
        let (_, secret) = self.organisations.as_ref()?.find(api_key)?;
        Some(Minter::new(api_key, &secret))
    }

    /// A token that says what these claims say and lives for `ttl` from now: what a connected client gets as refresh. In a
    /// room there may be more metadata than a token takes: it goes without it then, as it lets nobody in otherwise.
    pub fn refresh(&self, claims: &Claims, ttl: Duration) -> Result<String, MintError> {
        let minter = self.minter(&claims.api_key).ok_or(MintError::UnknownKey)?;
        let token = minter.mint(claims, ttl)?;
        if token.len() <= MAX_TOKEN_BYTES {
            return Ok(token);
        }
        let short = Claims { metadata: String::new(), attributes: HashMap::new(), ..claims.clone() };
        minter.mint(&short, ttl)
    }

    /// The secret the token claims to be signed with, and what its rooms have to begin with. Reads `iss` before the signature is checked: it selects the key and
    /// nothing else.
    fn secret_for(&self, token: &str) -> Result<(String, String), AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(refuse_header)?;
        if header.alg != Algorithm::HS256 {
            return Err(AuthError::new(AuthError::ALGORITHM, format!("signed with {:?}, expected HS256", header.alg)));
        }
        let issuer = dangerous::insecure_decode_claims::<Wire>(token).map_err(refuse)?.iss;
        if let Some(secret) = self.keys.get(&issuer) {
            return Ok((secret.clone(), String::new()));
        }
        let found = self.organisations.as_ref().and_then(|keyring| keyring.find(&issuer));
        // One that is for something else is not told from one that is not there.
        let found = found.filter(|(key, _)| key.scopes.has(KeyScopes::ROOMS));
        let (key, secret) = found.ok_or_else(|| {
            AuthError::new(AuthError::UNKNOWN_KEY, "the issuer (claim iss) is no API key of this server")
        })?;
        Ok((secret, room_prefix(key.org)))
    }
}

fn seat_gone() -> AuthError {
    AuthError::new(AuthError::SEAT_GONE, "this token is of a seat that its holder has no more")
}

fn known(rights: Result<Option<Rights>, Unavailable>) -> Result<Rights, AuthError> {
    rights.map_err(unavailable)?.ok_or_else(seat_gone)
}

fn unavailable(Unavailable: Unavailable) -> AuthError {
    AuthError::new(AuthError::UNAVAILABLE, "the store does not answer, try again")
}

/// Times are checked by [`claims_at`], against the caller's clock. `aud` is no claim of room tokens: RFC 7519 §4 says
/// that claims that are not understood are ignored.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims = HashSet::new();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn claims_at(wire: Wire, now: u64) -> Result<Claims, AuthError> {
    let Some(expires_at) = wire.exp.as_ref().and_then(seconds) else {
        return Err(AuthError::new(AuthError::NO_EXPIRY, "the token has no expiry (claim exp)"));
    };
    if expires_at <= now {
        let reason = format!("the token expired {} s ago", now.saturating_sub(expires_at));
        return Err(AuthError::new(AuthError::EXPIRED, reason));
    }
    let not_before = wire.nbf.as_ref().and_then(seconds).unwrap_or(0);
    if not_before > now.saturating_add(NOT_BEFORE_LEEWAY_S) {
        let reason = format!("the token is not valid for another {} s", not_before.saturating_sub(now));
        return Err(AuthError::new(AuthError::NOT_YET_VALID, reason));
    }
    let Wire { iss, sub, name, metadata, attributes, kind, video, seat, .. } = wire;
    let room_prefix = String::new();
    Ok(Claims {
        api_key: iss,
        room_prefix,
        identity: sub,
        name,
        metadata,
        attributes,
        kind,
        grants: video,
        seat,
        expires_at,
        not_before,
    })
}

/// RFC 7519 §2: a NumericDate may have a fraction. Times before 1970 are as good as 0.
fn seconds(number: &serde_json::Number) -> Option<u64> {
    number.as_u64().or_else(|| number.as_f64().map(|value| value.max(0.0) as u64)) // `as` saturates for floats
}

fn refuse_header(error: jsonwebtoken::errors::Error) -> AuthError {
    // An algorithm that the library does not know, `none` among them, is a JSON error of the header.
    let unknown_algorithm = matches!(error.kind(), ErrorKind::Json(json) if json.to_string().contains("variant"));
    if unknown_algorithm {
        return AuthError::new(AuthError::ALGORITHM, "not signed with HS256");
    }
    refuse(error)
}

fn refuse(error: jsonwebtoken::errors::Error) -> AuthError {
    if matches!(error.kind(), ErrorKind::InvalidSignature) {
        return AuthError::new(AuthError::BAD_SIGNATURE, "the signature does not match the API key's secret");
    }
    AuthError::new(AuthError::MALFORMED, "the token is not a JWT with the claims of a room token")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use convene_accounts::apikey::{ApiKey, KeyId, Secrets};
    use convene_types::OrgId;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn verifier() -> Verifier {
        Verifier::new(HashMap::from([("devkey".to_owned(), "secret".to_owned())]))
    }

    fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn good() -> Value {
        json!({ "iss": "devkey", "sub": "alice", "exp": NOW + 60, "video": { "roomJoin": true, "room": "r" } })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims.as_object_mut().unwrap().insert(name.to_owned(), value);
        claims
    }

    fn without(name: &str) -> Value {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    #[test]
    fn each_fault_has_its_code() {
        let hs256 = |claims: &Value| sign(Algorithm::HS256, "secret", claims);
        let none = |claims: &Value| {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(claims))
        };
        let rows = [
            ("good", hs256(&good()), None),
            ("unknown claims", hs256(&with("aud", json!("x"))), None),
            ("unknown grants", hs256(&with("video", json!({ "roomJoin": true, "canFly": [1] }))), None),
            ("null claims", hs256(&with("attributes", Value::Null)), None),
            ("fractional expiry", hs256(&with("exp", json!(NOW as f64 + 1.5))), None),
            ("nbf in leeway", hs256(&with("nbf", json!(NOW + NOT_BEFORE_LEEWAY_S))), None),
            ("nbf future", hs256(&with("nbf", json!(NOW + NOT_BEFORE_LEEWAY_S + 1))), Some(AuthError::NOT_YET_VALID)),
            ("expired", hs256(&with("exp", json!(NOW))), Some(AuthError::EXPIRED)),
            ("expired before 1970", hs256(&with("exp", json!(-1))), Some(AuthError::EXPIRED)),
            ("no exp", hs256(&without("exp")), Some(AuthError::NO_EXPIRY)),
            ("exp no number", hs256(&with("exp", json!("later"))), Some(AuthError::MALFORMED)),
            ("alg none", none(&good()), Some(AuthError::ALGORITHM)),
            ("alg hs512", sign(Algorithm::HS512, "secret", &good()), Some(AuthError::ALGORITHM)),
            ("other secret", sign(Algorithm::HS256, "public", &good()), Some(AuthError::BAD_SIGNATURE)),
            ("other key", hs256(&with("iss", json!("other"))), Some(AuthError::UNKNOWN_KEY)),
            ("no issuer", hs256(&without("iss")), Some(AuthError::UNKNOWN_KEY)),
            ("wrong type", hs256(&with("sub", json!(7))), Some(AuthError::MALFORMED)),
            ("empty", String::new(), Some(AuthError::MISSING)),
            ("text", "hello".to_owned(), Some(AuthError::MALFORMED)),
            ("three parts", "a.b.c".to_owned(), Some(AuthError::MALFORMED)),
            ("too large", "a".repeat(MAX_TOKEN_BYTES + 1), Some(AuthError::TOO_LARGE)),
        ];
        for (name, token, want) in rows {
            let got = verifier().verify_at(&token, NOW);
            assert_eq!(got.as_ref().err().map(|e| e.code), want, "{name}: {got:?}");
            let Err(error) = got else { continue };
            assert_eq!(error.status(), 401, "{name}");
            assert!(token.is_empty() || !error.reason.contains(&token), "{name} repeats the token");
        }
    }

    #[test]
    fn a_changed_claim_breaks_the_signature() {
        let token = sign(Algorithm::HS256, "secret", &good());
        let parts: Vec<&str> = token.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(with("sub", json!("mallory")).to_string());
        let token = format!("{}.{forged}.{}", parts[0], parts[2]);
        assert_eq!(verifier().verify_at(&token, NOW).unwrap_err().code, AuthError::BAD_SIGNATURE);
    }

    #[test]
    fn reads_what_a_server_sdk_mints() {
        let token = sign(
            Algorithm::HS256,
            "secret",
            &json!({
                "iss": "devkey", "sub": "alice", "name": "Alice", "metadata": "m", "attributes": { "a": "b" },
                "kind": "agent", "nbf": NOW, "exp": NOW + 60, "sip": { "admin": true },
                "video": { "roomJoin": true, "room": "r1", "canPublish": true, "canSubscribe": false, "canPublishData": true,
                           "canPublishSources": ["camera"], "hidden": true },
            }),
        );
        let claims = verifier().verify_at(&token, NOW).unwrap();
        assert_eq!((claims.identity.as_str(), claims.name.as_str(), claims.metadata.as_str()), ("alice", "Alice", "m"));
        assert_eq!((claims.kind.as_str(), claims.expires_at, claims.not_before), ("agent", NOW + 60, NOW));
        assert_eq!(claims.attributes.get("a").map(String::as_str), Some("b"));
        assert_eq!(claims.grants.can_subscribe, Some(false));
        assert!(claims.grants.hidden && claims.grants.may_publish_source("camera"));
    }

    fn organisation(scopes: KeyScopes) -> (Verifier, Keyring, ApiKey, String) {
        let keyring = Keyring::new(Secrets::new(&[7; 32]));
        let key = ApiKey { id: KeyId([1; 16]), org: OrgId(7), scopes };
        keyring.insert(key);
        let (_, secret) = keyring.find(&key.id.to_string()).unwrap();
        (verifier().with_organisations(keyring.clone()), keyring, key, secret)
    }

    #[test]
    fn a_key_of_an_organisation_is_good_for_its_rooms() {
        let (verifier, keyring, key, secret) = organisation(KeyScopes::ROOMS);
        let token = |video: Value| {
            let claims = json!({ "iss": key.id.to_string(), "sub": "bot", "exp": NOW + 60, "video": video });
            sign(Algorithm::HS256, &secret, &claims)
        };
        let own = token(json!({ "roomJoin": true, "room": "o7:r", "roomCreate": true, "roomAdmin": true }));
        let claims = verifier.verify_at(&own, NOW).unwrap();
        assert_eq!(claims.require_join(""), Ok("o7:r"));
        assert!(claims.require_admin("o7:r").is_ok() && claims.require_create_of("o7:x").is_ok());
        assert_eq!(claims.require_create_of("o71:x").map_err(|error| error.code), Err(AuthError::WRONG_ROOM));
        assert!(claims.reaches("o7:anything") && !claims.reaches("r") && !claims.reaches("o70:r"));
        let other = verifier.verify_at(&token(json!({ "roomJoin": true, "room": "o8:r" })), NOW);
        assert_eq!(other.map_err(|error| error.code).err(), Some(AuthError::WRONG_ROOM));
        // Any room: any of its own.
        let any = verifier.verify_at(&token(json!({ "roomJoin": true })), NOW).unwrap();
        assert_eq!(any.require_join("o7:r"), Ok("o7:r"));
        assert_eq!(any.require_join("r").map_err(|error| error.code), Err(AuthError::WRONG_ROOM));
        // A client that is connected gets a token of the same key.
        assert!(verifier.refresh(&claims, Duration::from_secs(60)).is_ok());
        keyring.remove(key.id);
        assert_eq!(verifier.verify_at(&own, NOW).map_err(|error| error.code).err(), Some(AuthError::UNKNOWN_KEY));
        assert!(verifier.refresh(&claims, Duration::from_secs(60)).is_err());
    }

    #[test]
    fn a_key_without_the_scope_and_a_forged_one_open_nothing() {
        let (verifier, _, key, secret) = organisation(KeyScopes::DIRECTORY);
        let claims = json!({ "iss": key.id.to_string(), "exp": NOW + 60, "video": { "roomJoin": true } });
        let refused = verifier.verify_at(&sign(Algorithm::HS256, &secret, &claims), NOW);
        assert_eq!(refused.map_err(|error| error.code).err(), Some(AuthError::UNKNOWN_KEY));
        let (verifier, ..) = organisation(KeyScopes::ROOMS);
        let forged = verifier.verify_at(&sign(Algorithm::HS256, "guess", &claims), NOW);
        assert_eq!(forged.map_err(|error| error.code).err(), Some(AuthError::BAD_SIGNATURE));
    }
}
