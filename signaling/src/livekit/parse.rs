//! Protobuf requests to neutral ones. Nothing in them is trusted: numbers out of range mean "unknown".

use convene_types::MediaKind;
use livekit_protocol as pb;

use super::convert::source_from;
use super::limits::MAX_SIDS_PER_MESSAGE;
use crate::rooms::{
    AllowedTracks, CodecInfo, LayerInfo, ParticipantChange, SubscriptionChange, SubscriptionPolicy, TrackExtras,
    TrackRequest, TrackSettings,
};

/// `None`: data tracks and kinds of newer clients, which the server does not carry.
#[allow(deprecated)] // clients of older protocol versions write them
pub(super) fn track_request(request: &pb::AddTrackRequest) -> Option<TrackRequest> {
    let kind = match pb::TrackType::try_from(request.r#type).ok()? {
        pb::TrackType::Audio => MediaKind::Audio,
        pb::TrackType::Video => MediaKind::Video,
        pb::TrackType::Data => return None,
    };
    let codecs: Vec<CodecInfo> = request.simulcast_codecs.iter().map(|codec| codec_info(kind, codec)).collect();
    let mut layers: Vec<LayerInfo> = request.layers.iter().map(layer_info).collect();
    if layers.is_empty() {
        layers = codecs.first().map(|codec| codec.layers.clone()).unwrap_or_default();
    }
    let source = source_from(request.source());
    Some(TrackRequest {
        cid: request.cid.clone(),
        kind,
        source,
        name: request.name.clone(),
        muted: request.muted,
        width: request.width,
        height: request.height,
        stream: request.stream.clone(),
        layers,
        codecs,
        extras: TrackExtras {
            encryption: request.encryption,
            disable_red: request.disable_red,
            disable_dtx: request.disable_dtx,
            stereo: request.stereo,
            audio_features: request.audio_features.clone(),
            packet_trailer_features: request.packet_trailer_features.clone(),
            backup_codec_policy: request.backup_codec_policy,
        },
    })
}

fn codec_info(kind: MediaKind, codec: &pb::SimulcastCodec) -> CodecInfo {
    let name = codec.codec.as_str();
    let mime_type = if name.is_empty() || name.contains('/') { name.to_owned() } else { format!("{kind}/{name}") };
    CodecInfo {
        mime_type,
        cid: codec.cid.clone(),
        layers: codec.layers.iter().map(layer_info).collect(),
        layer_mode: codec.video_layer_mode,
    }
}

fn layer_info(layer: &pb::VideoLayer) -> LayerInfo {
    LayerInfo {
        quality: layer.quality,
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
        spatial_layer: layer.spatial_layer,
        rid: layer.rid.clone(),
    }
}

pub(super) fn subscription(update: pb::UpdateSubscription) -> SubscriptionChange {
    let of_participants = update.participant_tracks.into_iter().flat_map(|tracks| tracks.track_sids);
    let tracks = update.track_sids.into_iter().chain(of_participants).take(MAX_SIDS_PER_MESSAGE).collect();
    SubscriptionChange { tracks, subscribe: update.subscribe }
}

/// `OFF` is a quality of SVC publishers; as a wish of a subscriber it means "nothing".
pub(super) fn track_settings(update: pb::UpdateTrackSettings) -> TrackSettings {
    let (max_layer, off) = match update.quality() {
        pb::VideoQuality::Low => (0, false),
        pb::VideoQuality::Medium => (1, false),
        pb::VideoQuality::High => (2, false),
        pb::VideoQuality::Off => (0, true),
    };
    TrackSettings {
        disabled: update.disabled || off,
        max_layer,
        width: update.width,
        height: update.height,
        priority: update.priority,
        tracks: update.track_sids.into_iter().take(MAX_SIDS_PER_MESSAGE).collect(),
    }
}

pub(super) fn policy(permission: pb::SubscriptionPermission) -> SubscriptionPolicy {
    let allowed = permission.track_permissions.into_iter().take(MAX_SIDS_PER_MESSAGE).map(|entry| AllowedTracks {
        sid: entry.participant_sid,
        identity: entry.participant_identity,
        all_tracks: entry.all_tracks,
        tracks: entry.track_sids,
    });
    SubscriptionPolicy { all_participants: permission.all_participants, allowed: allowed.collect() }
}

/// The protocol cannot say "make it empty": an empty text leaves the field as it is.
pub(super) fn own_change(update: pb::UpdateParticipantMetadata) -> ParticipantChange {
    let said = |text: String| (!text.is_empty()).then_some(text);
    ParticipantChange {
        name: said(update.name),
        metadata: said(update.metadata),
        attributes: update.attributes.into_iter().collect(),
        permission: None,
    }
}
