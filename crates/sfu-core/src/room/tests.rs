mod audio;
mod bandwidth;
mod bottleneck;
mod comeback;
mod control;
mod downstream;
mod h264;
mod layered;
mod link;
mod lossy_publisher;
mod neighbours;
mod paced;
mod pair;
mod pipe;
mod random;
mod relocate;
mod repair;
mod rival;
mod switches;
mod upstream;
mod viewer;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use convene_rtp::ext::{self, Kind};
use convene_rtp::packet::{Fields, View};
use convene_rtp::rtcp::{Packet, packets};
use convene_types::{Codec, MediaKind, PeerId, Pt, SeqNo, Ssrc, TrackId};

use super::{Room, Show};
use crate::Drop;
use crate::config::Config;
use crate::event::Event;
use crate::spec::{Egress, PtMap, RtpIn, TrackSpec};
use crate::testing::{rtp, vp8};

const ALICE: PeerId = PeerId(1);
const BOB: PeerId = PeerId(2);
const CAROL: PeerId = PeerId(3);
const VIDEO: TrackId = TrackId(10);
const AUDIO: TrackId = TrackId(11);
const MEDIA_PT: Pt = Pt(96);
const AUDIO_PT: Pt = Pt(111);
const OUT_PT: Pt = Pt(100);
const OUT_RTX_PT: Pt = Pt(101);
/// Ids of the publisher's and of the subscribers' header extensions.
const IN_IDS: [(Kind, u8); 5] =
    [(Kind::Mid, 1), (Kind::TransportCc, 2), (Kind::AudioLevel, 3), (Kind::VideoOrientation, 4), (Kind::Rid, 5)];
const OUT_IDS: [(Kind, u8); 4] = [(Kind::Mid, 9), (Kind::AudioLevel, 8), (Kind::VideoOrientation, 7), (Kind::Rid, 5)];

fn map(ids: &[(Kind, u8)]) -> ext::Map {
    let mut map = ext::Map::new();
    ids.iter().for_each(|(kind, id)| map.set(*kind, *id));
    map
}

/// SSRC of a layer of the video track, and of its RTX stream.
fn layer_ssrc(layer: u8) -> u32 {
    500 + u32::from(layer)
}

/// SSRC of a track at a subscriber.
fn out_ssrc(peer: PeerId, track: TrackId) -> Ssrc {
    Ssrc((1_000 * peer.0 + track.0) as u32)
}

fn egress(peer: PeerId, track: TrackId) -> Egress {
    let from = if track == AUDIO { AUDIO_PT } else { MEDIA_PT };
    let video = track != AUDIO;
    let ssrc = out_ssrc(peer, track);
    Egress {
        after: (None, None),
        unwrap_red: None,
        make_red: None,
        ssrc,
        rtx_ssrc: video.then_some(Ssrc(ssrc.0 + 500)),
        mid: "m7".parse().unwrap(),
        exts: map(&OUT_IDS),
        pts: vec![PtMap { from, to: OUT_PT, rtx: video.then_some(OUT_RTX_PT) }],
    }
}

/// A packet that went out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Out {
    to: PeerId,
    ssrc: Ssrc,
    pt: Pt,
    seq: u16,
    ts: u32,
    marker: bool,
    extensions: Vec<(u8, Vec<u8>)>,
    payload: Vec<u8>,
    padding: usize,
}

impl Out {
    fn read(to: PeerId, packet: &[u8]) -> Self {
        let view = View::parse(packet).unwrap();
        Self {
            to,
            ssrc: view.ssrc(),
            pt: view.pt(),
            seq: view.seq().0,
            ts: view.ts(),
            marker: view.marker(),
            extensions: view.extensions().map(|(id, value)| (id, value.to_vec())).collect(),
            payload: view.payload().to_vec(),
            padding: view.padding_len(),
        }
    }

    /// Picture id and TL0PICIDX of what `vp8` made.
    fn picture(&self) -> (u16, u8) {
        (u16::from_be_bytes([self.payload[2] & 0x7f, self.payload[3]]), self.payload[4])
    }

    fn is_keyframe(&self) -> bool {
        self.payload[0] == 0x90 && self.payload[6] == 0
    }
}

/// A video frame of one packet.
#[derive(Clone, Copy, Debug)]
struct Frame {
    layer: u8,
    seq: u16,
    ts: u32,
    keyframe: bool,
    picture_id: u16,
}

/// A frame that goes along with its number: timestamp and picture id follow `seq`.
fn frame(layer: u8, seq: u16, keyframe: bool) -> Frame {
    Frame { layer, seq, ts: 3_000 * u32::from(seq), keyframe, picture_id: 200 * (u16::from(layer) + 1) + seq }
}

struct World {
    room: Room,
    start: Instant,
    now: Instant,
    transport_seq: u16,
    rtcp: VecDeque<(PeerId, Vec<u8>)>,
    events: Vec<Event>,
}

/// Alice's camera, with one layer.
fn video(codec: Codec) -> TrackSpec {
    TrackSpec {
        track: VIDEO,
        publisher: ALICE,
        kind: MediaKind::Video,
        pts: vec![(MEDIA_PT, codec)],
        layers: 1,
        exts: map(&IN_IDS),
        rtx: true,
        nack: true,
    }
}

impl World {
    /// A room in which Alice publishes video of this many layers, and audio.
    fn new(layers: u8) -> Self {
        Self::of(Codec::Vp8, layers)
    }

    fn of(codec: Codec, layers: u8) -> Self {
        let now = Instant::now();
        let mut room = Room::new(Config::default(), now);
        room.add_track(now, TrackSpec { layers, ..video(codec) });
        let (kind, pts) = (MediaKind::Audio, vec![(AUDIO_PT, Codec::Opus)]);
        room.add_track(now, TrackSpec { track: AUDIO, kind, pts, nack: false, ..video(codec) });
        Self { room, start: now, now, transport_seq: 0, rtcp: VecDeque::new(), events: Vec::new() }
    }

    fn subscribe(&mut self, peer: PeerId, track: TrackId) {
        self.room.subscribe(self.now, peer, track, egress(peer, track));
    }

    /// Lets time pass in steps of a millisecond, as a shell with timers would, gathering RTCP and events.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += Duration::from_millis(1);
            if self.room.poll_timeout().is_some_and(|due| due <= self.now) {
                self.room.handle_timeout(self.now);
            }
            self.gather();
        }
    }

    fn gather(&mut self) {
        while let Some(packet) = self.room.poll_rtcp(self.now) {
            self.rtcp.push_back(packet);
        }
        while let Some(event) = self.room.poll_event() {
            // Ratings come by the clock, whatever a test is about.
            if !matches!(event, Event::Quality(_)) {
                self.events.push(event);
            }
        }
    }

    fn send_bytes(&mut self, track: TrackId, layer: u8, mut bytes: Vec<u8>) -> Result<(), Drop> {
        let input = RtpIn { track, layer, repair: false, packet: &mut bytes, rtx_media_pt: None };
        self.room.handle_rtp(self.now, input)
    }

    fn packet(&mut self, frame: Frame, payload: &[u8]) -> Vec<u8> {
        let Frame { layer, seq, ts, .. } = frame;
        let fields = Fields { marker: true, pt: MEDIA_PT, seq: SeqNo(seq), ts, ssrc: Ssrc(layer_ssrc(layer)) };
        let transport_seq = self.transport_seq.to_be_bytes();
        self.transport_seq = self.transport_seq.wrapping_add(1);
        rtp(fields, &[(1, b"0"), (2, &transport_seq), (4, &[3])], payload)
    }

    fn send(&mut self, frame: Frame) -> Result<(), Drop> {
        let bytes = self.packet(frame, &vp8(frame.keyframe, true, frame.picture_id, false, frame.seq as u8));
        self.send_bytes(VIDEO, frame.layer, bytes)
    }

    fn send_padding(&mut self, layer: u8, seq: u16) -> Result<(), Drop> {
        let mut bytes = self.packet(frame(layer, seq, false), &[0, 0, 0, 4]);
        bytes[0] |= 0x20;
        self.send_bytes(VIDEO, layer, bytes)
    }

    /// The same frame by RTX.
    fn send_rtx(&mut self, rtx_seq: u16, frame: Frame) -> Result<(), Drop> {
        let mut payload = frame.seq.to_be_bytes().to_vec();
        payload.extend(vp8(frame.keyframe, true, frame.picture_id, false, frame.seq as u8));
        let mut bytes = self.packet(Frame { seq: rtx_seq, ..frame }, &payload);
        convene_rtp::packet::set_ssrc(&mut bytes, Ssrc(layer_ssrc(frame.layer) + 50));
        convene_rtp::packet::set_pt(&mut bytes, Pt(97));
        let input =
            RtpIn { track: VIDEO, layer: frame.layer, repair: true, packet: &mut bytes, rtx_media_pt: Some(MEDIA_PT) };
        self.room.handle_rtp(self.now, input)
    }

    fn send_audio(&mut self, seq: u16, level: u8) -> Result<(), Drop> {
        let ts = 960 * u32::from(seq);
        let fields = Fields { marker: false, pt: AUDIO_PT, seq: SeqNo(seq), ts, ssrc: Ssrc(600) };
        self.send_bytes(AUDIO, 0, rtp(fields, &[(1, b"1"), (3, &[0x80 | level])], &[seq as u8, 1, 2]))
    }

    /// Everything that goes out in a flush.
    fn flush(&mut self) -> Vec<Out> {
        let mut sent = Vec::new();
        while let Some(to) = self.room.next_subscriber() {
            self.room.write(self.now, &mut Show::to(|packet| sent.push(Out::read(to, packet))));
        }
        self.gather();
        sent
    }

    /// Sends a frame; what goes out to Bob.
    fn forward(&mut self, frame: Frame) -> Vec<Out> {
        self.send(frame).unwrap();
        self.flush().into_iter().filter(|out| out.to == BOB).collect()
    }

    /// Takes the gathered RTCP to a peer: one line per packet, without the empty reports in front.
    fn told(&mut self, peer: PeerId) -> Vec<String> {
        let mut lines = Vec::new();
        for (to, bytes) in std::mem::take(&mut self.rtcp) {
            assert!(bytes.len() <= 1_200);
            if to != peer {
                self.rtcp.push_back((to, bytes));
                continue;
            }
            for (index, packet) in packets(&bytes).enumerate() {
                match packet.unwrap() {
                    Packet::ReceiverReport(report) if report.reports().next().is_none() => assert_eq!(index, 0),
                    Packet::ReceiverReport(report) => {
                        let ssrcs: Vec<u32> = report.reports().map(|block| block.ssrc.0).collect();
                        lines.push(format!("rr {ssrcs:?}"));
                    }
                    Packet::SenderReport(report) => {
                        let info = report.info;
                        lines.push(format!("sr {} {} {} {}", info.ssrc, info.ntp >> 32, info.rtp_ts, info.packets));
                    }
                    Packet::SourceDescription(names) => {
                        let (ssrc, name) = names.cnames().next().unwrap();
                        lines.push(format!("cname {ssrc} {}", String::from_utf8_lossy(name)));
                    }
                    Packet::Nack(nack) => {
                        let seqs: Vec<u16> = nack.seqs().map(|seq| seq.0).collect();
                        lines.push(format!("nack {} {seqs:?}", nack.media));
                    }
                    Packet::Pli { media, .. } => lines.push(format!("pli {media}")),
                    Packet::TransportCc(feedback) => {
                        let arrived = feedback.arrivals().filter(|(_, delta)| delta.is_some()).count();
                        lines.push(format!("twcc {} {} {arrived}", feedback.media, feedback.base_seq.0));
                    }
                    other @ (Packet::Bye(_) | Packet::Fir(_) | Packet::Remb(_) | Packet::Other { .. } | _) => {
                        panic!("{other:?}")
                    }
                }
            }
        }
        lines
    }

    /// The lines of `told` that begin with this.
    fn told_of(&mut self, peer: PeerId, prefix: &str) -> Vec<String> {
        self.told(peer).into_iter().filter(|line| line.starts_with(prefix)).collect()
    }
}
