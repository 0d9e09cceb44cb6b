//! What a client that comes back is told of the time it was away.

use super::*;

/// All that it is told at once.
fn resume(room: &mut Room, client: &Client) -> Vec<Notice> {
    let identity = room.state.participant_info(client.id).unwrap().identity;
    let mut resumed = room.state.handle_resume(room.now, &identity, &client.sid).unwrap();
    std::iter::from_fn(|| resumed.notices.try_recv().ok()).collect()
}

fn cut(room: &mut Room, client: &Client) {
    room.state.handle_detached(room.now, client.id, room.state.participants[&client.id].session);
}

/// Everybody it is told of, in order.
fn people(told: &[Notice]) -> Vec<ParticipantInfo> {
    let infos =
        told.iter().filter_map(|notice| if let Notice::Participants(infos) = notice { Some(infos) } else { None });
    infos.flat_map(|infos| infos.iter().cloned()).collect()
}

fn gone(told: &[Notice]) -> Vec<String> {
    let mut infos = people(told);
    infos.retain(|info| info.state == ParticipantState::Disconnected);
    infos.into_iter().map(|info| info.identity).collect()
}

/// Sids of who speaks, and of who does not.
fn speakers(told: &[Notice]) -> (Vec<String>, Vec<String>) {
    let speakers =
        told.iter().filter_map(|notice| if let Notice::Speakers(infos) = notice { Some(infos) } else { None });
    let (active, silent): (Vec<_>, Vec<_>) = speakers.flat_map(|infos| infos.iter()).partition(|info| info.active);
    let sid = |info: &crate::rooms::SpeakerInfo| info.sid.clone();
    (active.into_iter().map(sid).collect(), silent.into_iter().map(sid).collect())
}

fn position(told: &[Notice], of: impl Fn(&Notice) -> bool) -> Option<usize> {
    told.iter().position(of)
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
    let told = people(&resume(&mut room, &bob));
    let names = |infos: &[ParticipantInfo]| infos.iter().map(|info| info.identity.clone()).collect::<Vec<_>>();
    assert_eq!(names(&told), ["carol", "erin", "bob", "dave"]);
    assert_eq!(told[0].sid, carol.sid);
    let is_gone = |info: &ParticipantInfo| info.state == ParticipantState::Disconnected;
    assert!(told[..2].iter().all(is_gone) && !told[2..].iter().any(is_gone));

    room.at(65);
    assert_eq!(names(&people(&resume(&mut room, &bob))), ["bob", "dave"], "the others have been told by now");
}

#[test]
fn nobody_is_told_that_they_have_left_themselves() {
    let mut room = Room::new();
    let permission = Permission { hidden: true, ..Permission::default() };
    let hidden = JoinRequest { permission, ..JoinRequest::new("bob", Mode::Single) };
    room.active("bob");
    let bob = room.try_join(hidden).unwrap();
    let told = resume(&mut room, &bob);
    assert_eq!(gone(&told), [""; 0]);
}

#[test]
fn a_room_remembers_so_many_who_have_left() {
    let mut room = Room::new();
    let bob = room.active("bob");
    for n in 0..1_030 {
        let guest = room.join(&format!("guest{n}"));
        room.state.remove(room.now, guest.id, LeaveReason::ClientInitiated);
    }
    let gone = gone(&resume(&mut room, &bob));
    assert_eq!((gone.len(), gone[0].as_str()), (1_024, "guest6"));
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
    cut(&mut room, &alice);
    let wanted = |room: &mut Room| {
        let told = resume(room, &alice).into_iter().filter_map(|notice| {
            let Notice::LayersWanted { sid, codecs } = notice else { return None };
            Some((sid, codecs[0].1))
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(wanted(&mut room), [(cam.sid.clone(), None)], "of {} all layers are sent anyway", other.sid);
    cut(&mut room, &alice);
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
    let everybody = SubscriptionPolicy { all_participants: true, allowed: vec![] };
    room.state.set_policy(room.now, carol.id, everybody);
    for all_participants in [false, true] {
        cut(&mut room, &bob);
        let policy = SubscriptionPolicy { all_participants, allowed: vec![] };
        room.state.set_policy(room.now, alice.id, policy);
        let want = (alice.sid.clone(), mic.sid.clone(), all_participants);
        assert_eq!(permissions(&resume(&mut room, &bob)), [want], "of nobody else was it ever another");
    }
    cut(&mut room, &bob);
    let permission = Permission { hidden: true, ..Permission::default() };
    let change = ParticipantChange { permission: Some(permission), ..ParticipantChange::default() };
    room.state.change(room.now, alice.id, change, false).unwrap();
    assert_eq!(permissions(&resume(&mut room, &bob)), [], "of Alice nothing is told any more");
}

fn permissions(told: &[Notice]) -> Vec<(String, String, bool)> {
    let permissions = told.iter().filter_map(|notice| {
        let Notice::SubscriptionPermission { participant, track, allowed } = notice else { return None };
        Some((participant.clone(), track.clone(), *allowed))
    });
    permissions.collect()
}

#[test]
fn a_resume_has_room_for_all_there_is_to_say() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active("bob"));
    cut(&mut room, &bob);
    let tracks: Vec<TrackId> = (5_000..6_200).map(TrackId).collect();
    let incoming = tracks.iter().map(|track| {
        room.state.handle_track_added(alice.id, *track, microphone());
        let (mid, codec) = (mid("7"), Some(Codec::Opus));
        Incoming { mid, kind: MediaKind::Audio, msid_track: None, track: Some(*track), codec }
    });
    let incoming = incoming.collect();
    room.state.handle_offer_answered(room.now, alice.id, &answer(incoming, Missing::default()));
    room.state.set_policy(room.now, alice.id, SubscriptionPolicy::default());
    let resumed = room.state.handle_resume(room.now, "bob", &bob.sid).unwrap();
    assert!(resumed.notices.len() > 1_200);
    let now = room.at(1);
    room.state.mute(now, alice.id, &room.state.tracks[&tracks[0]].info.sid.clone(), true, false).unwrap();
    assert!(!resumed.notices.is_closed(), "nor is it cut by what comes next");
}

#[test]
fn a_mute_by_the_server_is_told_until_its_publisher_answers() {
    let mut room = Room::new();
    let mut alice = room.active("alice");
    let ((_, mic), (_, cam)) = (room.publish(&alice, microphone()), room.publish(&alice, camera()));
    let mutes = |told: &[Notice]| {
        let mutes = told.iter().filter_map(|notice| {
            let Notice::Mute { sid, muted } = notice else { return None };
            Some((sid.clone(), *muted))
        });
        mutes.collect::<Vec<_>>()
    };
    // Lost on its way, or never sent: nobody knows which.
    room.state.mute(room.now, alice.id, &mic.sid, true, true).unwrap();
    assert_eq!(mutes(&alice.read()), [(mic.sid.clone(), true)]);
    cut(&mut room, &alice);
    room.state.mute(room.now, alice.id, &mic.sid, true, true).unwrap();
    for _ in 0..2 {
        let told = resume(&mut room, &alice);
        assert_eq!(mutes(&told), [(mic.sid.clone(), true)]);
        // A client that is told first that its track is muted says that it is not.
        let mute = position(&told, |notice| matches!(notice, Notice::Mute { .. }));
        assert!(mute < position(&told, |notice| matches!(notice, Notice::Participants(_))));
    }
    // What it says itself counts: that a microphone is on that was muted is for its user to say.
    for muted in [true, false] {
        room.state.mute(room.now, alice.id, &mic.sid, true, true).unwrap();
        room.state.mute(room.now, alice.id, &mic.sid, muted, false).unwrap();
        assert_eq!(mutes(&resume(&mut room, &alice)), []);
    }
    room.state.mute(room.now, alice.id, &cam.sid, true, false).unwrap();
    room.state.mute(room.now, alice.id, &cam.sid, true, true).unwrap();
    assert_eq!(mutes(&resume(&mut room, &alice)), [], "it was muted already");
}

#[test]
fn a_client_hears_which_of_its_tracks_have_ended() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active("bob"));
    let ((_, mic), (_, cam)) = (room.publish(&alice, microphone()), room.publish(&alice, camera()));
    let (_, announced) = room.announce(&alice, track("later", MediaKind::Audio, Source::Microphone));
    let (_, of_bob) = room.publish(&bob, microphone());
    cut(&mut room, &alice);
    let permission = Permission { can_publish_sources: vec![Source::Microphone], ..Permission::default() };
    let change = ParticipantChange { permission: Some(permission), ..ParticipantChange::default() };
    room.state.change(room.now, alice.id, change, false).unwrap();
    let mut resumed = room.state.handle_resume(room.now, "alice", &alice.sid).unwrap();
    let believed = [&mic, &cam, &announced, &of_bob].map(|info| info.sid.clone());
    room.state.check_tracks(room.now, alice.id, believed.to_vec());
    let told = std::iter::from_fn(|| resumed.notices.try_recv().ok()).filter_map(|notice| {
        let Notice::TrackUnpublished { sid } = notice else { return None };
        Some(sid)
    });
    assert_eq!(told.collect::<Vec<_>>(), [cam.sid, of_bob.sid], "none of the two is hers");
}

#[test]
fn a_resume_says_who_speaks_and_who_does_not() {
    let mut room = Room::new();
    let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(|name| room.active(name));
    let permission = Permission { hidden: true, ..Permission::default() };
    let hidden = room.try_join(JoinRequest { permission, ..JoinRequest::new("spy", Mode::Single) }).unwrap();
    let [a, c, h] = [&alice, &carol, &hidden].map(|one| room.publish(one, microphone()).0);
    let speaker = |track| Speaker { track, level: 0.5, dominant: false };
    room.state.handle_speakers(room.now, &[speaker(a), speaker(h)]);
    cut(&mut room, &bob);
    room.state.handle_speakers(room.now, &[speaker(c), speaker(h)]);
    let told = resume(&mut room, &bob);
    assert_eq!(
        speakers(&told),
        (vec![carol.sid.clone()], vec![alice.sid, bob.sid.clone(), dave.sid]),
        "nothing of who is hidden"
    );
    let know = position(&told, |notice| matches!(notice, Notice::Participants(_)));
    assert!(know < position(&told, |notice| matches!(notice, Notice::Speakers(_))), "clients know them by then");
    assert_eq!(speakers(&resume(&mut room, &hidden)).0, [carol.sid, hidden.sid.clone()], "itself it may know of");
}

#[test]
fn a_resume_says_which_streams_are_paused_and_which_go_on() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active("bob"));
    let video = |cid: &str| track(cid, MediaKind::Video, Source::Camera);
    let tracks = ["one", "two", "ended", "away", "anew", "never"].map(|cid| room.publish(&alice, video(cid)));
    let [one, two, ended, away, anew, _] = &tracks;
    let pause = |room: &mut Room, of: &(TrackId, TrackInfo), paused| {
        room.state.handle_stream_state(room.now, bob.peers.subscriber, of.0, paused);
    };
    for track in [one, two, ended, away, anew] {
        pause(&mut room, track, true);
    }
    cut(&mut room, &bob);
    pause(&mut room, one, false);
    room.state.handle_track_ended(room.now, ended.0);
    for track in [away, anew] {
        let change = |subscribe| SubscriptionChange { tracks: vec![track.1.sid.clone()], subscribe };
        room.state.subscribe(room.now, bob.id, change(false)).unwrap();
    }
    let change = SubscriptionChange { tracks: vec![anew.1.sid.clone()], subscribe: true };
    room.state.subscribe(room.now, bob.id, change).unwrap();
    room.state.handle_subscribed(room.now, bob.id, anew.0, Ok(Missing::default()));
    let states = resume(&mut room, &bob).into_iter().filter_map(|notice| {
        let Notice::StreamState { participant, track, paused } = notice else { return None };
        assert_eq!(participant, alice.sid);
        Some((track, paused))
    });
    assert_eq!(states.collect::<Vec<_>>(), [(one.1.sid.clone(), false), (two.1.sid.clone(), true)]);
}

#[test]
fn a_resume_says_how_connections_are_and_what_the_room_is() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active("bob"));
    let rate = |room: &mut Room, grade| {
        let rating = Rating { score: 2.0, grade };
        room.state.handle_quality(room.now, &[(alice.peers.subscriber, rating)]);
    };
    rate(&mut room, Grade::Poor);
    cut(&mut room, &bob);
    rate(&mut room, Grade::Excellent);
    room.state.set_metadata(room.now, "m".into());
    let told = resume(&mut room, &bob);
    let is_right = |notice: &Notice| {
        let Notice::Quality(infos) = notice else { return false };
        infos.len() == 1 && infos[0].sid == alice.sid && infos[0].rating.grade == Grade::Excellent
    };
    assert!(told.iter().any(is_right), "{told:?}");
    assert!(told.iter().any(|notice| matches!(notice, Notice::Room(info) if info.metadata == "m")));
}

/// Of which tracks somebody is told that they are received.
fn heard(told: &[Notice]) -> Vec<String> {
    let heard = told.iter().filter_map(|notice| {
        let Notice::TrackSubscribed { sid } = notice else { return None };
        Some(sid.clone())
    });
    heard.collect()
}

fn receive(room: &mut Room, track: TrackId) {
    room.state.announce_first_subscribers(room.now, &[(mid("3"), track)]);
}

#[test]
fn a_publisher_hears_once_that_somebody_receives_its_track() {
    let mut room = Room::new();
    let mut alice = room.active("alice");
    let tracks = [microphone(), camera(), track("unseen", MediaKind::Audio, Source::Unknown)];
    let [mic, cam, unseen] = tracks.map(|request| room.publish(&alice, request));
    let bob = room.active("bob");
    let change = SubscriptionChange { tracks: vec![unseen.1.sid], subscribe: false };
    room.state.subscribe(room.now, bob.id, change).unwrap();
    receive(&mut room, mic.0);
    assert_eq!(heard(&alice.read()), [mic.1.sid]);
    room.at(60); // she has answered a ping since: it has come
    cut(&mut room, &alice);
    receive(&mut room, cam.0);
    assert_eq!(heard(&resume(&mut room, &alice)), [cam.1.sid], "the other one has no subscriber");
    room.at(120);
    assert_eq!(heard(&resume(&mut room, &alice)), [""; 0]);
}

#[test]
fn what_was_said_on_a_connection_that_was_dead_is_said_again() {
    let mut room = Room::new();
    let alice = room.active("alice");
    let (mic, cam) = (room.publish(&alice, microphone()), room.publish(&alice, camera()));
    room.active("bob");
    // Nobody has noticed yet that her connection is gone.
    receive(&mut room, mic.0);
    room.at(5);
    assert_eq!(heard(&resume(&mut room, &alice)), [mic.1.sid]);
    room.at(100);
    receive(&mut room, cam.0);
    // It was, half a minute later, and her seat is kept for 19 s more.
    room.at(130);
    cut(&mut room, &alice);
    room.at(149);
    assert_eq!(heard(&resume(&mut room, &alice)), [cam.1.sid]);
}

#[test]
fn of_whom_nobody_has_a_section_a_resume_tells_nothing() {
    let mut room = Room::new();
    let alice = room.active("alice");
    let mic = room.publish(&alice, microphone());
    let bob = room.active("bob");
    assert!(room.state.tracks[&mic.0].subscribers.contains(&bob.id));
    assert_eq!(heard(&resume(&mut room, &alice)), [""; 0], "it may fail yet");
    cut(&mut room, &alice);
    receive(&mut room, mic.0);
    room.state.remove(room.now, bob.id, LeaveReason::ClientInitiated);
    assert_eq!(heard(&resume(&mut room, &alice)), [mic.1.sid], "there was one: as who is connected is told");
}

/// Sends as fast as it is read for a second, over so many connections one after another: how many messages of a megabyte.
fn read_within_a_second(connections: u32) -> usize {
    let mut room = Room::new();
    let alice = room.active("alice");
    let (start, second, mut count) = (room.now.at, Duration::from_secs(1), 0);
    for connection in 0..connections {
        let (from, until) =
            (start + second * connection / connections, start + second * (connection + 1) / connections);
        room.now.at = from;
        let budget = room.state.handle_resume(room.now, "alice", &alice.sid).unwrap().budget;
        let mut now = budget.reads_from().unwrap_or(from).max(from);
        while now < until && budget.take(now, 1 << 20) {
            count += 1;
            now = budget.reads_from().unwrap_or(now).max(now + Duration::from_millis(1));
        }
    }
    count
}

#[test]
fn whoever_resumes_has_no_more_read_than_whoever_stays() {
    assert_eq!(read_within_a_second(1), 10);
    assert!(read_within_a_second(10) <= 10);
}
