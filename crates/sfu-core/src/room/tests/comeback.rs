//! A top layer that comes back over a slow path: its keyframe takes half a second, and nobody sees any of that.

use convene_rtp::rtcp::{SenderInfo, write_sr};

use super::*;

/// Between two pictures, and between two packets of the keyframe.
const PICTURE_MS: u64 = 66;
const PACKET_MS: u64 = 35;
/// Of the keyframe: the last one comes after 420 ms.
const PARTS: u16 = 13;
/// Where the clock of the top layer stands when that of the lower one is at 0.
const AHEAD: u32 = 5_000_000;

/// Two layers, watched by Bob and Carol.
struct Film {
    world: World,
    ms: u64,
    seqs: [u16; 2],
    /// What Bob got, and when.
    bob: Vec<(u64, Out)>,
    carol: usize,
    /// Keyframes that were asked for, of which layer and when.
    asked: Vec<(u64, String)>,
}

impl Film {
    /// Both layers for two seconds, then the lower one for one.
    fn new() -> Self {
        let mut world = World::new(2);
        world.subscribe(BOB, VIDEO);
        world.subscribe(CAROL, VIDEO);
        let mut film = Self { world, ms: 0, seqs: [65_500; 2], bob: Vec::new(), carol: 0, asked: Vec::new() };
        film.send(0, true, true);
        film.send(1, true, true);
        for layer in 0..2 {
            let info = SenderInfo {
                ssrc: Ssrc(layer_ssrc(layer)),
                ntp: 100 << 32,
                rtp_ts: Self::ts(layer, 0),
                packets: 1,
                octets: 1,
            };
            let mut bytes = Vec::new();
            write_sr(&mut bytes, &info, &[]);
            film.world.room.handle_rtcp(film.world.now, ALICE, &bytes).unwrap();
        }
        film.pass();
        film.run(2_000, &[0, 1]);
        assert_eq!(film.top(), Some(1), "the top layer is seen");
        film.run(600, &[0]);
        film.send(0, true, true);
        film.run(400, &[0]);
        assert_eq!(film.top(), Some(0));
        film.asked.clear();
        film
    }

    fn ts(layer: u8, ms: u64) -> u32 {
        ms as u32 * 90 + AHEAD * u32::from(layer)
    }

    /// A packet of a picture that is taken now.
    fn send(&mut self, layer: u8, keyframe: bool, last: bool) {
        self.send_of(layer, (keyframe, keyframe), last, self.ms);
    }

    /// A packet of a picture that was taken then: of a keyframe, the first, the last.
    fn send_of(&mut self, layer: u8, (keyframe, first): (bool, bool), marker: bool, taken_ms: u64) {
        let seq = &mut self.seqs[usize::from(layer)];
        *seq = seq.wrapping_add(1);
        let fields = Fields {
            marker,
            pt: MEDIA_PT,
            seq: SeqNo(*seq),
            ts: Self::ts(layer, taken_ms),
            ssrc: Ssrc(layer_ssrc(layer)),
        };
        let mut payload = vp8(keyframe, first || !keyframe, *seq & 0x7fff, false, *seq as u8);
        payload.push(layer);
        self.world.send_bytes(VIDEO, layer, rtp(fields, &[], &payload)).unwrap();
    }

    fn pass(&mut self) {
        self.world.pass(1);
        self.ms += 1;
        for out in self.world.flush() {
            match out.to {
                BOB => self.bob.push((self.ms, out)),
                _ => self.carol += usize::from(*out.payload.last().unwrap() == 1),
            }
        }
        self.asked.extend(self.world.told_of(ALICE, "pli").into_iter().map(|line| (self.ms, line)));
    }

    /// Pictures of one packet.
    fn run(&mut self, ms: u64, layers: &[u8]) {
        for _ in 0..ms {
            if self.ms.is_multiple_of(PICTURE_MS) {
                layers.iter().for_each(|layer| self.send(*layer, false, true));
            }
            self.pass();
        }
    }

    /// The top layer's keyframe, a packet at a time, while the lower layer goes on; without the packet of this place.
    fn come_back(&mut self, without: Option<u16>) -> u64 {
        let (taken, mut part) = (self.ms, 0);
        while part < PARTS {
            if (self.ms - taken).is_multiple_of(PACKET_MS) {
                match without == Some(part) {
                    true => self.seqs[1] = self.seqs[1].wrapping_add(1),
                    false => self.send_of(1, (true, part == 0), part + 1 == PARTS, taken),
                }
                part += 1;
            }
            self.run(1, &[0]);
        }
        taken
    }

    /// The layer that Bob got last.
    fn top(&self) -> Option<u8> {
        self.bob.last().and_then(|(_, out)| out.payload.last().copied())
    }

    /// When Bob first got the top layer since then.
    fn back(&self, since: u64) -> Option<u64> {
        self.bob.iter().find(|(at, out)| *at > since && out.payload.last() == Some(&1)).map(|(at, _)| *at)
    }

    /// Nothing is missing or double in what Bob got, and time goes on.
    fn is_one_stream(&self) -> bool {
        let pairs = || self.bob.iter().zip(self.bob.iter().skip(1)).map(|((_, before), (_, after))| (before, after));
        let numbered = pairs().all(|(before, after)| after.seq == before.seq.wrapping_add(1));
        let timed = |(before, after): (&Out, &Out)| {
            let passed = after.ts.wrapping_sub(before.ts).cast_signed();
            passed > 0 || (passed == 0 && !before.marker)
        };
        numbered && pairs().all(timed)
    }
}

#[test]
fn the_lower_layer_goes_on_until_the_keyframe_is_whole() {
    let mut film = Film::new();
    let taken = film.come_back(None);
    let whole = film.ms;
    film.run(1_000, &[0, 1]);
    let back = film.back(taken).unwrap();
    assert!((whole..whole + 220).contains(&back), "back at {back}, the keyframe was whole at {whole}");
    let lower: Vec<u64> = film.bob.iter().filter(|(at, _)| (taken..back).contains(at)).map(|(at, _)| *at).collect();
    let steady = lower.iter().zip(lower.iter().skip(1)).all(|(before, after)| after - before <= PICTURE_MS);
    assert!(steady && back - lower.last().unwrap() <= PICTURE_MS + 20, "{lower:?}, then {back}");
    assert!(film.is_one_stream());
    assert_eq!((film.top(), film.asked.as_slice()), (Some(1), [].as_slice()));
    assert_eq!((film.world.room.stats().holds, film.carol > 0), (1, true));
    // Sound and picture stay in step: between what was taken in time, timestamps go on as time did.
    let (at, before) = film.bob.iter().rfind(|(at, _)| *at < back).unwrap();
    let (end, last) = film.bob.last().unwrap();
    let off = last.ts.wrapping_sub(before.ts).cast_signed() - (end - at) as i32 * 90;
    assert!(off.abs() <= 2, "off by {off}");
}

/// Whose path had been given less meanwhile would have missed the keyframe.
#[test]
fn one_keyframe_is_enough_for_those_who_had_been_given_less() {
    let mut film = Film::new();
    let now = film.world.now;
    for (_, subscriber) in &mut film.world.room.subscribers {
        let _ = subscriber.get_mut(0).unwrap().share.give(now, Some(3), 1e6, &[]);
    }
    film.world.room.select(0);
    let taken = film.ms;
    film.send_of(1, (true, true), false, taken);
    film.pass();
    for (_, subscriber) in &mut film.world.room.subscribers {
        let _ = subscriber.get_mut(0).unwrap().share.give(now, Some(7), 1e7, &[]);
    }
    film.world.room.select(0);
    film.send_of(1, (true, false), true, taken);
    film.run(500, &[0, 1]);
    assert_eq!((film.top(), film.asked.as_slice()), (Some(1), [].as_slice()));
    assert!(film.is_one_stream());
}

#[test]
fn what_a_held_keyframe_lacks_is_asked_for_and_it_goes_out_with_it() {
    let mut film = Film::new();
    film.come_back(Some(4));
    film.run(66, &[0, 1]);
    assert_eq!(film.top(), Some(0), "not whole");
    let nacks = film.world.room.stats().nack_out;
    assert!(nacks > 0);
    let seq = film.seqs[1];
    film.seqs[1] = seq.wrapping_sub(PARTS - 4 + 1);
    let taken = film.ms;
    film.send_of(1, (true, false), false, taken);
    film.seqs[1] = seq;
    film.run(300, &[0, 1]);
    assert_eq!((film.top(), film.asked.as_slice()), (Some(1), [].as_slice()));
}

#[test]
fn a_layer_that_nobody_watches_the_lower_ones_of_is_not_held() {
    let mut film = Film::new();
    for peer in [BOB, CAROL] {
        film.world.room.unsubscribe(peer, VIDEO);
    }
    film.come_back(None);
    assert_eq!(film.world.room.stats().holds, 0);
    assert!(film.world.room.held.is_empty());
}

#[test]
fn a_layer_that_stops_again_is_not_held_any_more() {
    let mut film = Film::new();
    film.send_of(1, (true, true), false, film.ms);
    film.run(900, &[0]);
    assert_eq!((film.top(), film.world.room.held.len()), (Some(0), 0));
    assert!(film.is_one_stream());
}

#[test]
fn a_layer_that_sends_in_each_tick_is_held_no_longer_than_its_keyframe() {
    let mut film = Film::new();
    film.come_back(None);
    let mut sent = 0;
    for _ in 0..80 {
        film.send(1, false, true);
        sent = film.ms;
        film.run(10, &[0]);
    }
    assert!(film.world.room.held.is_empty());
    let (at, last) = film.bob.last().unwrap();
    assert_eq!((*at, last.payload.last()), (sent + 1, Some(&1)), "at once");
    assert!(film.is_one_stream() && film.asked.is_empty());
    film.world.subscribe(PeerId(4), VIDEO);
    film.run(600, &[0, 1]);
    assert_eq!(film.asked.first().map(|(_, line)| line.as_str()), Some("pli 501"));
}
