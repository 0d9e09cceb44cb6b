//! Any plaintext RTP and RTCP at a room with a simulcast publisher and two subscribers: no panic; what goes out is RTP,
//! and no sequence number of a stream is used twice (an SRTP nonce is made of it).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use convene_rtp::ext::{Kind, Map};
use convene_rtp::packet::View;
use convene_rtp::seq::Unwrapper;
use convene_sfu_core::{Config, Egress, PtMap, RedPts, Room, RtpIn, Show, TrackSpec};
use convene_types::{Codec, MediaKind, PeerId, Pt, Ssrc, TrackId};

const PUBLISHER: PeerId = PeerId(1);
const VIDEO: TrackId = TrackId(1);
const AUDIO: TrackId = TrackId(2);

pub(crate) fn run(input: &[u8]) {
    let mut now = Instant::now();
    let mut room = room(now);
    let (mut used, mut numbers) = (HashSet::new(), HashMap::new());
    let mut rest = input;
    while let Some(([kind, length], tail)) = rest.split_first_chunk::<2>().map(|(head, tail)| (*head, tail)) {
        let (bytes, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        now += Duration::from_millis(u64::from(kind >> 4));
        let mut packet = bytes.to_vec();
        let track = if kind & 1 == 0 { VIDEO } else { AUDIO };
        let (layer, repair) = (kind >> 1 & 1, kind & 4 != 0);
        if kind & 8 == 0 {
            let rtx_media_pt = repair.then_some(Pt(96));
            let _ = room.handle_rtp(now, RtpIn { track, layer, repair, packet: &mut packet, rtx_media_pt });
        } else {
            let _ = room.handle_rtcp(now, PeerId(u64::from(kind >> 1 & 3)), &packet);
        }
        if room.poll_timeout().is_some_and(|at| at <= now) {
            room.handle_timeout(now);
        }
        while let Some(peer) = room.next_subscriber() {
            let mut show = Show::to(|packet| {
                let view = View::parse(packet).expect("what goes out is RTP");
                let stream = (peer, view.ssrc());
                let index = numbers.entry(stream).or_insert_with(Unwrapper::new).unwrap(view.seq());
                assert!(used.insert((stream, index)), "a number was used twice");
            });
            room.write(now, &mut show);
        }
        while room.poll_rtcp(now).is_some() {}
        while room.poll_event().is_some() {}
    }
}

fn room(now: Instant) -> Room {
    let mut room = Room::new(Config::default(), now);
    let mut exts = Map::new();
    exts.set(Kind::Mid, 1);
    exts.set(Kind::TransportCc, 2);
    exts.set(Kind::AudioLevel, 3);
    exts.set(Kind::DependencyDescriptor, 4);
    exts.set(Kind::PlayoutDelay, 5);
    let spec = |track, kind, pts, layers| TrackSpec {
        track,
        publisher: PUBLISHER,
        kind,
        pts,
        layers,
        exts,
        rtx: true,
        nack: true,
    };
    room.add_track(now, spec(VIDEO, MediaKind::Video, vec![(Pt(96), Codec::Vp8), (Pt(98), Codec::Vp9)], 2));
    room.add_track(now, spec(AUDIO, MediaKind::Audio, vec![(Pt(111), Codec::Opus), (Pt(63), Codec::Red)], 1));
    for peer in [2, 3] {
        for track in [VIDEO, AUDIO] {
            let pts = [96, 98, 111, 63].map(|pt| PtMap { from: Pt(pt), to: Pt(pt), rtx: Some(Pt(97)) }).to_vec();
            let ssrc = Ssrc((peer * 100 + track.0) as u32);
            let egress = Egress {
                ssrc,
                rtx_ssrc: Some(Ssrc(ssrc.0 + 50)),
                after: (None, None),
                mid: "m".parse().expect("a label"),
                exts,
                pts,
                unwrap_red: (peer == 2).then_some(Pt(63)),
                make_red: (peer == 3).then_some(RedPts { from: Pt(111), red: Pt(63), opus: Pt(111) }),
            };
            room.subscribe(now, PeerId(peer), track, egress);
        }
    }
    room
}
