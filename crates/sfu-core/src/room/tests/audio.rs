//! RED for who loses audio, and the loudest of a large room.

use convene_rtp::red;
use convene_rtp::rtcp::{ReportBlock, write_rr};

use super::*;
use crate::spec::RedPts;

const RED_PT: Pt = Pt(63);
const BLOCK_PT: Pt = Pt(109);

pub(super) fn takes_red(peer: PeerId) -> Egress {
    let make_red = Some(RedPts { from: AUDIO_PT, red: RED_PT, opus: BLOCK_PT });
    Egress { make_red, ..egress(peer, AUDIO) }
}

impl World {
    fn report_audio_loss(&mut self, peer: PeerId, percent: u32) {
        let fraction_lost = (percent * 256 / 100) as u8;
        let block = ReportBlock { ssrc: out_ssrc(peer, AUDIO), fraction_lost, ..ReportBlock::default() };
        let mut bytes = Vec::new();
        write_rr(&mut bytes, Ssrc(1), &[block]);
        self.room.handle_rtcp(self.now, peer, &bytes).unwrap();
    }

    /// Sends a packet of audio; what goes out to a peer.
    fn hear(&mut self, peer: PeerId, seq: u16) -> Out {
        self.send_audio(seq, 20).unwrap();
        let mut sent = self.flush().into_iter().filter(|out| out.to == peer);
        sent.next().unwrap()
    }
}

#[test]
fn red_is_made_for_a_subscriber_that_loses_audio() {
    let mut world = World::new(1);
    for peer in [BOB, CAROL] {
        world.room.subscribe(world.now, peer, AUDIO, takes_red(peer));
    }
    let plain = world.hear(BOB, 1);
    assert_eq!((plain.pt, plain.payload), (OUT_PT, vec![1, 1, 2]), "no loss, no RED");
    world.report_audio_loss(BOB, 5);
    let one = world.hear(BOB, 2);
    assert_eq!(one.pt, RED_PT);
    assert_eq!(one.payload, [0x80 | 109, 0x0f, 0x00, 3, 109, 1, 1, 2, 2, 1, 2]);
    assert_eq!((one.seq.wrapping_sub(plain.seq), one.ts.wrapping_sub(plain.ts)), (1, 960));
    world.report_audio_loss(BOB, 20);
    let two = world.hear(BOB, 3);
    assert_eq!(two.payload, [237, 0x1e, 0, 3, 237, 0x0f, 0, 3, 109, 1, 1, 2, 2, 1, 2, 3, 1, 2]);
    assert_eq!(red::primary(&two.payload), Some(&[3, 1, 2][..]));
    // What was lost on the way to us is not in it, nor what came before a pause. The third of them is further back.
    assert_eq!(world.hear(BOB, 5).payload, [237, 0x3c, 0, 3, 237, 0x1e, 0, 3, 109, 1, 1, 2, 3, 1, 2, 5, 1, 2]);
    assert_eq!(world.hear(BOB, 40).payload, [40, 1, 2]);
    world.send_audio(41, 20).unwrap();
    let others = world.flush().into_iter().filter(|out| out.to == CAROL);
    assert!(others.into_iter().all(|out| out.pt == OUT_PT), "who loses nothing gets no RED");
    assert_eq!(world.room.stats().red_made, 4);
}

/// A room of this many microphones, of which two go out.
fn crowd(tracks: u64) -> World {
    let mut world = World::new(1);
    world.room = Room::new(Config { loudest: 2, ..Config::default() }, world.start);
    for track in 0..tracks {
        let spec = TrackSpec {
            track: TrackId(100 + track),
            publisher: PeerId(100 + track),
            kind: MediaKind::Audio,
            pts: vec![(AUDIO_PT, Codec::Opus)],
            layers: 1,
            exts: map(&IN_IDS),
            rtx: false,
            nack: false,
        };
        world.room.add_track(world.now, spec);
        let egress = Egress { rtx_ssrc: None, ..egress(BOB, TrackId(100 + track)) };
        let pts = vec![PtMap { from: AUDIO_PT, to: OUT_PT, rtx: None }];
        world.room.subscribe(world.now, BOB, TrackId(100 + track), Egress { pts, ..egress });
    }
    world
}

/// Which tracks Bob hears of those that send at these levels for so long, at the end of it.
fn heard(world: &mut World, seq: &mut u16, ms: u64, levels: &[Option<u8>]) -> Vec<u64> {
    let mut last = Vec::new();
    for _ in 0..ms / 20 {
        *seq = seq.wrapping_add(1);
        for (track, level) in (0..).zip(levels) {
            let fields = Fields {
                marker: false,
                pt: AUDIO_PT,
                seq: SeqNo(*seq),
                ts: 960 * u32::from(*seq),
                ssrc: Ssrc(2_000 + track as u32),
            };
            let level = level.map(|level| [0x80 | level]);
            let extensions: Vec<(u8, &[u8])> = level.iter().map(|level| (3, &level[..])).collect();
            world.send_bytes(TrackId(100 + track), 0, rtp(fields, &extensions, &[1, 2, 3])).unwrap();
        }
        let mut now: Vec<u64> = world.flush().iter().map(|out| u64::from(out.ssrc.0) - 1_000 * BOB.0 - 100).collect();
        now.sort_unstable();
        last = now;
        world.pass(20);
    }
    last
}

#[test]
fn the_loudest_go_out_and_stay() {
    const QUIET: Option<u8> = Some(80);
    let (mut world, mut seq) = (crowd(4), 65_500);
    assert_eq!(heard(&mut world, &mut seq, 400, &[Some(20), Some(25), QUIET, QUIET]), [0, 1]);
    assert_eq!(heard(&mut world, &mut seq, 600, &[QUIET, Some(25), QUIET, QUIET]), [0, 1], "a pause");
    assert_eq!(heard(&mut world, &mut seq, 2_000, &[Some(24), Some(25), Some(24), QUIET]), [0, 1], "not much louder");
    let changes = world.room.stats().loudest_changes;
    assert_eq!(heard(&mut world, &mut seq, 200, &[QUIET, Some(25), QUIET, Some(10)]).len(), 2);
    assert!(heard(&mut world, &mut seq, 200, &[QUIET, Some(25), QUIET, Some(10)]).contains(&3), "a loud voice");
    assert_eq!(world.room.stats().loudest_changes, changes + 2);
    // Whoever leaves or is muted makes room at once, and who tells no level is heard beside them.
    world.room.set_muted(TrackId(103), true);
    let after = heard(&mut world, &mut seq, 200, &[Some(30), Some(25), None, QUIET]);
    assert_eq!(after, [0, 1]);
    assert!(world.room.stats().not_loudest > 100);
    let mut world = crowd(3);
    assert_eq!(heard(&mut world, &mut seq, 400, &[Some(20), None, Some(20)]), [0, 1, 2]);
}
