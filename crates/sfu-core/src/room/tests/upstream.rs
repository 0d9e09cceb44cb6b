//! What publishers hear, and what of theirs is dropped.

use super::*;

#[test]
fn missing_packets_are_asked_for_and_forwarded_late() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let mut sent = world.forward(frame(0, 65_533, true));
    sent.extend(world.forward(frame(0, 65_534, false)));
    sent.extend(world.forward(frame(0, 1, false)));
    world.pass(9);
    assert!(world.told_of(ALICE, "nack").is_empty());
    world.pass(1);
    assert_eq!(world.told_of(ALICE, "nack"), ["nack 500 [65535, 0]"]);
    world.pass(5);
    world.send_rtx(7, frame(0, 65_535, false)).unwrap();
    world.send_rtx(8, frame(0, 0, false)).unwrap();
    assert_eq!(world.send_rtx(9, frame(0, 0, false)), Err(Drop::RtpDuplicate));
    assert_eq!(world.send(frame(0, 0, false)), Err(Drop::RtpDuplicate));
    sent.extend(world.flush());
    let seqs: Vec<u16> = sent.iter().map(|out| out.seq.wrapping_sub(sent[0].seq)).collect();
    assert_eq!(seqs, [0, 1, 4, 2, 3]);
    assert_eq!(sent[3].payload, vp8(false, true, 200_u16.wrapping_add(65_535), false, 255));
    world.pass(300);
    assert!(world.told_of(ALICE, "nack").is_empty());
}

#[test]
fn what_stays_missing_becomes_a_keyframe_request() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    world.forward(frame(0, 1, true));
    world.forward(frame(0, 3, false));
    world.pass(600);
    let told = world.told(ALICE);
    let count = |prefix: &str| told.iter().filter(|line| line.starts_with(prefix)).count();
    assert_eq!((count("nack"), count("pli")), (8, 1), "{told:?}");
    assert_eq!(world.room.stats().lost_in, 1);
    world.forward(frame(0, 1_000, false));
    world.pass(400); // the last request was at 410 ms
    assert_eq!(world.told_of(ALICE, "pli"), ["pli 500"], "too much is missing to ask for each");
}

/// Alice's track as a program has it that repeats nothing (GStreamer's `webrtcbin`, where it is not told to).
fn without_repeats() -> World {
    let mut world = World::new(1);
    world.room.add_track(world.now, TrackSpec { rtx: false, nack: false, ..video(Codec::Vp8) });
    world.subscribe(BOB, VIDEO);
    world.forward(frame(0, 65_530, true));
    world.pass(600);
    world.told(ALICE);
    world
}

#[test]
fn who_repeats_nothing_is_asked_for_a_keyframe() {
    let mut world = without_repeats();
    world.forward(frame(0, 65_532, false));
    world.pass(9);
    assert!(world.told_of(ALICE, "pli").is_empty(), "it may only be late");
    world.pass(1);
    assert_eq!(world.told(ALICE), ["pli 500"]);
    for seq in [65_534, 0, 2] {
        world.forward(frame(0, seq, false));
        world.pass(100);
    }
    assert!(world.told_of(ALICE, "pli").is_empty(), "not before the usual time");
    world.pass(220);
    assert_eq!(world.told_of(ALICE, "pli"), ["pli 500"]);
    world.forward(frame(0, 3, true));
    world.forward(frame(0, 900, false));
    world.pass(600);
    assert_eq!(world.told_of(ALICE, "pli"), ["pli 500"], "much is missing");
    assert_eq!((world.room.stats().lost_in, world.room.stats().nack_out), (4, 0));
}

#[test]
fn what_comes_late_of_who_repeats_nothing_is_not_taken_for_lost() {
    let mut world = without_repeats();
    let mut asked = Vec::new();
    for pair in 0..100_u16 {
        let seq = 65_531_u16.wrapping_add(pair * 2);
        world.forward(frame(0, seq.wrapping_add(1), false));
        world.pass(40);
        world.forward(frame(0, seq, false));
        world.pass(60);
        asked.push(world.told_of(ALICE, "pli").len());
    }
    let last = asked.iter().rposition(|count| *count > 0);
    assert!(last <= Some(21), "{asked:?}");
    assert!(world.room.stats().lost_in <= 1);
}

#[test]
fn a_layer_that_nobody_watches_is_not_repaired() {
    let mut world = World::new(1);
    world.forward(frame(0, 1, true));
    world.forward(frame(0, 5, false));
    world.pass(100);
    assert!(world.told_of(ALICE, "nack").is_empty());
}

#[test]
fn arrivals_are_reported_for_an_ssrc_that_the_publisher_sends() {
    let mut world = World::new(1);
    world.transport_seq = 65_530;
    for seq in 0..20 {
        world.send(frame(0, seq, seq == 0)).unwrap();
        if seq == 10 {
            world.send_padding(0, 100).unwrap(); // padding counts on the transport
        }
        world.pass(10);
    }
    world.pass(60);
    let told = world.told_of(ALICE, "twcc");
    let numbers: Vec<Vec<u32>> =
        told.iter().map(|line| line.split(' ').skip(1).map(|field| field.parse().unwrap()).collect()).collect();
    assert!((4..=5).contains(&told.len()), "every 60 ms: {told:?}");
    assert!(numbers.iter().all(|fields| fields[0] == 500), "{told:?}");
    assert_eq!(numbers.iter().map(|fields| fields[2]).sum::<u32>(), 21, "each packet once: {told:?}");
    assert_eq!(numbers[0][1], 65_530);
}

#[test]
fn receivers_reports_name_every_layer_once_a_second() {
    let mut world = World::new(2);
    for seq in 0..30 {
        world.send(frame(0, seq, seq == 0)).unwrap();
        world.send(frame(1, seq, seq == 0)).unwrap();
        world.pass(100);
    }
    assert_eq!(world.told_of(ALICE, "rr"), ["rr [500, 501]"; 3]);
}

#[test]
fn rtx_may_come_first_and_probes_are_no_packets() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    assert_eq!(world.send_rtx(1, frame(0, 5, false)), Err(Drop::RepairBeforeMedia));
    world.forward(frame(0, 6, true));
    let mut probe = world.packet(frame(0, 2, false), &[0, 0, 0, 4]);
    probe[0] |= 0x20;
    let input = RtpIn { track: VIDEO, layer: 0, repair: true, packet: &mut probe, rtx_media_pt: Some(MEDIA_PT) };
    assert_eq!(world.room.handle_rtp(world.now, input), Ok(()));
    assert!(world.flush().is_empty());
    assert_eq!((world.room.stats().padding_in, world.room.stats().rtx_in), (1, 2));
}

#[test]
fn bad_input_is_dropped_by_reason() {
    let mut world = World::new(1);
    let good = world.packet(frame(0, 1, true), &vp8(true, true, 1, false, 1));
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let rows = [
        (TrackId(99), 0, good.clone(), Drop::UnknownTrack),
        (VIDEO, 1, good.clone(), Drop::UnknownLayer),
        (VIDEO, 0, with(|bytes| bytes[1] = 5), Drop::UnknownPt),
        (VIDEO, 0, with(|bytes| bytes.truncate(11)), Drop::RtpMalformed),
        (VIDEO, 0, with(|bytes| bytes[0] = 0), Drop::RtpMalformed),
        (VIDEO, 0, with(|bytes| bytes.resize(1_501, 0)), Drop::RtpTooLarge),
    ];
    for (track, layer, bytes, reason) in rows {
        assert_eq!(world.send_bytes(track, layer, bytes), Err(reason));
    }
    let stats = world.room.stats();
    assert_eq!(Drop::ALL.map(|reason| stats.drops(reason)), [1, 1, 1, 2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(world.room.handle_rtcp(world.now, BOB, &[0x80, 200, 0, 9]), Err(Drop::RtcpMalformed));
}

#[test]
fn random_bytes_never_panic() {
    let mut world = World::new(3);
    world.subscribe(BOB, VIDEO);
    world.subscribe(BOB, AUDIO);
    let mut state = 11_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    for _ in 0..200_000 {
        let mut bytes: Vec<u8> = (0..random() % 60).map(|_| random() as u8).collect();
        if let [first, second, ..] = &mut bytes[..] {
            *first = 0x80 | (*first & 0x3f);
            *second = if random() % 4 == 0 { *second } else { 96 };
        }
        let (repair, layer) = (random() % 5 == 0, (random() % 4) as u8);
        let input = RtpIn { track: VIDEO, layer, repair, packet: &mut bytes.clone(), rtx_media_pt: Some(MEDIA_PT) };
        let _ = world.room.handle_rtp(world.now, input);
        if let [_, second, ..] = &mut bytes[..] {
            *second = 200 + *second % 8;
        }
        let from = PeerId(u64::from(random() % 4));
        let _ = world.room.handle_rtcp(world.now, from, &bytes);
        if random() % 16 == 0 {
            world.flush();
            world.pass(u64::from(random() % 3));
            world.rtcp.clear();
            world.events.clear();
        }
    }
}
