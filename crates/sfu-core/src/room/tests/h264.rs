//! H.264, whose keyframes begin with parameter sets: of one packet (STAP-A), or in packets of their own (RFC 6184 §5.6, §5.7.1).

use super::*;

const PICTURE_MS: u64 = 66;
const DELTA: &[u8] = &[0x41, 0x9a, 0];
/// Payloads of the packets of a keyframe.
type Keyframe = &'static [&'static [u8]];
const STAP_A: Keyframe = &[&[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce], &[0x7c, 0x85, 0x88, 1], &[0x7c, 0x45, 2]];
const SINGLE: Keyframe = &[&[0x67, 0x42], &[0x68, 0xce], &[0x65, 0x88, 1]];

/// Bob watches a track of some layers.
struct Film {
    world: World,
    seqs: [u16; 2],
    ms: u64,
    bob: Vec<Out>,
    /// NACKs to the publisher.
    nacks: Vec<String>,
    keyframe: Keyframe,
}

impl Film {
    /// All layers, until he sees the highest.
    fn new(layers: u8, keyframe: Keyframe) -> Self {
        let mut world = World::of(Codec::H264, layers);
        world.subscribe(BOB, VIDEO);
        let mut film = Self { world, seqs: [65_500; 2], ms: 0, bob: Vec::new(), nacks: Vec::new(), keyframe };
        (0..layers).for_each(|layer| film.begin(layer, None));
        film.run(1_000, layers);
        film
    }

    /// Two layers, of which the upper one has stopped for long enough.
    fn stopped(keyframe: Keyframe) -> Self {
        let mut film = Self::new(2, keyframe);
        assert_eq!(film.bob.last().map(|out| out.payload.last().copied()), Some(Some(1)), "the upper one is seen");
        film.run(1_000, 1);
        film.bob.clear();
        film
    }

    fn send(&mut self, layer: u8, payload: &[u8], marker: bool) {
        let seq = &mut self.seqs[usize::from(layer)];
        *seq = seq.wrapping_add(1);
        let (seq, ts) = (SeqNo(*seq), 90 * self.ms as u32);
        let fields = Fields { marker, pt: MEDIA_PT, seq, ts, ssrc: Ssrc(layer_ssrc(layer)) };
        self.world.send_bytes(VIDEO, layer, rtp(fields, &[], &[payload, &[layer]].concat())).unwrap();
    }

    /// A keyframe, at once; without the packet of this place.
    fn begin(&mut self, layer: u8, without: Option<usize>) {
        for (index, payload) in self.keyframe.iter().enumerate() {
            match without == Some(index) {
                true => self.seqs[usize::from(layer)] = self.seqs[usize::from(layer)].wrapping_add(1),
                false => self.send(layer, payload, index + 1 == self.keyframe.len()),
            }
        }
    }

    /// A packet that was lost, so many before the newest.
    fn repeat(&mut self, layer: u8, back: u16, payload: &[u8], ms: u64) {
        let (seq, now) = (self.seqs[usize::from(layer)], std::mem::replace(&mut self.ms, ms));
        self.seqs[usize::from(layer)] = seq.wrapping_sub(back + 1);
        self.send(layer, payload, false);
        (self.seqs[usize::from(layer)], self.ms) = (seq, now);
    }

    /// Pictures of the lowest layers; keyframes that are asked for come with the next one.
    fn run(&mut self, ms: u64, layers: u8) {
        let mut asked = Vec::new();
        for _ in 0..ms {
            self.world.pass(1);
            self.ms += 1;
            for layer in (0..layers).take(usize::from(layers) * usize::from(self.ms.is_multiple_of(PICTURE_MS))) {
                let before = asked.len();
                asked.retain(|asked| *asked != format!("pli {}", layer_ssrc(layer)));
                match asked.len() < before {
                    true => self.begin(layer, None),
                    false => self.send(layer, DELTA, true),
                }
            }
            self.bob.extend(self.world.flush());
            let (nacks, others) = self.world.told(ALICE).into_iter().partition(|line| line.starts_with("nack"));
            self.nacks.extend::<Vec<String>>(nacks);
            asked.extend::<Vec<String>>(others);
        }
    }

    /// What Bob got of the upper layer, without the layer's mark.
    fn upper(&self) -> Vec<&[u8]> {
        let payloads = self.bob.iter().filter_map(|out| out.payload.split_last());
        payloads.filter(|(layer, _)| **layer == 1).map(|(_, payload)| payload).collect()
    }
}

#[test]
fn a_keyframe_that_was_held_goes_out_with_its_parameter_sets() {
    for keyframe in [STAP_A, SINGLE] {
        let mut film = Film::stopped(keyframe);
        let holds = film.world.room.stats().holds;
        film.begin(1, None);
        film.run(500, 2);
        assert_eq!(film.upper().get(..3), Some(keyframe));
        assert_eq!(film.world.room.stats().holds, holds + 1);
    }
}

#[test]
fn a_held_keyframe_waits_for_parameter_sets_that_are_missing() {
    for keyframe in [STAP_A, SINGLE] {
        let mut film = Film::stopped(keyframe);
        film.begin(1, Some(0));
        let (begun, seq) = (film.ms, film.seqs[1]);
        film.nacks.clear();
        film.run(250, 2);
        assert_eq!(film.nacks.first(), Some(&format!("nack 501 [{}]", seq - 2)));
        assert_eq!(film.upper(), [] as [&[u8]; 0]);
        let back = film.seqs[1] - (seq - 2);
        film.repeat(1, back, keyframe[0], begun);
        film.run(300, 2);
        assert_eq!(film.upper().get(..3), Some(keyframe));
    }
}

#[test]
fn parameter_sets_that_are_lost_are_asked_for() {
    for (keyframe, place) in [(STAP_A, 0), (SINGLE, 0), (SINGLE, 1)] {
        let mut film = Film::new(1, keyframe);
        (film.bob, film.nacks) = (Vec::new(), Vec::new());
        let seq = film.seqs[0] + 1 + place;
        film.begin(0, Some(usize::from(place)));
        film.run(15, 1);
        assert_eq!(film.nacks, [format!("nack 500 [{seq}]")]);
        let begun = film.ms - 15;
        film.repeat(0, 2 - place, keyframe[usize::from(place)], begun);
        film.run(1, 1);
        let mut out = film.bob.clone();
        out.sort_by_key(|out| out.seq);
        let payloads: Vec<&[u8]> = out.iter().map(|out| &out.payload[..out.payload.len() - 1]).collect();
        assert_eq!(payloads, keyframe);
        film.run(1_000, 1);
        assert_eq!(film.world.room.stats().lost_in, 0);
    }
}

#[test]
fn what_is_missing_of_the_picture_before_is_not_waited_for_for_ever() {
    for (keyframe, missing) in [(STAP_A, 1), (STAP_A, 5), (SINGLE, 3)] {
        let mut film = Film::stopped(keyframe);
        let asked = film.world.room.stats().pli_out;
        film.seqs[1] += missing;
        film.nacks.clear();
        film.begin(1, None);
        film.run(300, 2);
        assert_eq!(film.upper().get(..3), Some(keyframe));
        film.run(3_000, 2);
        assert_eq!((film.nacks.as_slice(), film.world.room.stats().pli_out), ([].as_slice(), asked));
    }
}

#[test]
fn what_is_missing_of_the_picture_before_is_asked_for_until_the_parameter_sets_are_there() {
    for keyframe in [STAP_A, SINGLE] {
        let mut film = Film::stopped(keyframe);
        let asked = film.world.room.stats().pli_out;
        film.seqs[1] += 3;
        film.nacks.clear();
        film.begin(1, Some(0));
        let (begun, seq) = (film.ms, film.seqs[1] - 2);
        film.run(30, 2);
        let all: Vec<u16> = (seq - 3..=seq).collect();
        assert_eq!(film.nacks.first(), Some(&format!("nack 501 {all:?}")));
        film.repeat(1, film.seqs[1] - seq, keyframe[0], begun);
        film.nacks.clear();
        film.run(270, 2);
        assert_eq!(film.upper().get(..3), Some(keyframe));
        film.run(3_000, 2);
        assert_eq!((film.nacks.as_slice(), film.world.room.stats().pli_out), ([].as_slice(), asked));
    }
}

#[test]
fn a_picture_that_was_lost_before_a_keyframe_costs_no_second_one() {
    let mut film = Film::new(1, STAP_A);
    let asked = film.world.room.stats().pli_out;
    film.seqs[0] += 1;
    film.nacks.clear();
    film.begin(0, None);
    film.run(3_000, 1);
    assert_eq!((film.nacks.as_slice(), film.world.room.stats().pli_out), ([].as_slice(), asked));
}

/// What a viewer got since the film's list was cleared, by number, without the layer's mark. Each number is there once.
fn got(film: &Film, viewer: PeerId) -> Vec<&[u8]> {
    let mut out: Vec<&Out> = film.bob.iter().filter(|out| out.to == viewer).collect();
    out.sort_by_key(|out| out.seq);
    assert!(out.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "{out:?}");
    out.iter().map(|out| out.payload.split_last().map_or(&[][..], |(_, payload)| payload)).collect()
}

/// Behind a set that comes first PPS waits for being asked for: a receiver sees that it is missing.
#[test]
fn who_waits_for_a_keyframe_gets_its_parameter_sets_when_they_come_after_its_first_slice() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (order, together, rises) in orders.into_iter().flat_map(|order| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(together, rises)| (order, together, rises))
    }) {
        let layers = if rises { 2 } else { 1 };
        let mut film = Film::new(layers, SINGLE);
        let viewer = if rises { BOB } else { CAROL };
        if rises {
            film.world.room.set_target(film.world.now, BOB, VIDEO, false, 0);
            film.run(990, 2);
            film.world.room.set_target(film.world.now, BOB, VIDEO, false, u8::MAX);
        } else {
            film.world.subscribe(CAROL, VIDEO);
        }
        let last = film.bob.last().map(|out| out.seq);
        film.bob.clear();
        let layer = layers - 1;
        film.seqs[usize::from(layer)] = film.seqs[usize::from(layer)].wrapping_add(3);
        for index in order {
            film.repeat(layer, 2 - index as u16, SINGLE[index], film.ms);
            if !together {
                let sent = film.world.flush();
                film.bob.extend(sent);
            }
        }
        film.run(2, layers);
        assert_eq!(got(&film, viewer), SINGLE, "{order:?} {together} {rises}");
        let first = film.bob.iter().filter(|out| out.to == viewer).map(|out| out.seq).min();
        assert!(!rises || first == last.map(|last| last + 1), "{first:?} after {last:?}");
        let slice = film.bob.iter().position(|out| out.to == viewer && out.payload[0] == 0x65);
        let set = film.bob.iter().position(|out| out.to == viewer && out.payload[0] == 0x68);
        assert!(order != [1, 2, 0] || set < slice, "what is here goes out first");
    }
}

#[test]
fn lost_parameter_sets_reach_who_came_meanwhile_and_those_of_nobody_go_out_empty() {
    let mut film = Film::new(1, SINGLE);
    film.world.subscribe(CAROL, VIDEO);
    film.bob.clear();
    film.seqs[0] += 1; // a picture before it is lost as well
    film.begin(0, Some(0));
    let begun = film.ms;
    film.run(15, 1);
    assert_eq!(got(&film, CAROL), SINGLE[1..], "what there is of it");
    film.repeat(0, 3, DELTA, begun - 33);
    film.repeat(0, 2, SINGLE[0], begun);
    film.run(1, 1);
    let all: Vec<&[u8]> = [&[][..]].into_iter().chain(SINGLE.iter().copied()).collect();
    assert_eq!(got(&film, CAROL), all);
    assert_eq!(got(&film, BOB), [&[DELTA][..], SINGLE].concat());
    film.run(500, 1);
    assert_eq!(film.world.room.stats().lost_in, 0);
}
