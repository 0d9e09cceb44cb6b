//! A publisher whose path loses packets, and one that leaves out its top layer, as those hear and see it whose path is good.

use std::collections::BTreeMap;

use convene_rtp::red;

use super::link::{GOOD, Link, Wire};
use super::*;

const RED_PT: Pt = Pt(63);
const AUDIO_SSRC: Ssrc = Ssrc(600);
const FRAME_MS: u64 = 20;
/// What a jitter buffer on such a path holds back, from capture to play-out: lip sync gives audio the playout delay of video.
const PLAYOUT_MS: u64 = 200;
/// Over the wrap.
const FIRST_SEQ: u16 = 65_000;

/// What the publisher does about losses.
#[derive(Clone, Copy, Debug)]
struct Habits {
    red: bool,
    repeats: bool,
}

/// Alice talks over a bad path, Bob listens.
struct Talk {
    world: World,
    habits: Habits,
    up: Wire,
    down: Wire,
    ms: u64,
    sent: BTreeMap<u16, Vec<u8>>,
    /// When each was last sent again.
    repeated: BTreeMap<u16, u64>,
    /// When each frame came to Bob, by its place.
    heard: BTreeMap<u64, u64>,
}

impl Talk {
    fn new(seed: u64, link: Link, habits: Habits) -> Self {
        let mut world = World::new(1);
        let spec = TrackSpec {
            track: AUDIO,
            publisher: ALICE,
            kind: MediaKind::Audio,
            pts: vec![(RED_PT, Codec::Red), (AUDIO_PT, Codec::Opus)],
            layers: 1,
            exts: map(&IN_IDS),
            rtx: false,
            nack: habits.repeats,
        };
        world.room.add_track(world.now, spec);
        world.subscribe(BOB, AUDIO);
        let (up, down) = (Wire::new(seed, link), Wire::new(seed + 1_000, link));
        Self {
            world,
            habits,
            up,
            down,
            ms: 0,
            sent: BTreeMap::new(),
            repeated: BTreeMap::new(),
            heard: BTreeMap::new(),
        }
    }

    /// What a frame says.
    fn words(place: u64) -> Vec<u8> {
        [place.to_be_bytes().as_slice(), &[7; 72]].concat()
    }

    fn publish(&mut self) {
        let place = self.ms / FRAME_MS;
        let seq = SeqNo(FIRST_SEQ.wrapping_add(place as u16));
        let pt = if self.habits.red { RED_PT } else { AUDIO_PT };
        let fields = Fields { marker: false, pt, seq, ts: place as u32 * 960, ssrc: AUDIO_SSRC };
        let payload = match place.checked_sub(1).filter(|_| self.habits.red) {
            None if !self.habits.red => Self::words(place),
            None => [&[AUDIO_PT.0], Self::words(place).as_slice()].concat(),
            Some(before) => {
                let mut out = [0; 400];
                let before = Self::words(before);
                let block = red::Block { offset: 960, payload: &before };
                let len = red::write(&mut out, AUDIO_PT, &[block], &Self::words(place)).unwrap();
                out[..len].to_vec()
            }
        };
        let bytes = rtp(fields, &[(3, &[0x80 | 20])], &payload);
        self.sent.insert(seq.0, bytes.clone());
        self.up.send(self.ms, bytes);
        // The path's losses hit video as well: three packets of it for each of audio.
        (0..3).for_each(|_| self.up.send(self.ms, Vec::new()));
    }

    fn run(&mut self, ms: u64) -> &mut Self {
        for _ in 0..ms {
            self.ms += 1;
            self.world.pass(1);
            if self.ms.is_multiple_of(FRAME_MS) {
                self.publish();
            }
            while let Some(arrived) = self.up.receive(self.ms) {
                if !arrived.bytes.is_empty() {
                    let _ = self.world.send_bytes(AUDIO, 0, arrived.bytes); // repeats may come twice
                }
            }
            self.listen();
            for (to, bytes) in std::mem::take(&mut self.world.rtcp) {
                assert_eq!(to, ALICE);
                self.down.send(self.ms, bytes);
            }
            while let Some(arrived) = self.down.receive(self.ms) {
                self.repeat(&arrived.bytes);
            }
        }
        self
    }

    /// As browsers do: the packet as it was, once a round trip.
    fn repeat(&mut self, rtcp: &[u8]) {
        for packet in packets(rtcp) {
            let Ok(Packet::Nack(nack)) = packet else { continue };
            for seq in nack.seqs() {
                let before = self.repeated.insert(seq.0, self.ms);
                if before.is_some_and(|before| self.ms - before <= 2 * GOOD.delay_ms) {
                    self.repeated.extend(before.map(|before| (seq.0, before)));
                    continue;
                }
                self.up.send(self.ms, self.sent[&seq.0].clone());
            }
        }
    }

    fn listen(&mut self) {
        for out in self.world.flush() {
            assert_eq!((out.to, out.pt), (BOB, OUT_PT), "plain Opus, whatever the publisher sends");
            let place = u64::from_be_bytes(out.payload[..8].try_into().unwrap());
            assert_eq!((out.payload, out.ts % 960), (Self::words(place), 0), "what was said, where it was said");
            assert!(self.heard.insert(place, self.ms).is_none(), "{place} went out twice");
        }
    }

    /// Part of the frames that were not there when they were to be played.
    fn concealed(&self) -> f64 {
        let all = (self.ms - 2_000) / FRAME_MS;
        let in_time = |place: &u64| self.heard.get(place).is_some_and(|at| *at <= place * FRAME_MS + PLAYOUT_MS);
        (1..=all).filter(|place| !in_time(place)).count() as f64 / all as f64
    }
}

#[test]
fn audio_of_a_lossy_publisher_is_repaired_before_it_is_played() {
    let (plain, red) = (Habits { red: false, repeats: false }, Habits { red: true, repeats: false });
    let (repeats, both) = (Habits { red: false, repeats: true }, Habits { red: true, repeats: true });
    // (loss in percent, habits, part that is concealed: at least, at most)
    let rows = [
        (5, plain, 0.04, 0.06),
        (5, red, 0.01, 0.035),
        (5, repeats, 0.0, 0.01),
        (5, both, 0.0, 0.005),
        (10, plain, 0.08, 0.12),
        (10, repeats, 0.0, 0.025),
        (10, both, 0.0, 0.015),
        (20, both, 0.0, 0.06),
        (20, repeats, 0.0, 0.022),
    ];
    for (loss_percent, habits, least, most) in rows {
        let mut all = 0.0;
        for seed in 1..=5 {
            let mut talk = Talk::new(seed, Link { loss_percent, burst: 3, ..GOOD }, habits);
            talk.run(60_000);
            let stats = talk.world.room.stats();
            eprintln!(
                "{loss_percent} % by 3, {habits:?}, seed {seed}: {:.4} concealed, {} taken from RED, {} asked for",
                talk.concealed(),
                stats.red_recovered,
                stats.nack_out
            );
            all += talk.concealed() / 5.0;
        }
        assert!((least..=most).contains(&all), "{loss_percent} %, {habits:?}: {all}");
    }
}

#[test]
fn red_of_a_publisher_is_opus_for_the_room_and_may_be_red_again_for_a_subscriber() {
    let mut talk = Talk::new(1, GOOD, Habits { red: true, repeats: true });
    talk.run(4_000);
    let stats = talk.world.room.stats();
    assert_eq!((stats.red_recovered, stats.nack_out, talk.concealed()), (0, 0, 0.0));
    // A block that is not the neighbour's, as after a pause, stands in for nothing.
    let fields = |seq: u16, ts| Fields { marker: false, pt: RED_PT, seq: SeqNo(seq), ts, ssrc: AUDIO_SSRC };
    let next = FIRST_SEQ.wrapping_add(201);
    let mut far = [0; 64];
    for (offset, taken) in [(1_920, 0), (960, 1)] {
        let len = red::write(&mut far, AUDIO_PT, &[red::Block { offset, payload: &[1; 9] }], &[2; 9]).unwrap();
        let seq = next.wrapping_add(2 * taken + 1);
        talk.world
            .send_bytes(AUDIO, 0, rtp(fields(seq, 960 * (u32::from(taken) * 2 + 202)), &[], &far[..len]))
            .unwrap();
        assert_eq!(talk.world.room.stats().red_recovered, u64::from(taken));
    }
}

/// Sends 15 frames a second of these layers for so long; what the publisher is told meanwhile, and after how many ms.
fn film(world: &mut World, seqs: &mut [u16; 3], layers: &[u8], ms: u64) -> Vec<(u64, String)> {
    film_late(world, seqs, layers, ms, 0)
}

/// The same over a path on which they wait for so long.
fn film_late(world: &mut World, seqs: &mut [u16; 3], layers: &[u8], ms: u64, late_ms: u32) -> Vec<(u64, String)> {
    let mut told = Vec::new();
    for at in 0..ms {
        world.pass(1);
        if at % 66 == 0 {
            for layer in layers {
                let seq = &mut seqs[usize::from(*layer)];
                *seq = seq.wrapping_add(1);
                world
                    .send(Frame {
                        ts: (world.now.duration_since(world.start).as_millis() as u32 - late_ms) * 90,
                        ..frame(*layer, *seq, *seq == 65_530)
                    })
                    .unwrap();
            }
            world.flush();
        }
        told.extend(world.told(ALICE).into_iter().map(|line| (at, line)));
    }
    told
}

/// Bob sees the top layer of three, whose last numbers are these.
fn watched() -> (World, [u16; 3]) {
    let mut world = World::new(3);
    world.subscribe(BOB, VIDEO);
    let mut seqs = [65_529; 3];
    film(&mut world, &mut seqs, &[0, 1, 2], 3_000);
    (world, seqs)
}

/// When a keyframe of the middle layer was first asked for.
fn asked(told: &[(u64, String)]) -> Option<u64> {
    told.iter().find(|(_, line)| line == "pli 501").map(|(at, _)| *at)
}

#[test]
fn a_top_layer_that_stops_is_left_after_a_few_frames_and_one_that_stutters_is_not() {
    let (mut world, mut seqs) = watched();
    for _ in 0..5 {
        assert_eq!(asked(&film(&mut world, &mut seqs, &[0, 1], 2 * 66)), None, "two frames left out");
        assert_eq!(asked(&film(&mut world, &mut seqs, &[0, 1, 2], 10 * 66)), None);
    }
    let asked = asked(&film(&mut world, &mut seqs, &[0, 1], 1_000)).unwrap();
    assert!(asked <= 350, "{asked} ms");
}

/// A path that got slow made the publisher stop its top layer, and lost much of what it sent of it last.
#[test]
fn repeats_of_a_layer_that_has_stopped_neither_keep_it_alive_nor_are_asked_for() {
    let (mut world, mut seqs) = watched();
    let first_lost = seqs[2].wrapping_add(1);
    seqs[2] = seqs[2].wrapping_add(29);
    let mut told = film(&mut world, &mut seqs, &[0, 1, 2], 66);
    for picture in 0..15 {
        // One more of them comes with each picture, because it was asked for before.
        world.send_rtx(picture, frame(2, first_lost.wrapping_add(picture), false)).unwrap();
        let later = film(&mut world, &mut seqs, &[0, 1], 66);
        told.extend(later.into_iter().map(|(at, line)| (66 * u64::from(picture + 1) + at, line)));
    }
    let asked = asked(&told).unwrap();
    assert!(asked <= 66 + 350, "{asked} ms");
    let nacks: Vec<u64> = told.iter().filter(|(_, line)| line.starts_with("nack 502")).map(|(at, _)| *at).collect();
    assert!(!nacks.is_empty() && nacks.iter().all(|at| *at <= asked), "{nacks:?}, stopped after {asked} ms");
}

/// It stops for good, but for a picture that was under way still.
#[test]
fn a_single_picture_of_a_layer_that_has_stopped_keeps_nobody_waiting_for_more() {
    let (mut world, mut seqs) = watched();
    assert!(asked(&film(&mut world, &mut seqs, &[0, 1], 400)).is_some());
    film(&mut world, &mut seqs, &[0, 1, 2], 66);
    world.send(frame(1, seqs[1].wrapping_add(1), true)).unwrap();
    assert_eq!(world.flush().len(), 1, "what was asked for is taken");
    // Where it goes on, it is back.
    seqs[1] = seqs[1].wrapping_add(1);
    let told = film(&mut world, &mut seqs, &[0, 1, 2], 6 * 66);
    assert!(told.iter().any(|(_, line)| line == "pli 502"), "{told:?}");
}

/// All that comes has waited, and much is lost: the top layer's keyframes and repeats would only wait as well.
#[test]
fn a_layer_that_a_full_path_loses_is_left_at_once_and_taken_again_when_there_is_room() {
    let (mut world, mut seqs) = watched();
    let skip = |seq: u16, lost| seq.wrapping_add(lost);
    world.pass(300);
    assert_eq!(asked(&film_late(&mut world, &mut seqs, &[0, 1, 2], 200, 300)), None, "all of it comes, if late");
    seqs[2] = skip(seqs[2], 7);
    let told = film_late(&mut world, &mut seqs, &[0, 1, 2], 66, 300);
    assert_eq!(asked(&told), None);
    let nacks: Vec<&(u64, String)> = told.iter().filter(|(_, line)| line.starts_with("nack 502")).collect();
    assert!(matches!(nacks.as_slice(), [(_, first)] if first.matches(',').count() == 3), "four of seven: {nacks:?}");
    seqs[2] = skip(seqs[2], 7);
    let told = film_late(&mut world, &mut seqs, &[0, 1, 2], 66, 300);
    assert!(asked(&told).is_some_and(|at| at < 20), "{told:?}");
    assert_eq!(world.room.stats().hopeless, 1);
    let told = film_late(&mut world, &mut seqs, &[0, 1, 2], 2_000, 300);
    assert!(told.iter().all(|(_, line)| !line.starts_with("nack 502") && line != "pli 502"), "{told:?}");
    let told = film(&mut world, &mut seqs, &[0, 1, 2], 600);
    assert!(told.iter().any(|(_, line)| line == "pli 502"), "{told:?}");
}

/// Nobody leaves out the lowest layer; a path that loses some of its pictures in a row does not make it one to go on without.
#[test]
fn the_lowest_layer_is_there_to_go_down_to_though_its_last_pictures_are_lost() {
    let (mut world, mut seqs) = watched();
    world.pass(300);
    let told = film_late(&mut world, &mut seqs, &[2], 400, 300);
    assert!(told.iter().all(|(_, line)| !line.starts_with("pli")), "{told:?}");
    seqs[2] = seqs[2].wrapping_add(10);
    let told = film_late(&mut world, &mut seqs, &[2], 66, 300);
    assert!(told.iter().any(|(at, line)| line == "pli 500" && *at < 20), "{told:?}");
}
