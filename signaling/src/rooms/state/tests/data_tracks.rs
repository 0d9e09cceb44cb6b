//! Data tracks: who may publish them, who receives them under which handle, and what ends them.

use super::*;

fn request(handle: u32, name: &str) -> DataTrackRequest {
    DataTrackRequest { handle, name: name.into(), ..DataTrackRequest::default() }
}

impl Room {
    fn publish_data(&mut self, of: &Client, handle: u32, name: &str) -> DataTrackInfo {
        self.state.publish_data_track(self.now, of.id, request(handle, name)).unwrap()
    }

    fn want_data(&mut self, of: &Client, track: &DataTrackInfo, wanted: bool) {
        let change = DataSubscription { tracks: vec![(track.sid.clone(), wanted)] };
        self.state.subscribe_data(self.now, of.id, change);
    }

    /// Where a packet of a publisher's handle goes, and under which handle.
    fn send_packet(&mut self, of: &Client, handle: u8) -> Result<(Vec<PeerId>, u16), &'static str> {
        self.actions();
        self.state.handle_data(of.peers.publisher, Channel::Tracks, &[handle], &Names)?;
        Ok(self.actions().into_iter().find_map(sent).unwrap_or_default())
    }
}

fn sent(action: Action) -> Option<(Vec<PeerId>, u16)> {
    let Action::SendData { to, channel: Channel::Tracks, payload } = action else { return None };
    Some((to, std::str::from_utf8(&payload).ok()?.split(':').next()?.parse().ok()?))
}

impl Client {
    /// Sids and handles as it was told last; `None`: it was not.
    fn handles(&mut self) -> Option<Vec<(String, u16)>> {
        let told = self
            .read()
            .into_iter()
            .filter_map(|notice| if let Notice::DataHandles(handles) = notice { Some(handles) } else { None });
        told.last().map(|handles| handles.into_iter().map(|one| (one.track_sid, one.handle)).collect())
    }
}

#[test]
fn packets_go_to_those_who_asked_under_one_handle() {
    let mut room = Room::new();
    let alice = room.active("alice");
    let (mut bob, mut carol) = (room.active_as("bob", Mode::Dual), room.active("carol"));
    let pose = room.publish_data(&alice, 7, "pose");
    let scan = room.publish_data(&alice, 8, "scan");
    assert!(pose.sid.starts_with("DTR_") && pose.sid != scan.sid);
    assert_eq!(bob.told_of("alice").unwrap().data_tracks, [pose.clone(), scan.clone()]);
    assert_eq!(room.send_packet(&alice, 7), Ok((vec![], 0)), "nobody has asked");

    room.want_data(&bob, &pose, true);
    room.want_data(&carol, &pose, true);
    let [(sid, handle)] = &bob.handles().unwrap()[..] else { panic!("one") };
    assert_eq!((sid, Some(vec![(sid.clone(), *handle)])), (&pose.sid, carol.handles()));
    assert_eq!(room.send_packet(&alice, 7), Ok((vec![bob.peers.subscriber, carol.peers.subscriber], *handle)));
    assert_eq!(room.send_packet(&alice, 8), Ok((vec![], 0)));
    assert_eq!(room.send_packet(&alice, 9), Err("data_track_unknown"));
    assert_eq!(room.send_packet(&bob, 7), Err("data_track_unknown"), "it is alice's");

    room.want_data(&bob, &pose, true);
    assert_eq!(bob.handles().map(|all| all.len()), Some(1), "whoever asks is answered, though nothing changed");
    room.want_data(&bob, &pose, false);
    room.want_data(&bob, &scan, false);
    assert_eq!(bob.handles(), Some(vec![]));
    assert_eq!(room.send_packet(&alice, 7).unwrap().0, [carol.peers.subscriber]);

    room.state.remove(room.now, carol.id, LeaveReason::ClientInitiated);
    assert_eq!(room.send_packet(&alice, 7).unwrap().0, []);
    room.state.remove(room.now, alice.id, LeaveReason::ClientInitiated);
    assert!(bob.told_of("alice").unwrap().data_tracks.is_empty());
    assert_eq!(room.state.counts().data, 0);
}

#[test]
fn handles_and_names_are_unique_and_within_bounds() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active("bob"));
    room.publish_data(&alice, 1, "pose");
    room.publish_data(&bob, 1, "pose");
    let long = "x".repeat(257);
    let custom = |name: &str| Some(FrameName::Custom(name.into()));
    let rows = [
        (request(0, "a"), "handle"),
        (request(65_536, "a"), "handle"),
        (request(2, ""), "name"),
        (request(2, &long), "name"),
        (DataTrackRequest { encryption: 2, ..request(2, "a") }, "encryption"),
        (DataTrackRequest { encoding: custom(""), ..request(2, "a") }, "frame_encoding"),
        (DataTrackRequest { encoding: custom(&long), ..request(2, "a") }, "frame_encoding"),
        (DataTrackRequest { schema: Some((String::new(), FrameName::Known(1))), ..request(2, "a") }, "schema"),
    ];
    for (request, field) in rows {
        let refused = room.state.publish_data_track(room.now, alice.id, request.clone());
        assert!(matches!(refused, Err(Error::Invalid(named)) if named == field), "{request:?}: {refused:?}");
    }
    for (request, field) in [(request(1, "other"), "handle"), (request(2, "pose"), "name")] {
        let refused = room.state.publish_data_track(room.now, alice.id, request);
        assert!(matches!(refused, Err(Error::Taken(named)) if named == field), "{refused:?}");
    }
    (2..=256).for_each(|handle| drop(room.publish_data(&alice, handle, &handle.to_string())));
    let one_more = room.state.publish_data_track(room.now, alice.id, request(257, "more"));
    assert!(matches!(one_more, Err(Error::Limit("data_tracks_per_participant"))));

    let ended = room.state.unpublish_data_track(room.now, alice.id, 2).unwrap();
    assert_eq!((ended.handle, ended.name.as_str()), (2, "2"));
    assert!(matches!(room.state.unpublish_data_track(room.now, alice.id, 2), Err(Error::TrackNotFound)));
    room.publish_data(&alice, 2, "2");
}

#[test]
fn rights_policies_and_wishes_decide_who_receives() {
    let mut room = Room::new();
    let (mut alice, mut bob) = (room.active("alice"), room.active("bob"));
    let viewer = room.active_as("viewer", Mode::Whep);
    let pose = room.publish_data(&alice, 1, "pose");
    room.want_data(&viewer, &pose, true);
    room.want_data(&alice, &pose, true);
    assert_eq!(room.send_packet(&alice, 1).unwrap().0, [], "nobody who has no channel, and not oneself");
    room.want_data(&bob, &pose, true);
    bob.read();

    let nobody = SubscriptionPolicy::default();
    room.state.set_policy(room.now, alice.id, nobody);
    assert_eq!((bob.handles(), room.send_packet(&alice, 1).unwrap().0), (Some(vec![]), vec![]));
    let tracks = vec![pose.sid.clone()];
    let named = AllowedTracks { identity: "bob".into(), tracks, ..AllowedTracks::default() };
    let policy = SubscriptionPolicy { allowed: vec![named], ..SubscriptionPolicy::default() };
    room.state.set_policy(room.now, alice.id, policy);
    assert_eq!(bob.handles().map(|all| all.len()), Some(1), "what it asked for before");

    let change = |permission| ParticipantChange { permission: Some(permission), ..ParticipantChange::default() };
    let deaf = Permission { can_subscribe: false, ..Permission::default() };
    room.state.change(room.now, bob.id, change(deaf), false).unwrap();
    assert_eq!(bob.handles(), Some(vec![]));
    room.state.change(room.now, bob.id, change(Permission::default()), false).unwrap();
    assert_eq!(bob.handles().map(|all| all.len()), Some(1));

    alice.read();
    let mute = Permission { can_publish_data: false, ..Permission::default() };
    room.state.change(room.now, alice.id, change(mute), false).unwrap();
    let told = alice.read();
    assert!(told.iter().any(|notice| matches!(notice, Notice::DataTrackUnpublished(info) if *info == pose)));
    assert!(bob.told_of("alice").unwrap().data_tracks.is_empty());
    assert_eq!(room.send_packet(&alice, 1), Err("not_allowed"));
    assert!(matches!(room.state.publish_data_track(room.now, alice.id, request(2, "a")), Err(Error::NotAllowed(_))));
}

#[test]
fn whoever_wants_all_gets_them_without_asking() {
    let mut room = Room::new();
    let alice = room.active("alice");
    room.publish_data(&alice, 1, "before");
    let all = JoinRequest { auto_subscribe_data: true, ..JoinRequest::new("recorder", Mode::Single) };
    let mut recorder = room.try_join(all).unwrap();
    assert_eq!(recorder.joined[0].data_tracks.len(), 1);
    assert_eq!(recorder.handles().map(|all| all.len()), Some(1));
    let after = room.publish_data(&alice, 2, "after");
    let told = recorder.read();
    let named = told.iter().position(|notice| matches!(notice, Notice::Participants(_)));
    let handles = told.iter().position(|notice| matches!(notice, Notice::DataHandles(all) if all.len() == 2));
    assert!(named < handles && named.is_some(), "what a handle is for is told first: {told:?}");
    room.want_data(&recorder, &after, false);
    assert_eq!(recorder.handles().map(|all| all.len()), Some(1));
}

#[test]
fn after_a_resume_both_ends_agree() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    let pose = room.publish_data(&alice, 1, "pose");
    room.want_data(&bob, &pose, true);
    let joined = room.state.handle_resume(room.now, "bob", &bob.sid).unwrap();
    bob.notices = joined.notices;
    let told = bob.read();
    assert!(
        told.iter().any(|notice| matches!(notice, Notice::DataHandles(all) if all.len() == 1)),
        "it may have missed them"
    );
    let named = |info: &ParticipantInfo| info.identity == "alice" && info.data_tracks == std::slice::from_ref(&pose);
    assert!(told.iter().any(|notice| matches!(notice, Notice::Participants(infos) if infos.iter().any(named))));

    let joined = room.state.handle_resume(room.now, "alice", &alice.sid).unwrap();
    assert_eq!(joined.info.data_tracks, std::slice::from_ref(&pose));
    let mut alice = Client { notices: joined.notices, ..alice };
    let gone = DataTrackInfo { sid: "DTR_gone".into(), handle: 5, ..pose.clone() };
    room.state.check_data_tracks(room.now, alice.id, vec![pose, gone.clone()]);
    let ended = alice
        .read()
        .into_iter()
        .filter_map(|notice| if let Notice::DataTrackUnpublished(info) = notice { Some(info) } else { None });
    assert_eq!(ended.collect::<Vec<_>>(), [gone]);
}
