//! What a token says: who, and which grants.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{AuthError, MAX_IDENTITY_BYTES, MAX_ROOM_NAME_BYTES, PEOPLE};

/// The checked contents of a token. Claims that are not here are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `iss`: the API key it was signed with. Filled in by the minter.
    pub api_key: String,
    /// What the name of every room has to begin with; empty: anything. Keys of organisations are good for theirs only.
    pub room_prefix: String,
    /// `sub`: who. Unique in a room; a second join with it replaces the first.
    pub identity: String,
    /// Display name; may be empty.
    pub name: String,
    /// Opaque to the server; may be empty.
    pub metadata: String,
    /// Opaque to the server, but for being key and value.
    pub attributes: HashMap<String, String>,
    /// `standard`, `agent`, `ingress`, `egress`, `sip`, …; empty means `standard`.
    pub kind: String,
    /// What it allows.
    pub grants: Grants,
    /// Whose seat this is, in tokens that the server makes for people.
    pub seat: Option<Seat>,
    /// `exp` in seconds since 1970.
    pub expires_at: u64,
    /// `nbf` in seconds since 1970; 0 where absent.
    pub not_before: u64,
}

/// The `seat` claim: what a token of the server's own stands on. It is looked at again whenever it is used, so that a token
/// is worth nothing once its holder has signed out or is out of the conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// Who.
    pub account: u64,
    /// The login session it was asked for with: 32 hex digits.
    pub login: String,
    /// The conversation whose room it is.
    pub conv: u64,
    /// The call: 32 hex digits; none for the meeting room of the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The address at which its holder knows this server, e.g. "https://convene.example": where pictures are for those who
    /// sit there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub site: String,
}

/// The `video` claim: rights on rooms and in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Grants {
    /// May create and delete rooms.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub room_create: bool,
    /// May list rooms.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub room_list: bool,
    /// May administrate the room `room`.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub room_admin: bool,
    /// May join the room `room`, or any where `room` is empty.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub room_join: bool,
    /// Room these grants are for. Where it is set it wins over whatever the request names.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub room: String,
    /// May publish tracks. Absent means yes: use [`Grants::may_publish`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// May subscribe to tracks. Absent means yes: use [`Grants::may_subscribe`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// May send data. Absent means what `can_publish` says: use [`Grants::may_publish_data`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio`; empty means any. Where it is set it supersedes
    /// `can_publish`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub can_publish_sources: Vec<String>,
    /// May change its own name, metadata and attributes. Absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// Invisible to the others.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub hidden: bool,
    /// Is a recorder.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub recorder: bool,
    /// Is an agent.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub agent: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// `null` is what some SDKs write for "not set".
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

impl Grants {
    /// Whether tracks of any source may be published.
    #[must_use]
    pub fn may_publish(&self) -> bool {
        !self.can_publish_sources.is_empty() || self.can_publish.unwrap_or(true)
    }

    /// Whether a track of this source (`camera`, `microphone`, …) may be published.
    #[must_use]
    pub fn may_publish_source(&self, source: &str) -> bool {
        if self.can_publish_sources.is_empty() {
            return self.can_publish.unwrap_or(true);
        }
        self.can_publish_sources.iter().any(|allowed| allowed.eq_ignore_ascii_case(source))
    }

    /// Whether tracks may be subscribed to.
    #[must_use]
    pub fn may_subscribe(&self) -> bool {
        self.can_subscribe.unwrap_or(true)
    }

    /// Whether data may be sent.
    #[must_use]
    pub fn may_publish_data(&self) -> bool {
        self.can_publish_data.or(self.can_publish).unwrap_or(true)
    }

    /// Whether the holder may change its own name, metadata and attributes.
    #[must_use]
    pub fn may_update_own_metadata(&self) -> bool {
        self.can_update_own_metadata.unwrap_or(false)
    }
}

impl Claims {
    /// The room this token lets its holder join. `requested` is what the request names, empty where it names none; the
    /// token's own room wins over it.
    pub fn require_join<'a>(&'a self, requested: &'a str) -> Result<&'a str, AuthError> {
        if !self.grants.room_join {
            return Err(AuthError::missing_grant("roomJoin"));
        }
        if self.identity.is_empty() || self.identity.len() > MAX_IDENTITY_BYTES {
            let reason = format!("a join needs an identity (claim sub) of 1 to {MAX_IDENTITY_BYTES} bytes");
            return Err(AuthError::new(AuthError::IDENTITY, reason));
        }
        let room = if self.grants.room.is_empty() { requested } else { &self.grants.room };
        if room.is_empty() || room.len() > MAX_ROOM_NAME_BYTES {
            let reason = format!("token or request has to name a room of 1 to {MAX_ROOM_NAME_BYTES} bytes");
            return Err(AuthError::new(AuthError::ROOM_NAME, reason));
        }
        self.require_prefix(room)?;
        Ok(room)
    }

    /// The token's own room has to be one of its key's.
    pub(super) fn check_prefix(&self) -> Result<(), AuthError> {
        if self.grants.room.is_empty() { Ok(()) } else { self.require_prefix(&self.grants.room) }
    }

    /// Whether the key that signed this is good for a room of this name.
    #[must_use]
    pub fn reaches(&self, room: &str) -> bool {
        room.starts_with(&self.room_prefix)
    }

    fn require_prefix(&self, room: &str) -> Result<(), AuthError> {
        if self.reaches(room) {
            return Ok(());
        }
        let reason = format!("this API key is good for rooms whose names begin with {:?}", self.room_prefix);
        Err(AuthError::new(AuthError::WRONG_ROOM, reason))
    }

    /// Joining exactly `room`, where the request's address names it (WHIP, WHEP): a token for another room is refused.
    pub fn require_join_of(&self, room: &str) -> Result<(), AuthError> {
        if self.require_join(room)? == room { Ok(()) } else { Err(self.wrong_room(room)) }
    }

    /// Administrating `room`.
    pub fn require_admin(&self, room: &str) -> Result<(), AuthError> {
        if !self.grants.room_admin {
            return Err(AuthError::missing_grant("roomAdmin"));
        }
        if self.grants.room == room { Ok(()) } else { Err(self.wrong_room(room)) }
    }

    /// Creating and deleting rooms.
    pub fn require_create(&self) -> Result<(), AuthError> {
        if self.grants.room_create { Ok(()) } else { Err(AuthError::missing_grant("roomCreate")) }
    }

    /// Whether a join makes the room where rooms are not made by everybody who joins. Nobody else makes the rooms of people,
    /// and whoever has a token of the server's own may be in them.
    #[must_use]
    pub fn may_create(&self) -> bool {
        self.grants.room_create || self.api_key == PEOPLE
    }

    /// Creating or deleting this room.
    pub fn require_create_of(&self, room: &str) -> Result<(), AuthError> {
        self.require_create()?;
        self.require_prefix(room)
    }

    /// Listing rooms.
    pub fn require_list(&self) -> Result<(), AuthError> {
        if self.grants.room_list { Ok(()) } else { Err(AuthError::missing_grant("roomList")) }
    }

    /// Publishing tracks.
    pub fn require_publish(&self) -> Result<(), AuthError> {
        if self.grants.may_publish() { Ok(()) } else { Err(AuthError::missing_grant("canPublish")) }
    }

    /// Subscribing to tracks.
    pub fn require_subscribe(&self) -> Result<(), AuthError> {
        if self.grants.may_subscribe() { Ok(()) } else { Err(AuthError::missing_grant("canSubscribe")) }
    }

    fn wrong_room(&self, asked: &str) -> AuthError {
        let reason = format!("the grant is for room {:?}, the request for room {asked:?}", self.grants.room);
        AuthError::new(AuthError::WRONG_ROOM, reason)
    }
}

/// The claims as they stand on the wire.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Wire {
    #[serde(deserialize_with = "or_default")]
    pub(super) iss: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exp: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) metadata: String,
    #[serde(skip_serializing_if = "HashMap::is_empty", deserialize_with = "or_default")]
    pub(super) attributes: HashMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) kind: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) video: Grants,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seat: Option<Seat>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(grants: Grants) -> Claims {
        Claims { identity: "alice".to_owned(), grants, ..Claims::default() }
    }

    fn join(room: &str) -> Grants {
        Grants { room_join: true, room: room.to_owned(), ..Grants::default() }
    }

    #[test]
    fn join_names_the_room_or_the_missing_grant() {
        let long = "r".repeat(MAX_ROOM_NAME_BYTES + 1);
        let rows = [
            (join("a"), "", Ok("a")),
            (join("a"), "b", Ok("a")),
            (join(""), "b", Ok("b")),
            (join(""), "", Err(AuthError::ROOM_NAME)),
            (join(""), long.as_str(), Err(AuthError::ROOM_NAME)),
            (Grants { room_join: false, ..join("a") }, "a", Err(AuthError::GRANT_MISSING)),
        ];
        for (grants, requested, want) in rows {
            let claims = claims(grants);
            assert_eq!(claims.require_join(requested).map_err(|e| e.code), want, "{claims:?} {requested}");
        }
        let nobody = Claims { identity: String::new(), ..claims(join("a")) };
        assert_eq!(nobody.require_join("").unwrap_err().code, AuthError::IDENTITY);
        assert!(claims(Grants::default()).require_join("a").unwrap_err().reason.contains("roomJoin"));
    }

    #[test]
    fn rights_on_rooms_are_refused_by_name() {
        let admin = Grants { room_admin: true, room: "a".to_owned(), ..Grants::default() };
        let rows = [
            (claims(admin.clone()).require_admin("a"), None),
            (claims(admin).require_admin("b"), Some("\"b\"")),
            (claims(join("a")).require_admin("a"), Some("roomAdmin")),
            (claims(join("a")).require_join_of("b"), Some("\"b\"")),
            (claims(join("a")).require_create(), Some("roomCreate")),
            (claims(join("a")).require_list(), Some("roomList")),
            (claims(Grants { can_publish: Some(false), ..join("a") }).require_publish(), Some("canPublish")),
            (claims(Grants { can_subscribe: Some(false), ..join("a") }).require_subscribe(), Some("canSubscribe")),
            (claims(join("a")).require_publish(), None),
            (claims(join("a")).require_subscribe(), None),
        ];
        for (result, named) in rows {
            let reason = result.clone().err().map(|e| e.reason);
            assert_eq!(reason.is_some(), named.is_some(), "{result:?}");
            assert!(reason.unwrap_or_default().contains(named.unwrap_or_default()), "{result:?} {named:?}");
        }
    }

    #[test]
    fn absent_rights_in_a_room_mean_yes() {
        let sources = Grants { can_publish: Some(false), can_publish_sources: vec!["microphone".into()], ..join("a") };
        let rows = [
            (Grants::default(), true, true, true, true),
            (Grants { can_publish: Some(false), ..join("a") }, false, false, true, false),
            (Grants { can_subscribe: Some(false), ..join("a") }, true, true, false, true),
            (Grants { can_publish_data: Some(false), ..join("a") }, true, true, true, false),
            (sources, true, false, true, false),
        ];
        for (grants, publish, camera, subscribe, data) in rows {
            assert_eq!(grants.may_publish(), publish, "{grants:?}");
            assert_eq!(grants.may_publish_source("camera"), camera, "{grants:?}");
            assert_eq!(grants.may_subscribe(), subscribe, "{grants:?}");
            assert_eq!(grants.may_publish_data(), data, "{grants:?}");
        }
    }
}
