//! What a session writes: joins, and each [`Notice`] as a protobuf response.

use livekit_protocol as pb;
use pb::signal_response::Message;

use super::limits::{PING_INTERVAL_S, PING_TIMEOUT_S};
use super::{convert, data_track};
use crate::rooms::{Answered, Joined, Mode, Notice, SubscriptionError};
use crate::turn::Access;

/// Version of the LiveKit server whose behaviour clients may count on: they switch features by it (dynacast needs more
/// than 0.15.1).
const COMPATIBLE_VERSION: &str = "1.13.0";
/// Version of the signaling protocol that is spoken here.
const PROTOCOL: i32 = 17;

pub(super) fn join(joined: &Joined, relay: Option<&Access>, stress: f32) -> Message {
    Message::Join(pb::JoinResponse {
        room: Some(convert::room(&joined.room)),
        participant: Some(convert::participant(&joined.info)),
        other_participants: joined.others.iter().map(convert::participant).collect(),
        server_version: COMPATIBLE_VERSION.to_owned(),
        ice_servers: ice_servers(relay),
        subscriber_primary: joined.mode == Mode::Dual,
        ping_timeout: PING_TIMEOUT_S,
        ping_interval: PING_INTERVAL_S,
        server_info: Some(server_info(stress)),
        enabled_publish_codecs: convert::codecs(),
        // Two-connection clients offer their publisher transport at once; some never open data channels otherwise.
        fast_publish: joined.info.permission.can_publish,
        ..pb::JoinResponse::default()
    })
}

/// The first message of a resume: clients drop what comes before it.
pub(super) fn resume(joined: &Joined, relay: Option<&Access>, stress: f32) -> Message {
    Message::Reconnect(pb::ReconnectResponse {
        ice_servers: ice_servers(relay),
        client_configuration: None,
        server_info: Some(server_info(stress)),
        last_message_seq: joined.last_data_seq,
    })
}

/// The server is reached directly, if it is: an empty list is valid, and public STUN servers would learn of every call.
fn ice_servers(relay: Option<&Access>) -> Vec<pb::IceServer> {
    let server = relay.map(|Access { urls, username, credential }| pb::IceServer {
        urls: urls.clone(),
        username: username.clone(),
        credential: credential.clone(),
    });
    server.into_iter().collect()
}

/// The protocol has no field for the load of a node: it stands in the text that clients put into their logs.
fn server_info(stress: f32) -> pb::ServerInfo {
    pb::ServerInfo {
        edition: pb::server_info::Edition::Standard as i32,
        version: COMPATIBLE_VERSION.to_owned(),
        protocol: PROTOCOL,
        debug_info: format!("convene {} stress {stress:.2}", env!("CARGO_PKG_VERSION")),
        ..pb::ServerInfo::default()
    }
}

pub(super) fn notice(notice: Notice) -> Message {
    match notice {
        Notice::Participants(participants) => Message::Update(pb::ParticipantUpdate {
            participants: participants.iter().map(convert::participant).collect(),
        }),
        Notice::Room(room) => Message::RoomUpdate(pb::RoomUpdate { room: Some(convert::room(&room)) }),
        Notice::Speakers(speakers) => {
            let speakers =
                speakers.iter().map(|s| pb::SpeakerInfo { sid: s.sid.clone(), level: s.level, active: s.active });
            Message::SpeakersChanged(pb::SpeakersChanged { speakers: speakers.collect() })
        }
        Notice::Quality(changed) => {
            let updates = changed.iter().map(|info| pb::ConnectionQualityInfo {
                participant_sid: info.sid.clone(),
                quality: convert::quality(info.rating.grade) as i32,
                score: info.rating.score,
            });
            Message::ConnectionQuality(pb::ConnectionQualityUpdate { updates: updates.collect() })
        }
        Notice::LayersWanted { sid, codecs } => Message::SubscribedQualityUpdate(layers_wanted(sid, &codecs)),
        Notice::StreamState { participant, track, paused } => {
            let state = if paused { pb::StreamState::Paused } else { pb::StreamState::Active };
            let info = pb::StreamStateInfo { participant_sid: participant, track_sid: track, state: state as i32 };
            Message::StreamStateUpdate(pb::StreamStateUpdate { stream_states: vec![info] })
        }
        Notice::Answer { id, answer: Answered { sdp, mids, .. } } => {
            Message::Answer(description("answer", sdp, id, mids))
        }
        Notice::Offer { id, sdp, mids } => Message::Offer(description("offer", sdp, id, mids)),
        Notice::SectionsNeeded { audio, video } => {
            Message::MediaSectionsRequirement(pb::MediaSectionsRequirement { num_audios: audio, num_videos: video })
        }
        Notice::TrackSubscribed { sid } => Message::TrackSubscribed(pb::TrackSubscribed { track_sid: sid }),
        Notice::TrackUnpublished { sid } => Message::TrackUnpublished(pb::TrackUnpublishedResponse { track_sid: sid }),
        Notice::DataHandles(handles) => Message::DataTrackSubscriberHandles(data_track::handles(handles)),
        Notice::DataTrackUnpublished(info) => {
            let info = Some(data_track::info(&info));
            Message::UnpublishDataTrackResponse(pb::UnpublishDataTrackResponse { info })
        }
        Notice::Mute { sid, muted } => Message::Mute(pb::MuteTrackRequest { sid, muted }),
        Notice::SubscriptionPermission { participant, track, allowed } => {
            let update = pb::SubscriptionPermissionUpdate { participant_sid: participant, track_sid: track, allowed };
            Message::SubscriptionPermissionUpdate(update)
        }
        Notice::SubscriptionFailed { sid, error } => {
            let err = match error {
                SubscriptionError::TrackNotFound => pb::SubscriptionError::SeTrackNotfound,
                SubscriptionError::Unsupported => pb::SubscriptionError::SeCodecUnsupported,
            };
            Message::SubscriptionResponse(pb::SubscriptionResponse { track_sid: sid, err: err as i32 })
        }
        Notice::Leave { reason, action } => Message::Leave(convert::leave(reason, action)),
    }
}

#[allow(deprecated)] // clients of older protocol versions read the qualities without a codec
fn layers_wanted(sid: String, codecs: &[(String, Option<u8>)]) -> pb::SubscribedQualityUpdate {
    let subscribed = codecs.iter().map(|(mime_type, highest)| pb::SubscribedCodec {
        codec: mime_type.rsplit('/').next().unwrap_or_default().to_ascii_lowercase(),
        qualities: qualities(*highest),
    });
    pb::SubscribedQualityUpdate {
        track_sid: sid,
        subscribed_qualities: codecs.first().map(|(_, highest)| qualities(*highest)).unwrap_or_default(),
        subscribed_codecs: subscribed.filter(|codec| !codec.codec.is_empty()).collect(),
    }
}

fn qualities(highest: Option<u8>) -> Vec<pb::SubscribedQuality> {
    let all = [pb::VideoQuality::Low, pb::VideoQuality::Medium, pb::VideoQuality::High];
    let of = |(layer, quality): (u8, pb::VideoQuality)| pb::SubscribedQuality {
        quality: quality as i32,
        enabled: highest.is_some_and(|highest| layer <= highest),
    };
    (0_u8..).zip(all).map(of).collect()
}

fn description(kind: &str, sdp: String, id: u32, mids: Vec<(String, String)>) -> pb::SessionDescription {
    pb::SessionDescription { r#type: kind.to_owned(), sdp, id, mid_to_track_id: mids.into_iter().collect() }
}
