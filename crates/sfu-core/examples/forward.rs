//! What forwarding costs: ns per packet of 1,200 B for 200 subscribers, in batches of 8, without sealing.
//!
//! `cargo run --release -p convene-sfu-core --example forward`
#![expect(clippy::print_stdout, reason = "its output")]

use std::time::{Duration, Instant};

use convene_rtp::ext::{self, Kind};
use convene_rtp::packet::{Fields, write_header};
use convene_sfu_core::{Config, Egress, PtMap, Room, RtpIn, Sink, TrackSpec};
use convene_types::{Codec, MediaKind, PeerId, Pt, SeqNo, Ssrc, TrackId};

const SUBSCRIBERS: u64 = 200;
const BATCH: u32 = 8;
const ROUNDS: u32 = 5_000;
const PAYLOAD_BYTES: usize = 1_200;
const TRACK: TrackId = TrackId(1);

fn exts() -> ext::Map {
    let mut map = ext::Map::new();
    for (kind, id) in [(Kind::Mid, 1), (Kind::TransportCc, 2), (Kind::VideoOrientation, 3)] {
        map.set(kind, id);
    }
    map
}

fn packet(seq: u32) -> Vec<u8> {
    let fields =
        Fields { marker: seq % 4 == 3, pt: Pt(96), seq: SeqNo(seq as u16), ts: seq / 4 * 3_000, ssrc: Ssrc(7) };
    let mut bytes = vec![0xab; PAYLOAD_BYTES + 64];
    let transport_seq = (seq as u16).to_be_bytes();
    let len = write_header(&mut bytes, &fields, &[(1, b"0"), (2, &transport_seq), (3, &[0])]).unwrap_or(0);
    let [high, low] = ((seq / 4) as u16).to_be_bytes();
    let descriptor =
        [if seq.is_multiple_of(4) { 0x90 } else { 0x80 }, 0xe0, high | 0x80, low, 0, 0, u8::from(seq != 0)];
    bytes.truncate(len + PAYLOAD_BYTES);
    bytes.iter_mut().skip(len).zip(descriptor).for_each(|(to, from)| *to = from);
    bytes
}

/// Packets of one subscriber, side by side.
struct Arena {
    bytes: Vec<u8>,
    end: usize,
}

impl Sink for Arena {
    fn space(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    fn take(&mut self, len: usize) {
        self.end += len + 16; // where the tag would be
    }
}

fn main() {
    let mut now = Instant::now();
    let mut room = Room::new(Config::default(), now);
    let spec = TrackSpec {
        track: TRACK,
        publisher: PeerId(0),
        kind: MediaKind::Video,
        pts: vec![(Pt(96), Codec::Vp8)],
        layers: 1,
        exts: exts(),
        rtx: true,
        nack: true,
    };
    room.add_track(now, spec);
    for peer in 1..=SUBSCRIBERS {
        let pts = vec![PtMap { from: Pt(96), to: Pt(96), rtx: Some(Pt(97)) }];
        let ssrc = Ssrc(peer as u32 * 2);
        let mid = "0".parse().unwrap_or_else(|_| unreachable!());
        let egress = Egress {
            after: (None, None),
            unwrap_red: None,
            make_red: None,
            ssrc,
            rtx_ssrc: Some(Ssrc(ssrc.0 + 1)),
            mid,
            exts: exts(),
            pts,
        };
        room.subscribe(now, PeerId(peer), TRACK, egress);
    }
    let mut arena = vec![0_u8; 64 << 10];
    let mut packets_out = Arena { bytes: vec![0_u8; 64 << 10], end: 0 };
    let (mut ingest, mut forward, mut copy) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        now += Duration::from_millis(2);
        let mut packets: Vec<Vec<u8>> = (0..BATCH).map(|index| packet(round * BATCH + index)).collect();
        let begin = Instant::now();
        for packet in &mut packets {
            let _ = room.handle_rtp(now, RtpIn { track: TRACK, layer: 0, repair: false, packet, rtx_media_pt: None });
        }
        ingest.push(begin.elapsed());
        let begin = Instant::now();
        while room.next_subscriber().is_some() {
            packets_out.end = 0;
            room.write(now, &mut packets_out);
        }
        forward.push(begin.elapsed());
        let begin = Instant::now();
        for _ in 0..SUBSCRIBERS {
            let mut end = 0;
            for packet in &packets {
                if let Some(target) = arena.get_mut(end..end + packet.len()) {
                    target.copy_from_slice(packet);
                }
                end += packet.len() + 16;
            }
            std::hint::black_box(&mut arena);
        }
        copy.push(begin.elapsed());
        room.handle_timeout(now);
        while room.poll_rtcp(now).is_some() {}
    }
    assert_eq!(room.stats().packets_out, SUBSCRIBERS * u64::from(BATCH * ROUNDS), "{:?}", room.stats());
    println!("ingest  {:7.1} ns/packet", median(ingest) / f64::from(BATCH));
    println!("forward {:7.1} ns/packet and subscriber", median(forward) / f64::from(BATCH) / SUBSCRIBERS as f64);
    println!(
        "copy    {:7.1} ns/packet and subscriber, nothing else",
        median(copy) / f64::from(BATCH) / SUBSCRIBERS as f64
    );
}

/// Of the rounds, in ns: other work on the machine makes a few of them slow.
fn median(mut rounds: Vec<Duration>) -> f64 {
    rounds.sort_unstable();
    rounds.get(rounds.len() / 2).map_or(0.0, |round| round.as_nanos() as f64)
}
