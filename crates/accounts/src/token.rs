//! Chat tokens: HS256 JWTs whose audience is `convene-chat`, signed with one of the server's API keys. The shells check
//! them (`im`, `signaling`); the command line and backends mint them.
//!
//! Claims: `iss` the API key, `sub` the user's account name, `aud`, `exp`, `nbf`, and optionally `org` (the organisation),
//! `name` (display name), `device` (32 hex digits: the token serves that device only), and in the access token of a
//! login session `sid` (32 hex digits) and `iat`. Access tokens are minted by [`Authority::access_token`]; one check serves all.

use std::collections::{HashMap, HashSet};
use std::fmt;

use convene_types::{DeviceId, SessionId};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, dangerous};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What `aud` says: a room token is no chat token, and the other way round.
pub const AUDIENCE: &str = "convene-chat";
/// The organisation of tokens that name none: a server for one company needs no other.
pub const DEFAULT_ORG: &str = "default";
/// Longest token that is looked at. It rides in the first frame of a session; raising it costs memory per stranger.
pub const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// Longest account name and organisation name: they are keys of the store.
pub const MAX_NAME_BYTES: usize = 128;
/// Longest display name.
pub const MAX_DISPLAY_NAME_BYTES: usize = 256;
/// How far the clock of whoever minted a token may run ahead of ours (`nbf`, RFC 7519 §4.1.5).
pub const NOT_BEFORE_LEEWAY_S: u64 = 60;
/// How long an access token lives. Nothing but [`crate::revocation::List`] ends it earlier, so that list has to remember
/// this long; a client refreshes this often.
pub const ACCESS_TTL_S: u64 = 600;

/// What a token is minted from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The API key that signs.
    pub key: String,
    /// Account name, unique in the organisation.
    pub user: String,
    /// Organisation; empty: [`DEFAULT_ORG`].
    pub org: String,
    /// Shown to others; empty: the account name.
    pub display_name: String,
    /// The only device that may use it.
    pub device: Option<DeviceId>,
    /// The login session it was made for.
    pub session: Option<SessionId>,
    /// Seconds until it expires.
    pub valid_for_s: u64,
}

/// What an access token says.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The API key that signs.
    pub key: &'a str,
    /// Account name.
    pub user: &'a str,
    /// Organisation; empty: [`DEFAULT_ORG`].
    pub org: &'a str,
    /// Shown to others; empty: the account name.
    pub display_name: &'a str,
    /// The device that signed in.
    pub device: DeviceId,
    /// The login session.
    pub session: SessionId,
}

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the organisation.
    pub org: String,
    /// Account name.
    pub user: String,
    /// Never empty.
    pub display_name: String,
    /// The only device that may use the token.
    pub device: Option<DeviceId>,
    /// The login session behind it. A token of the command line or of a backend has none.
    pub session: Option<SessionId>,
    /// Seconds since 1970 at which it was made; 0: it does not say.
    pub issued_s: u64,
    /// Seconds since 1970 at which the session has to end.
    pub expires_s: u64,
}

/// Why a token is refused, or not minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none.
    #[error("no token was given")]
    Missing,
    /// More than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// No JWT, or claims that are none of a chat token.
    #[error("the token is not a JWT with the claims of a chat token")]
    Malformed,
    /// Signed with something else.
    #[error("the token is not signed with HS256")]
    Algorithm,
    /// `iss` is no API key of this server.
    #[error("the issuer (claim iss) is no API key of this server")]
    UnknownKey,
    /// Forged, or signed with another secret.
    #[error("the signature does not match the API key's secret")]
    BadSignature,
    /// Made for something else: a room token, for one.
    #[error("the audience (claim aud) is another one")]
    Audience,
    /// `exp` has passed, or there is none.
    #[error("the token has expired, or has no expiry (claim exp)")]
    Expired,
    /// `exp` lies further ahead than such a token may live.
    #[error("the token lives too long (claim exp)")]
    LivesTooLong,
    /// `nbf` lies ahead.
    #[error("the token is not valid yet (claim nbf)")]
    NotYetValid,
    /// A name is empty, too long, or has control characters.
    #[error("the user, organisation or display name is empty, too long or has control characters")]
    BadName,
    /// `device` is not 32 hex digits.
    #[error("the device (claim device) is not 32 hex digits")]
    BadDevice,
    /// `sid` is not 32 hex digits.
    #[error("the session (claim sid) is not 32 hex digits")]
    BadSession,
}

/// The API keys of this server, and what is done with them.
#[derive(Clone, Default)]
pub struct Authority {
    keys: HashMap<String, String>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("keys", &self.keys.len()).finish() // secrets stay out of logs
    }
}

impl Authority {
    /// Takes API keys and their secrets.
    #[must_use]
    pub fn new(keys: HashMap<String, String>) -> Self {
        Self { keys }
    }

    /// A token with these claims, valid from `now_s` (seconds since 1970) on.
    pub fn mint(&self, claims: &Claims, now_s: u64) -> Result<String, TokenError> {
        let secret = self.keys.get(&claims.key).ok_or(TokenError::UnknownKey)?;
        let wire = Wire {
            iss: claims.key.clone(),
            sub: claims.user.clone(),
            aud: Audience::One(AUDIENCE.to_owned()),
            org: claims.org.clone(),
            name: claims.display_name.clone(),
            device: claims.device.map(|device| hex(&device.0)).unwrap_or_default(),
            sid: claims.session.map(|session| hex(&session.0)).unwrap_or_default(),
            exp: Some(now_s.saturating_add(claims.valid_for_s).into()),
            nbf: Some(now_s.into()),
            iat: Some(now_s.into()),
        };
        identity(wire.clone(), now_s)?; // what could not be used is not minted
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::default(), &wire, &key).map_err(|_| TokenError::Malformed)
    }

    /// The access token of a login session: [`ACCESS_TTL_S`] long, bound to its device.
    pub fn access_token(&self, access: &Access<'_>, now_s: u64) -> Result<String, TokenError> {
        let claims = Claims {
            key: access.key.to_owned(),
            user: access.user.to_owned(),
            org: access.org.to_owned(),
            display_name: access.display_name.to_owned(),
            device: Some(access.device),
            session: Some(access.session),
            valid_for_s: ACCESS_TTL_S,
        };
        self.mint(&claims, now_s)
    }

    /// Checks a token at `now_s` (seconds since 1970): the signature first, and only then anything it says.
    pub fn check(&self, token: &str, now_s: u64) -> Result<Identity, TokenError> {
        let secret = self.keys.get(&issuer(token)?).ok_or(TokenError::UnknownKey)?;
        identity(read(token, secret)?, now_s)
    }
}

/// Which key a token claims to be signed with. Read before the signature is checked: it selects the secret and nothing else.
pub(crate) fn issuer(token: &str) -> Result<String, TokenError> {
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    // An algorithm that the library does not know, `none` among them, is an error of the header.
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    if header.alg != Algorithm::HS256 {
        return Err(TokenError::Algorithm);
    }
    Ok(dangerous::insecure_decode_claims::<Issuer>(token).map_err(refuse)?.iss)
}

/// What a token says that is signed with this secret.
pub(crate) fn read<T: DeserializeOwned + Clone>(token: &str, secret: &str) -> Result<T, TokenError> {
    let key = DecodingKey::from_secret(secret.as_bytes());
    Ok(jsonwebtoken::decode::<T>(token, &key, &signature_only()).map_err(refuse)?.claims)
}

/// Whether a token is good at this moment by its dates: the second at which it expires.
pub(crate) fn expiry(exp: Option<Date>, nbf: Option<Date>, now_s: u64) -> Result<u64, TokenError> {
    let expires_s = exp.map(Date::seconds).filter(|expires_s| *expires_s > now_s).ok_or(TokenError::Expired)?;
    if nbf.map_or(0, Date::seconds) > now_s.saturating_add(NOT_BEFORE_LEEWAY_S) {
        return Err(TokenError::NotYetValid);
    }
    Ok(expires_s)
}

/// As it stands in the token.
#[derive(Clone, Serialize, Deserialize)]
struct Wire {
    iss: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    aud: Audience,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    org: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    device: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sid: String,
    exp: Option<Date>,
    nbf: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<Date>,
}

#[derive(Deserialize)]
struct Issuer {
    #[serde(default)]
    iss: String,
}

/// RFC 7519 §4.1.3: one string or an array of them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Audience {
    pub(crate) fn has(&self, wanted: &str) -> bool {
        match self {
            Self::One(name) => name == wanted,
            Self::Several(names) => names.iter().any(|name| name == wanted),
        }
    }
}

/// RFC 7519 §2: a NumericDate may have a fraction.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Date {
    Whole(u64),
    Fraction(f64),
}

impl From<u64> for Date {
    fn from(seconds: u64) -> Self {
        Self::Whole(seconds)
    }
}

impl Date {
    fn seconds(self) -> u64 {
        match self {
            Self::Whole(seconds) => seconds,
            Self::Fraction(seconds) => seconds.max(0.0) as u64, // `as` saturates for floats
        }
    }
}

fn identity(wire: Wire, now_s: u64) -> Result<Identity, TokenError> {
    if !wire.aud.has(AUDIENCE) {
        return Err(TokenError::Audience);
    }
    let expires_s = expiry(wire.exp, wire.nbf, now_s)?;
    let org = if wire.org.is_empty() { DEFAULT_ORG.to_owned() } else { wire.org };
    let display_name = if wire.name.is_empty() { wire.sub.clone() } else { wire.name };
    let good = is_name(&wire.sub, MAX_NAME_BYTES)
        && is_name(&org, MAX_NAME_BYTES)
        && is_name(&display_name, MAX_DISPLAY_NAME_BYTES);
    if !good {
        return Err(TokenError::BadName);
    }
    let device = id(&wire.device).map_err(|()| TokenError::BadDevice)?.map(DeviceId);
    let session = id(&wire.sid).map_err(|()| TokenError::BadSession)?.map(SessionId);
    let issued_s = wire.iat.map_or(0, Date::seconds);
    Ok(Identity { org, user: wire.sub, display_name, device, session, issued_s, expires_s })
}

fn is_name(name: &str, longest: usize) -> bool {
    (1..=longest).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 32 hex digits, or nothing.
fn id(text: &str) -> Result<Option<[u8; 16]>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.as_bytes();
    if digits.len() != 32 {
        return Err(());
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(());
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let [high, low] = pair;
        *byte = (digit(high)? << 4) | digit(low)?;
    }
    Ok(Some(bytes))
}

/// Times and audience are checked by [`identity`], against the caller's clock.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims = HashSet::new();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn refuse(error: jsonwebtoken::errors::Error) -> TokenError {
    if matches!(error.kind(), ErrorKind::InvalidSignature) { TokenError::BadSignature } else { TokenError::Malformed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn authority(secret: &str) -> Authority {
        Authority::new(HashMap::from([("key".to_owned(), secret.to_owned())]))
    }

    fn claims() -> Claims {
        Claims { key: "key".into(), user: "ana".into(), valid_for_s: 60, ..Claims::default() }
    }

    #[test]
    fn what_is_minted_is_checked() {
        let (device, session) = (Some(DeviceId([0xa7; 16])), Some(SessionId([0x0f; 16])));
        let full = Claims { org: "acme".into(), display_name: "Ana".into(), device, session, ..claims() };
        let rows = [(claims(), DEFAULT_ORG, "ana", None, None), (full, "acme", "Ana", device, session)];
        for (claims, org, display_name, device, session) in rows {
            let token = authority("s").mint(&claims, NOW).unwrap();
            let want = Identity {
                org: org.into(),
                user: "ana".into(),
                display_name: display_name.into(),
                device,
                session,
                issued_s: NOW,
                expires_s: NOW + 60,
            };
            assert_eq!(authority("s").check(&token, NOW), Ok(want));
        }
    }

    #[test]
    fn an_access_token_is_short_and_names_session_and_device() {
        let (device, session) = (DeviceId([1; 16]), SessionId([0xfe; 16]));
        let access = Access { key: "key", user: "a17", org: "acme", display_name: "Ana", device, session };
        let token = authority("s").access_token(&access, NOW).unwrap();
        let identity = authority("s").check(&token, NOW + ACCESS_TTL_S - 1).unwrap();
        assert_eq!((identity.device, identity.session, identity.issued_s), (Some(device), Some(session), NOW));
        assert_eq!(authority("s").check(&token, NOW + ACCESS_TTL_S), Err(TokenError::Expired));
    }

    #[test]
    fn times_are_those_of_the_caller() {
        let token = authority("s").mint(&claims(), NOW).unwrap();
        let rows = [
            (NOW - NOT_BEFORE_LEEWAY_S - 1, Some(TokenError::NotYetValid)),
            (NOW - NOT_BEFORE_LEEWAY_S, None),
            (NOW + 59, None),
            (NOW + 60, Some(TokenError::Expired)),
        ];
        for (now, want) in rows {
            assert_eq!(authority("s").check(&token, now).err(), want, "{now}");
        }
    }

    #[test]
    fn what_is_not_good_is_refused() {
        let good = authority("s").mint(&claims(), NOW).unwrap();
        let other_key = Authority::new(HashMap::from([("other".to_owned(), "s".to_owned())]));
        assert_eq!(other_key.check(&good, NOW), Err(TokenError::UnknownKey));
        assert_eq!(authority("t").check(&good, NOW), Err(TokenError::BadSignature));
        assert_eq!(authority("s").check("", NOW), Err(TokenError::Missing));
        assert_eq!(authority("s").check("a.b.c", NOW), Err(TokenError::Malformed));
        assert_eq!(authority("s").check(&"a".repeat(MAX_TOKEN_BYTES + 1), NOW), Err(TokenError::TooLong));

        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for user in ["", "a\nb", &long] {
            let claims = Claims { user: user.into(), ..claims() };
            assert_eq!(authority("s").mint(&claims, NOW), Err(TokenError::BadName), "{user:?}");
        }
    }

    #[test]
    fn claims_of_others_are_read_as_the_standard_says() {
        let rows = [
            (r#"{"iss":"key","sub":"a","aud":["x","convene-chat"],"exp":1700000001.5}"#, None),
            (r#"{"iss":"key","sub":"a","aud":"other","exp":1700000001}"#, Some(TokenError::Audience)),
            (r#"{"iss":"key","sub":"a","exp":1700000001,"video":{"roomJoin":true}}"#, Some(TokenError::Audience)),
            (r#"{"iss":"key","sub":"a","aud":"convene-chat"}"#, Some(TokenError::Expired)),
            (
                r#"{"iss":"key","sub":"a","aud":"convene-chat","exp":1700000001,"device":"zz"}"#,
                Some(TokenError::BadDevice),
            ),
            (
                r#"{"iss":"key","sub":"a","aud":"convene-chat","exp":1700000001,"sid":"+f+f+f+f+f+f+f+f+f+f+f+f+f+f+f+f"}"#,
                Some(TokenError::BadSession),
            ),
        ];
        for (claims, want) in rows {
            let claims: Wire = serde_json::from_str(claims).unwrap();
            let key = EncodingKey::from_secret(b"s");
            let token = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
            assert_eq!(authority("s").check(&token, NOW).err(), want);
        }
    }

    #[test]
    fn another_algorithm_is_refused() {
        let key = EncodingKey::from_secret(b"s");
        let wire: Wire = serde_json::from_str(r#"{"iss":"key","sub":"a","exp":1700000001,"nbf":null}"#).unwrap();
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &wire, &key).unwrap();
        assert_eq!(authority("s").check(&token, NOW), Err(TokenError::Algorithm));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", authority("hunter2")).contains("hunter2"));
    }
}
