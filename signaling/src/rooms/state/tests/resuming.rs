//! What a client that comes back is told of the time it was away.

use super::*;

fn gone(resumed: &crate::rooms::Joined) -> Vec<(&str, ParticipantState)> {
    resumed.left.iter().map(|info| (info.identity.as_str(), info.state)).collect()
}

#[test]
fn a_resume_names_those_who_left_meanwhile_and_are_not_back() {
    let mut room = Room::new();
    let early = room.active("early");
    room.state.remove(room.now, early.id, LeaveReason::ClientInitiated);
    room.at(1);
    let bob = room.active("bob");
    let [carol, dave, erin] = ["carol", "dave", "erin"].map(|name| room.active(name));
    room.state.handle_detached(room.now, bob.id, bob.session);
    let now = room.at(5);
    for client in [&carol, &dave, &erin] {
        room.state.remove(now, client.id, LeaveReason::ClientInitiated);
    }
    room.active("dave");
    // Back, but nobody is told of it: to the others it has left.
    let permission = Permission { hidden: true, ..Permission::default() };
    room.try_join(JoinRequest { permission, ..JoinRequest::new("erin", Mode::Single) }).unwrap();
    let resumed = room.state.handle_resume(now, "bob", &bob.sid).unwrap();
    assert_eq!(gone(&resumed), [("carol", ParticipantState::Disconnected), ("erin", ParticipantState::Disconnected)]);
    assert_eq!(resumed.left[0].sid, carol.sid);
    assert_eq!(resumed.others.iter().map(|info| info.identity.as_str()).collect::<Vec<_>>(), ["dave"]);

    let now = room.at(65);
    let resumed = room.state.handle_resume(now, "bob", &bob.sid).unwrap();
    assert_eq!(gone(&resumed), [], "everybody who is here has been told by now");
}

#[test]
fn nobody_is_told_that_they_have_left_themselves() {
    let mut room = Room::new();
    let permission = Permission { hidden: true, ..Permission::default() };
    let hidden = JoinRequest { permission, ..JoinRequest::new("bob", Mode::Single) };
    room.active("bob");
    let bob = room.try_join(hidden).unwrap();
    let resumed = room.state.handle_resume(room.now, "bob", &bob.sid).unwrap();
    assert_eq!(gone(&resumed), []);
}

#[test]
fn a_room_remembers_so_many_who_have_left() {
    let mut room = Room::new();
    let bob = room.active("bob");
    for n in 0..1_030 {
        let guest = room.join(&format!("guest{n}"));
        room.state.remove(room.now, guest.id, LeaveReason::ClientInitiated);
    }
    let resumed = room.state.handle_resume(room.now, "bob", &bob.sid).unwrap();
    assert_eq!((resumed.left.len(), resumed.left[0].identity.as_str()), (1_024, "guest6"));
}

#[test]
fn a_resume_repeats_which_layers_are_wanted() {
    let mut room = Room::new();
    let alice = room.active("alice");
    let (_, cam) = room.publish(&alice, camera());
    let (_, other) = room.publish(&alice, track("cam2", MediaKind::Video, Source::ScreenShare));
    let bob = room.active("bob");
    let shown = |room: &mut Room, disabled| {
        let settings = TrackSettings { tracks: vec![cam.sid.clone()], disabled, max_layer: 2, ..Default::default() };
        room.state.set_targets(bob.id, &settings);
    };
    shown(&mut room, true);
    for second in [0, 6] {
        let now = room.at(second);
        room.state.handle_timeout(now);
    }
    // What was told is lost with the connection, and so is what is told while there is none.
    room.state.handle_detached(room.now, alice.id, alice.session);
    let wanted = |room: &mut Room| {
        let mut resumed = room.state.handle_resume(room.now, "alice", &alice.sid).unwrap();
        let told = std::iter::from_fn(|| resumed.notices.try_recv().ok()).filter_map(|notice| {
            let Notice::LayersWanted { sid, codecs } = notice else { return None };
            Some((sid, codecs[0].1))
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(wanted(&mut room), [(cam.sid.clone(), None)], "of {} all layers are sent anyway", other.sid);
    room.state.handle_detached(room.now, alice.id, SessionId(0));
    shown(&mut room, false);
    room.state.settle(room.now);
    assert_eq!(wanted(&mut room), [(cam.sid.clone(), Some(2))]);
}

#[test]
fn a_resume_repeats_what_may_be_received() {
    let mut room = Room::new();
    let (alice, carol, bob) = (room.active("alice"), room.active("carol"), room.active("bob"));
    let (_, mic) = room.publish(&alice, microphone());
    room.publish(&carol, microphone());
    for all_participants in [false, true] {
        room.state.handle_detached(room.now, bob.id, bob.session);
        let policy = SubscriptionPolicy { all_participants, allowed: vec![] };
        room.state.set_policy(room.now, alice.id, policy);
        let mut resumed = room.state.handle_resume(room.now, "bob", &bob.sid).unwrap();
        let told = std::iter::from_fn(|| resumed.notices.try_recv().ok()).filter_map(|notice| {
            let Notice::SubscriptionPermission { participant, track, allowed } = notice else { return None };
            Some((participant, track, allowed))
        });
        let want = (alice.sid.clone(), mic.sid.clone(), all_participants);
        assert_eq!(told.collect::<Vec<_>>(), [want], "nobody else has said anything");
    }
}
