//! What somebody may send, and what is told of it.

use super::*;

#[test]
fn grants_that_are_taken_away_end_what_they_covered() {
    let mut room = Room::new();
    let (mut alice, bob) = (room.active("alice"), room.active("bob"));
    let (mic, info) = room.publish(&alice, microphone());
    let (of_bob, _) = room.publish(&bob, camera());
    room.actions();
    let none = Permission { can_publish: false, can_subscribe: false, ..Permission::default() };
    let change = ParticipantChange { permission: Some(none), ..ParticipantChange::default() };
    assert!(matches!(room.state.change(room.now, alice.id, change.clone(), true), Err(Error::NotAllowed(_))));
    let told = room.state.change(room.now, alice.id, change, false).unwrap();
    assert_eq!((told.tracks.len(), told.permission.can_publish), (0, false));
    let actions = room.actions();
    assert!(actions.iter().any(|action| matches!(action, Action::Unpublish(track) if *track == mic)));
    assert!(actions.iter().any(|action| matches!(action, Action::Unsubscribe { track, .. } if *track == of_bob)));
    assert!(alice.read().iter().any(|notice| matches!(notice, Notice::TrackUnpublished { sid } if *sid == info.sid)));
    assert!(matches!(room.state.check_track(alice.id, &microphone()), Err(Error::NotAllowed(_))));
    let change = SubscriptionChange { tracks: vec![], subscribe: true };
    assert!(matches!(room.state.subscribe(room.now, alice.id, change), Err(Error::NotAllowed(_))));
}

#[test]
fn sources_limit_what_may_be_published() {
    let mut room = Room::new();
    let permission = Permission { can_publish_sources: vec![Source::Microphone], ..Permission::default() };
    let alice = room.try_join(JoinRequest { permission, ..JoinRequest::new("alice", Mode::Single) }).unwrap();
    assert!(room.state.check_track(alice.id, &microphone()).is_ok());
    assert!(matches!(room.state.check_track(alice.id, &camera()), Err(Error::NotAllowed(_))));
}

#[test]
fn announced_tracks_are_limited_and_named_once() {
    let mut room = Room::with(
        RoomRequest { name: "r".into(), ..RoomRequest::default() },
        Options { max_tracks: 2, ..Options::default() },
    );
    let alice = room.active("alice");
    let (_, first) = room.announce(&alice, microphone());
    assert_eq!(room.state.check_track(alice.id, &microphone()).unwrap(), Some(first));
    room.announce(&alice, camera());
    let third = track("third", MediaKind::Audio, Source::Unknown);
    assert!(matches!(room.state.check_track(alice.id, &third), Err(Error::Limit("tracks_per_participant"))));
}

#[test]
fn who_cannot_decode_the_first_codec_gets_the_other_once_it_is_sent() {
    let mut room = Room::new();
    let (mut alice, bob, carol) = (room.active("alice"), room.active("bob"), room.active("carol"));
    let decodes = |room: &mut Room, who: &Client, decodes: Vec<Codec>| {
        let answer = Answer { decodes, ..answer(Vec::new(), Missing::default()) };
        room.state.handle_offer_answered(room.now, who.id, &answer);
    };
    decodes(&mut room, &bob, vec![Codec::Opus, Codec::Vp8, Codec::Vp9]);
    decodes(&mut room, &carol, vec![Codec::Opus, Codec::Vp8]);
    let codec = |mime_type: &str| CodecInfo { mime_type: mime_type.into(), ..CodecInfo::default() };
    let request = TrackRequest { codecs: vec![codec("video/vp9"), codec("video/vp8")], ..camera() };
    let (first, info) = room.announce(&alice, request);
    let subscribed = |room: &mut Room| {
        let of = |action| {
            if let Action::Subscribe { participant, subscription, .. } = action {
                Some((participant, subscription.track))
            } else {
                None
            }
        };
        room.actions().into_iter().filter_map(of).collect::<Vec<_>>()
    };
    room.bind(alice.id, first, Codec::Vp9);
    assert_eq!(subscribed(&mut room), [(bob.id, first)]);
    let now = room.at(1);
    room.state.handle_timeout(now);
    let wanted = |alice: &mut Client| {
        alice.read().into_iter().rev().find_map(|notice| {
            let Notice::LayersWanted { sid, codecs } = notice else { return None };
            (sid == info.sid).then_some(codecs)
        })
    };
    let of = |first, other| Some(vec![("video/VP9".to_owned(), first), ("video/vp8".to_owned(), other)]);
    assert_eq!(wanted(&mut alice), of(Some(u8::MAX), Some(u8::MAX)));

    let other = TrackRequest { cid: "clone".into(), ..camera() };
    assert!(room.state.check_backup(bob.id, &info.sid, &other).is_err(), "not his track");
    room.state.check_backup(alice.id, &info.sid, &other).unwrap();
    let stream = TrackId(9_000);
    assert_eq!(room.state.handle_backup_added(alice.id, &info.sid, stream, other.clone()).unwrap().sid, info.sid);
    assert!(room.state.check_backup(alice.id, &info.sid, &other).is_err(), "it is there");
    room.bind(alice.id, stream, Codec::Vp8);
    assert_eq!(subscribed(&mut room), [(carol.id, stream)]);
    let shown = room.state.participant_info(alice.id).unwrap().tracks;
    assert_eq!((shown.len(), shown[0].codecs[1].cid.as_str()), (1, "clone"), "one track to everybody");
    room.state.mute(room.now, alice.id, &info.sid, true, false).unwrap();
    let muted = |action| if let Action::SetMuted { track, .. } = action { Some(track) } else { None };
    assert_eq!(room.actions().into_iter().filter_map(muted).collect::<Vec<_>>(), [first, stream]);

    room.state.remove(room.now, carol.id, LeaveReason::ClientInitiated);
    let now = room.at(2);
    room.state.handle_timeout(now);
    let now = room.at(7);
    assert_eq!(room.state.poll_timeout(), Some(now.at), "of the backup codec");
    room.state.handle_timeout(now);
    assert_eq!(wanted(&mut alice), of(Some(u8::MAX), None), "nobody needs it any more");
    room.state.handle_track_ended(room.now, first);
    assert!(room.state.participant_info(alice.id).unwrap().tracks.is_empty());
    assert!(room.actions().iter().any(|action| matches!(action, Action::Unpublish(track) if *track == stream)));
}

#[test]
fn who_answers_without_a_codec_gets_the_other() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active_as("bob", Mode::Dual));
    let codec = |mime_type: &str| CodecInfo { mime_type: mime_type.into(), ..CodecInfo::default() };
    let request = TrackRequest { codecs: vec![codec("video/av1"), codec("video/vp8")], ..camera() };
    let (first, info) = room.announce(&alice, request);
    room.bind(alice.id, first, Codec::Av1);
    assert_eq!(room.subscriptions(&bob).0, [first]);
    room.state.note_lacks(bob.id, &[Codec::Av1]);
    assert_eq!(room.subscriptions(&bob), (vec![], vec![first]));
    room.state.note_lacks(bob.id, &[Codec::Av1]);
    assert_eq!(room.subscriptions(&bob), (vec![], vec![]), "nothing new");
    let stream = TrackId(9_000);
    room.state
        .handle_backup_added(alice.id, &info.sid, stream, TrackRequest { cid: "clone".into(), ..camera() })
        .unwrap();
    room.bind(alice.id, stream, Codec::Vp8);
    assert_eq!(room.subscriptions(&bob).0, [stream]);
    room.state.note_lacks(bob.id, &[Codec::Av1, Codec::Vp8]);
    assert_eq!(room.subscriptions(&bob), (vec![first], vec![stream]), "who decodes neither keeps the first");
}

#[test]
fn publishers_choose_their_subscribers() {
    let mut room = Room::new();
    let (alice, mut bob, carol) = (room.active("alice"), room.active("bob"), room.active("carol"));
    let (mic, info) = room.publish(&alice, microphone());
    room.actions();
    let only_carol = AllowedTracks { identity: "carol".into(), all_tracks: true, ..AllowedTracks::default() };
    let policy = SubscriptionPolicy { all_participants: false, allowed: vec![only_carol] };
    room.state.set_policy(room.now, alice.id, policy.clone());
    assert_eq!(room.subscriptions(&bob).1, [mic]);
    let told = bob.read();
    assert!(told.iter().any(
        |notice| matches!(notice, Notice::SubscriptionPermission { track, allowed: false, .. } if *track == info.sid)
    ));
    room.state.set_policy(room.now, alice.id, policy);
    assert_eq!(room.subscriptions(&carol), (vec![], vec![]), "nothing changed for her");
    room.state.set_policy(room.now, alice.id, SubscriptionPolicy { all_participants: true, allowed: vec![] });
    assert_eq!(room.subscriptions(&bob).0, [mic]);
    assert!(bob.read().iter().any(|notice| matches!(notice, Notice::SubscriptionPermission { allowed: true, .. })));
}

#[test]
fn mute_is_told_to_everyone_and_to_the_publisher_when_it_did_not_ask() {
    let mut room = Room::new();
    let (mut alice, mut bob) = (room.active("alice"), room.active("bob"));
    let (mic, info) = room.publish(&alice, microphone());
    room.actions();
    assert!(room.state.mute(room.now, alice.id, &info.sid, true, false).unwrap().muted);
    assert!(matches!(room.actions()[..], [Action::SetMuted { track, muted: true }] if track == mic));
    assert!(bob.told_of("alice").unwrap().tracks[0].muted);
    assert!(!alice.read().iter().any(|notice| matches!(notice, Notice::Mute { .. })));
    room.state.mute(room.now, alice.id, &info.sid, false, true).unwrap();
    assert!(alice.read().iter().any(|notice| matches!(notice, Notice::Mute { muted: false, .. })));
    assert!(matches!(room.state.mute(room.now, bob.id, &info.sid, true, false), Err(Error::TrackNotFound)));
}

#[test]
fn layers_that_nobody_wants_stop_at_the_publisher() {
    let mut room = Room::new();
    let mut alice = room.active("alice");
    let (_, info) = room.publish(&alice, camera());
    let mut told = |room: &mut Room, second: u64| {
        let now = room.at(second);
        room.state.handle_timeout(now);
        room.state.settle(now);
        let wanted = |notice| {
            let Notice::LayersWanted { codecs, .. } = notice else { return None };
            Some(codecs[0].1)
        };
        alice.read().into_iter().filter_map(wanted).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut room, 0), []);
    assert_eq!(room.state.poll_timeout(), Some(room.at(5).at));
    assert_eq!(told(&mut room, 6), [None], "nobody is here");
    assert_eq!(room.state.poll_timeout(), None);
    let bob = room.active("bob");
    assert_eq!(told(&mut room, 7), [Some(u8::MAX)]);
    let shown = |room: &mut Room, disabled, height| {
        let tracks = vec![info.sid.clone()];
        let settings = TrackSettings { tracks, disabled, max_layer: 2, width: height * 2, height, priority: 0 };
        room.state.set_targets(bob.id, &settings);
    };
    shown(&mut room, false, 100);
    assert_eq!(told(&mut room, 8), []);
    assert_eq!(told(&mut room, 14), [Some(0)]);
    shown(&mut room, false, 200);
    assert_eq!(told(&mut room, 15), [Some(1)]);
    shown(&mut room, true, 200);
    assert_eq!(told(&mut room, 16), []);
    assert_eq!(told(&mut room, 22), [None]);
}

#[test]
fn speakers_are_told_when_they_change() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    let (mic, _) = room.publish(&alice, microphone());
    bob.read();
    let mut hear = |room: &mut Room, levels: &[f32]| {
        let speakers: Vec<Speaker> =
            levels.iter().map(|level| Speaker { track: mic, level: *level, dominant: false }).collect();
        room.state.handle_speakers(room.now, &speakers);
        let told = bob.read().pop();
        told.map(|notice| {
            let Notice::Speakers(speakers) = notice else { panic!("{notice:?}") };
            (speakers.len(), speakers[0].sid.clone(), speakers[0].active)
        })
    };
    let of_alice = |active| Some((1, alice.sid.clone(), active));
    assert_eq!(hear(&mut room, &[0.5]), of_alice(true));
    assert_eq!(hear(&mut room, &[0.5]), None);
    assert_eq!(hear(&mut room, &[0.2, 0.7]), of_alice(true));
    assert_eq!(hear(&mut room, &[]), of_alice(false));
    assert_eq!(hear(&mut room, &[]), None);
}

#[test]
fn whose_turn_it_is_has_the_highest_level() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    let mics = [room.publish(&alice, microphone()).0, room.publish(&bob, microphone()).0];
    bob.read();
    // (levels of both, whose turn it is, as told)
    let rows = [([0.2, 0.8], None, [0.2, 0.8]), ([0.2, 0.8], Some(0), [0.8, 0.792]), ([0.9, 0.3], Some(0), [0.9, 0.3])];
    for (levels, turn, want) in rows {
        let one = |at: usize| Speaker { track: mics[at], level: levels[at], dominant: turn == Some(at) };
        room.state.handle_speakers(room.now, &[one(0), one(1)]);
        let Some(Notice::Speakers(told)) = bob.read().pop() else { panic!("nothing was told") };
        for (sid, level) in [&alice.sid, &bob.sid].into_iter().zip(want) {
            let found = told.iter().find(|one| one.sid == *sid);
            assert!(found.is_none_or(|one| (one.level - level).abs() < 1e-6), "{told:?}");
        }
    }
}

#[test]
fn a_track_that_flows_has_somebody_who_receives_it() {
    let mut room = Room::new();
    let mut alice = room.active("alice");
    let (mic, _) = room.publish(&alice, microphone());
    let viewer = room.active_as("viewer", Mode::Whep);
    alice.read();
    // Where a section that was in use has become free for it, no offer has said so.
    for _ in 0..2 {
        room.state.handle_flowing(room.now, viewer.peers.subscriber, mic);
    }
    let told = alice.read().into_iter().filter(|notice| matches!(notice, Notice::TrackSubscribed { .. }));
    assert_eq!(told.count(), 1);
}
