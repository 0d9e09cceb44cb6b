//! A subscriber that goes over to another room sees its streams go on.

use convene_rtp::rtcp::write_nack;

use super::*;

/// Alice's room with Bob, and a part of it on another worker that gets all of hers out of a pipe.
fn two_parts() -> (World, World) {
    let mut home = World::new(2);
    let mut branch = World::new(2);
    branch.now = home.now;
    branch.room.remove_peer(ALICE);
    let spec = |track, kind, pt, codec, layers| TrackSpec {
        track,
        publisher: ALICE,
        kind,
        pts: vec![(pt, codec)],
        layers,
        exts: map(&IN_IDS),
        rtx: true,
        nack: kind == MediaKind::Video,
    };
    branch.room.add_piped_track(branch.now, spec(VIDEO, MediaKind::Video, MEDIA_PT, Codec::Vp8, 2));
    branch.room.add_piped_track(branch.now, spec(AUDIO, MediaKind::Audio, AUDIO_PT, Codec::Opus, 1));
    home.subscribe(BOB, VIDEO);
    home.subscribe(BOB, AUDIO);
    (home, branch)
}

/// A frame of both layers and a packet of audio into both parts; what Bob gets, from wherever he is.
fn send(parts: &mut (World, World), seq: u16, keyframe: bool) -> Vec<Out> {
    let (home, branch) = parts;
    for world in [&mut *home, &mut *branch] {
        for layer in 0..2 {
            world.send(frame(layer, seq, keyframe)).unwrap();
        }
        world.send_audio(seq, 20).unwrap();
    }
    let mut sent = home.flush();
    sent.extend(branch.flush());
    home.pass(33);
    branch.pass(33);
    assert!(sent.iter().all(|out| out.to == BOB));
    sent
}

#[test]
fn streams_go_on_over_a_move_and_nothing_is_numbered_twice() {
    let mut parts = two_parts();
    let mut sent: Vec<Out> = (500..530).flat_map(|seq| send(&mut parts, seq, seq == 510)).collect();
    assert_eq!(parts.0.room.subscriptions(BOB).len(), 2);
    let before = parts.0.room.stats();
    let moved = parts.0.room.release(BOB).unwrap();
    assert!(parts.0.room.subscriptions(BOB).is_empty() && parts.0.room.release(BOB).is_none());
    let now = parts.1.now;
    parts.1.room.adopt(now, moved);
    parts.1.gather();
    assert_eq!(parts.1.told_of(ALICE, "pli"), ["pli 501"], "asked for at once");
    let old = sent.iter().rfind(|out| out.ssrc == out_ssrc(BOB, VIDEO)).unwrap().seq;
    sent.extend((530..535).flat_map(|seq| send(&mut parts, seq, false)));
    sent.extend((535..538).flat_map(|seq| send(&mut parts, seq, seq == 535)));
    assert_eq!(parts.0.room.stats().packets_out, before.packets_out, "nothing more from where he was");

    for track in [VIDEO, AUDIO] {
        let of_track: Vec<&Out> = sent.iter().filter(|out| out.ssrc == out_ssrc(BOB, track)).collect();
        for pair in of_track.windows(2) {
            assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1), "{track}");
            let step = pair[1].ts.wrapping_sub(pair[0].ts).cast_signed();
            assert!(step > 0 && step <= 3_000 * 8, "{track}: {step}");
        }
    }
    let audio = sent.iter().filter(|out| out.ssrc == out_ssrc(BOB, AUDIO)).count();
    assert_eq!(audio, 38, "no word is lost");
    let pictures: Vec<u16> =
        sent.iter().filter(|out| out.ssrc == out_ssrc(BOB, VIDEO)).map(|out| out.picture().0).collect();
    assert!(pictures.windows(2).all(|pair| pair[1] == (pair[0] + 1) & 0x7fff), "{pictures:?}");

    // What went out before is not taken for something else.
    let mut nack = Vec::new();
    write_nack(&mut nack, Ssrc(1), out_ssrc(BOB, VIDEO), &[SeqNo(old)]);
    parts.1.room.handle_rtcp(now, BOB, &nack).unwrap();
    assert!(parts.1.flush().is_empty());
    assert_eq!(parts.1.room.stats().nack_missed, 1);
}

#[test]
fn the_next_track_of_a_section_goes_on_after_one_that_has_ended_on_the_way() {
    let mut parts = two_parts();
    let sent: Vec<Out> = (500..530).flat_map(|seq| send(&mut parts, seq, seq == 510)).collect();
    let last = sent.iter().rfind(|out| out.ssrc == out_ssrc(BOB, VIDEO)).unwrap();
    let moved = parts.0.room.release(BOB).unwrap();
    let branch = &mut parts.1;
    branch.room.remove_track(VIDEO);
    branch.room.adopt(branch.now, moved);
    let next = TrackId(12);
    branch.room.add_track(branch.now, TrackSpec { track: next, publisher: CAROL, ..video(Codec::Vp8) });
    let egress = Egress { after: (Some(SeqNo(last.seq)), None), ..egress(BOB, VIDEO) };
    branch.room.subscribe(branch.now, BOB, next, egress);
    let begin = Frame { layer: 0, seq: 9, ts: 7, keyframe: true, picture_id: 1 };
    let bytes = branch.packet(begin, &vp8(true, true, 1, false, 9));
    branch.send_bytes(next, 0, bytes).unwrap();
    let [first] = &branch.flush()[..] else { panic!() };
    assert_eq!(first.seq, last.seq.wrapping_add(1));
    assert_eq!(first.picture(), ((last.picture().0 + 1) & 0x7fff, last.picture().1.wrapping_add(1)));
    let passed = first.ts.wrapping_sub(last.ts);
    assert!((2_900..=3_000).contains(&passed), "33 ms later: {passed}");
}

#[test]
fn a_track_that_has_ended_meanwhile_is_lost_on_the_way() {
    let mut parts = two_parts();
    send(&mut parts, 1, true);
    let moved = parts.0.room.release(BOB).unwrap();
    parts.1.room.remove_track(VIDEO);
    let now = parts.1.now;
    parts.1.room.adopt(now, moved);
    assert_eq!(parts.1.room.subscriptions(BOB), [AUDIO]);
    let moved = parts.1.room.release(BOB).unwrap();
    parts.1.room.remove_track(AUDIO);
    parts.1.room.adopt(now, moved);
    assert!(parts.1.room.subscriptions(BOB).is_empty() && parts.1.room.release(BOB).is_none());
}
