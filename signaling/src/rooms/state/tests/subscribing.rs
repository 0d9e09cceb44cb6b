//! What reaches whom, and in which quality.

use super::*;

#[test]
fn tracks_reach_those_who_have_joined() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active("bob"));
    let (announced, _) = room.announce(&alice, microphone());
    assert_eq!(room.subscriptions(&bob).0, [], "no section carries it");
    let (cam, _) = room.publish(&alice, camera());
    assert_ne!(announced, cam);
    assert_eq!(room.subscriptions(&bob).0, [cam]);
    let mut late = room.join("late");
    assert_eq!(late.joined.iter().find(|info| info.identity == "alice").unwrap().tracks.len(), 1);
    assert_eq!(room.subscriptions(&late).0, [cam], "while it connects");
    room.state.handle_connected(room.now, late.peers.publisher);
    assert_eq!(room.subscriptions(&late).0, [], "and not again");
    let mut two = room.try_join(JoinRequest::new("two", Mode::Dual)).unwrap();
    assert_eq!(room.subscriptions(&two).0, [], "its first offer is small");
    room.offer_to(&two);
    assert!(matches!(two.read()[..], [.., Notice::Offer { id: 1, .. }]));
    assert_eq!(room.subscriptions(&two).0, [cam]);
    room.state.handle_track_ended(room.now, cam);
    assert_eq!(late.told_of("alice").unwrap().tracks, []);
}

#[test]
fn msid_names_publisher_stream_and_track() {
    let msid = |mode, knows_track_ids, stream: &str| {
        let mut room = Room::new();
        let alice = room.active("alice");
        let bob = room.try_join(JoinRequest { knows_track_ids, ..JoinRequest::new("bob", mode) }).unwrap();
        room.state.handle_connected(room.now, bob.peers.subscriber);
        room.offer_to(&bob);
        room.actions();
        let (_, info) = room.publish(&alice, TrackRequest { stream: stream.to_owned(), ..camera() });
        let subscription = room.actions().into_iter().find_map(|action| {
            if let Action::Subscribe { subscription, .. } = action { Some(subscription) } else { None }
        });
        let Msid { stream, track, reused } = subscription.unwrap().msid;
        assert_eq!(track, info.sid);
        let without_ids = |text: String| text.replace(&alice.sid, "PA").replace(&info.sid, "TR");
        (without_ids(stream), reused.map(without_ids))
    };
    assert_eq!(msid(Mode::Single, false, ""), ("PA|camera".into(), None));
    assert_eq!(msid(Mode::Whep, false, ""), ("PA".into(), None));
    assert_eq!(msid(Mode::Dual, false, ""), ("PA|TR".into(), None));
    assert_eq!(msid(Mode::Dual, true, ""), ("PA|camera".into(), Some("PA|TR".into())));
    assert_eq!(msid(Mode::Dual, true, "mine"), ("PA|mine".into(), Some("PA|TR".into())));
    assert_eq!(msid(Mode::Dual, true, "TROUBLE"), ("PA|TR".into(), None), "clients would take it for a track");
}

#[test]
fn wishes_go_before_auto_subscribe() {
    let mut room = Room::new();
    let alice = room.active("alice");
    let (mic, mic_info) = room.publish(&alice, microphone());
    let (cam, cam_info) = room.publish(&alice, camera());
    let request = JoinRequest { auto_subscribe: false, ..JoinRequest::new("bob", Mode::Single) };
    let mut bob = room.try_join(request).unwrap();
    room.state.handle_connected(room.now, bob.peers.publisher);
    assert_eq!(room.subscriptions(&bob), (vec![], vec![]));
    let mut change = |sids: &[&String], subscribe| {
        let tracks = sids.iter().map(|sid| (*sid).clone()).collect();
        room.state.subscribe(room.now, bob.id, SubscriptionChange { tracks, subscribe }).unwrap();
        room.subscriptions(&bob)
    };
    assert_eq!(change(&[&cam_info.sid, &mic_info.sid], true), (vec![cam, mic], vec![]));
    assert_eq!(change(&[&cam_info.sid], true), (vec![], vec![]), "twice is once");
    assert_eq!(change(&[&cam_info.sid], false), (vec![], vec![cam]));
    assert_eq!(change(&[&"TR_none".to_owned()], true), (vec![], vec![]));
    assert!(
        bob.read().iter().any(|notice| matches!(notice, Notice::SubscriptionFailed { sid, .. } if sid == "TR_none"))
    );
}

#[test]
fn sizes_and_qualities_choose_layers() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active("bob"));
    let (_, info) = room.publish(&alice, camera());
    room.actions();
    let rows = [
        (0, 0, 0, 0),
        (1, 0, 0, 1),
        (2, 160, 90, 0),
        (2, 320, 180, 0),
        (2, 321, 181, 1),
        (2, 360, 640, 1),
        (0, 1920, 1080, 2),
    ];
    for (max_layer, width, height, want) in rows {
        let tracks = vec![info.sid.clone()];
        let settings = TrackSettings { tracks, disabled: false, max_layer, width, height, priority: 0 };
        room.state.set_targets(bob.id, &settings);
        let actions = room.actions();
        assert!(
            matches!(actions[..], [Action::SetTarget { target, .. }] if target.max_layer == want),
            "{settings:?} {actions:?}"
        );
    }
}

#[test]
fn a_paused_stream_is_told_to_its_receiver_and_a_connection_to_all() {
    let mut room = Room::new();
    let (mut alice, mut bob) = (room.active("alice"), room.active("bob"));
    let (track, info) = room.publish(&alice, camera());
    alice.read();
    bob.read();
    room.state.handle_stream_state(room.now, bob.peers.subscriber, track, true);
    assert!(alice.read().is_empty());
    let told = bob.read();
    assert!(
        matches!(&told[..], [Notice::StreamState { participant, track, paused: true }]
            if *participant == alice.sid && *track == info.sid),
        "{told:?}"
    );
    let rating = |score, grade| Rating { score, grade };
    let good = (bob.peers.publisher, rating(4.4, Grade::Excellent));
    let bad = (alice.peers.publisher, rating(2.0, Grade::Poor));
    room.state.handle_quality(room.now, &[good, bad]);
    for client in [&mut alice, &mut bob] {
        let told = client.read();
        assert!(matches!(&told[..], [Notice::Quality(changed)] if changed.len() == 2), "{told:?}");
    }
    room.state.handle_quality(room.now, &[good]);
    assert!(alice.read().is_empty(), "nothing changed");
    let mut carol = room.join("carol");
    room.state.handle_connected(room.now, carol.peers.subscriber);
    assert!(carol.read().iter().any(|notice| matches!(notice, Notice::Quality(known) if known.len() == 2)));
}

#[test]
fn a_pause_is_told_again_for_a_track_may_come_later() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    let (track, info) = room.publish(&alice, camera());
    let states = |client: &mut Client| {
        let states = client.read().into_iter().filter_map(|notice| {
            let Notice::StreamState { track, paused, .. } = notice else { return None };
            Some((track, paused))
        });
        states.collect::<Vec<_>>()
    };
    room.state.handle_stream_state(room.now, bob.peers.subscriber, track, true);
    assert_eq!(room.state.poll_timeout(), Some(room.at(1).at));
    bob.read();
    room.state.handle_timeout(room.now);
    assert_eq!(states(&mut bob), [(info.sid.clone(), true)]);
    let now = room.at(2);
    room.state.handle_stream_state(now, bob.peers.subscriber, track, false);
    let now = room.at(20);
    room.state.handle_timeout(now);
    assert_eq!(states(&mut bob), [(info.sid, false)]);
}

#[test]
fn screens_go_before_faces_and_what_the_client_says_before_both() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active("bob"));
    let screen = TrackRequest { source: Source::ScreenShare, cid: "screen".into(), ..camera() };
    let (_, face) = room.publish(&alice, camera());
    let (screen_id, screen) = room.publish(&alice, screen);
    let first = room.actions();
    assert!(
        first.iter().any(|action| matches!(action, Action::SetTarget { peer, track, target }
            if *peer == bob.peers.subscriber && *track == screen_id && target.priority == 2)),
        "{first:?}"
    );
    let mut of = |sid: &str, height: u32, priority: u32| {
        let settings =
            TrackSettings { tracks: vec![sid.into()], disabled: false, max_layer: 2, width: height, height, priority };
        room.state.set_targets(bob.id, &settings);
        match room.actions()[..] {
            [Action::SetTarget { target, .. }] => target.priority,
            ref other => panic!("{other:?}"),
        }
    };
    let rising = [of(&face.sid, 100, 0), of(&face.sid, 720, 0), of(&screen.sid, 100, 0), of(&face.sid, 100, 1_000)];
    assert!(rising.is_sorted_by(|a, b| a < b), "{rising:?}");
    assert!(of(&face.sid, 100, 2) < of(&screen.sid, 100, 1));
}

#[test]
fn whep_gets_tracks_before_it_is_connected_and_whip_gets_none() {
    let mut room = Room::new();
    let alice = room.active("alice");
    let (cam, _) = room.publish(&alice, camera());
    let viewer = room.try_join(JoinRequest::new("viewer", Mode::Whep)).unwrap();
    assert_eq!(room.subscriptions(&viewer).0, [cam]);
    let encoder = room.try_join(JoinRequest::new("encoder", Mode::Whip)).unwrap();
    room.state.handle_connected(room.now, encoder.peers.publisher);
    assert_eq!(room.subscriptions(&encoder).0, []);
}
