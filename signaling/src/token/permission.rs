//! What the grants of a token come to in a room.

use std::collections::BTreeMap;

use super::Claims;
use crate::rooms::{JoinRequest, Mode, ParticipantKind, Permission, Source};

impl Claims {
    /// The rights in a room. Unknown sources and kinds are those of newer clients: they allow nothing and mean nothing.
    #[must_use]
    pub fn permission(&self) -> Permission {
        let grants = &self.grants;
        Permission {
            can_subscribe: grants.may_subscribe(),
            can_publish: grants.may_publish(),
            can_publish_data: grants.may_publish_data(),
            can_publish_sources: grants.can_publish_sources.iter().map(|name| source(name)).collect(),
            hidden: grants.hidden,
            recorder: grants.recorder,
            can_update_metadata: grants.may_update_own_metadata(),
            agent: grants.agent,
            can_subscribe_metrics: false,
        }
    }

    /// What its holder is.
    #[must_use]
    pub fn participant_kind(&self) -> ParticipantKind {
        match self.kind.to_ascii_lowercase().as_str() {
            "ingress" => ParticipantKind::Ingress,
            "egress" => ParticipantKind::Egress,
            "sip" => ParticipantKind::Sip,
            "agent" => ParticipantKind::Agent,
            _ => ParticipantKind::Standard,
        }
    }

    /// A wish to join with what the token says of its holder.
    #[must_use]
    pub fn join_request(&self, mode: Mode) -> JoinRequest {
        JoinRequest {
            name: self.name.clone(),
            metadata: self.metadata.clone(),
            attributes: self
                .attributes
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<BTreeMap<_, _>>(),
            key: if self.room_prefix.is_empty() { String::new() } else { self.api_key.clone() },
            permission: self.permission(),
            kind: self.participant_kind(),
            may_create: self.may_create(),
            ..JoinRequest::new(self.identity.clone(), mode)
        }
    }
}

fn source(name: &str) -> Source {
    match name.to_ascii_lowercase().as_str() {
        "camera" => Source::Camera,
        "microphone" => Source::Microphone,
        "screen_share" => Source::ScreenShare,
        "screen_share_audio" => Source::ScreenShareAudio,
        _ => Source::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Grants;

    #[test]
    fn grants_become_rights() {
        let grants = Grants {
            can_publish_sources: vec!["microphone".into(), "SCREEN_SHARE".into(), "hologram".into()],
            can_subscribe: Some(false),
            hidden: true,
            ..Grants::default()
        };
        let claims = Claims { kind: "Agent".into(), name: "Bot".into(), grants, ..Claims::default() };
        let request = claims.join_request(Mode::Single);
        assert_eq!((request.kind, request.name.as_str()), (ParticipantKind::Agent, "Bot"));
        assert!(request.permission.hidden && request.permission.can_publish && !request.permission.can_subscribe);
        assert!(
            request.permission.allows_source(Source::Microphone) && !request.permission.allows_source(Source::Camera)
        );
        assert_eq!(Claims { kind: "hologram".into(), ..claims }.participant_kind(), ParticipantKind::Standard);
    }
}
