//! What goes to clients has every field they read: the JS and Rust SDKs panic or hang without them.

use std::sync::Arc;
use std::time::Instant;

use convene_types::MediaKind;
use livekit_protocol as pb;
use pb::signal_response::Message;
use tokio::sync::mpsc;

use super::{convert, encode, parse};
use crate::rooms::{
    Answered, Budget, Joined, LeaveAction, LeaveReason, Mode, Notice, ParticipantId, ParticipantInfo, RoomInfo,
    SessionId, Source,
};

fn joined(mode: Mode) -> Joined {
    let info =
        ParticipantInfo { sid: "PA_a".into(), identity: "alice".into(), version: 1, ..ParticipantInfo::default() };
    let room = RoomInfo { sid: "RM_r".into(), name: "r".into(), ..RoomInfo::default() };
    let others = vec![ParticipantInfo { sid: "PA_b".into(), ..info.clone() }];
    let (participant, session, notices) = (ParticipantId(1), SessionId(2), mpsc::channel(1).1);
    let budget = Budget::new(Instant::now());
    Joined { participant, session, info, room, others, mode, last_data_seq: 5, budget, notices }
}

#[test]
fn a_join_has_every_field_that_clients_dereference() {
    for (mode, subscriber_primary) in [(Mode::Single, false), (Mode::Dual, true)] {
        let Message::Join(join) = encode::join(&joined(mode), None, 0.4) else { panic!("not a join") };
        let participant = join.participant.unwrap();
        assert_eq!((participant.sid.as_str(), participant.identity.as_str()), ("PA_a", "alice"));
        assert!(participant.permission.unwrap().can_publish);
        let room = join.room.unwrap();
        assert_eq!((room.sid.as_str(), room.name.as_str()), ("RM_r", "r"));
        assert!(join.ping_interval > 0 && join.ping_timeout > join.ping_interval);
        let server = join.server_info.unwrap();
        assert!(server.version.starts_with("1.") && server.version == join.server_version);
        assert!(server.debug_info.ends_with(" stress 0.40"), "{}", server.debug_info);
        assert_eq!((join.other_participants.len(), join.subscriber_primary), (1, subscriber_primary));
        assert!(join.fast_publish && !join.enabled_publish_codecs.is_empty());
    }
}

#[test]
fn a_resume_starts_with_reconnect() {
    let first = encode::resume(&joined(Mode::Single), None, 0.4);
    let Message::Reconnect(reconnect) = first else { panic!("{first:?}") };
    assert_eq!(reconnect.last_message_seq, 5);
    assert!(reconnect.server_info.is_some());
}

#[test]
fn an_answer_repeats_the_offers_id_and_names_tracks() {
    let answer = Answered { sdp: "s".into(), mids: vec![("3".into(), "TR_x".into())], ufrag: String::new() };
    let message = encode::notice(Notice::Answer { id: 42, answer });
    let Message::Answer(answer) = message else { panic!("{message:?}") };
    assert_eq!(
        (answer.r#type.as_str(), answer.id, answer.mid_to_track_id.get("3").unwrap().as_str()),
        ("answer", 42, "TR_x")
    );
}

#[test]
fn leave_says_what_to_do_to_old_and_new_clients() {
    use pb::leave_request::Action;
    let rows = [
        (LeaveAction::Disconnect, Action::Disconnect, false),
        (LeaveAction::Resume, Action::Resume, true),
        (LeaveAction::Reconnect, Action::Reconnect, true),
    ];
    for (action, want, can_reconnect) in rows {
        let message = encode::notice(Notice::Leave { reason: LeaveReason::Removed, action });
        let Message::Leave(leave) = message else { panic!("{message:?}") };
        assert_eq!((leave.action(), leave.can_reconnect), (want, can_reconnect));
        assert_eq!(leave.reason(), pb::DisconnectReason::ParticipantRemoved);
    }
}

#[test]
fn requested_track_fields_are_echoed() {
    let layer = |quality| pb::VideoLayer { quality, width: 640, height: 360, ..Default::default() };
    let request = pb::AddTrackRequest {
        cid: "c".into(),
        name: "cam".into(),
        r#type: pb::TrackType::Video as i32,
        source: pb::TrackSource::Camera as i32,
        width: 640,
        height: 360,
        layers: vec![layer(0), layer(1)],
        encryption: pb::encryption::Type::Gcm as i32,
        packet_trailer_features: vec![0, 1],
        backup_codec_policy: 2,
        simulcast_codecs: vec![pb::SimulcastCodec { codec: "vp8".into(), cid: "c".into(), ..Default::default() }],
        ..Default::default()
    };
    let track = parse::track_request(&request).unwrap();
    assert_eq!((track.kind, track.source, track.layers.len()), (MediaKind::Video, Source::Camera, 2));
    assert_eq!(track.codecs[0].mime_type, "video/vp8");
    assert_eq!((track.extras.encryption, track.extras.packet_trailer_features.as_slice()), (1, &[0, 1][..]));
    assert!(parse::track_request(&pb::AddTrackRequest { r#type: 2, ..request.clone() }).is_none());
    assert!(parse::track_request(&pb::AddTrackRequest { r#type: 99, ..request }).is_none());
}

#[test]
fn settings_of_clients_become_layers() {
    use pb::VideoQuality::{High, Low, Medium, Off};
    for (quality, max_layer, disabled) in [(Low, 0, false), (Medium, 1, false), (High, 2, false), (Off, 0, true)] {
        let update = pb::UpdateTrackSettings { quality: quality as i32, ..Default::default() };
        let settings = parse::track_settings(update);
        assert_eq!((settings.max_layer, settings.disabled), (max_layer, disabled), "{quality:?}");
    }
}

#[test]
fn updates_carry_left_participants() {
    let left = ParticipantInfo { left: Some(LeaveReason::DuplicateIdentity), ..ParticipantInfo::default() };
    let message = encode::notice(Notice::Participants(Arc::new(vec![left.clone()])));
    let Message::Update(update) = message else { panic!("{message:?}") };
    assert_eq!(update.participants, [convert::participant(&left)]);
}
