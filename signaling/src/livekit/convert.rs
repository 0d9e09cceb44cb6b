//! Neutral descriptions to protobuf messages. Both WebSocket sessions and Twirp answer with these.

use convene_sfu::Grade;
use convene_types::MediaKind;
use livekit_protocol as pb;

use super::data_track;
use crate::rooms::{
    CodecInfo, LayerInfo, LeaveAction, LeaveReason, ParticipantInfo, ParticipantKind, ParticipantState, Permission,
    RoomInfo, Source, TrackInfo,
};

/// Codecs that clients may publish, as the LiveKit protocol names them.
const CODECS: [&str; 6] = ["audio/opus", "audio/red", "video/VP8", "video/H264", "video/VP9", "video/AV1"];

pub(crate) fn room(info: &RoomInfo) -> pb::Room {
    pb::Room {
        sid: info.sid.clone(),
        name: info.name.clone(),
        metadata: info.metadata.clone(),
        empty_timeout: info.empty_timeout_s,
        departure_timeout: info.departure_timeout_s,
        max_participants: info.max_participants,
        creation_time: info.created_at_ms / 1_000,
        creation_time_ms: info.created_at_ms,
        enabled_codecs: codecs(),
        num_participants: info.num_participants,
        num_publishers: info.num_publishers,
        ..pb::Room::default()
    }
}

pub(crate) fn codecs() -> Vec<pb::Codec> {
    CODECS.iter().map(|mime| pb::Codec { mime: (*mime).to_owned(), fmtp_line: String::new() }).collect()
}

pub(crate) fn participant(info: &ParticipantInfo) -> pb::ParticipantInfo {
    pb::ParticipantInfo {
        sid: info.sid.clone(),
        identity: info.identity.clone(),
        state: state(info.state) as i32,
        tracks: info.tracks.iter().map(track).collect(),
        metadata: info.metadata.clone(),
        joined_at: info.joined_at_ms / 1_000,
        joined_at_ms: info.joined_at_ms,
        name: info.name.clone(),
        version: info.version,
        permission: Some(permission(&info.permission)),
        data_tracks: info.data_tracks.iter().map(data_track::info).collect(),
        is_publisher: !(info.tracks.is_empty() && info.data_tracks.is_empty()),
        kind: kind(info.kind) as i32,
        attributes: info.attributes.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        disconnect_reason: info.left.map_or(0, |reason| disconnect_reason(reason) as i32),
        client_protocol: info.client_protocol,
        capabilities: info.capabilities.clone(),
        ..pb::ParticipantInfo::default()
    }
}

#[allow(deprecated)] // clients of older protocol versions read them
pub(crate) fn permission(permission: &Permission) -> pb::ParticipantPermission {
    pb::ParticipantPermission {
        can_subscribe: permission.can_subscribe,
        can_publish: permission.can_publish,
        can_publish_data: permission.can_publish_data,
        can_publish_sources: permission.can_publish_sources.iter().map(|s| source(*s) as i32).collect(),
        hidden: permission.hidden,
        recorder: permission.recorder,
        can_update_metadata: permission.can_update_metadata,
        agent: permission.agent,
        can_subscribe_metrics: permission.can_subscribe_metrics,
        can_manage_agent_session: false,
    }
}

/// Permissions as the API gives them. What protobuf leaves out is `false` there: an update names all of them.
#[allow(deprecated)]
pub(crate) fn permission_from(permission: &pb::ParticipantPermission) -> Permission {
    Permission {
        can_subscribe: permission.can_subscribe,
        can_publish: permission.can_publish,
        can_publish_data: permission.can_publish_data,
        can_publish_sources: permission.can_publish_sources.iter().map(|number| known_source(*number)).collect(),
        hidden: permission.hidden,
        recorder: permission.recorder,
        can_update_metadata: permission.can_update_metadata,
        agent: permission.agent,
        can_subscribe_metrics: permission.can_subscribe_metrics,
    }
}

#[allow(deprecated)] // clients of older protocol versions read them
pub(crate) fn track(info: &TrackInfo) -> pb::TrackInfo {
    let extras = &info.extras;
    pb::TrackInfo {
        sid: info.sid.clone(),
        r#type: match info.kind {
            MediaKind::Audio => pb::TrackType::Audio,
            MediaKind::Video => pb::TrackType::Video,
        } as i32,
        name: info.name.clone(),
        muted: info.muted,
        width: info.width,
        height: info.height,
        simulcast: info.layers.len() > 1,
        disable_dtx: extras.disable_dtx,
        source: source(info.source) as i32,
        layers: info.layers.iter().map(layer).collect(),
        mime_type: info.mime_type.clone(),
        mid: info.mid.clone(),
        codecs: track_codecs(info),
        stereo: extras.stereo,
        disable_red: extras.disable_red,
        encryption: extras.encryption,
        stream: info.stream.clone(),
        version: None,
        audio_features: extras.audio_features.clone(),
        backup_codec_policy: extras.backup_codec_policy,
        packet_trailer_features: extras.packet_trailer_features.clone(),
    }
}

/// The first codec, and the other one once it is published, which its client id tells.
fn track_codecs(info: &TrackInfo) -> Vec<pb::SimulcastCodecInfo> {
    let first = info.codecs.first().cloned().unwrap_or_default();
    let first = CodecInfo {
        mime_type: if info.mime_type.is_empty() { first.mime_type.clone() } else { info.mime_type.clone() },
        layers: if first.layers.is_empty() { info.layers.clone() } else { first.layers.clone() },
        ..first
    };
    let others = info.codecs.iter().skip(1).filter(|codec| !codec.cid.is_empty());
    let codec = |(index, codec): (usize, &CodecInfo)| pb::SimulcastCodecInfo {
        mime_type: codec.mime_type.clone(),
        mid: if index == 0 { info.mid.clone() } else { String::new() },
        layers: codec.layers.iter().map(layer).collect(),
        video_layer_mode: codec.layer_mode,
        sdp_cid: codec.cid.clone(),
        cid: codec.cid.clone(),
    };
    std::iter::once(&first).chain(others).enumerate().map(codec).collect()
}

fn layer(info: &LayerInfo) -> pb::VideoLayer {
    pb::VideoLayer {
        quality: info.quality,
        width: info.width,
        height: info.height,
        bitrate: info.bitrate,
        ssrc: 0,
        spatial_layer: info.spatial_layer,
        rid: info.rid.clone(),
        repair_ssrc: 0,
    }
}

fn state(state: ParticipantState) -> pb::participant_info::State {
    match state {
        ParticipantState::Joined => pb::participant_info::State::Joined,
        ParticipantState::Active => pb::participant_info::State::Active,
        ParticipantState::Disconnected => pb::participant_info::State::Disconnected,
    }
}

fn kind(kind: ParticipantKind) -> pb::participant_info::Kind {
    match kind {
        ParticipantKind::Standard => pb::participant_info::Kind::Standard,
        ParticipantKind::Ingress => pb::participant_info::Kind::Ingress,
        ParticipantKind::Egress => pb::participant_info::Kind::Egress,
        ParticipantKind::Sip => pb::participant_info::Kind::Sip,
        ParticipantKind::Agent => pb::participant_info::Kind::Agent,
    }
}

pub(crate) fn source(source: Source) -> pb::TrackSource {
    match source {
        Source::Unknown => pb::TrackSource::Unknown,
        Source::Camera => pb::TrackSource::Camera,
        Source::Microphone => pb::TrackSource::Microphone,
        Source::ScreenShare => pb::TrackSource::ScreenShare,
        Source::ScreenShareAudio => pb::TrackSource::ScreenShareAudio,
    }
}

/// Numbers of newer clients name a source nobody has: left out, an empty list would allow every source.
fn known_source(number: i32) -> Source {
    pb::TrackSource::try_from(number).map_or(Source::Unknown, source_from)
}

pub(crate) fn source_from(source: pb::TrackSource) -> Source {
    match source {
        pb::TrackSource::Unknown => Source::Unknown,
        pb::TrackSource::Camera => Source::Camera,
        pb::TrackSource::Microphone => Source::Microphone,
        pb::TrackSource::ScreenShare => Source::ScreenShare,
        pb::TrackSource::ScreenShareAudio => Source::ScreenShareAudio,
    }
}

pub(crate) fn disconnect_reason(reason: LeaveReason) -> pb::DisconnectReason {
    match reason {
        LeaveReason::ClientInitiated => pb::DisconnectReason::ClientInitiated,
        LeaveReason::DuplicateIdentity => pb::DisconnectReason::DuplicateIdentity,
        LeaveReason::ServerShutdown => pb::DisconnectReason::ServerShutdown,
        LeaveReason::Removed => pb::DisconnectReason::ParticipantRemoved,
        LeaveReason::RoomDeleted => pb::DisconnectReason::RoomDeleted,
        LeaveReason::StateMismatch => pb::DisconnectReason::StateMismatch,
        LeaveReason::JoinFailure => pb::DisconnectReason::JoinFailure,
        LeaveReason::SignalClosed => pb::DisconnectReason::SignalClose,
        LeaveReason::RoomClosed => pb::DisconnectReason::RoomClosed,
        LeaveReason::ConnectionTimeout => pb::DisconnectReason::ConnectionTimeout,
        LeaveReason::MediaFailure => pb::DisconnectReason::MediaFailure,
    }
}

pub(super) const fn quality(grade: Grade) -> pb::ConnectionQuality {
    match grade {
        Grade::Excellent => pb::ConnectionQuality::Excellent,
        Grade::Good => pb::ConnectionQuality::Good,
        Grade::Poor => pb::ConnectionQuality::Poor,
        Grade::Lost => pb::ConnectionQuality::Lost,
    }
}

pub(crate) fn leave(reason: LeaveReason, action: LeaveAction) -> pb::LeaveRequest {
    use pb::leave_request::Action;
    let (action, can_reconnect) = match action {
        LeaveAction::Disconnect => (Action::Disconnect, false),
        LeaveAction::Resume => (Action::Resume, true),
        LeaveAction::Reconnect => (Action::Reconnect, true),
    };
    // `can_reconnect` is what clients before protocol 13 read.
    pb::LeaveRequest { can_reconnect, reason: disconnect_reason(reason) as i32, action: action as i32, regions: None }
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
        assert_eq!(known_source(99), Source::Unknown);
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
        assert_eq!(wire.state(), pb::participant_info::State::Disconnected);
        assert_eq!(wire.disconnect_reason(), pb::DisconnectReason::DuplicateIdentity);
        assert!(wire.permission.is_some_and(|rights| rights.can_publish && rights.can_subscribe));
    }
}
