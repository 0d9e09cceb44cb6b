//! What the grants of a token come to in a room, and the other way round.

use std::collections::{BTreeMap, HashMap};

use super::{Claims, Grants};
use crate::rooms::{JoinRequest, Mode, ParticipantInfo, ParticipantKind, Permission, Source};

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

    /// The same by a protocol: WHIP and WHEP go one way each, and neither has data channels.
    #[must_use]
    pub fn permission_by(&self, mode: Mode) -> Permission {
        let all = self.permission();
        match mode {
            Mode::Single | Mode::Dual => all,
            Mode::Whip => Permission { can_subscribe: false, can_publish_data: false, ..all },
            Mode::Whep => Permission { can_publish: false, can_publish_data: false, ..all },
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
            permission: self.permission_by(mode),
            kind: self.participant_kind(),
            may_create: self.may_create(),
            ..JoinRequest::new(self.identity.clone(), mode)
        }
    }

    /// Says of its holder what the room does, which may have changed since they joined. Answers whether anything is another
    /// than before.
    pub(crate) fn take_over(&mut self, info: &ParticipantInfo) -> bool {
        let before = self.permission();
        let attributes: HashMap<_, _> = info.attributes.clone().into_iter().collect();
        let same = self.name == info.name && self.metadata == info.metadata && self.attributes == attributes;
        self.name.clone_from(&info.name);
        self.metadata.clone_from(&info.metadata);
        self.attributes = attributes;
        self.grants.write(&info.permission);
        !same || self.permission() != before
    }
}

impl Grants {
    /// The grants that come to this permission. Which room they are for stays as it is.
    fn write(&mut self, permission: &Permission) {
        // Named sources go before `can_publish`: who may publish nothing has none.
        let sources = permission.can_publish_sources.iter().filter(|_| permission.can_publish);
        self.can_publish_sources = sources.map(|source| name(*source).to_owned()).collect();
        self.can_publish = Some(permission.can_publish);
        self.can_publish_data = Some(permission.can_publish_data);
        self.can_subscribe = Some(permission.can_subscribe);
        self.can_update_own_metadata = Some(permission.can_update_metadata);
        self.hidden = permission.hidden;
        self.recorder = permission.recorder;
        self.agent = permission.agent;
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

fn name(source: Source) -> &'static str {
    match source {
        Source::Camera => "camera",
        Source::Microphone => "microphone",
        Source::ScreenShare => "screen_share",
        Source::ScreenShareAudio => "screen_share_audio",
        // Allows nothing, as what it was read from.
        Source::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn whip_sends_and_whep_receives() {
        for (mode, want) in [
            (Mode::Single, (true, true, true)),
            (Mode::Dual, (true, true, true)),
            (Mode::Whip, (true, false, false)),
            (Mode::Whep, (false, true, false)),
        ] {
            let may = Claims::default().join_request(mode).permission;
            assert_eq!((may.can_publish, may.can_subscribe, may.can_publish_data), want, "{mode:?}");
            let grants = Grants { can_publish: Some(false), ..Grants::default() };
            let silent = Claims { grants, ..Claims::default() };
            assert!(!silent.permission_by(mode).can_publish, "{mode:?}");
        }
    }

    #[test]
    fn rights_become_grants() {
        let all = Permission::default();
        let none = Permission { can_publish: false, can_publish_data: false, can_subscribe: false, ..all.clone() };
        let some = Permission {
            can_publish_sources: vec![Source::Microphone, Source::ScreenShareAudio, Source::Unknown],
            can_update_metadata: true,
            hidden: true,
            ..Permission::default()
        };
        let revoked = Permission { can_publish: false, ..some.clone() };
        for (permission, want) in [
            (all.clone(), &all),
            (none.clone(), &none),
            (some.clone(), &some),
            (revoked.clone(), &Permission { can_publish_sources: vec![], ..revoked }),
        ] {
            let info = ParticipantInfo { permission, name: "Al".into(), ..ParticipantInfo::default() };
            let mut claims = Claims { name: "Alice".into(), ..Claims::default() };
            assert!(claims.take_over(&info));
            assert_eq!((&claims.permission(), claims.name.as_str()), (want, "Al"));
            assert!(!claims.take_over(&info), "once is enough: {info:?}");
        }
        let mut silent = Claims::default();
        assert!(!silent.take_over(&ParticipantInfo::default()), "what is not said means yes");
    }
}
