//! Offers, sections, cuts and resumes of one client.

use super::*;

#[test]
fn a_client_is_asked_once_for_many_sections_and_not_for_ever() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    let missing = |audio| Missing { audio, video: 0, negotiate: true };
    let (first, _) = room.publish(&alice, microphone());
    room.actions();
    bob.read();
    room.state.handle_subscribed(room.now, bob.id, first, Ok(missing(1)));
    room.state.settle(room.now);
    assert!(matches!(bob.read()[..], [Notice::SectionsNeeded { audio: 1, video: 0 }]));
    room.state.handle_subscribed(room.now, bob.id, first, Ok(missing(2)));
    room.state.settle(room.now);
    assert_eq!(asks(&bob.read()), 0, "its offer is on the way");
    room.state.handle_offer_answered(room.now, bob.id, &answer(vec![], missing(1)));
    room.state.settle(room.now);
    assert!(matches!(bob.read()[..], [Notice::SectionsNeeded { audio: 1, video: 0 }]));
    let mut asked = 0;
    for _ in 0..10 {
        room.state.handle_offer_answered(room.now, bob.id, &answer(vec![], missing(1)));
        room.state.settle(room.now);
        asked += asks(&bob.read());
    }
    assert!(asked <= 2, "{asked}: offers that change nothing have to end");
    room.state.handle_subscribed(room.now, bob.id, first, Ok(missing(1)));
    room.state.settle(room.now);
    assert_eq!(asks(&bob.read()), 1, "another subscription is another try");
    room.state.handle_offer_answered(room.now, bob.id, &answer(vec![], Missing::default()));
    room.state.settle(room.now);
    assert_eq!(asks(&bob.read()), 0);
}

#[test]
fn who_brings_an_offer_is_asked_for_none() {
    let mut room = Room::new();
    let alice = room.active("alice");
    let (mic, _) = room.publish(&alice, microphone());
    let missing = |audio| Missing { audio, video: 0, negotiate: audio > 0 };
    for (offers, asked) in [(true, 0), (false, 1)] {
        let request = JoinRequest { offers, ..JoinRequest::new("bob", Mode::Single) };
        let mut bob = room.try_join(request).unwrap();
        assert_eq!(room.subscriptions(&bob).0, [mic]);
        room.state.handle_subscribed(room.now, bob.id, mic, Ok(missing(1)));
        room.state.settle(room.now);
        assert_eq!(asks(&bob.read()), asked, "{offers}");
        room.state.handle_offer_answered(room.now, bob.id, &answer(vec![], missing(0)));
        room.state.settle(room.now);
        assert_eq!(asks(&bob.read()), 0, "it had sections");
    }
}

#[test]
fn a_lost_request_for_sections_is_repeated() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    let (mic, _) = room.publish(&alice, microphone());
    room.state.handle_subscribed(room.now, bob.id, mic, Ok(Missing { audio: 0, video: 0, negotiate: true }));
    room.state.settle(room.now);
    assert_eq!(asks(&bob.read()), 1, "free sections need an offer too");
    assert_eq!(room.state.poll_timeout(), Some(room.at(5).at));
    let now = room.at(6);
    room.state.handle_timeout(now);
    room.state.settle(now);
    assert_eq!(asks(&bob.read()), 1);
}

#[test]
fn our_offers_follow_one_another() {
    let mut room = Room::new();
    let mut bob = room.try_join(JoinRequest::new("bob", Mode::Dual)).unwrap();
    let offers = |room: &mut Room| {
        room.state.settle(room.now);
        room.actions().iter().filter(|action| matches!(action, Action::CreateOffer { .. })).count()
    };
    assert_eq!(offers(&mut room), 1, "data channels need one from the start");
    let offer = || Ok(Offer { sdp: "o".into(), outgoing: vec![] });
    room.state.handle_offer_made(room.now, bob.id, offer());
    assert!(matches!(bob.read()[..], [Notice::Offer { id: 1, .. }]));
    let negotiate = Missing { audio: 0, video: 0, negotiate: true };
    room.state.handle_subscribed(room.now, bob.id, TrackId(1), Ok(negotiate));
    assert_eq!(offers(&mut room), 0, "the first one has no answer");
    assert_eq!(room.state.poll_timeout(), Some(room.at(5).at), "until then it may come");
    assert!(!room.state.takes_answer(bob.id, 2));
    assert!(room.state.takes_answer(bob.id, 1));
    room.state.handle_answered(bob.id, false);
    assert_eq!(room.state.poll_timeout(), None);
    assert!(!room.state.takes_answer(bob.id, 1), "one offer, one answer");
    assert_eq!(offers(&mut room), 1);
    room.state.handle_offer_made(room.now, bob.id, offer());
    assert!(matches!(bob.read()[..], [Notice::Offer { id: 2, .. }]));
    room.state.handle_answered(bob.id, true);
    assert_eq!(offers(&mut room), 1, "what waited has taken a section that the client freed");
    room.state.handle_offer_made(room.now, bob.id, offer());
    room.state.handle_answered(bob.id, false);
    assert_eq!(offers(&mut room), 0);
}

#[test]
fn only_the_subscriber_transport_makes_a_two_connection_client_active() {
    let mut room = Room::new();
    let bob = room.try_join(JoinRequest::new("bob", Mode::Dual)).unwrap();
    room.state.handle_connected(room.now, bob.peers.publisher);
    assert_eq!(room.state.participant_info(bob.id).unwrap().state, ParticipantState::Joined);
    room.state.handle_connected(room.now, bob.peers.subscriber);
    assert_eq!(room.state.participant_info(bob.id).unwrap().state, ParticipantState::Active);
    room.state.handle_gone(room.now, bob.peers.publisher, GoneReason::TimedOut);
    assert!(room.state.participant_infos().is_empty(), "half a client is none");
}

#[test]
fn a_cut_client_may_come_back_and_keeps_its_seat() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    let (_, info) = room.publish(&alice, microphone());
    room.actions();
    bob.read();
    room.state.handle_detached(room.now, alice.id, alice.session);
    let now = room.at(18);
    room.state.handle_timeout(now);
    assert!(matches!(room.state.handle_resume(room.now, "alice", "PA_other"), Err(Error::ParticipantNotFound)));
    let resumed = room.state.handle_resume(room.now, "alice", &alice.sid).unwrap();
    assert_eq!((resumed.participant, resumed.info.tracks[0].sid.as_str()), (alice.id, info.sid.as_str()));
    assert_ne!(resumed.session, alice.session);
    room.state.handle_detached(now, alice.id, alice.session); // the old socket ends late
    let now = room.at(60);
    room.state.handle_timeout(now);
    assert_eq!(room.state.participant_infos().len(), 2);
    assert!(room.actions().is_empty(), "its media went on");
    assert!(bob.read().is_empty(), "nobody noticed");
}

#[test]
fn a_resume_offers_anew_with_fresh_ice_in_two_connection_mode() {
    let mut room = Room::new();
    let bob = room.try_join(JoinRequest::new("bob", Mode::Dual)).unwrap();
    room.state.settle(room.now);
    room.actions();
    room.state.handle_detached(room.now, bob.id, bob.session);
    let mut resumed = room.state.handle_resume(room.now, "bob", &bob.sid).unwrap();
    room.state.settle(room.now);
    assert!(matches!(room.actions()[..], [Action::CreateOffer { ice_restart: true, .. }]));
    room.state.handle_offer_made(room.now, bob.id, Ok(Offer { sdp: "o".into(), outgoing: vec![] }));
    let mut told = std::iter::from_fn(|| resumed.notices.try_recv().ok());
    assert!(told.any(|notice| matches!(notice, Notice::Offer { id: 2, .. })));
    assert!(!room.state.takes_answer(bob.id, 1), "the lost offer");
}

#[test]
fn a_client_that_does_not_come_back_is_out_within_twenty_seconds() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    room.state.handle_detached(room.now, alice.id, alice.session);
    assert_eq!(room.state.poll_timeout(), Some(room.at(19).at), "and a room looks a second late at most");
    let now = room.at(20);
    room.state.handle_timeout(now);
    assert_eq!(bob.told_of("alice").unwrap().left, Some(LeaveReason::SignalClosed));
    assert!(room.state.handle_resume(room.now, "alice", &alice.sid).is_err());
}

#[test]
fn a_lost_transport_ends_the_participant_and_tells_it_to_start_anew() {
    let rows = [
        (GoneReason::TimedOut, LeaveReason::ConnectionTimeout),
        (GoneReason::NeverConnected, LeaveReason::ConnectionTimeout),
        (GoneReason::DtlsFailed, LeaveReason::MediaFailure),
        (GoneReason::Closed, LeaveReason::MediaFailure),
    ];
    for (gone, want) in rows {
        let mut room = Room::new();
        let mut alice = room.active("alice");
        room.state.handle_gone(room.now, alice.peers.publisher, gone);
        let last = alice.read().pop();
        assert!(
            matches!(last, Some(Notice::Leave { reason, action: LeaveAction::Reconnect }) if reason == want),
            "{gone:?} {last:?}"
        );
    }
}

#[test]
fn a_client_that_does_not_read_is_cut_and_may_resume() {
    let mut room = Room::new();
    let alice = room.active("alice");
    for index in 0..2_000 {
        room.state.set_metadata(room.now, index.to_string());
    }
    assert!(alice.notices.is_closed());
    assert!(room.state.handle_resume(room.now, "alice", &alice.sid).is_ok());
}
