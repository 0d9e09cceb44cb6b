//! Ten thousand switches of layers for each codec: what goes out is one stream without a hole, of which every frame can be
//! decoded.

use std::collections::{BTreeMap, HashMap};

use convene_rtp::{dd, vp8, vp9};

use super::layered::{Body, DD_ID, Kind, Stream};
use super::link::Random;
use super::*;
use crate::ceiling::Ceiling;
use crate::cut::{level_of, step};

const SWITCHES: u64 = 10_000;
/// Pictures after which a switch that has not come is given up: three rounds of asking for a keyframe.
const PATIENCE: u32 = 12;

/// What a receiver has, and what it can decode.
struct Decoder {
    kind: Kind,
    swaps: bool,
    packets: BTreeMap<u64, Out>,
    newest: Option<u64>,
    /// The next number to take.
    next: Option<u64>,
    last: Option<Last>,
    /// Packets of the frame that is being put together.
    frame: Vec<Body>,
    /// Frames decoded: the number each went out with.
    decoded: HashMap<u32, u16>,
    fills: u64,
    frames: u64,
    levels: [u64; 3],
}

struct Last {
    ts: u32,
    marker: bool,
    id: u32,
    picture: u16,
    tl0: u8,
}

impl Decoder {
    fn take(&mut self, out: Out) {
        let newest = self.newest.unwrap_or(u64::from(out.seq) + (1 << 16));
        let seq = newest.wrapping_add_signed(i64::from(out.seq.wrapping_sub(newest as u16).cast_signed()));
        self.newest = Some(newest.max(seq));
        self.next.get_or_insert(seq);
        assert!(self.packets.insert(seq, out).is_none(), "{seq} went out twice");
        while let Some(out) = self.next.and_then(|next| self.packets.remove(&next)) {
            self.next = self.next.map(|next| next + 1);
            self.read(&out);
        }
        assert!(self.packets.len() < 8, "{:?}: a hole at {:?}", self.kind, self.next);
    }

    fn read(&mut self, out: &Out) {
        if out.payload.is_empty() {
            self.fills += 1;
            return;
        }
        let body = Body::read(self.kind, &out.payload);
        let (picture, tl0) = self.numbers(out);
        if let Some(last) = &self.last {
            let new_picture = out.ts != last.ts;
            assert!(out.ts.wrapping_sub(last.ts).cast_signed() >= 0, "time went back");
            assert_eq!(new_picture, last.marker, "{:?}: marker and time disagree before {body:?}", self.kind);
            let frames = picture.wrapping_sub(last.picture) & self.number_mask();
            let new_frame = body.id != last.id;
            match self.kind {
                Kind::H264 => {}
                Kind::Vp8 if !self.swaps => assert_eq!(frames, u16::from(new_frame), "{body:?}"),
                Kind::Vp9Simulcast | Kind::Vp9Svc { .. } | Kind::Vp8 => {
                    assert_eq!(frames > 0, new_picture, "{body:?}");
                    assert!(frames < 0x1000);
                }
                Kind::Av1 { .. } => assert!((frames > 0) == new_frame && frames < 0x1000, "{body:?}"),
            }
            if !matches!(self.kind, Kind::H264 | Kind::Av1 { .. }) {
                let steps = u8::from(new_picture && body.temporal == 0);
                assert_eq!(tl0.wrapping_sub(last.tl0), steps, "{:?} {body:?}", self.kind);
            }
        }
        self.last = Some(Last { ts: out.ts, marker: out.marker, id: body.id, picture, tl0 });
        self.put_together(body, picture);
    }

    fn number_mask(&self) -> u16 {
        if matches!(self.kind, Kind::Av1 { .. }) { u16::MAX } else { 0x7fff }
    }

    /// Picture id or frame number, and TL0PICIDX.
    fn numbers(&self, out: &Out) -> (u16, u8) {
        match self.kind {
            Kind::Vp8 => {
                let descriptor = vp8::Descriptor::parse(&out.payload).unwrap();
                (descriptor.picture_id.unwrap(), descriptor.tl0picidx.unwrap())
            }
            Kind::Vp9Simulcast | Kind::Vp9Svc { .. } => {
                let descriptor = vp9::Descriptor::parse(&out.payload).unwrap();
                (descriptor.picture_id.unwrap(), descriptor.tl0picidx.unwrap())
            }
            Kind::Av1 { .. } => {
                let value = &out.extensions.iter().find(|(id, _)| *id == DD_ID).unwrap().1;
                (dd::Mandatory::parse(value).unwrap().frame_number, 0)
            }
            Kind::H264 => (0, 0),
        }
    }

    fn put_together(&mut self, body: Body, number: u16) {
        assert_eq!(usize::from(body.index), self.frame.len(), "{:?}: {body:?} after {:?}", self.kind, self.frame);
        assert!(self.frame.iter().all(|part| part.id == body.id));
        self.frame.push(body.clone());
        if self.frame.len() < usize::from(body.count) {
            return;
        }
        self.frame.clear();
        for need in &body.needs {
            let there = self.decoded.get(need);
            assert!(there.is_some(), "{:?}: {body:?} cannot be decoded", self.kind);
        }
        if let Kind::Av1 { .. } | Kind::Vp9Svc { .. } = self.kind {
            // References are named by the difference of the numbers, which all frames have kept.
            let moved = number.wrapping_sub(body.number) & self.number_mask();
            assert!(body.needs.iter().all(|need| self.decoded[need] == moved), "{body:?}");
            self.decoded.insert(body.id, moved);
        } else {
            self.decoded.insert(body.id, 0);
        }
        self.frames += 1;
        self.levels[usize::from(body.spatial)] += 1;
    }
}

struct Run {
    kind: Kind,
    room: Room,
    start: Instant,
    random: Random,
    streams: Vec<Stream>,
    keys: [bool; 3],
    /// A packet that comes after the first of the next picture.
    late: Option<Vec<u8>>,
    ids: u32,
    decoder: Decoder,
    swaps: bool,
}

impl Run {
    fn new(kind: Kind, seed: u64, swaps: bool) -> Self {
        let start = Instant::now();
        // A keyframe may be asked for each second picture: the switches are what is looked at.
        let config = Config { pli_interval: Duration::from_millis(60), ..Config::default() };
        let mut room = Room::new(config, start);
        let exts = map(&[(ext::Kind::DependencyDescriptor, DD_ID)]);
        room.add_track(
            start,
            TrackSpec {
                track: VIDEO,
                publisher: ALICE,
                kind: MediaKind::Video,
                pts: vec![(MEDIA_PT, kind.codec())],
                layers: kind.streams(),
                exts,
                rtx: true,
                nack: true,
            },
        );
        room.subscribe(start, BOB, VIDEO, Egress { exts, ..egress(BOB, VIDEO) });
        let mut random = Random::new(seed);
        let streams = (0..kind.streams()).map(|index| Stream::new(kind, index, &mut random)).collect();
        let decoder = Decoder {
            kind,
            swaps,
            packets: BTreeMap::new(),
            newest: None,
            next: None,
            last: None,
            frame: Vec::new(),
            decoded: HashMap::new(),
            fills: 0,
            frames: 0,
            levels: [0; 3],
        };
        Self { kind, room, start, random, streams, keys: [true; 3], late: None, ids: 0, decoder, swaps }
    }

    fn now(&self, picture: u32) -> Instant {
        self.start + Duration::from_millis(33) * picture
    }

    fn go(&mut self, switches: u64) {
        let (mut wanted, mut since, mut picture) = (step(2, 3), 0, 0);
        while self.done() < switches {
            picture += 1;
            assert!(u64::from(picture) < switches * 40, "{:?}: {} in {picture}", self.kind, self.done());
            self.publish(picture);
            let present = self.present();
            let reached = present.is_some_and(|step| self.is_as_good(step, wanted));
            assert!(reached || picture - since < 4 * PATIENCE, "{:?}: {present:?} not {wanted}", self.kind);
            if reached || (picture - since > PATIENCE && self.random.below(4) == 0) {
                wanted = self.random_step();
                since = picture;
                self.force(picture, wanted);
            }
        }
    }

    /// Every switch of streams, and every change within one.
    fn done(&self) -> u64 {
        self.room.stats().switches + self.room.stats().turns
    }

    /// With three temporal layers all of them are the lowest three.
    fn is_as_good(&self, step: u8, wanted: u8) -> bool {
        step == wanted || (step % 4 == 2 && step + 1 == wanted)
    }

    fn random_step(&mut self) -> u8 {
        let level = self.random.below(3) as u8;
        let temporal = if self.kind.has_temporal_layers() { [0, 1, 3][self.random.below(3) as usize] } else { 3 };
        step(level, temporal)
    }

    fn present(&mut self) -> Option<u8> {
        let layers = &self.room.tracks.iter().next()?.1.layers;
        self.room.subscribers.iter_mut().next()?.1.get_mut(0)?.step(layers)
    }

    fn force(&mut self, picture: u32, wanted: u8) {
        let now = self.now(picture);
        let (_, subscriber) = self.room.subscribers.iter_mut().next().unwrap();
        subscriber.get_mut(0).unwrap().share.give(now, Some(wanted), 0.0, &[]);
        self.room.select(0);
    }

    fn publish(&mut self, picture: u32) {
        let now = self.now(picture);
        if self.room.poll_timeout().is_some_and(|due| due <= now) {
            self.room.handle_timeout(now);
        }
        for index in 0..self.streams.len() {
            let key = std::mem::take(&mut self.keys[index]);
            let mut packets = self.streams[index].picture(key, &mut self.ids, &mut self.random);
            // Not the first of a keyframe: what overtakes that has to be asked for again.
            let first = usize::from(key);
            if self.swaps && packets.len() > first + 1 && self.random.below(5) == 0 {
                let at = first + self.random.below((packets.len() - first) as u64 - 1) as usize;
                packets.swap(at, at + 1);
            }
            if let Some(late) = self.late.take() {
                packets.insert(usize::from(!key), late);
            }
            // Of one stream alone: of several, what comes after the switch to another is not waited for.
            if self.swaps && !key && self.streams.len() == 1 && self.random.below(8) == 0 {
                self.late = packets.pop();
            }
            packets.into_iter().for_each(|packet| self.feed(now, index as u8, packet));
        }
        self.flush(now);
        self.hear(now);
    }

    fn feed(&mut self, now: Instant, layer: u8, mut packet: Vec<u8>) {
        let input = RtpIn { track: VIDEO, layer, repair: false, packet: &mut packet, rtx_media_pt: None };
        self.room.handle_rtp(now, input).unwrap();
    }

    /// Notes which layers a keyframe is asked of.
    fn hear(&mut self, now: Instant) {
        while let Some((_, bytes)) = self.room.poll_rtcp(now) {
            for packet in packets(&bytes) {
                if let Ok(Packet::Pli { media, .. }) = packet {
                    self.keys[(media.0 - 500) as usize] = true;
                }
            }
        }
    }

    fn flush(&mut self, now: Instant) {
        while let Some(to) = self.room.next_subscriber() {
            self.room.write(now, &mut Show::to(|packet| self.decoder.take(Out::read(to, packet))));
        }
    }
}

const KINDS: [Kind; 7] = [
    Kind::Vp8,
    Kind::H264,
    Kind::Vp9Svc { key: false },
    Kind::Vp9Svc { key: true },
    Kind::Vp9Simulcast,
    Kind::Av1 { key: false },
    Kind::Av1 { key: true },
];

#[test]
fn ten_thousand_switches_of_each_codec_leave_one_stream_that_decodes() {
    for kind in KINDS {
        let mut run = Run::new(kind, 1, false);
        run.go(SWITCHES);
        let (stats, decoder) = (run.room.stats(), &run.decoder);
        eprintln!(
            "{kind:?}: {} switches of streams, {} within one, {} frames, {:?}, {} packets left out",
            stats.switches, stats.turns, decoder.frames, decoder.levels, stats.layered_out
        );
        assert_eq!(decoder.fills, 0);
        if kind.streams() == 1 {
            assert!(decoder.levels.iter().all(|frames| *frames > 1_000), "{kind:?} {:?}", decoder.levels);
        }
    }
}

#[test]
fn switches_survive_packets_that_overtake_each_other() {
    for (kind, seed) in KINDS.into_iter().flat_map(|kind| (1..4).map(move |seed| (kind, seed))) {
        let mut run = Run::new(kind, seed, true);
        run.go(1_000);
        assert!(run.decoder.frames > 1_000, "{kind:?}");
    }
}

#[test]
fn a_ceiling_takes_the_highest_level_away_also_where_one_stream_has_all() {
    for kind in KINDS {
        let mut run = Run::new(kind, 1, false);
        let mut picture = 0;
        let mut level = |run: &mut Run| {
            for _ in 0..60 {
                picture += 1;
                run.publish(picture);
            }
            run.present().map(level_of)
        };
        for (present, lower) in [(2, Ceiling::Layer(1)), (1, Ceiling::Layer(0)), (0, Ceiling::NoVideo)] {
            assert_eq!(level(&mut run), Some(present), "{kind:?}");
            assert_eq!(run.room.lower_ceiling(), Some(lower), "{kind:?}");
            run.room.set_ceiling(lower);
        }
        run.room.set_ceiling(Ceiling::Open);
        assert_eq!(level(&mut run), Some(2), "{kind:?}");
    }
}

#[test]
fn who_misses_where_less_of_a_stream_begins_asks_for_a_keyframe() {
    for kind in [Kind::Vp9Svc { key: true }, Kind::Av1 { key: true }] {
        let mut run = Run::new(kind, 1, false);
        run.force(1, step(2, 3));
        run.keys[0] = true;
        let all = (1..40).find(|picture| {
            run.publish(*picture);
            run.present() == Some(step(2, 3))
        });
        let picture = all.unwrap() + 10;
        run.keys[0] = true;
        run.publish(picture);
        run.keys[0] = false;
        run.force(picture, step(1, 3));
        run.hear(run.now(picture));
        assert!(!run.keys[0], "{kind:?}: it may fall with the next picture");
        // Of the next picture the lowest layer is lost, with which it would begin.
        let now = run.now(picture + 10);
        let packets = run.streams[0].picture(false, &mut run.ids, &mut run.random);
        for packet in packets {
            let view = View::parse(&packet).unwrap();
            if Body::read(kind, view.payload()).spatial > 0 {
                run.feed(now, 0, packet);
            }
        }
        while run.room.next_subscriber().is_some() {
            run.room.write(now, &mut Show::to(|_| {}));
        }
        run.hear(now);
        assert!(run.keys[0], "{kind:?}: nothing was asked for");
    }
}
