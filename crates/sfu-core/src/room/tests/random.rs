//! Random loss, reordering, padding, layer switches and pauses: what goes out stays one stream.

use std::collections::{BTreeMap, BTreeSet};

use convene_rtp::rtcp::{SenderInfo, write_nack, write_sr};

use super::*;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// One simulcast layer at the publisher.
struct Source {
    layer: u8,
    seq: u16,
    ts_base: u32,
    picture_id: u16,
    tl0: u8,
    /// Packets sent, for RTX.
    sent: BTreeMap<u16, Vec<u8>>,
}

impl Source {
    /// The packets of the frame of a tick, padding among them.
    fn frame(&mut self, rng: &mut Rng, tick: u32, keyframe: bool) -> Vec<Vec<u8>> {
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(1);
        let count = if keyframe { 3 + rng.below(4) } else { 1 + rng.below(3) };
        let mut frame = Vec::new();
        for index in 0..count {
            let mut payload = vp8(keyframe, index == 0, self.picture_id, false, self.tl0);
            payload.extend([self.layer, index as u8]);
            payload.extend(tick.to_be_bytes());
            frame.push(self.packet(tick, &payload, index + 1 == count));
        }
        for _ in 0..if rng.chance(20) { rng.below(4) } else { 0 } {
            let mut padding = self.packet(tick, &[0, 0, 0, 4], false);
            padding[0] |= 0x20;
            self.sent.remove(&self.seq.wrapping_sub(1));
            frame.push(padding);
        }
        frame
    }

    fn packet(&mut self, tick: u32, payload: &[u8], marker: bool) -> Vec<u8> {
        let ts = self.ts_base.wrapping_add(3_000 * tick);
        let ssrc = Ssrc(layer_ssrc(self.layer));
        let bytes = rtp(Fields { marker, pt: MEDIA_PT, seq: SeqNo(self.seq), ts, ssrc }, &[], payload);
        self.sent.insert(self.seq, bytes.clone());
        self.seq = self.seq.wrapping_add(1);
        bytes
    }
}

struct Run {
    world: World,
    rng: Rng,
    sources: Vec<Source>,
    /// Packets under way to the room: due at this tick.
    on_the_way: Vec<(u32, u8, Vec<u8>)>,
    /// What Bob has: by unwrapped number.
    got: BTreeMap<u64, Out>,
    newest: Option<u64>,
    rtx_seq: u16,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed | 1);
        let sources = (0..3)
            .map(|layer| Source {
                layer,
                seq: rng.next() as u16,
                ts_base: rng.next() as u32,
                picture_id: rng.next() as u16 & 0x7fff,
                tl0: rng.next() as u8,
                sent: BTreeMap::new(),
            })
            .collect();
        let mut world = World::new(3);
        world.subscribe(BOB, VIDEO);
        Self { world, rng, sources, on_the_way: Vec::new(), got: BTreeMap::new(), newest: None, rtx_seq: 1 }
    }

    fn receive(&mut self, out: Out) {
        let (seq, payload) = match out.pt {
            OUT_PT => (out.seq, out.payload.clone()),
            _ => (u16::from_be_bytes([out.payload[0], out.payload[1]]), out.payload[2..].to_vec()),
        };
        let newest = self.newest.unwrap_or(u64::from(seq) + (1 << 16));
        let seq = newest.wrapping_add_signed(i64::from(seq.wrapping_sub(newest as u16).cast_signed()));
        self.newest = Some(newest.max(seq));
        let out = Out { seq: seq as u16, payload, pt: OUT_PT, ssrc: out_ssrc(BOB, VIDEO), ..out };
        if let Some(before) = self.got.insert(seq, out.clone()) {
            assert_eq!(before, out, "one number, two contents");
        }
    }

    fn publish(&mut self, tick: u32, loss: u64) {
        let asked = self.world.told(ALICE);
        for index in 0..self.sources.len() {
            let layer = index as u8;
            // The highest layer comes and goes.
            if layer == 2 && tick % 200 > 140 {
                continue;
            }
            let keyframe = tick == 0 || asked.contains(&format!("pli {}", layer_ssrc(layer)));
            let packets = self.sources[index].frame(&mut self.rng, tick, keyframe);
            for bytes in packets {
                if !self.rng.chance(loss) {
                    let late = if self.rng.chance(5) { 1 } else { 0 };
                    self.on_the_way.push((tick + late, layer, bytes));
                }
            }
        }
        self.repeat(&asked);
        self.deliver(tick);
    }

    /// What is due arrives, neighbours swapped at times.
    fn deliver(&mut self, tick: u32) {
        let (mut due, later): (Vec<_>, Vec<_>) = self.on_the_way.drain(..).partition(|(at, _, _)| *at <= tick);
        self.on_the_way = later;
        for index in 1..due.len() {
            if self.rng.chance(10) && due[index].1 == due[index - 1].1 {
                due.swap(index, index - 1);
            }
        }
        for (_, layer, bytes) in due {
            self.world.send_bytes(VIDEO, layer, bytes).ok();
        }
    }

    /// Answers NACKs by RTX.
    fn repeat(&mut self, asked: &[String]) {
        for line in asked.iter().filter(|line| line.starts_with("nack")) {
            let (ssrc, seqs) = line[5..].split_once(' ').unwrap();
            let layer = (ssrc.parse::<u32>().unwrap() - 500) as u8;
            for seq in seqs.trim_matches(['[', ']']).split(", ").map(|seq| seq.parse::<u16>().unwrap()) {
                let Some(original) = self.sources[usize::from(layer)].sent.get(&seq) else { continue };
                let mut bytes = original[..12].to_vec();
                bytes.extend(seq.to_be_bytes());
                bytes.extend(&original[12..]);
                convene_rtp::packet::set_seq(&mut bytes, SeqNo(self.rtx_seq));
                self.rtx_seq = self.rtx_seq.wrapping_add(1);
                let input =
                    RtpIn { track: VIDEO, layer, repair: true, packet: &mut bytes, rtx_media_pt: Some(MEDIA_PT) };
                self.world.room.handle_rtp(self.world.now, input).ok();
            }
        }
    }

    /// Bob asks for what he misses.
    fn ask(&mut self) {
        let (Some(first), Some(newest)) = (self.got.keys().next().copied(), self.newest) else { return };
        let from = first.max(newest.saturating_sub(200));
        let missing: Vec<SeqNo> =
            (from..newest).filter(|seq| !self.got.contains_key(seq)).map(|seq| SeqNo(seq as u16)).collect();
        let mut bytes = Vec::new();
        write_nack(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO), &missing);
        self.world.room.handle_rtcp(self.world.now, BOB, &bytes).unwrap();
    }

    fn tell_time(&mut self, tick: u32) {
        for source in &self.sources {
            let rtp_ts = source.ts_base.wrapping_add(3_000 * tick);
            let ntp = (1_000 << 32) + ((u64::from(tick) << 32) / 30);
            let info = SenderInfo { ssrc: Ssrc(layer_ssrc(source.layer)), ntp, rtp_ts, packets: 1, octets: 1 };
            let mut bytes = Vec::new();
            write_sr(&mut bytes, &info, &[]);
            self.world.room.handle_rtcp(self.world.now, ALICE, &bytes).unwrap();
        }
    }

    fn go(&mut self, ticks: u32, loss: u64) {
        for tick in 0..ticks {
            self.publish(tick, loss);
            for out in self.world.flush() {
                self.receive(out);
            }
            if self.rng.chance(6) {
                let (paused, max) = (self.rng.chance(20), self.rng.below(3) as u8);
                self.world.room.set_target(self.world.now, BOB, VIDEO, paused, max);
            }
            if tick % 40 == 20 {
                self.tell_time(tick);
            }
            if tick % 2 == 0 {
                self.ask();
                for out in self.world.flush() {
                    self.receive(out);
                }
            }
            self.world.pass(33);
        }
        self.deliver(u32::MAX);
        for out in self.world.flush() {
            self.receive(out);
        }
        self.world.room.set_target(self.world.now, BOB, VIDEO, true, 0);
        for _ in 0..4 {
            self.ask();
            for out in self.world.flush() {
                self.receive(out);
            }
            self.world.pass(50);
        }
    }

    /// Timestamps never go back as numbers go on, nor do frames within a layer; picture ids go on by one per frame where
    /// no packet is missing.
    fn check(&self, seed: u64) {
        let stream: Vec<(&u64, &Out)> = self.got.iter().filter(|(_, out)| !out.payload.is_empty()).collect();
        for pair in stream.windows(2) {
            let [(a_seq, a), (b_seq, b)] = pair else { unreachable!() };
            let step = b.ts.wrapping_sub(a.ts).cast_signed();
            assert!(step >= 0, "seed {seed}: timestamp went back at {b_seq}");
            let frames = b.picture().0.wrapping_sub(a.picture().0) & 0x7fff;
            let tl0 = b.picture().1.wrapping_sub(a.picture().1);
            let (a_body, b_body) = (&a.payload[a.payload.len() - 6..], &b.payload[b.payload.len() - 6..]);
            let same_frame = a_body[0] == b_body[0] && a_body[2..] == b_body[2..];
            assert_eq!(same_frame, step == 0, "seed {seed}: one timestamp, one frame, at {b_seq}");
            if same_frame || **b_seq == **a_seq + 1 {
                let want = u16::from(!same_frame);
                assert_eq!((frames, u16::from(tl0)), (want, want), "seed {seed}: at {b_seq}");
            }
            assert!(frames < 0x4000, "seed {seed}: picture id went back at {b_seq}");
        }
    }

    fn holes(&self) -> BTreeSet<u64> {
        let (Some(first), Some(last)) = (self.got.keys().next(), self.newest) else { return BTreeSet::new() };
        (*first..=last).filter(|seq| !self.got.contains_key(seq)).collect()
    }
}

#[test]
fn one_stream_without_a_hole_over_switches_and_reordering() {
    for seed in 1..=30_u64 {
        let mut run = Run::new(seed * 0x9e37_79b9_7f4a_7c15);
        run.go(600, 0);
        run.check(seed);
        assert!(run.got.len() > 500, "seed {seed}: {}", run.got.len());
        assert!(run.world.room.stats().switches > 10, "seed {seed}");
        assert!(run.holes().is_empty(), "seed {seed}: {:?} of {}", run.holes(), run.got.len());
    }
}

#[test]
fn one_stream_over_loss() {
    for seed in 1..=30_u64 {
        let mut run = Run::new(seed * 0x9e37_79b9_7f4a_7c15);
        run.go(600, 5);
        run.check(seed);
        // Lost and not needed any more by the time it is known to be: what came before a keyframe.
        let (holes, got) = (run.holes().len(), run.got.len());
        assert!(holes * 50 < got, "seed {seed}: {holes} holes beside {got}");
        assert!(run.world.room.stats().rtx_in > 20, "seed {seed}");
    }
}
