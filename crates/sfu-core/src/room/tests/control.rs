//! Tracks and subscribers come and go.

use convene_rtp::rtcp::{write_pli, write_remb};
use convene_types::Bitrate;

use super::*;
use crate::{Ceiling, Flow, Speaker};

#[test]
fn a_muted_track_is_received_and_not_forwarded() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    world.subscribe(BOB, AUDIO);
    world.send_audio(1, 127).unwrap();
    world.forward(frame(0, 1, true));
    world.pass(600);
    world.told(ALICE);
    for track in [VIDEO, AUDIO] {
        world.room.set_muted(track, true);
    }
    world.send_audio(2, 0).unwrap();
    assert!(world.forward(frame(0, 2, true)).is_empty());
    for track in [VIDEO, AUDIO] {
        world.room.set_muted(track, false);
    }
    world.gather();
    assert_eq!(world.told(ALICE), ["pli 500"]);
    world.send_audio(3, 127).unwrap();
    let audio = world.flush();
    assert_eq!(audio.len(), 1);
    assert!(world.forward(frame(0, 3, false)).is_empty());
    let video = world.forward(frame(0, 4, true));
    assert_eq!((video.len(), video[0].ts), (1, 12_000), "time went on while muted");
}

#[test]
fn what_is_removed_between_packet_and_flush_goes_nowhere() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    world.subscribe(BOB, AUDIO);
    world.forward(frame(0, 1, true));
    world.send(frame(0, 2, false)).unwrap();
    world.send_audio(1, 127).unwrap();
    world.room.remove_track(VIDEO);
    let sent = world.flush();
    assert_eq!(sent.iter().map(|out| out.ssrc).collect::<Vec<_>>(), [out_ssrc(BOB, AUDIO)]);
    world.send_audio(2, 127).unwrap();
    world.room.unsubscribe(BOB, AUDIO);
    assert!(world.flush().is_empty());
    assert_eq!(world.send(frame(0, 3, false)), Err(Drop::UnknownTrack));
}

#[test]
fn a_removed_peer_leaves_nothing() {
    let mut world = World::new(3);
    for round in 0..100 {
        for peer in [BOB, CAROL] {
            world.subscribe(peer, VIDEO);
            world.subscribe(peer, AUDIO);
        }
        world.forward(frame(0, round, true));
        world.send(frame(0, 1_000 + round, false)).ok();
        world.room.remove_peer(CAROL);
        world.flush();
        world.pass(100);
        world.room.remove_peer(BOB);
        world.flush();
        assert!(world.room.subscribers.is_empty() && world.room.subscriber_places.is_empty());
    }
    world.room.remove_peer(ALICE);
    world.pass(5_000);
    let Room { tracks, publishers, subscribers, track_places, publisher_places, batch, rtcp, .. } = &world.room;
    assert!(tracks.is_empty() && publishers.is_empty() && subscribers.is_empty());
    assert!(track_places.is_empty() && publisher_places.is_empty() && batch.is_empty() && rtcp.is_empty());
    assert_eq!(world.room.poll_timeout(), None, "an idle room has no timer");
}

#[test]
fn a_second_subscribe_with_the_same_ssrc_keeps_the_numbers() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let first = world.forward(frame(0, 1, true));
    let mut changed = egress(BOB, VIDEO);
    changed.mid = "m8".parse().unwrap();
    world.room.subscribe(world.now, BOB, VIDEO, changed);
    let second = world.forward(frame(0, 2, false));
    assert_eq!(second[0].seq, first[0].seq + 1);
    assert_eq!(second[0].extensions[0], (9, b"m8".to_vec()));
}

#[test]
fn a_publisher_that_begins_anew_is_followed_at_its_keyframe() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let before = world.forward(frame(0, 40_000, true));
    world.pass(600);
    world.told(ALICE);
    let restart = |world: &mut World, seq, keyframe| {
        let mut bytes = world.packet(frame(0, seq, keyframe), &vp8(keyframe, true, 5, false, 1));
        convene_rtp::packet::set_ssrc(&mut bytes, Ssrc(777));
        world.send_bytes(VIDEO, 0, bytes).unwrap();
        world.flush()
    };
    assert!(restart(&mut world, 7, false).is_empty());
    assert_eq!(world.told_of(ALICE, "pli"), ["pli 777"]);
    let after = restart(&mut world, 8, true);
    assert_eq!(after[0].seq, before[0].seq + 1);
    assert!(after[0].ts.wrapping_sub(before[0].ts).cast_signed() > 0);
    assert_eq!(world.room.stats().restarts, 1);
}

#[test]
fn speakers_are_told_when_they_change() {
    let mut world = World::new(1);
    let talk = |world: &mut World, ms: u64, level| {
        for _ in 0..ms / 20 {
            world.transport_seq += 1;
            world.send_audio(world.transport_seq, level).unwrap();
            world.pass(20);
        }
        std::mem::take(&mut world.events)
    };
    talk(&mut world, 1_000, 127);
    let told = talk(&mut world, 800, 20);
    let [Event::Speakers(speakers)] = &told[..] else { panic!("{told:?}") };
    let [Speaker { track: AUDIO, level, dominant: true }] = speakers[..] else { panic!("{speakers:?}") };
    assert!((0.09..0.11).contains(&level), "{speakers:?}");
    assert!(talk(&mut world, 2_000, 20).is_empty());
    assert_eq!(talk(&mut world, 2_000, 127), [Event::Speakers(vec![])]);
    talk(&mut world, 800, 20);
    world.room.set_muted(AUDIO, true);
    assert_eq!(talk(&mut world, 800, 20), [Event::Speakers(vec![])]);
}

#[test]
fn what_went_over_each_track_is_told_every_ten_seconds() {
    let mut world = World::new(1);
    world.subscribe(BOB, AUDIO);
    let mut went = Vec::new();
    for _ in 0..25_000 / 20 {
        world.transport_seq += 1;
        world.send_audio(world.transport_seq, 20).unwrap();
        world.flush();
        world.pass(20);
        for event in std::mem::take(&mut world.events) {
            let Event::Measured(flows) = event else { continue };
            let of = |flow: &Flow| (flow.peer, flow.track, flow.published, flow.packets, flow.loss);
            went.push(flows.iter().map(of).collect::<Vec<_>>());
        }
    }
    assert_eq!(went.len(), 2, "{went:?}");
    assert!(matches!(went[1][..], [(ALICE, AUDIO, true, 500, 0.0), (BOB, AUDIO, false, 500, 0.0)]), "{went:?}");
}

#[test]
fn timers_stop_when_nothing_comes_in() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    world.forward(frame(0, 1, true));
    world.pass(2_000);
    assert!(world.room.poll_timeout().is_some());
    world.pass(2_000);
    assert_eq!(world.room.poll_timeout(), None);
    assert!(world.now > world.start);
    world.forward(frame(0, 2, false));
    assert!(world.room.poll_timeout().is_some());
}

/// Bob cannot take what Alice sends, until she sends something else.
struct Codecs {
    world: World,
    seq: u16,
}

impl Codecs {
    const OTHER_PT: Pt = Pt(102);

    fn new() -> Self {
        let mut world = World::new(1);
        let pts = vec![(MEDIA_PT, Codec::Vp8), (Self::OTHER_PT, Codec::H264)];
        world.room.add_track(world.now, TrackSpec { pts, ..video(Codec::Vp8) });
        Self { world, seq: 65_500 }
    }

    /// Of a keyframe and nine other pictures, those that went out.
    fn film(&mut self, pt: Pt, payloads: [&[u8]; 2]) -> usize {
        let mut out = 0;
        for index in 0..10 {
            let ts = 3_000 * u32::from(self.seq);
            let fields = Fields { marker: true, pt, seq: SeqNo(self.seq), ts, ssrc: Ssrc(layer_ssrc(0)) };
            let bytes = rtp(fields, &[], payloads[usize::from(index > 0)]);
            self.world.send_bytes(VIDEO, 0, bytes).unwrap();
            out += self.world.flush().len();
            self.world.pass(33);
            self.seq = self.seq.wrapping_add(1);
        }
        out
    }

    fn vp8(&mut self) -> usize {
        let [keyframe, delta] = [true, false].map(|keyframe| vp8(keyframe, true, 1, false, 1));
        self.film(MEDIA_PT, [&keyframe, &delta])
    }

    fn h264(&mut self) -> usize {
        self.film(Self::OTHER_PT, [&[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x65, 0x88], &[0x41, 0x9a]])
    }

    fn asked(&mut self) -> usize {
        self.world.told_of(ALICE, "pli").len()
    }
}

#[test]
fn who_cannot_take_the_codec_makes_nobody_send_keyframes() {
    let mut codecs = Codecs::new();
    codecs.vp8();
    codecs.world.subscribe(CAROL, VIDEO);
    let mut plain = egress(BOB, VIDEO);
    plain.pts[0].from = Codecs::OTHER_PT;
    codecs.world.room.subscribe(codecs.world.now, BOB, VIDEO, plain.clone());
    codecs.vp8();
    codecs.asked();
    for _ in 0..10 {
        assert_eq!(codecs.vp8(), 10, "to Carol");
        let mut bytes = Vec::new();
        write_pli(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO));
        codecs.world.room.handle_rtcp(codecs.world.now, BOB, &bytes).unwrap();
    }
    assert_eq!(codecs.asked(), 0);
    // Each gets the codec that it can take from its first keyframe on, and waits for no other.
    assert_eq!(codecs.h264(), 10, "to Bob");
    assert_eq!(codecs.vp8(), 10, "to Carol");
    assert_eq!(codecs.asked(), 0);
    plain.pts.push(PtMap { from: MEDIA_PT, ..plain.pts[0] });
    codecs.world.room.subscribe(codecs.world.now, BOB, VIDEO, plain);
    codecs.vp8();
    assert_eq!(codecs.vp8(), 20, "Bob takes both");
    assert!(codecs.world.room.stats().unmapped_pt < 5);
}

#[test]
fn a_codec_that_changes_all_the_time_is_looked_at_now_and_then() {
    let mut codecs = Codecs::new();
    codecs.world.subscribe(CAROL, VIDEO);
    let keyframe = vp8(true, true, 1, false, 1);
    for _ in 0..100 {
        for (pt, payload) in [(MEDIA_PT, &keyframe[..]), (Codecs::OTHER_PT, &[0x41, 0x9a])] {
            let seq = SeqNo(codecs.seq);
            codecs.seq = codecs.seq.wrapping_add(1);
            let fields = Fields { marker: true, pt, seq, ts: u32::from(seq.0), ssrc: Ssrc(layer_ssrc(0)) };
            codecs.world.send_bytes(VIDEO, 0, rtp(fields, &[], payload)).unwrap();
            codecs.world.flush();
        }
        codecs.world.pass(10);
    }
    // Each choice of the one that Carol can take begins anew.
    assert!(codecs.world.room.stats().switches <= 5, "{}", codecs.world.room.stats().switches);
}

#[test]
fn the_next_track_on_a_reserved_section_goes_on_with_its_numbers() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let mut last = None;
    for seq in 500..510 {
        last = world.forward(frame(0, seq, seq == 500)).pop();
        world.pass(33);
    }
    let last = last.unwrap();
    world.room.remove_track(VIDEO);
    world.pass(967);
    let next = TrackId(12);
    world.room.add_track(world.now, TrackSpec { track: next, publisher: CAROL, ..video(Codec::Vp8) });
    let egress = Egress { after: (Some(SeqNo(last.seq)), None), ..egress(BOB, VIDEO) };
    world.room.subscribe(world.now, BOB, next, egress);
    let begin = |seq: u16| Frame { layer: 0, seq, ts: 7, keyframe: true, picture_id: 1 };
    let bytes = world.packet(begin(9), &vp8(true, true, 1, false, 9));
    world.send_bytes(next, 0, bytes).unwrap();
    let [first] = &world.flush()[..] else { panic!() };
    assert_eq!(first.seq, last.seq.wrapping_add(1));
    assert_eq!(first.picture(), ((last.picture().0 + 1) & 0x7fff, last.picture().1.wrapping_add(1)));
    let passed = first.ts.wrapping_sub(last.ts);
    assert!((89_900..=90_000).contains(&passed), "a second later: {passed}");
    world.room.remove_peer(BOB);
    assert!(world.room.ended.is_empty());
}

#[test]
fn as_many_streams_as_a_peer_may_have_go_on_where_they_stopped() {
    let mut world = World::new(1);
    let tracks: Vec<TrackId> = (1_000..1_256).map(TrackId).collect();
    let send = |world: &mut World, track: TrackId, (ssrc, seq, ts): (u32, u16, u32)| {
        let fields = Fields { marker: true, pt: MEDIA_PT, seq: SeqNo(seq), ts, ssrc: Ssrc(ssrc) };
        world.send_bytes(track, 0, rtp(fields, &[], &vp8(true, true, seq, false, 1))).unwrap();
        world.flush().pop().unwrap()
    };
    for track in &tracks {
        world.room.add_track(world.now, TrackSpec { track: *track, ..video(Codec::Vp8) });
        world.subscribe(BOB, *track);
        // The second stream of the layer has other numbers, so that what goes out has an offset.
        send(&mut world, *track, (1, 65_500, u32::MAX - 500));
        world.pass(10);
        send(&mut world, *track, (2, 9_000, 5_000_000));
    }
    let last: Vec<Out> = tracks.iter().map(|track| send(&mut world, *track, (2, 9_001, 5_003_000))).collect();
    tracks.iter().for_each(|track| world.room.unsubscribe(BOB, *track));
    world.pass(1_000);
    for (track, last) in tracks.iter().zip(&last) {
        let egress = Egress { after: (Some(SeqNo(last.seq)), None), ..egress(BOB, *track) };
        world.room.subscribe(world.now, BOB, *track, egress);
        let next = send(&mut world, *track, (2, 9_030, 5_093_000));
        assert_eq!(next.ts.wrapping_sub(last.ts), 90_000, "{track}");
        assert_eq!(next.picture(), ((last.picture().0 + 1) & 0x7fff, last.picture().1.wrapping_add(1)), "{track}");
    }
    for track in &tracks {
        world.room.unsubscribe(BOB, *track);
        world.room.forget_stream(BOB, out_ssrc(BOB, *track));
    }
    assert!(world.room.ended.is_empty());
}

#[test]
fn a_pause_that_was_told_does_not_outlast_its_subscription() {
    let other = TrackId(12);
    let told = |world: &mut World| {
        world.gather();
        let states = world.events.drain(..).filter_map(|event| {
            let Event::StreamState { peer: BOB, track, paused } = event else { return None };
            Some((track, paused))
        });
        states.collect::<Vec<_>>()
    };
    let remb = |world: &mut World, bits| {
        let mut bytes = Vec::new();
        write_remb(&mut bytes, Ssrc(1), Bitrate(bits), &[out_ssrc(BOB, VIDEO)]);
        world.room.handle_rtcp(world.now, BOB, &bytes).unwrap();
    };
    let anew = |world: &mut World, ended: bool, ssrc| {
        if ended {
            world.room.unsubscribe(BOB, other);
        }
        remb(world, 100_000_000);
        world.room.subscribe(world.now, BOB, other, Egress { ssrc: Ssrc(ssrc), ..egress(BOB, other) });
    };
    // Whether it is ended first, as a section is that stops, or another stream takes its place.
    for ended in [true, false] {
        let mut world = World::new(1);
        world.room.add_track(world.now, TrackSpec { track: other, ..video(Codec::Vp8) });
        world.subscribe(BOB, VIDEO);
        world.subscribe(BOB, other);
        world.room.set_priority(BOB, VIDEO, 1);
        for seq in 1..60 {
            for (track, ssrc) in [(VIDEO, layer_ssrc(0)), (other, 900)] {
                let payload = [&vp8(seq == 1, true, seq, false, 1)[..], &[7; 900]].concat();
                let mut bytes = world.packet(frame(0, seq, seq == 1), &payload);
                convene_rtp::packet::set_ssrc(&mut bytes, Ssrc(ssrc));
                world.send_bytes(track, 0, bytes).unwrap();
            }
            world.flush();
            remb(&mut world, 50_000);
            world.pass(33);
        }
        assert_eq!(told(&mut world), [(other, true)], "the path is for the other one");
        anew(&mut world, ended, 77);
        assert_eq!(told(&mut world), [(other, false)]);
        anew(&mut world, ended, 78);
        world.pass(1_000);
        assert_eq!(told(&mut world), [], "what was not paused");
        world.room.set_ceiling(Ceiling::NoVideo);
        world.room.remove_peer(BOB);
        assert!(told(&mut world).into_iter().all(|(_, paused)| paused), "who has left is told nothing");
    }
}

#[test]
fn packets_are_numbered_for_the_path_from_when_that_is_agreed() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    world.forward(frame(0, 1, true));
    let mut exts = map(&OUT_IDS);
    exts.set(Kind::TransportCc, 3);
    world.room.subscribe(world.now, BOB, VIDEO, Egress { exts, ..egress(BOB, VIDEO) });
    let numbers: Vec<Vec<u8>> = [2, 3, 4]
        .iter()
        .flat_map(|seq| world.forward(frame(0, *seq, false)))
        .flat_map(|out| out.extensions.into_iter().filter(|(id, _)| *id == 3).map(|(_, value)| value))
        .collect();
    let number = |value: &Vec<u8>| u16::from_be_bytes([value[0], value[1]]);
    assert_eq!(numbers.len(), 3);
    assert!(numbers.windows(2).all(|pair| number(&pair[1]) == number(&pair[0]).wrapping_add(1)), "{numbers:?}");
}
