//! What subscribers get.

use convene_rtp::rtcp::{ReportBlock, SenderInfo, write_fir, write_nack, write_pli, write_rr, write_sr};

use super::*;
use crate::Ceiling;
use crate::room::select::CHOSEN;

#[test]
fn a_packet_is_rewritten_for_its_subscriber() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    world.subscribe(BOB, AUDIO);
    world.send_audio(65_535, 30).unwrap();
    world.send_audio(0, 30).unwrap();
    world.send(frame(0, 65_535, true)).unwrap();
    assert!(world.room.has_urgent());
    let sent = world.flush();
    assert!(!world.room.has_urgent());
    let [first, second, video] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((first.ssrc, first.pt, first.marker), (out_ssrc(BOB, AUDIO), OUT_PT, false));
    assert_eq!(second.seq, first.seq.wrapping_add(1));
    assert_eq!((first.ts, second.ts), (960 * 65_535, 0));
    assert_eq!(first.extensions, [(9, b"m7".to_vec()), (8, vec![0x80 | 30])], "rid and twcc are the publisher's");
    assert_eq!(video.extensions, [(9, b"m7".to_vec()), (7, vec![3])]);
    assert_eq!((video.ssrc, video.pt, video.marker, video.ts), (out_ssrc(BOB, VIDEO), OUT_PT, true, 3_000 * 65_535));
    assert_eq!(video.payload, vp8(true, true, (200_u16).wrapping_add(65_535), false, 255));
    let started = |track, codec| Event::TrackStarted { track, codec };
    let flowing = |track| Event::TrackFlowing { peer: BOB, track };
    let want = [started(AUDIO, Codec::Opus), started(VIDEO, Codec::Vp8), flowing(AUDIO), flowing(VIDEO)];
    assert_eq!(world.events, want);
}

#[test]
fn video_waits_for_a_keyframe_and_audio_does_not() {
    let mut world = World::new(1);
    world.send(frame(0, 1, true)).unwrap();
    world.send_audio(1, 127).unwrap();
    assert!(world.flush().is_empty());
    world.subscribe(BOB, VIDEO);
    world.subscribe(BOB, AUDIO);
    world.gather();
    assert_eq!(world.told(ALICE), ["pli 500"]);
    assert!(world.forward(frame(0, 2, false)).is_empty());
    world.send_audio(2, 127).unwrap();
    assert_eq!(world.flush().len(), 1);
    assert!(world.forward(frame(0, 3, true))[0].is_keyframe());
    assert_eq!(world.forward(frame(0, 4, false)).len(), 1);
}

#[test]
fn the_highest_live_layer_is_reached_without_a_gap_and_without_a_pause() {
    let mut world = World::new(3);
    world.subscribe(BOB, VIDEO);
    let mut sent = Vec::new();
    for tick in 0..200_u16 {
        // Layer 0 from the start, 1 and 2 later; a PLI is answered at the next frame.
        let asked = world.told_of(ALICE, "pli");
        for layer in 0..3_u8 {
            if tick < 30 * u16::from(layer) || (layer == 2 && tick >= 100) {
                continue;
            }
            let keyframe = asked.contains(&format!("pli {}", layer_ssrc(layer)));
            let seq = 65_500_u16.wrapping_add(tick).wrapping_add(1_000 * u16::from(layer));
            let ts = (u32::MAX - 90_000).wrapping_add(3_000 * u32::from(tick)).wrapping_add(77 * u32::from(layer));
            let first = tick == 0;
            world
                .send(Frame { layer, seq, ts, keyframe: keyframe || first, picture_id: tick + 99 * u16::from(layer) })
                .unwrap();
        }
        for out in world.flush() {
            sent.push((tick, out));
        }
        world.pass(33);
    }
    for pair in sent.windows(2) {
        let [(_, before), (_, after)] = pair else { unreachable!() };
        assert_eq!(after.seq, before.seq.wrapping_add(1));
        assert_eq!(after.picture().0, (before.picture().0 + 1) & 0x7fff);
        assert!(after.ts.wrapping_sub(before.ts).cast_signed() > 0);
    }
    let keyframes: Vec<u16> = sent.iter().filter(|(_, out)| out.is_keyframe()).map(|(tick, _)| *tick).collect();
    let [0, up, highest, down] = keyframes[..] else { panic!("{keyframes:?}") };
    assert!((30..50).contains(&up) && (60..80).contains(&highest) && (105..112).contains(&down), "{keyframes:?}");
    // Nothing is missing but while the highest layer was silent and not known to be dead.
    assert!(sent.len() >= 200 - 12, "{}", sent.len());
}

#[test]
fn a_target_bounds_the_layer_and_pauses() {
    let mut world = World::new(3);
    world.subscribe(BOB, VIDEO);
    let all = |world: &mut World, tick: u16, keyframe: bool| -> Vec<Out> {
        (0..3).flat_map(|layer| world.forward(frame(layer, tick + 100 * u16::from(layer), keyframe))).collect()
    };
    all(&mut world, 1, true); // the layers show one by one
    let [out] = &all(&mut world, 2, false)[..] else { panic!() };
    let newest = out.seq;
    world.pass(600);
    let mut tick = 2;
    let mut next = || {
        tick += 10;
        tick
    };
    for (paused, max, layer) in [(false, 1, Some(1)), (false, 0, Some(0)), (true, 0, None), (false, 9, Some(2))] {
        world.gather();
        world.told(ALICE);
        world.room.set_target(world.now, BOB, VIDEO, paused, max);
        world.gather();
        let asked: Vec<String> = layer.map(|layer| format!("pli {}", layer_ssrc(layer))).into_iter().collect();
        assert_eq!(world.told_of(ALICE, "pli"), asked, "{max}");
        let sent = all(&mut world, next(), true);
        let last = sent.last().map(|out| out.payload.len());
        assert_eq!(last.is_some(), layer.is_some(), "{max}");
        let after = all(&mut world, next(), false);
        assert_eq!(after.len(), usize::from(layer.is_some()), "{max}: one layer at a time");
        world.pass(600);
    }
    assert!(world.room.stats().switches >= 5);
    let sent = all(&mut world, next(), false);
    assert!(sent[0].seq > newest);
}

#[test]
fn a_nack_is_answered_by_rtx_once_per_round_trip() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let sent: Vec<Out> = (0..5).flat_map(|seq| world.forward(frame(0, seq, seq == 0))).collect();
    let nack = |world: &mut World, from, ssrc, seqs: &[u16]| {
        let mut bytes = Vec::new();
        let seqs: Vec<SeqNo> = seqs.iter().map(|seq| SeqNo(*seq)).collect();
        write_nack(&mut bytes, Ssrc(1), ssrc, &seqs);
        world.room.handle_rtcp(world.now, from, &bytes).unwrap();
        world.flush()
    };
    let ssrc = out_ssrc(BOB, VIDEO);
    let again = nack(&mut world, BOB, ssrc, &[sent[1].seq, sent[3].seq, sent[4].seq + 1, sent[0].seq - 1]);
    assert_eq!(again.len(), 2);
    for (again, original) in again.iter().zip([&sent[1], &sent[3]]) {
        assert_eq!((again.to, again.ssrc, again.pt), (BOB, Ssrc(ssrc.0 + 500), OUT_RTX_PT));
        assert_eq!((again.ts, again.marker), (original.ts, original.marker));
        assert_eq!(again.extensions, original.extensions);
        let mut payload = original.seq.to_be_bytes().to_vec();
        payload.extend(&original.payload);
        assert_eq!(again.payload, payload, "OSN, then the very same payload");
    }
    assert_eq!(again[1].seq, again[0].seq + 1);
    assert!(nack(&mut world, BOB, ssrc, &[sent[1].seq]).is_empty(), "at once again");
    assert!(nack(&mut world, CAROL, ssrc, &[sent[2].seq]).is_empty(), "not Carol's stream");
    world.pass(40);
    assert_eq!(nack(&mut world, BOB, ssrc, &[sent[1].seq]).len(), 1);
    let stats = world.room.stats();
    assert_eq!((stats.rtx_out, stats.nack_in, stats.nack_missed, stats.nack_suppressed), (3, 6, 2, 1));
}

#[test]
fn what_was_sent_into_an_outage_is_not_repeated_but_begun_anew() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let mut sent: Vec<Out> = Vec::new();
    let mut film = |world: &mut World, seqs: std::ops::Range<u16>| {
        for seq in seqs {
            sent.extend(world.forward(frame(0, seq, seq == 0)));
            world.pass(66);
        }
        sent.iter().map(|out| SeqNo(out.seq)).collect::<Vec<_>>()
    };
    let nack = |world: &mut World, seqs: &[SeqNo]| {
        let mut bytes = Vec::new();
        write_nack(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO), seqs);
        world.room.handle_rtcp(world.now, BOB, &bytes).unwrap();
        let again = world.flush();
        world.gather();
        (again.len(), world.told_of(ALICE, "pli").len())
    };
    let report = |world: &mut World| {
        let mut bytes = Vec::new();
        write_rr(&mut bytes, Ssrc(1), &[]);
        world.room.handle_rtcp(world.now, BOB, &bytes).unwrap();
    };
    let mut seqs = Vec::new();
    for part in 0..4 {
        report(&mut world);
        seqs = film(&mut world, part * 10..(part + 1) * 10);
    }
    world.told(ALICE);
    report(&mut world);
    world.pass(900);
    assert_eq!(nack(&mut world, &seqs[38..]), (2, 0), "who was never away");
    assert_eq!(nack(&mut world, &seqs[..2]), (2, 0), "whatever the queue of their path");
    let seqs = film(&mut world, 40..80);
    assert_eq!(nack(&mut world, &seqs[60..]), (20, 0), "away, for 1.3 s: all of it is repeated");
    world.pass(200);
    assert_eq!(nack(&mut world, &seqs[40..]), (0, 1), "2.8 s: a keyframe is asked for");
    assert_eq!(world.room.stats().nack_too_late, 40);
    world.pass(200);
    assert_eq!(nack(&mut world, &seqs[70..]), (0, 0), "it is asked for once, whatever else is missing from before");
    let later = film(&mut world, 80..85);
    assert_eq!(nack(&mut world, &later[80..83]), (3, 0), "what went out since is repeated");
    world.pass(3_000);
    assert_eq!(nack(&mut world, &later[83..]), (0, 1), "another outage");
}

#[test]
fn an_outage_before_the_first_report_is_one_too() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let sent = world.forward(frame(0, 0, true));
    world.pass(3_000);
    world.told(ALICE);
    let mut bytes = Vec::new();
    write_nack(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO), &[SeqNo(sent[0].seq)]);
    world.room.handle_rtcp(world.now, BOB, &bytes).unwrap();
    world.gather();
    assert_eq!((world.flush().len(), world.told_of(ALICE, "pli").len()), (0, 1));
}

#[test]
fn a_nack_for_the_run_before_a_switch_gets_the_bytes_of_that_run() {
    let mut world = World::new(2);
    world.subscribe(BOB, VIDEO);
    let mut sent: Vec<Out> = (0..3).flat_map(|seq| world.forward(frame(0, seq, seq == 0))).collect();
    sent.extend((900..903).flat_map(|seq| world.forward(frame(1, seq, seq == 900))));
    assert_eq!(sent.len(), 6);
    let mut bytes = Vec::new();
    write_nack(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO), &[SeqNo(sent[2].seq), SeqNo(sent[4].seq)]);
    world.room.handle_rtcp(world.now, BOB, &bytes).unwrap();
    let again = world.flush();
    assert_eq!(again.len(), 2);
    for (again, original) in again.iter().zip([&sent[2], &sent[4]]) {
        assert_eq!((&again.payload[2..], again.ts), (&original.payload[..], original.ts));
    }
}

#[test]
fn without_rtx_a_nack_is_not_answered() {
    let mut world = World::new(1);
    let mut plain = egress(BOB, VIDEO);
    plain.rtx_ssrc = None;
    world.room.subscribe(world.now, BOB, VIDEO, plain);
    let sent = world.forward(frame(0, 1, true));
    let mut bytes = Vec::new();
    write_nack(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO), &[SeqNo(sent[0].seq)]);
    world.room.handle_rtcp(world.now, BOB, &bytes).unwrap();
    assert!(world.flush().is_empty());
    assert_eq!(world.room.stats().nack_without_rtx, 1);
}

#[test]
fn padding_leaves_no_gap_and_late_padding_fills_its_hole() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let mut sent = world.forward(frame(0, 65_534, true));
    for seq in [65_535, 0, 1] {
        world.send_padding(0, seq).unwrap();
    }
    sent.extend(world.forward(frame(0, 2, false)));
    sent.extend(world.forward(frame(0, 4, false)));
    world.send_padding(0, 3).unwrap();
    let filler = world.flush();
    assert_eq!((filler.len(), filler[0].payload.len(), filler[0].padding), (1, 0, 1));
    let seqs: Vec<u16> = sent.iter().chain(&filler).map(|out| out.seq.wrapping_sub(sent[0].seq)).collect();
    assert_eq!(seqs, [0, 1, 3, 2]);
    assert_eq!(world.room.stats().padding_in, 3);
}

#[test]
fn sender_reports_keep_the_wall_clock_and_move_the_timestamp() {
    let mut world = World::new(2);
    world.subscribe(BOB, VIDEO);
    world.subscribe(BOB, AUDIO);
    let report = |world: &mut World, from, ssrc, ntp_secs: u64, rtp_ts| {
        let info = SenderInfo { ssrc: Ssrc(ssrc), ntp: ntp_secs << 32, rtp_ts, packets: 1, octets: 1 };
        let mut bytes = Vec::new();
        write_sr(&mut bytes, &info, &[]);
        world.room.handle_rtcp(world.now, from, &bytes).unwrap();
    };
    world.send_audio(1, 127).unwrap();
    world.forward(frame(0, 1, true));
    world.pass(40);
    assert!(world.told(BOB).is_empty(), "no time is known yet");
    report(&mut world, CAROL, layer_ssrc(0), 9, 9); // not hers
    report(&mut world, ALICE, layer_ssrc(0), 100, 3_000);
    report(&mut world, ALICE, 600, 100, 960);
    world.pass(20);
    let told = world.told(BOB);
    // 20 ms at most have passed since: 1800 ticks of video, 960 of audio.
    let [video, name, audio, other] = &told[..] else { panic!("{told:?}") };
    assert_eq!((name.as_str(), other.as_str()), ("cname 2010 peer1", "cname 2011 peer1"));
    let fields = |line: &str| -> Vec<u64> { line.split(' ').skip(1).map(|field| field.parse().unwrap()).collect() };
    let (video, audio) = (fields(video), fields(audio));
    assert_eq!((video[0], video[1], video[3]), (2_010, 100, 1));
    assert!(
        (3_000..=3_000 + 1_800).contains(&video[2]) && (960..=960 + 960).contains(&audio[2]),
        "{video:?} {audio:?}"
    );

    // A switch: the timestamp of the other layer's report is moved as its packets are.
    world.pass(160);
    report(&mut world, ALICE, layer_ssrc(1), 7, 7); // before its first packet: not known
    let before = world.forward(frame(0, 2, false))[0].ts;
    let mut high = frame(1, 500, true);
    high.ts = 3_000_000;
    let out = world.forward(high)[0].ts;
    assert!(out.wrapping_sub(before).cast_signed() > 0);
    report(&mut world, ALICE, layer_ssrc(1), 200, 3_000_000);
    world.pass(20);
    let told = world.told_of(BOB, "sr 2010");
    let last = fields(told.last().unwrap());
    assert_eq!(last[1], 200);
    assert!((0..=1_800).contains(&(last[2] - u64::from(out))), "{last:?} {out}");

    // From then on once a second.
    world.pass(1_000);
    world.told(BOB);
    for _ in 0..30 {
        world.send_audio(1, 127).ok();
        world.pass(100);
    }
    let reports = world.told_of(BOB, "sr 2011").len();
    assert!((2..=4).contains(&reports), "{reports}");
}

#[test]
fn a_keyframe_request_goes_up_once_for_all() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    world.subscribe(CAROL, VIDEO);
    world.forward(frame(0, 1, true));
    world.pass(600);
    world.told(ALICE);
    for peer in [BOB, CAROL, BOB] {
        let mut bytes = Vec::new();
        write_pli(&mut bytes, Ssrc(1), out_ssrc(peer, VIDEO));
        write_fir(&mut bytes, Ssrc(1), out_ssrc(peer, VIDEO), 3);
        write_pli(&mut bytes, Ssrc(1), out_ssrc(ALICE, VIDEO)); // a stream that nobody has
        world.room.handle_rtcp(world.now, peer, &bytes).unwrap();
        world.gather();
        world.pass(10);
    }
    assert_eq!(world.told_of(ALICE, "pli"), ["pli 500"]);
    world.pass(400);
    assert!(world.told_of(ALICE, "pli").is_empty());
    world.pass(120);
    assert_eq!(world.told_of(ALICE, "pli"), ["pli 500"], "asked again after the first one went out");
    assert_eq!((world.room.stats().pli_in, world.room.stats().fir_in), (6, 3));
}

#[test]
fn a_new_subscriber_asks_until_the_keyframe_comes() {
    let mut world = World::new(1);
    world.forward(frame(0, 1, true));
    world.pass(1_000);
    world.told(ALICE);
    world.subscribe(BOB, VIDEO);
    for seq in 2..62 {
        world.forward(frame(0, seq, false));
        world.pass(33);
    }
    let asked = world.told_of(ALICE, "pli").len();
    assert!((4..=5).contains(&asked), "{asked} in two seconds");
    world.forward(frame(0, 62, true));
    world.pass(2_000);
    assert!(world.told_of(ALICE, "pli").is_empty());
}

#[test]
fn the_round_trip_of_a_receiver_shortens_the_pause_between_repeats() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let sent = world.forward(frame(0, 1, true));
    let mut bytes = Vec::new();
    write_sr(&mut bytes, &SenderInfo { ssrc: Ssrc(500), ntp: 5 << 32, rtp_ts: 3_000, packets: 1, octets: 1 }, &[]);
    world.room.handle_rtcp(world.now, ALICE, &bytes).unwrap();
    world.room.handle_timeout(world.now + Duration::from_millis(20));
    world.now += Duration::from_millis(20);
    world.gather();
    assert_eq!(world.told_of(BOB, "sr").len(), 1);
    // 20 ms of clock were added to the report's 5 s.
    let last_sr = (5 << 16) + (20 * 65_536 / 1_000);
    world.now += Duration::from_millis(12);
    let block = ReportBlock {
        ssrc: out_ssrc(BOB, VIDEO),
        last_sr,
        delay_since_last_sr: 65_536 / 100, // 10 ms
        ..ReportBlock::default()
    };
    let mut bytes = Vec::new();
    write_rr(&mut bytes, Ssrc(1), &[block]);
    write_nack(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO), &[SeqNo(sent[0].seq)]);
    for (wait, want) in [(0, 1), (9, 1), (12, 2)] {
        world.now += Duration::from_millis(wait);
        world.room.handle_rtcp(world.now, BOB, &bytes).unwrap();
        world.flush();
        assert_eq!(world.room.stats().rtx_out, want, "{wait}");
    }
}

#[test]
fn each_subscriber_has_its_own_mid_and_ids() {
    let mut world = World::new(1);
    let mut other = egress(CAROL, VIDEO);
    other.mid = "a-longer-mid".parse().unwrap();
    other.exts = map(&[(Kind::VideoOrientation, 2), (Kind::Mid, 14)]);
    let mut none = egress(ALICE, VIDEO);
    none.exts = ext::Map::new();
    world.subscribe(BOB, VIDEO);
    world.room.subscribe(world.now, CAROL, VIDEO, other);
    world.room.subscribe(world.now, ALICE, VIDEO, none);
    world.subscribe(PeerId(4), VIDEO);
    for seq in 0..2 {
        world.send(frame(0, seq, seq == 0)).unwrap();
    }
    let sent = world.flush();
    let bob = [(9, b"m7".to_vec()), (7, vec![3])];
    let carol = [(14, b"a-longer-mid".to_vec()), (2, vec![3])];
    for peer in [BOB, CAROL, ALICE, PeerId(4)] {
        let got: Vec<&Out> = sent.iter().filter(|out| out.to == peer).collect();
        let want: &[(u8, Vec<u8>)] = match peer {
            ALICE => &[],
            CAROL => &carol,
            _ => &bob,
        };
        assert_eq!(got.len(), 2);
        assert!(got.iter().all(|out| out.extensions == want), "{got:?}");
    }
    assert!(sent.iter().all(|out| out.payload.len() == vp8(true, true, 0, false, 0).len()));
}

#[test]
fn frame_numbers_of_the_dependency_descriptor_go_on_over_a_switch() {
    let mut world = World::new(1);
    world.room.remove_track(VIDEO);
    let exts = map(&[(Kind::DependencyDescriptor, 6)]);
    world.room.add_track(world.now, TrackSpec { layers: 2, exts, ..video(Codec::Vp8) });
    for peer in [BOB, CAROL] {
        world.room.subscribe(world.now, peer, VIDEO, Egress { exts, ..egress(peer, VIDEO) });
    }
    let mut numbers = Vec::new();
    let frames = [(0, 1, 65_534_u16, true), (0, 2, 65_535, false), (1, 90, 700, true), (1, 91, 701, false)];
    for (layer, seq, number, keyframe) in frames {
        let [high, low] = number.to_be_bytes();
        let fields = Fields { marker: true, pt: MEDIA_PT, seq: SeqNo(seq), ts: 0, ssrc: Ssrc(layer_ssrc(layer)) };
        let bytes = rtp(fields, &[(6, &[0xc0, high, low, 9])], &vp8(keyframe, true, seq, false, 1));
        world.send_bytes(VIDEO, layer, bytes).unwrap();
        numbers.extend(world.flush().into_iter().map(|out| (out.to, out.extensions)));
    }
    for peer in [BOB, CAROL] {
        let of_peer = numbers.iter().filter(|(to, _)| *to == peer).map(|(_, extensions)| extensions[0].1.clone());
        let want = [[0xc0, 255, 254, 9], [0xc0, 255, 255, 9], [0xc0, 0, 0, 9], [0xc0, 0, 1, 9]];
        assert_eq!(of_peer.collect::<Vec<_>>(), want);
    }
}

#[test]
fn red_is_unwrapped_for_a_subscriber_that_has_none() {
    let mut world = World::new(1);
    let bare = Egress { unwrap_red: Some(AUDIO_PT), ..egress(BOB, AUDIO) };
    world.room.subscribe(world.now, BOB, AUDIO, bare);
    world.room.subscribe(world.now, CAROL, AUDIO, egress(CAROL, AUDIO));
    // RFC 2198 §3: one redundant block of two bytes, then the primary.
    let red = [0x80 | 111, 0x0f, 0x00, 2, 111, 9, 9, 1, 2];
    let fields = Fields { marker: false, pt: AUDIO_PT, seq: SeqNo(1), ts: 0, ssrc: Ssrc(600) };
    world.send_bytes(AUDIO, 0, rtp(fields, &[], &red)).unwrap();
    let got: Vec<_> = world.flush().into_iter().map(|out| (out.to, out.payload)).collect();
    assert_eq!(got, [(BOB, vec![1, 2]), (CAROL, red.to_vec())]);
}

#[test]
fn packets_of_a_frame_are_made_equally_long() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    world.forward(frame(0, 1, true));
    let lengths = [[700, 700, 701], [701, 700, 300], [700, 650, 701]];
    let padding = [[1, 1, 0], [0, 1, 0], [1, 0, 0]];
    let mut seq = 1;
    for (lengths, padding) in lengths.iter().zip(padding) {
        for length in lengths {
            seq += 1;
            let mut payload = vp8(false, false, 201, false, 0);
            payload.resize(*length, 7);
            let bytes = world.packet(frame(0, seq, false), &payload);
            world.send_bytes(VIDEO, 0, bytes).unwrap();
        }
        let out = world.flush();
        assert_eq!(out.iter().map(|out| out.padding).collect::<Vec<_>>(), padding, "{lengths:?}");
        assert_eq!(out.iter().map(|out| out.payload.len()).collect::<Vec<_>>(), lengths);
    }
}

#[test]
fn a_ceiling_takes_the_highest_layer_away_and_gives_it_back() {
    let mut world = World::new(2);
    world.subscribe(BOB, VIDEO);
    let both = |world: &mut World, seq, keyframe| {
        world.send(frame(0, seq, keyframe)).unwrap();
        world.send(frame(1, seq, keyframe)).unwrap();
        let out = world.flush();
        out.iter().map(|out| (out.picture().0, out.is_keyframe())).collect::<Vec<_>>()
    };
    both(&mut world, 1, true);
    both(&mut world, 2, true);
    assert_eq!(both(&mut world, 3, false).len(), 1);
    assert_eq!(world.room.lower_ceiling(), Some(Ceiling::Layer(0)));
    world.room.set_ceiling(Ceiling::Layer(0));
    world.pass(600);
    assert_eq!(world.told_of(ALICE, "pli").last().unwrap(), "pli 500");
    both(&mut world, 4, true);
    assert_eq!(world.room.lower_ceiling(), Some(Ceiling::NoVideo), "the lowest layer is what there is");
    world.room.set_ceiling(Ceiling::Open);
    world.pass(600);
    assert_eq!(world.told_of(ALICE, "pli").last().unwrap(), "pli 501");

    let mut alone = World::new(1);
    assert_eq!(alone.room.lower_ceiling(), None, "nobody gets any");
    alone.subscribe(BOB, VIDEO);
    alone.room.set_ceiling(Ceiling::Layer(0));
    assert_eq!(alone.forward(frame(0, 1, true)).len(), 1, "a lone layer is never taken away");
}

#[test]
fn of_a_crowd_those_who_came_first_go_on_seeing() {
    let mut world = World::new(1);
    let crowd: Vec<PeerId> = (100..120).map(PeerId).collect();
    crowd.iter().for_each(|peer| world.subscribe(*peer, VIDEO));
    let reached = |world: &mut World, frame| {
        world.send(frame).unwrap();
        world.flush().len()
    };
    assert_eq!(reached(&mut world, frame(0, 1, true)), 20);
    world.events.clear();
    let half = world.room.lower_ceiling().unwrap();
    assert_eq!(half, Ceiling::Viewers(10));
    for (seq, ceiling, paused) in [(2, half, true), (3, Ceiling::Open, false)] {
        world.room.set_ceiling(ceiling);
        world.gather();
        let told = world.events.drain(..).filter_map(|event| {
            let Event::StreamState { peer, paused: is, .. } = event else { return None };
            (is == paused).then_some(peer)
        });
        assert_eq!(told.collect::<Vec<_>>(), crowd[10..]);
        assert_eq!(reached(&mut world, frame(0, seq, false)), 10, "a picture begins with a keyframe");
    }
    assert_eq!(reached(&mut world, frame(0, 4, true)), 20);
}

#[test]
fn who_came_first_is_told_by_when_they_came_and_places_become_free() {
    let mut world = World::new(1);
    let (early, late) = ((100..120).map(PeerId), (200..205).map(PeerId).collect::<Vec<_>>());
    early.for_each(|peer| world.subscribe(peer, VIDEO));
    (100..110).for_each(|gone| world.room.remove_peer(PeerId(gone)));
    late.iter().for_each(|peer| world.subscribe(*peer, VIDEO)); // in the memory of those who left
    world.forward(frame(0, 1, true));
    let told = |world: &mut World| {
        world.gather();
        let states = world.events.drain(..).filter_map(|event| {
            let Event::StreamState { peer, paused, .. } = event else { return None };
            Some((peer, paused))
        });
        states.collect::<Vec<_>>()
    };
    told(&mut world);
    world.room.set_ceiling(Ceiling::Viewers(12));
    let mut paused = told(&mut world);
    paused.sort_unstable();
    assert_eq!(paused, late[2..].iter().map(|peer| (*peer, true)).collect::<Vec<_>>());
    world.room.remove_peer(PeerId(115));
    assert_eq!(told(&mut world), [(late[2], false)], "whose turn it is");
    world.room.remove_peer(late[4]);
    assert_eq!(told(&mut world), [], "who saw nothing leaves no place");
}

#[test]
fn under_a_ceiling_who_leaves_costs_a_choice_for_one_other_at_most() {
    const TRACKS: u64 = 50;
    let mut world = World::new(1);
    let others = (1..TRACKS).map(|n| TrackId(100 + n));
    let tracks: Vec<TrackId> = others.chain([VIDEO]).collect();
    for track in &tracks {
        world.room.add_track(world.now, TrackSpec { track: *track, ..video(Codec::Vp8) });
    }
    for peer in (1_000..1_200).map(PeerId) {
        tracks.iter().for_each(|track| world.subscribe(peer, *track));
    }
    world.room.set_ceiling(Ceiling::Viewers(100));
    world.gather();
    world.events.clear();
    // (who leaves, for how many subscriptions it is chosen, and who is told that they go on)
    for (leaves, chosen, told) in
        [(1_199, 0, None), (1_000, 50, Some(1_100)), (1_150, 0, None), (1_100, 50, Some(1_101))]
    {
        CHOSEN.set(0);
        world.room.remove_peer(PeerId(leaves));
        assert_eq!(CHOSEN.get(), chosen, "{leaves}");
        world.gather();
        let on = |event: Event| matches!(event, Event::StreamState { paused: false, .. }).then_some(event);
        let on: Vec<Event> = world.events.drain(..).filter_map(on).collect();
        assert!(
            on.iter().all(|event| matches!(event, Event::StreamState { peer, .. } if Some(peer.0) == told)),
            "{on:?}"
        );
        assert_eq!(on.len(), chosen, "{leaves}");
    }
}

#[test]
fn without_any_video_its_viewers_are_told_and_audio_goes_on() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    world.subscribe(BOB, AUDIO);
    let told = |world: &mut World| {
        world.gather();
        let states = world.events.drain(..).filter_map(|event| {
            let Event::StreamState { peer, track, paused } = event else { return None };
            Some((peer, track, paused))
        });
        states.collect::<Vec<_>>()
    };
    assert_eq!(world.forward(frame(0, 1, true)).len(), 1);
    assert_eq!(told(&mut world), []);
    assert_eq!(world.room.lower_ceiling(), Some(Ceiling::NoVideo));
    world.room.set_ceiling(Ceiling::NoVideo);
    assert_eq!(world.room.lower_ceiling(), None);
    assert_eq!(told(&mut world), [(BOB, VIDEO, true)]);
    assert_eq!(world.forward(frame(0, 2, true)).len(), 0);
    world.send_audio(1, 30).unwrap();
    assert_eq!(world.flush().len(), 1);
    world.subscribe(CAROL, VIDEO);
    assert_eq!(told(&mut world), [(CAROL, VIDEO, true)], "who comes meanwhile");

    world.room.set_ceiling(Ceiling::Layer(0));
    let mut resumed = told(&mut world);
    resumed.sort_unstable();
    assert_eq!(resumed, [(BOB, VIDEO, false), (CAROL, VIDEO, false)]);
    assert_eq!(world.forward(frame(0, 3, false)).len(), 0, "a picture begins with a keyframe");
    world.pass(600);
    assert_eq!(world.told_of(ALICE, "pli").last().unwrap(), "pli 500");
    assert_eq!(world.forward(frame(0, 4, true)).len(), 1);
}
