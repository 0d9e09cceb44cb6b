//! Who is in a room, who is told of it, and when it ends.

use super::*;

#[test]
fn a_joiner_sees_the_others_and_they_see_it() {
    let mut room = Room::new();
    let mut alice = room.active("alice");
    let (_, mic) = room.publish(&alice, microphone());
    let bob = room.join("bob");
    assert_eq!(bob.joined.len(), 1);
    assert_eq!(bob.joined[0].tracks[0].sid, mic.sid);
    assert_eq!(alice.told_of("bob").unwrap().state, ParticipantState::Joined);
    room.state.handle_connected(room.now, bob.peers.publisher);
    let told = alice.told_of("bob").unwrap();
    assert_eq!((told.state, told.version), (ParticipantState::Active, 2));
    room.state.remove(room.now, bob.id, LeaveReason::ClientInitiated);
    let told = alice.told_of("bob").unwrap();
    assert_eq!((told.state, told.left), (ParticipantState::Disconnected, Some(LeaveReason::ClientInitiated)));
    assert!(told.version > 2);
    assert!(
        room.actions().iter().any(|action| matches!(action, Action::RemovePeer(peer) if *peer == bob.peers.publisher))
    );
}

#[test]
fn hidden_participants_are_not_told_of() {
    let mut room = Room::new();
    let mut alice = room.active("alice");
    let permission = Permission { hidden: true, ..Permission::default() };
    let ghost = room.try_join(JoinRequest { permission, ..JoinRequest::new("ghost", Mode::Single) }).unwrap();
    room.state.handle_connected(room.now, ghost.peers.publisher);
    assert!(room.join("bob").joined.iter().all(|info| info.identity != "ghost"));
    assert_eq!(room.state.room_info().num_participants, 2);
    room.state.remove(room.now, ghost.id, LeaveReason::ClientInitiated);
    assert!(alice.told_of("ghost").is_none());
}

#[test]
fn the_second_of_one_identity_sends_the_first_away() {
    let mut room = Room::new();
    let mut first = room.active("alice");
    let second = room.join("alice");
    let last = first.read().pop();
    let expected = (LeaveReason::DuplicateIdentity, LeaveAction::Disconnect);
    assert!(matches!(last, Some(Notice::Leave { reason, action }) if (reason, action) == expected), "{last:?}");
    assert!(first.notices.is_closed());
    assert_eq!(room.state.participant_infos().len(), 1);
    assert_eq!(room.state.id_of_identity("alice").unwrap(), second.id);
    // The old connection ends later than the new one came.
    room.state.handle_detached(room.now, first.id, first.session);
    room.state.handle_gone(room.now, first.peers.publisher, GoneReason::Closed);
    assert_eq!(room.state.participant_infos().len(), 1);
}

#[test]
fn a_full_room_lets_nobody_in_but_those_who_are_in() {
    let request = RoomRequest { name: "r".into(), max_participants: Some(2), ..RoomRequest::default() };
    let mut room = Room::with(request, Options::default());
    let (_a, _b) = (room.join("a"), room.join("b"));
    let join = |room: &mut Room, identity: &str| room.try_join(JoinRequest::new(identity, Mode::Single)).map(|_| ());
    assert!(matches!(join(&mut room, "c"), Err(Error::RoomFull)));
    assert!(join(&mut room, "b").is_ok());
    assert!(matches!(join(&mut room, ""), Err(Error::Invalid(_))));
}

#[test]
fn rooms_end_when_nobody_needs_them() {
    let rows = [(false, 299, false), (false, 300, true), (true, 19, false), (true, 20, true)];
    for (was_used, seconds, want) in rows {
        let mut room = Room::new();
        if was_used {
            let alice = room.active("alice");
            assert_eq!(room.state.poll_timeout(), None, "somebody is here");
            room.state.remove(room.now, alice.id, LeaveReason::ClientInitiated);
        }
        assert_eq!(room.state.poll_timeout(), Some(room.at(if was_used { 20 } else { 300 }).at));
        let now = room.at(seconds);
        room.state.handle_timeout(now);
        assert_eq!(room.state.closed().is_some(), want, "{was_used} {seconds}");
    }
}

#[test]
fn viewers_are_not_told_of_each_other_and_are_counted() {
    let mut room = Room::new();
    let alice = room.active("alice");
    let (mic, _) = room.publish(&alice, microphone());
    let mut viewer = room.try_join(JoinRequest::new("viewer", Mode::Whep)).unwrap();
    assert!(viewer.joined.is_empty(), "it gets everybody's tracks without asking");
    let other = room.try_join(JoinRequest { auto_subscribe: false, ..JoinRequest::new("other", Mode::Whep) }).unwrap();
    assert_eq!(other.joined.len(), 2, "it chooses among them");
    room.state.handle_connected(room.now, other.peers.publisher);
    room.state.handle_speakers(room.now, &[Speaker { track: mic, level: 0.5, dominant: true }]);
    assert!(viewer.read().is_empty());
    let count = |room: &Room| room.state.room_info().num_participants;
    assert_eq!(count(&room), 3);
    for (hidden, want) in [(true, 2), (true, 2), (false, 3), (true, 2)] {
        let permission = Some(Permission { hidden, ..Permission::default() });
        let change = ParticipantChange { permission, ..ParticipantChange::default() };
        room.state.change(room.now, other.id, change, false).unwrap();
        assert_eq!(count(&room), want);
    }
    room.state.remove(room.now, other.id, LeaveReason::ClientInitiated);
    room.state.remove(room.now, viewer.id, LeaveReason::ClientInitiated);
    assert_eq!((count(&room), room.state.room_info().num_publishers), (1, 1));
}

#[test]
fn a_draining_server_sends_everyone_elsewhere() {
    let mut room = Room::new();
    let mut clients = [room.active("a"), room.active("b")];
    room.state.close(room.now, LeaveReason::ServerShutdown);
    for client in &mut clients {
        let last = client.read().pop();
        let expected = (LeaveReason::ServerShutdown, LeaveAction::Reconnect);
        assert!(matches!(last, Some(Notice::Leave { reason, action }) if (reason, action) == expected), "{last:?}");
    }
    assert!(matches!(room.state.check_join(&JoinRequest::new("c", Mode::Single)), Err(Error::Closed)));
}

#[test]
fn own_metadata_needs_the_grant_and_has_a_size() {
    let mut room = Room::new();
    let permission = Permission { can_update_metadata: true, ..Permission::default() };
    let alice = room.try_join(JoinRequest { permission, ..JoinRequest::new("alice", Mode::Single) }).unwrap();
    let bob = room.join("bob");
    let attributes = |value: &str| [("k".to_owned(), value.to_owned())].into();
    let change =
        ParticipantChange { name: Some("Al".into()), attributes: attributes("v"), ..ParticipantChange::default() };
    assert!(matches!(room.state.change(room.now, bob.id, change.clone(), true), Err(Error::NotAllowed(_))));
    let info = room.state.change(room.now, alice.id, change, true).unwrap();
    assert_eq!((info.name.as_str(), info.attributes.len()), ("Al", 1));
    let delete = ParticipantChange { attributes: attributes(""), ..ParticipantChange::default() };
    assert_eq!(room.state.change(room.now, alice.id, delete, true).unwrap().attributes.len(), 0);
    let rows = [
        ParticipantChange { name: Some("x".repeat(257)), ..ParticipantChange::default() },
        ParticipantChange { metadata: Some("x".repeat(65_537)), ..ParticipantChange::default() },
        ParticipantChange { attributes: attributes(&"x".repeat(65_536)), ..ParticipantChange::default() },
    ];
    for change in rows {
        assert!(matches!(room.state.change(room.now, alice.id, change, true), Err(Error::Limit(_))));
    }
}

#[test]
fn data_goes_to_the_named_or_to_everyone_else() {
    let mut room = Room::new();
    let (alice, bob, carol) = (room.active("alice"), room.active("bob"), room.active("carol"));
    let whip = room.try_join(JoinRequest::new("whip", Mode::Whip)).unwrap();
    room.state.handle_connected(room.now, whip.peers.publisher);
    room.join("not connected");
    room.actions();
    let send = |room: &mut Room, text: &str| {
        room.state.handle_data(alice.peers.publisher, Channel::Reliable, text.as_bytes(), &Names)?;
        let Some(Action::SendData { to, payload, .. }) = room.actions().pop() else { panic!("nothing sent") };
        Ok::<_, &str>((to, payload))
    };
    let everyone = (vec![bob.peers.publisher, carol.peers.publisher], Bytes::from("alice:"));
    assert_eq!(send(&mut room, ""), Ok(everyone));
    assert_eq!(send(&mut room, "carol").unwrap().0, [carol.peers.publisher]);
    room.state.handle_detached(room.now, alice.id, alice.session);
    assert_eq!(room.state.handle_resume(room.now, "alice", &alice.sid).unwrap().last_data_seq, 9);
    let mute = Permission { can_publish_data: false, ..Permission::default() };
    let change = ParticipantChange { permission: Some(mute), ..ParticipantChange::default() };
    room.state.change(room.now, alice.id, change, false).unwrap();
    assert_eq!(send(&mut room, ""), Err("not_allowed"));
}

#[test]
fn what_somebody_may_send_is_all_that_a_change_of_it_changes() {
    let mut room = Room::new();
    let alice = room.active("alice");
    // A program has changed other rights in the moment before.
    let permission = Permission {
        can_subscribe: false,
        can_publish_sources: vec![Source::Microphone],
        can_update_metadata: true,
        ..Permission::default()
    };
    let change = ParticipantChange { permission: Some(permission.clone()), ..ParticipantChange::default() };
    room.state.change(room.now, alice.id, change, false).unwrap();
    room.state.set_speech(room.now, alice.id, Speech { media: false, data: true }).unwrap();
    let found = room.state.participant_info(alice.id).unwrap().permission;
    assert_eq!(found, Permission { can_publish: false, ..permission });
    assert!(room.state.set_speech(room.now, ParticipantId(99), Speech { media: true, data: true }).is_err());
}

#[test]
fn a_room_that_cannot_close_unseats_those_who_are_left() {
    let mut room = Room::new();
    let alice = room.active("alice");
    room.active("bob");
    room.state.remove(room.now, alice.id, LeaveReason::ClientInitiated);
    let told = |room: &mut Room| std::iter::from_fn(|| room.state.poll_happening()).collect::<Vec<_>>();
    told(&mut room);
    room.state.abandon();
    assert_eq!(told(&mut room), [What::Unseated("bob".into()), What::Finished]);
    room.state.abandon();
    assert_eq!(told(&mut room), []);
}
