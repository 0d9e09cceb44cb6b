use convene_peer::sdp::{Feedback, MAX_SECTIONS};
use convene_rtp::packet::View;
use convene_sfu_core::{RtpIn, Show};
use tokio::sync::mpsc;

use crate::handle::{LayerTarget, Msid, PeerOptions};
use crate::worker::tests::{entry, worker};

use super::*;

const ROOM: RoomId = RoomId(1);
const BOB: PeerId = PeerId(1);
/// Alice's microphone.
const MIC: TrackId = TrackId(1_000);
const OPUS: Pt = Pt(111);
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const TRANSPORT: &str = "a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\na=setup:actpass\na=fingerprint:sha-256 \
    DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09:DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF\n";

/// What Bob does in a room with tracks of others.
struct Scene {
    worker: Worker,
    now: Instant,
    /// Packets of the microphone.
    said: u8,
}

impl Scene {
    fn new(we_offer: bool) -> Self {
        Self::of(we_offer, false)
    }

    fn of(we_offer: bool, reserve_sections: bool) -> Self {
        let (mut worker, now) = (worker(), Instant::now());
        let (events, _owner) = mpsc::channel(8);
        worker.rooms.insert(ROOM, RoomState::new(String::new(), 0, events, 0, now));
        let options = PeerOptions { peer: BOB, label: String::new(), reserve_sections, we_offer };
        worker.add_peer(now, ROOM, &options).unwrap();
        Self { worker, now, said: 0 }
    }

    fn subscribe(&mut self, track: u64) {
        let track = TrackId(track);
        self.worker.rooms.get_mut(&ROOM).unwrap().tracks.entry(track).or_insert_with(|| entry(track));
        self.worker.subscribe(self.now, BOB, Subscription { track, msid: Msid::default() }).unwrap();
    }

    /// Our offer and its answer, for which the client has a say on each line.
    fn negotiate(&mut self, say: impl Fn(&str) -> String) -> Answered {
        let offer = self.worker.create_offer(self.now, BOB, false).unwrap();
        self.worker.handle_answer(self.now, BOB, ClientAnswer::read(&answer_to(&offer.sdp, say)).unwrap()).unwrap()
    }
}

fn answer_to(offer: &str, say: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    for line in offer.lines().filter(|line| !line.starts_with("a=ssrc") && *line != "a=ice-lite") {
        let line = match line {
            "a=sendonly" => "a=recvonly",
            "a=setup:actpass" => "a=setup:active",
            line => line,
        };
        text += &say(line);
        text += "\r\n";
    }
    text
}

#[test]
fn what_an_answer_makes_room_for_is_offered_next() {
    let mut scene = Scene::new(true);
    (1..=256).for_each(|track| scene.subscribe(track));
    assert!(!scene.negotiate(str::to_owned).negotiate);
    let now = scene.now;
    (1..=16).for_each(|track| scene.worker.unsubscribe(now, ROOM, BOB, TrackId(track)));
    (301..=316).for_each(|track| scene.subscribe(track));
    let sections = |scene: &Scene| scene.worker.sessions[&BOB].peer.sections().len();
    assert_eq!(sections(&scene), MAX_SECTIONS, "fewer than 16 are left, and 16 are not free yet");
    assert!(scene.negotiate(str::to_owned).negotiate, "the last ones took a section with the answer");
    assert!(!scene.negotiate(str::to_owned).negotiate);
    let peer = &scene.worker.sessions[&BOB].peer;
    let sends = |track: TrackId| sending(peer).contains_key(&track);
    assert!((301..=316).all(|track| sends(TrackId(track))));
}

impl Scene {
    /// The same with a microphone that he is to hear.
    fn with_mic(we_offer: bool) -> Self {
        let mut scene = Self::new(we_offer);
        scene.hear(MIC);
        scene
    }

    /// Somebody has a microphone, which Bob is to hear.
    fn hear(&mut self, track: TrackId) {
        let feedback = Feedback::default();
        let codec = CodecParams { pt: OPUS, codec: Codec::Opus, fmtp: String::new(), rtx: None, channels: 2, feedback };
        let spec = TrackSpec { pts: vec![(OPUS, Codec::Opus)], ..entry(track).spec };
        let room = self.worker.rooms.get_mut(&ROOM).unwrap();
        room.core.add_track(self.now, spec.clone());
        room.tracks.insert(track, TrackEntry::new(spec, vec![codec], false));
        self.subscribe(track.0);
    }

    /// ICE and DTLS are done, as far as the worker knows.
    fn connect(&mut self) {
        self.worker.sessions.get_mut(&BOB).unwrap().connected = true;
        self.worker.activate(self.now, BOB);
    }

    /// Bob offers sections for sound: what he does there, and his payload type for Opus.
    fn offers(&mut self, sections: &[(&str, u8)]) -> Missing {
        let mids: Vec<String> = (0..sections.len()).map(|mid| mid.to_string()).collect();
        let mut sdp = format!("v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE {}\n", mids.join(" "));
        for (mid, (direction, pt)) in mids.iter().zip(sections) {
            sdp += &format!(
                "m=audio 9 UDP/TLS/RTP/SAVPF {pt}\nc=IN IP4 0.0.0.0\n{TRANSPORT}a=mid:{mid}\n\
                 a={direction}\na=rtcp-mux\na=rtpmap:{pt} opus/48000/2\na=extmap:1 {MID_URI}\n"
            );
        }
        self.worker.handle_offer(self.now, BOB, ClientOffer::read(&sdp).unwrap()).unwrap().missing
    }

    /// Alice says something: what Bob is sent of it.
    fn heard(&mut self) -> Option<(u8, String, u16)> {
        let sent = self.say(MIC);
        assert!(sent.len() < 2, "{sent:?}");
        sent.first().map(|packet| read(packet))
    }

    fn say(&mut self, track: TrackId) -> Vec<Vec<u8>> {
        self.said += 1;
        let mut packet = vec![0x80, OPUS.0, 0, self.said, 0, 0, 0, self.said, 0, 0, 0, 9];
        packet.extend([7; 20]);
        let input = RtpIn { track, layer: 0, repair: false, packet: &mut packet, rtx_media_pt: None };
        let core = &mut self.worker.rooms.get_mut(&ROOM).unwrap().core;
        core.handle_rtp(self.now, input).unwrap();
        let mut sent = Vec::new();
        let mut sink = Show::to(|packet: &[u8]| sent.push(packet.to_vec()));
        while let Some(to) = core.next_subscriber() {
            assert_eq!(to, BOB);
            core.write(self.now, &mut sink);
        }
        sent
    }
}

/// Payload type, section and number of a packet.
fn read(packet: &[u8]) -> (u8, String, u16) {
    let view = View::parse(packet).unwrap();
    let mid = String::from_utf8(view.extension(1).unwrap().to_vec()).unwrap();
    (view.pt().0, mid, view.seq().0)
}

#[test]
fn what_flows_follows_its_section() {
    let mut scene = Scene::with_mic(false);
    scene.offers(&[("recvonly", 111)]);
    scene.connect();
    let (pt, mid, seq) = scene.heard().unwrap();
    assert_eq!((pt, &*mid), (111, "0"));
    // He stops that section and has another one.
    scene.offers(&[("inactive", 111), ("recvonly", 111)]);
    assert_eq!(scene.heard(), Some((111, "1".to_owned(), seq.wrapping_add(1))), "one stream, which goes on");
    // He calls Opus something else there, which makes it another stream.
    scene.offers(&[("inactive", 111), ("recvonly", 100)]);
    assert_eq!(scene.heard().map(|(pt, mid, _)| (pt, mid)), Some((100, "1".to_owned())));
    // No section is left: the worker has nothing to do for him.
    assert_eq!(scene.offers(&[("inactive", 111), ("inactive", 100)]).audio, 1);
    assert_eq!((scene.heard(), scene.worker.rooms[&ROOM].core.subscriptions(BOB)), (None, Vec::new()));
    scene.offers(&[("inactive", 111), ("inactive", 100), ("recvonly", 111)]);
    assert_eq!(scene.heard().map(|(pt, mid, _)| (pt, mid)), Some((111, "2".to_owned())));
}

#[test]
fn what_a_client_refuses_or_pauses_in_its_answer_stops() {
    let mut scene = Scene::with_mic(true);
    scene.negotiate(str::to_owned);
    scene.connect();
    assert_eq!(scene.heard().map(|(pt, mid, _)| (pt, mid)), Some((111, "1".to_owned())));
    scene.negotiate(|line| line.replace("a=recvonly", "a=inactive"));
    assert_eq!((scene.heard(), scene.worker.rooms[&ROOM].core.subscriptions(BOB)), (None, Vec::new()));
    scene.negotiate(str::to_owned);
    assert!(scene.heard().is_some(), "it changed its mind");
    let answered = scene.negotiate(|line| line.replace("m=audio 9", "m=audio 0"));
    assert!(scene.heard().is_none() && !answered.negotiate);
}

#[test]
fn a_target_holds_when_a_track_comes_back() {
    let mut scene = Scene::with_mic(false);
    scene.offers(&[("recvonly", 111)]);
    scene.connect();
    let target = LayerTarget { paused: true, max_layer: 0, priority: 0 };
    scene.worker.subscribed_mut(BOB, MIC).unwrap().target = Some(target);
    scene.worker.rooms.get_mut(&ROOM).unwrap().core.set_target(scene.now, BOB, MIC, true, 0);
    for sections in
        [[("inactive", 111), ("recvonly", 109)], [("inactive", 111), ("inactive", 109)], [("recvonly", 111); 2]]
    {
        scene.offers(&sections);
        assert_eq!(scene.heard(), None, "{sections:?}");
    }
}

#[test]
fn who_waits_for_a_reserved_section_has_it_once_it_is_free() {
    for ends in [true, false] {
        let mut scene = Scene::of(false, true);
        scene.offers(&[("recvonly", 111)]);
        let tracks = [MIC, TrackId(1_001), TrackId(1_002)];
        tracks.into_iter().for_each(|track| scene.hear(track));
        scene.connect();
        let now = scene.now;
        for (index, track) in tracks.into_iter().enumerate() {
            for (other, heard) in tracks.into_iter().zip(0..).skip(index) {
                let sent = scene.say(other);
                let sent: Vec<_> = sent.iter().map(|packet| read(packet)).map(|(pt, mid, _)| (pt, mid)).collect();
                let want = if heard == index { vec![(111, "0".to_owned())] } else { Vec::new() };
                assert_eq!(sent, want, "{other} while {track} is on the section");
            }
            match ends {
                true => scene.worker.unpublish(now, ROOM, track),
                false => scene.worker.unsubscribe(now, ROOM, BOB, track),
            }
        }
        assert!(scene.worker.sessions[&BOB].subscribed.is_empty());
        assert!(scene.worker.rooms[&ROOM].core.subscriptions(BOB).is_empty());
    }
}

/// `cargo test -p convene-sfu --release --lib looks_at -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn what_an_answer_costs_that_looks_at_everything() {
    let mut scene = Scene::new(true);
    let formats =
        ["42001f", "42e01f", "4d001f", "64001f"].map(|id| format!("packetization-mode=1;profile-level-id={id}"));
    let h264 = formats.iter().map(|fmtp| (Codec::H264, &**fmtp));
    let all = [(Codec::Vp8, ""), (Codec::Vp9, "profile-id=0"), (Codec::Av1, "profile=0")].into_iter().chain(h264);
    let codec = |(n, (codec, fmtp)): (u8, (Codec, &str))| {
        let (pt, rtx, fmtp, feedback) = (Pt(96 + 2 * n), Some(Pt(97 + 2 * n)), fmtp.to_owned(), Feedback::default());
        CodecParams { pt, codec, fmtp, rtx, channels: 1, feedback }
    };
    let codecs: Vec<CodecParams> = (0..).zip(all).map(codec).collect();
    for track in (1..=256).map(TrackId) {
        let pts = codecs.iter().map(|codec| (codec.pt, codec.codec)).collect();
        let spec = TrackSpec { kind: MediaKind::Video, pts, rtx: true, ..entry(track).spec };
        let room = scene.worker.rooms.get_mut(&ROOM).unwrap();
        room.core.add_track(scene.now, spec.clone());
        room.tracks.insert(track, TrackEntry::new(spec, codecs.clone(), false));
        scene.subscribe(track.0);
    }
    scene.negotiate(str::to_owned);
    scene.connect();
    assert_eq!(scene.worker.rooms[&ROOM].core.subscriptions(BOB).len(), 256);
    let offer = scene.worker.create_offer(scene.now, BOB, false).unwrap();
    let text = answer_to(&offer.sdp, str::to_owned);
    let answer = ClientAnswer::read(&text).unwrap();
    let began = Instant::now();
    scene.worker.handle_answer(scene.now, BOB, answer).unwrap();
    let whole = began.elapsed();
    let began = Instant::now();
    scene.worker.reactivate(scene.now, BOB);
    println!("{whole:?} for an answer of {} bytes, of which {:?} for its 256 tracks", text.len(), began.elapsed());
}
