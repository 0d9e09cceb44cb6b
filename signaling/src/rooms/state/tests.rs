//! A room without a media plane: the tests play its part.

use std::time::{Duration, Instant};

use bytes::Bytes;
use convene_sfu::{Answer, Channel, GoneReason, Grade, Incoming, Missing, Offer, Rating, Speaker};
use convene_types::{Codec, MediaKind, Mid, PeerId, TrackId};
use tokio::sync::mpsc;

use super::{Action, Now, Peers, State};
use crate::rooms::data::{DataFormat, DataSender, Stamped};
use crate::rooms::{
    AllowedTracks, CodecInfo, Error, JoinRequest, LayerInfo, LeaveAction, LeaveReason, Mode, Notice, Options,
    ParticipantChange, ParticipantId, ParticipantInfo, ParticipantState, Permission, RoomRequest, ServerData,
    SessionId, Source, SubscriptionChange, SubscriptionPolicy, TrackExtras, TrackInfo, TrackRequest, TrackSettings,
};

struct Room {
    state: State,
    start: Instant,
    now: Now,
    next: u64,
}

/// A participant as its signaling connection sees it.
struct Client {
    id: ParticipantId,
    sid: String,
    session: SessionId,
    peers: Peers,
    notices: mpsc::Receiver<Notice>,
    joined: Vec<ParticipantInfo>,
}

impl Client {
    fn read(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).collect()
    }

    /// What it was told of a participant last.
    fn told_of(&mut self, identity: &str) -> Option<ParticipantInfo> {
        let updates = self
            .read()
            .into_iter()
            .filter_map(|notice| if let Notice::Participants(infos) = notice { Some(infos.to_vec()) } else { None });
        updates.flatten().filter(|info| info.identity == identity).last()
    }
}

/// A format whose packets are a receiver's name.
struct Names;

impl DataFormat for Names {
    fn stamp(&self, from: DataSender<'_>, _: Channel, packet: &[u8]) -> Result<Stamped, &'static str> {
        let text = std::str::from_utf8(packet).map_err(|_| "malformed")?;
        Ok(Stamped {
            payload: Bytes::from(format!("{}:{text}", from.identity)),
            to_identities: text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            to_sids: Vec::new(),
            sequence: 9,
        })
    }

    fn server_packet(&self, data: &ServerData) -> Bytes {
        Bytes::from(data.payload.clone())
    }
}

impl Room {
    fn new() -> Self {
        Self::with(RoomRequest { name: "r".into(), ..RoomRequest::default() }, Options::default())
    }

    fn with(request: RoomRequest, options: Options) -> Self {
        let start = Instant::now();
        let now = Now { at: start, unix_ms: 1_000_000 };
        Self { state: State::new(now, "RM_r".into(), request, options), start, now, next: 100 }
    }

    fn at(&mut self, seconds: u64) -> Now {
        self.now = Now { at: self.start + Duration::from_secs(seconds), ..self.now };
        self.now
    }

    fn try_join(&mut self, request: JoinRequest) -> Result<Client, Error> {
        self.state.check_join(&request)?;
        self.next += 2;
        let publisher = PeerId(self.next);
        let subscriber = if request.mode == Mode::Dual { PeerId(self.next + 1) } else { publisher };
        let peers = Peers { publisher, subscriber };
        let joined = self.state.handle_join(self.now, request, peers);
        let (id, sid, session) = (joined.participant, joined.info.sid, joined.session);
        Ok(Client { id, sid, session, peers, notices: joined.notices, joined: joined.others })
    }

    fn join(&mut self, identity: &str) -> Client {
        self.try_join(JoinRequest::new(identity, Mode::Single)).unwrap()
    }

    /// Joined, connected, and told of it.
    fn active(&mut self, identity: &str) -> Client {
        let mut client = self.join(identity);
        self.state.handle_connected(self.now, client.peers.subscriber);
        client.read();
        client
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.state.poll_action()).collect()
    }

    /// Tracks that would be subscribed and unsubscribed for a peer.
    fn subscriptions(&mut self, of: &Client) -> (Vec<TrackId>, Vec<TrackId>) {
        let mut result = (Vec::new(), Vec::new());
        for action in self.actions() {
            if let Action::Subscribe { peer, subscription, .. } = &action
                && *peer == of.peers.subscriber
            {
                result.0.push(subscription.track);
            }
            if let Action::Unsubscribe { peer, track } = action
                && peer == of.peers.subscriber
            {
                result.1.push(track);
            }
        }
        result
    }

    fn announce(&mut self, of: &Client, request: TrackRequest) -> (TrackId, TrackInfo) {
        assert!(self.state.check_track(of.id, &request).unwrap().is_none());
        self.next += 1;
        let track = TrackId(self.next);
        let info = self.state.handle_track_added(of.id, track, request);
        (track, info)
    }

    /// Announced, and carried by a section of an offer.
    fn publish(&mut self, of: &Client, request: TrackRequest) -> (TrackId, TrackInfo) {
        let kind = request.kind;
        let (track, info) = self.announce(of, request);
        let codec = if kind == MediaKind::Audio { Codec::Opus } else { Codec::Vp8 };
        let incoming = Incoming { mid: mid("7"), kind, msid_track: None, track: Some(track), codec: Some(codec) };
        self.state.handle_offer_answered(self.now, of.id, &answer(vec![incoming], Missing::default()));
        (track, info)
    }
}

fn mid(text: &str) -> Mid {
    text.parse().unwrap()
}

fn answer(incoming: Vec<Incoming>, missing: Missing) -> Answer {
    let (outgoing, decodes) = (Vec::new(), Vec::new());
    Answer { sdp: String::new(), outgoing, incoming, decodes, missing, ufrag: "u".into(), ice_restarted: false }
}

fn track(cid: &str, kind: MediaKind, source: Source) -> TrackRequest {
    TrackRequest {
        cid: cid.into(),
        kind,
        source,
        name: String::new(),
        muted: false,
        width: 0,
        height: 0,
        stream: String::new(),
        layers: Vec::new(),
        codecs: Vec::new(),
        extras: TrackExtras::default(),
    }
}

fn microphone() -> TrackRequest {
    track("mic", MediaKind::Audio, Source::Microphone)
}

fn camera() -> TrackRequest {
    let layer = |quality, width, height| LayerInfo { quality, width, height, ..LayerInfo::default() };
    let layers = vec![layer(0, 320, 180), layer(1, 640, 360), layer(2, 1280, 720)];
    TrackRequest { layers, ..track("cam", MediaKind::Video, Source::Camera) }
}

fn asks(notices: &[Notice]) -> usize {
    notices.iter().filter(|notice| matches!(notice, Notice::SectionsNeeded { .. })).count()
}

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
fn tracks_reach_those_who_are_connected() {
    let mut room = Room::new();
    let (alice, bob) = (room.active("alice"), room.active("bob"));
    let mut late = room.join("late");
    let (announced, _) = room.announce(&alice, microphone());
    assert_eq!(room.subscriptions(&bob).0, [], "no section carries it");
    let (cam, _) = room.publish(&alice, camera());
    assert_ne!(announced, cam);
    assert_eq!(room.subscriptions(&bob).0, [cam]);
    assert_eq!(late.told_of("alice").unwrap().tracks.len(), 1);
    room.state.handle_connected(room.now, late.peers.publisher);
    assert_eq!(room.subscriptions(&late).0, [cam]);
    room.state.handle_track_ended(room.now, cam);
    assert_eq!(late.told_of("alice").unwrap().tracks, []);
}

#[test]
fn msid_names_publisher_stream_and_track() {
    for mode in [Mode::Single, Mode::Dual, Mode::Whep] {
        let mut room = Room::new();
        let alice = room.active("alice");
        let bob = room.try_join(JoinRequest::new("bob", mode)).unwrap();
        room.state.handle_connected(room.now, bob.peers.subscriber);
        room.actions();
        let (_, info) = room.publish(&alice, camera());
        let subscription = room.actions().into_iter().find_map(|action| {
            if let Action::Subscribe { subscription, .. } = action { Some(subscription) } else { None }
        });
        let subscription = subscription.unwrap();
        let stream = match mode {
            Mode::Single => format!("{}|camera", alice.sid),
            Mode::Dual => format!("{}|{}", alice.sid, info.sid),
            Mode::Whip | Mode::Whep => alice.sid.clone(),
        };
        assert_eq!((subscription.stream, subscription.track_label), (stream, info.sid), "{mode:?}");
    }
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
    let publisher = alice.id;
    let bind = |room: &mut Room, track, codec| {
        let kind = MediaKind::Video;
        let incoming = Incoming { mid: mid("7"), kind, msid_track: None, track: Some(track), codec: Some(codec) };
        room.state.handle_offer_answered(room.now, publisher, &answer(vec![incoming], Missing::default()));
    };
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
    bind(&mut room, first, Codec::Vp9);
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
    bind(&mut room, stream, Codec::Vp8);
    assert_eq!(subscribed(&mut room), [(carol.id, stream)]);
    let shown = room.state.participant_info(alice.id).unwrap().tracks;
    assert_eq!((shown.len(), shown[0].codecs[1].cid.as_str()), (1, "clone"), "one track to everybody");
    room.state.mute(room.now, alice.id, &info.sid, true, false).unwrap();
    let muted = |action| if let Action::SetMuted { track, .. } = action { Some(track) } else { None };
    assert_eq!(room.actions().into_iter().filter_map(muted).collect::<Vec<_>>(), [first, stream]);

    room.state.remove(room.now, carol.id, LeaveReason::ClientInitiated);
    for second in [2, 8] {
        let now = room.at(second);
        room.state.handle_timeout(now);
    }
    assert_eq!(wanted(&mut alice), of(Some(u8::MAX), None), "nobody needs it any more");
    room.state.handle_track_ended(room.now, first);
    assert!(room.state.participant_info(alice.id).unwrap().tracks.is_empty());
    assert!(room.actions().iter().any(|action| matches!(action, Action::Unpublish(track) if *track == stream)));
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
fn a_lost_request_for_sections_is_repeated() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    let (mic, _) = room.publish(&alice, microphone());
    room.state.handle_subscribed(room.now, bob.id, mic, Ok(Missing { audio: 0, video: 0, negotiate: true }));
    room.state.settle(room.now);
    assert_eq!(asks(&bob.read()), 1, "free sections need an offer too");
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
    assert!(!room.state.takes_answer(bob.id, 2));
    assert!(room.state.takes_answer(bob.id, 1));
    room.state.handle_answered(bob.id);
    assert!(!room.state.takes_answer(bob.id, 1), "one offer, one answer");
    assert_eq!(offers(&mut room), 1);
    room.state.handle_offer_made(room.now, bob.id, offer());
    assert!(matches!(bob.read()[..], [Notice::Offer { id: 2, .. }]));
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
    assert!(matches!(room.state.handle_resume("alice", "PA_other"), Err(Error::ParticipantNotFound)));
    let resumed = room.state.handle_resume("alice", &alice.sid).unwrap();
    assert_eq!((resumed.participant, resumed.info.tracks[0].sid.as_str()), (alice.id, info.sid.as_str()));
    assert_ne!(resumed.session, alice.session);
    assert_eq!(resumed.others.len(), 1);
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
    let mut resumed = room.state.handle_resume("bob", &bob.sid).unwrap();
    room.state.settle(room.now);
    assert!(matches!(room.actions()[..], [Action::CreateOffer { ice_restart: true, .. }]));
    room.state.handle_offer_made(room.now, bob.id, Ok(Offer { sdp: "o".into(), outgoing: vec![] }));
    assert!(matches!(resumed.notices.try_recv(), Ok(Notice::Offer { id: 2, .. })));
    assert!(!room.state.takes_answer(bob.id, 1), "the lost offer");
}

#[test]
fn a_client_that_does_not_come_back_is_out_within_twenty_seconds() {
    let mut room = Room::new();
    let (alice, mut bob) = (room.active("alice"), room.active("bob"));
    room.state.handle_detached(room.now, alice.id, alice.session);
    let now = room.at(20);
    room.state.handle_timeout(now);
    assert_eq!(bob.told_of("alice").unwrap().left, Some(LeaveReason::SignalClosed));
    assert!(room.state.handle_resume("alice", &alice.sid).is_err());
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
    assert!(room.state.handle_resume("alice", &alice.sid).is_ok());
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
    assert_eq!(told(&mut room, 6), [None], "nobody is here");
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
    assert_eq!(room.state.handle_resume("alice", &alice.sid).unwrap().last_data_seq, 9);
    let mute = Permission { can_publish_data: false, ..Permission::default() };
    let change = ParticipantChange { permission: Some(mute), ..ParticipantChange::default() };
    room.state.change(room.now, alice.id, change, false).unwrap();
    assert_eq!(send(&mut room, ""), Err("not_allowed"));
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
fn rooms_end_when_nobody_needs_them() {
    let rows = [(false, 299, false), (false, 300, true), (true, 19, false), (true, 20, true)];
    for (was_used, seconds, want) in rows {
        let mut room = Room::new();
        if was_used {
            let alice = room.active("alice");
            room.state.remove(room.now, alice.id, LeaveReason::ClientInitiated);
        }
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
