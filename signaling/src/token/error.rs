//! Why a token, or what it allows, was refused.

/// A refusal with a stable code. The reason is for a person and never repeats the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct AuthError {
    /// One of the constants of this type.
    pub code: &'static str,
    /// What is wrong, for a person.
    pub reason: String,
}

impl AuthError {
    /// There is no token in the request.
    pub const MISSING: &'static str = "token_missing";
    /// Longer than [`MAX_TOKEN_BYTES`](super::MAX_TOKEN_BYTES).
    pub const TOO_LARGE: &'static str = "token_too_large";
    /// Not three base64url parts of JSON, or a claim has the wrong type.
    pub const MALFORMED: &'static str = "token_malformed";
    /// Signed with anything but HS256, or not at all.
    pub const ALGORITHM: &'static str = "token_algorithm";
    /// `iss` names no API key of this server.
    pub const UNKNOWN_KEY: &'static str = "token_unknown_key";
    /// The signature does not match the API key's secret.
    pub const BAD_SIGNATURE: &'static str = "token_bad_signature";
    /// `exp` is absent.
    pub const NO_EXPIRY: &'static str = "token_no_expiry";
    /// `exp` is past.
    pub const EXPIRED: &'static str = "token_expired";
    /// `nbf` is in the future.
    pub const NOT_YET_VALID: &'static str = "token_not_yet_valid";
    /// A join needs an identity (`sub`), and there is none or it is too long.
    pub const IDENTITY: &'static str = "token_identity";
    /// The token is good and lacks a grant; the reason names it.
    pub const GRANT_MISSING: &'static str = "grant_missing";
    /// The token is good, for another room.
    pub const WRONG_ROOM: &'static str = "grant_wrong_room";
    /// Its holder has signed out, or is out of the conversation or the call.
    pub const SEAT_GONE: &'static str = "seat_gone";
    /// Nobody knows at this moment whether its holder has the seat: it is worth trying again.
    pub const UNAVAILABLE: &'static str = "unavailable";
    /// Neither token nor request names a room, or the name is too long.
    pub const ROOM_NAME: &'static str = "room_name";

    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    pub(crate) fn missing_grant(grant: &str) -> Self {
        Self::new(Self::GRANT_MISSING, format!("the token lacks the grant {grant}"))
    }

    /// 401 when who asks is not established, 403 when it is and may not, 400 when the request names no usable room, 503 when
    /// it cannot be said.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.code {
            Self::GRANT_MISSING | Self::WRONG_ROOM | Self::SEAT_GONE => 403,
            Self::ROOM_NAME => 400,
            Self::UNAVAILABLE => 503,
            _ => 401,
        }
    }
}
