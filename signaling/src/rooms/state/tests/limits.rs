//! What a participant may say of itself and of its tracks, which everybody is told.

use super::*;

fn codecs(count: usize, of: &CodecInfo) -> Vec<CodecInfo> {
    vec![of.clone(); count]
}

fn layers(count: usize) -> Vec<LayerInfo> {
    vec![LayerInfo::default(); count]
}

#[test]
fn what_is_said_of_a_track_has_a_size() {
    let mut room = Room::new();
    let alice = room.active("alice");
    let text = |bytes: usize| "x".repeat(bytes);
    let codec = |bytes: usize| CodecInfo { mime_type: text(bytes), cid: text(bytes), ..CodecInfo::default() };
    let rid = |bytes: usize| vec![LayerInfo { rid: text(bytes), ..LayerInfo::default() }];
    let features = |audio: usize, trailer: usize| TrackExtras {
        audio_features: vec![1; audio],
        packet_trailer_features: vec![1; trailer],
        ..TrackExtras::default()
    };
    let good = TrackRequest {
        name: text(256),
        stream: text(256),
        cid: text(256),
        codecs: codecs(4, &CodecInfo { layers: layers(8), ..codec(256) }),
        layers: layers(8),
        extras: features(32, 32),
        ..camera()
    };
    let with = |change: &dyn Fn(&mut TrackRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let rows = [
        (with(&|track| track.name = text(257)), "track_text_bytes"),
        (with(&|track| track.stream = text(257)), "track_text_bytes"),
        (with(&|track| track.cid = text(257)), "track_text_bytes"),
        (with(&|track| track.codecs[3].mime_type = text(257)), "track_text_bytes"),
        (with(&|track| track.codecs[3].cid = text(257)), "track_text_bytes"),
        (with(&|track| track.layers = rid(257)), "track_text_bytes"),
        (with(&|track| track.codecs[3].layers = rid(257)), "track_text_bytes"),
        (with(&|track| track.codecs = codecs(5, &codec(1))), "track_codecs"),
        (with(&|track| track.layers = layers(9)), "track_layers"),
        (with(&|track| track.codecs[3].layers = layers(9)), "track_layers"),
        (with(&|track| track.extras = features(33, 0)), "track_features"),
        (with(&|track| track.extras = features(0, 33)), "track_features"),
    ];
    for (request, limit) in rows {
        let refused = room.state.check_track(alice.id, &request);
        assert!(matches!(refused, Err(Error::Limit(code)) if code == limit), "{limit} {refused:?}");
    }
    let (_, info) = room.publish(&alice, good);
    let mut describe = |features: usize| {
        room.state.describe_track(room.now, alice.id, &info.sid, Some(vec![2; features]), None);
        let tracks = room.state.participant_info(alice.id).unwrap().tracks;
        tracks[0].extras.audio_features.clone()
    };
    assert_eq!(describe(33), [1; 32], "as before");
    assert_eq!(describe(32), [2; 32]);
}

#[test]
fn who_joins_says_no_more_than_who_is_here() {
    let mut room = Room::new();
    let request = |metadata: usize, value: usize| JoinRequest {
        metadata: "m".repeat(metadata),
        attributes: [("key".to_owned(), "v".repeat(value))].into(),
        ..JoinRequest::new("alice", Mode::Single)
    };
    let most = 64 * 1024;
    for (request, limit) in [(request(most + 1, 0), "metadata_bytes"), (request(0, most - 2), "attributes_bytes")] {
        let refused = room.try_join(request).map(|client| client.sid);
        assert!(matches!(refused, Err(Error::Limit(code)) if code == limit), "{limit} {refused:?}");
    }
    room.try_join(request(most, most - 3)).unwrap();
}
