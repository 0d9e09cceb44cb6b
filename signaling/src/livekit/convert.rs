//! Rooms, participants and tracks in the words of the LiveKit protocol. Used by the WebSocket adapter and by Twirp.

use convene_types::MediaKind;
use livekit_protocol as proto;

use crate::rooms::{
    CodecInfo, LayerInfo, LeaveReason, ParticipantInfo, ParticipantKind, ParticipantState, Permission, RoomInfo, Source,
    TrackInfo,
};

/// A room.
pub(crate) fn room(info: &RoomInfo) -> proto::Room {
    proto::Room {
        sid: info.sid.clone(),
        name: info.name.clone(),
        empty_timeout: info.empty_timeout_s,
        departure_timeout: info.departure_timeout_s,
        max_participants: info.max_participants,
        creation_time: info.created_at_ms / 1000,
        creation_time_ms: info.created_at_ms,
        metadata: info.metadata.clone(),
        num_participants: info.num_participants,
        num_publishers: info.num_publishers,
        ..proto::Room::default()
    }
}

/// A participant with its tracks.
pub(crate) fn participant(info: &ParticipantInfo) -> proto::ParticipantInfo {
    let state = match info.state {
        ParticipantState::Joined => proto::participant_info::State::Joined,
        ParticipantState::Active => proto::participant_info::State::Active,
        ParticipantState::Disconnected => proto::participant_info::State::Disconnected,
    };
    proto::ParticipantInfo {
        sid: info.sid.clone(),
        identity: info.identity.clone(),
        state: state.into(),
        tracks: info.tracks.iter().map(track).collect(),
        metadata: info.metadata.clone(),
        joined_at: info.joined_at_ms / 1000,
        joined_at_ms: info.joined_at_ms,
        name: info.name.clone(),
        version: info.version,
        permission: Some(permission(&info.permission)),
        is_publisher: !info.tracks.is_empty(),
        kind: kind(info.kind).into(),
        attributes: info.attributes.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        disconnect_reason: info.left.map_or(0, |reason| disconnect_reason(reason).into()),
        client_protocol: info.client_protocol,
        capabilities: info.capabilities.clone(),
        ..proto::ParticipantInfo::default()
    }
}

fn kind(kind: ParticipantKind) -> proto::participant_info::Kind {
    match kind {
        ParticipantKind::Standard => proto::participant_info::Kind::Standard,
        ParticipantKind::Ingress => proto::participant_info::Kind::Ingress,
        ParticipantKind::Egress => proto::participant_info::Kind::Egress,
        ParticipantKind::Sip => proto::participant_info::Kind::Sip,
        ParticipantKind::Agent => proto::participant_info::Kind::Agent,
    }
}

/// Why somebody left.
pub(crate) fn disconnect_reason(reason: LeaveReason) -> proto::DisconnectReason {
    match reason {
        LeaveReason::ClientInitiated => proto::DisconnectReason::ClientInitiated,
        LeaveReason::DuplicateIdentity => proto::DisconnectReason::DuplicateIdentity,
        LeaveReason::ServerShutdown => proto::DisconnectReason::ServerShutdown,
        LeaveReason::Removed => proto::DisconnectReason::ParticipantRemoved,
        LeaveReason::RoomDeleted => proto::DisconnectReason::RoomDeleted,
        LeaveReason::StateMismatch => proto::DisconnectReason::StateMismatch,
        LeaveReason::JoinFailure => proto::DisconnectReason::JoinFailure,
        LeaveReason::SignalClosed => proto::DisconnectReason::SignalClose,
        LeaveReason::RoomClosed => proto::DisconnectReason::RoomClosed,
        LeaveReason::ConnectionTimeout => proto::DisconnectReason::ConnectionTimeout,
        LeaveReason::MediaFailure => proto::DisconnectReason::MediaFailure,
    }
}

/// A track.
#[allow(deprecated, reason = "older clients read `simulcast`, `layers`, `disable_dtx` and `stereo`")]
pub(crate) fn track(info: &TrackInfo) -> proto::TrackInfo {
    let kind = match info.kind {
        MediaKind::Audio => proto::TrackType::Audio,
        MediaKind::Video => proto::TrackType::Video,
    };
    proto::TrackInfo {
        sid: info.sid.clone(),
        r#type: kind.into(),
        name: info.name.clone(),
        muted: info.muted,
        width: info.width,
        height: info.height,
        simulcast: info.layers.len() > 1,
        disable_dtx: info.extras.disable_dtx,
        source: source(info.source).into(),
        layers: info.layers.iter().map(layer).collect(),
        mime_type: info.mime_type.clone(),
        mid: info.mid.clone(),
        codecs: info.codecs.iter().map(|codec| codec_info(codec, &info.mid)).collect(),
        stereo: info.extras.stereo,
        disable_red: info.extras.disable_red,
        encryption: info.extras.encryption,
        stream: info.stream.clone(),
        audio_features: info.extras.audio_features.clone(),
        backup_codec_policy: info.extras.backup_codec_policy,
        packet_trailer_features: info.extras.packet_trailer_features.clone(),
        ..proto::TrackInfo::default()
    }
}

fn codec_info(info: &CodecInfo, mid: &str) -> proto::SimulcastCodecInfo {
    proto::SimulcastCodecInfo {
        mime_type: info.mime_type.clone(),
        mid: mid.to_owned(),
        cid: info.cid.clone(),
        layers: info.layers.iter().map(layer).collect(),
        video_layer_mode: info.layer_mode,
        ..proto::SimulcastCodecInfo::default()
    }
}

fn layer(info: &LayerInfo) -> proto::VideoLayer {
    proto::VideoLayer {
        quality: info.quality,
        width: info.width,
        height: info.height,
        bitrate: info.bitrate,
        spatial_layer: info.spatial_layer,
        rid: info.rid.clone(),
        ..proto::VideoLayer::default()
    }
}

/// A layer as a publisher describes it.
pub(crate) fn layer_from(layer: &proto::VideoLayer) -> LayerInfo {
    LayerInfo {
        quality: layer.quality,
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
        spatial_layer: layer.spatial_layer,
        rid: layer.rid.clone(),
    }
}

/// What a track shows.
pub(crate) fn source(source: Source) -> proto::TrackSource {
    match source {
        Source::Unknown => proto::TrackSource::Unknown,
        Source::Camera => proto::TrackSource::Camera,
        Source::Microphone => proto::TrackSource::Microphone,
        Source::ScreenShare => proto::TrackSource::ScreenShare,
        Source::ScreenShareAudio => proto::TrackSource::ScreenShareAudio,
    }
}

/// What a track shows, from the wire; unknown numbers are those of newer clients.
pub(crate) fn source_from(number: i32) -> Source {
    match proto::TrackSource::try_from(number).unwrap_or_default() {
        proto::TrackSource::Unknown => Source::Unknown,
        proto::TrackSource::Camera => Source::Camera,
        proto::TrackSource::Microphone => Source::Microphone,
        proto::TrackSource::ScreenShare => Source::ScreenShare,
        proto::TrackSource::ScreenShareAudio => Source::ScreenShareAudio,
    }
}

/// What a participant may do.
#[allow(deprecated, reason = "older clients read `recorder` and `agent`")]
pub(crate) fn permission(info: &Permission) -> proto::ParticipantPermission {
    proto::ParticipantPermission {
        can_subscribe: info.can_subscribe,
        can_publish: info.can_publish,
        can_publish_data: info.can_publish_data,
        can_publish_sources: info.can_publish_sources.iter().map(|allowed| source(*allowed).into()).collect(),
        hidden: info.hidden,
        recorder: info.recorder,
        can_update_metadata: info.can_update_metadata,
        agent: info.agent,
        can_subscribe_metrics: info.can_subscribe_metrics,
        ..proto::ParticipantPermission::default()
    }
}

/// What a participant may do, as the API says it.
#[allow(deprecated, reason = "older SDKs write `recorder` and `agent`")]
pub(crate) fn permission_from(permission: &proto::ParticipantPermission) -> Permission {
    Permission {
        can_subscribe: permission.can_subscribe,
        can_publish: permission.can_publish,
        can_publish_data: permission.can_publish_data,
        can_publish_sources: permission.can_publish_sources.iter().map(|number| source_from(*number)).collect(),
        hidden: permission.hidden,
        recorder: permission.recorder,
        can_update_metadata: permission.can_update_metadata,
        agent: permission.agent,
        can_subscribe_metrics: permission.can_subscribe_metrics,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_survive_the_wire() {
        let rights = Permission {
            can_subscribe: false,
            can_publish_sources: vec![Source::Camera, Source::ScreenShareAudio],
            hidden: true,
            can_update_metadata: true,
            ..Permission::default()
        };
        for rights in [rights, Permission::default()] {
            assert_eq!(permission_from(&permission(&rights)), rights);
        }
        assert_eq!(source_from(99), Source::Unknown);
    }

    #[test]
    fn a_participant_is_what_clients_need() {
        let info = ParticipantInfo {
            sid: "PA_x".into(),
            identity: "alice".into(),
            state: ParticipantState::Disconnected,
            left: Some(LeaveReason::DuplicateIdentity),
            joined_at_ms: 1_700_000_000_999,
            version: 7,
            ..ParticipantInfo::default()
        };
        let wire = participant(&info);
        assert_eq!((wire.sid.as_str(), wire.identity.as_str(), wire.version), ("PA_x", "alice", 7));
        assert_eq!((wire.joined_at, wire.joined_at_ms), (1_700_000_000, 1_700_000_000_999));
        assert_eq!(wire.state(), proto::participant_info::State::Disconnected);
        assert_eq!(wire.disconnect_reason(), proto::DisconnectReason::DuplicateIdentity);
        assert!(wire.permission.is_some_and(|rights| rights.can_publish && rights.can_subscribe));
    }
}
