//! Repeats on a lossy path: spaced, and without having been asked for.

use convene_rtp::rtcp::{ReportBlock, write_nack, write_rr};

use super::*;
use crate::twcc::Recorder;

const TWCC_ID: u8 = 3;
const TENTH: u8 = 26;

/// Bob, his feedback, and eight frames that went out to him.
struct Lossy {
    world: World,
    recorder: Recorder,
    sent: Vec<Out>,
}

impl Lossy {
    /// `fraction_lost`: what Bob reports of his path, in 1/256.
    fn new(fraction_lost: u8) -> Self {
        let mut world = World::new(1);
        let mut egress = egress(BOB, VIDEO);
        egress.exts.set(Kind::TransportCc, TWCC_ID);
        world.room.subscribe(world.now, BOB, VIDEO, egress);
        let sent = (0..8).flat_map(|seq| world.forward(frame(0, seq, seq == 0))).collect();
        let recorder = Recorder::new(world.start);
        let mut lossy = Self { world, recorder, sent };
        let block = ReportBlock { ssrc: out_ssrc(BOB, VIDEO), fraction_lost, ..ReportBlock::default() };
        let mut bytes = Vec::new();
        write_rr(&mut bytes, Ssrc(1), &[block]);
        lossy.world.room.handle_rtcp(lossy.world.now, BOB, &bytes).unwrap();
        lossy
    }

    fn nack(&mut self, seq: u16) -> Vec<Out> {
        let mut bytes = Vec::new();
        write_nack(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO), &[SeqNo(seq)]);
        self.world.room.handle_rtcp(self.world.now, BOB, &bytes).unwrap();
        self.world.flush()
    }

    /// Feedback has these; what goes out at that.
    fn feedback(&mut self, arrived: &[Out]) -> Vec<Out> {
        for out in arrived {
            let seq = out.extensions.iter().find(|(id, _)| *id == TWCC_ID).unwrap().1.as_slice();
            self.recorder.record(self.world.now, u16::from_be_bytes(seq.try_into().unwrap()));
        }
        let (mut told, world) = (Vec::new(), &mut self.world);
        self.recorder.report(Ssrc(1), out_ssrc(BOB, VIDEO), |bytes| told.push(bytes));
        told.iter().for_each(|bytes| world.room.handle_rtcp(world.now, BOB, bytes).unwrap());
        world.flush()
    }
}

/// The numbers that repeats stand for.
fn originals(repeats: &[Out]) -> Vec<u16> {
    repeats.iter().map(|out| u16::from_be_bytes([out.payload[0], out.payload[1]])).collect()
}

#[test]
fn a_lossy_path_gets_a_second_copy_behind_a_burst() {
    let mut lossy = Lossy::new(TENTH);
    let seq = lossy.sent[2].seq;
    assert_eq!(originals(&lossy.nack(seq)), [seq]);
    lossy.world.pass(24);
    assert!(lossy.world.flush().is_empty(), "what goes out together is lost together");
    lossy.world.pass(1);
    assert_eq!(originals(&lossy.world.flush()), [seq]);
    lossy.world.pass(200);
    assert!(lossy.world.flush().is_empty());

    let mut clean = Lossy::new(0);
    assert_eq!(clean.nack(seq).len(), 1);
    clean.world.pass(100);
    assert!(clean.world.flush().is_empty());

    lossy.nack(lossy.sent[3].seq);
    lossy.world.room.remove_peer(BOB);
    lossy.world.subscribe(CAROL, VIDEO);
    lossy.world.pass(100);
    assert!(lossy.world.flush().is_empty(), "the place is somebody else's");
}

#[test]
fn a_lossy_path_gets_what_its_feedback_lacks() {
    let mut lossy = Lossy::new(TENTH);
    let sent = lossy.sent.clone();
    assert!(lossy.feedback(&sent[..2]).is_empty());
    let repeats = lossy.feedback(&[sent[2].clone(), sent[4].clone(), sent[6].clone()]);
    assert_eq!(originals(&repeats), [sent[3].seq, sent[5].seq]);
    // The first of them and the last frame are lost.
    lossy.world.pass(100);
    let once_more = lossy.feedback(&repeats[1..]);
    assert_eq!(originals(&once_more), [sent[7].seq, sent[3].seq]);
    assert!(lossy.feedback(&once_more).is_empty(), "all is there");
    assert_eq!(lossy.world.room.stats().rtx_unasked, 4);

    let mut clean = Lossy::new(2);
    assert!(clean.feedback(&[sent[0].clone(), sent[7].clone()]).is_empty(), "it asks if it wants them");
}

#[test]
fn a_lossy_path_whose_feedback_does_not_come_gets_what_is_overdue_once() {
    let mut lossy = Lossy::new(TENTH);
    let sent = lossy.sent.clone();
    lossy.world.pass(40);
    assert!(lossy.feedback(&sent[..6]).is_empty());
    let mut repeats = Vec::new();
    for ms in 1..=300 {
        lossy.world.pass(1);
        repeats.extend(originals(&lossy.world.flush()).into_iter().map(|seq| (ms, seq)));
    }
    let [(first, one), (second, other)] = repeats[..] else { panic!("{repeats:?}") };
    assert_eq!([one, other], [sent[6].seq, sent[7].seq], "of the others something is known");
    assert!(first == second && (150..250).contains(&first), "{first} ms");

    let mut clean = Lossy::new(2);
    clean.feedback(&sent[..6]);
    clean.world.pass(400);
    assert!(clean.world.flush().is_empty());

    let mut cut = Lossy::new(TENTH);
    cut.feedback(&sent[..2]);
    cut.world.now += Duration::from_secs(2);
    cut.world.pass(100);
    assert!(cut.world.flush().is_empty(), "a path that carries nothing is not filled with repeats");
}

/// What Bob asks for of what he got, without a word on his path; what goes out again.
fn asked_at_once(world: &mut World, seqs: &[SeqNo]) -> usize {
    let mut bytes = Vec::new();
    write_nack(&mut bytes, Ssrc(1), out_ssrc(BOB, VIDEO), seqs);
    world.room.handle_rtcp(world.now, BOB, &bytes).unwrap();
    world.flush().len()
}

/// A packet of 1,200 bytes; its number at Bob.
fn large(world: &mut World, seq: u16) -> SeqNo {
    let mut payload = vp8(seq == 0, true, seq, false, 1);
    payload.resize(1_200, 7);
    let bytes = world.packet(frame(0, seq, seq == 0), &payload);
    world.send_bytes(VIDEO, 0, bytes).unwrap();
    SeqNo(world.flush()[0].seq)
}

#[test]
fn many_that_are_asked_for_at_once_go_out_once() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let seqs: Vec<SeqNo> = (0..150).map(|seq| large(&mut world, seq)).collect();
    assert_eq!([(); 3].map(|()| asked_at_once(&mut world, &seqs)), [150, 0, 0]);
    world.pass(40);
    assert_eq!(asked_at_once(&mut world, &seqs[..10]), 10);
}

#[test]
fn who_says_nothing_of_its_path_gets_no_more_repeats_than_media() {
    let mut world = World::new(1);
    world.subscribe(BOB, VIDEO);
    let (mut seqs, mut repeats) = (Vec::new(), Vec::new());
    for seq in 0..1_000 {
        seqs.push(large(&mut world, seq));
        world.pass(10);
        if seq >= 100 && seq % 10 == 0 {
            repeats.push(asked_at_once(&mut world, &seqs[seqs.len() - 100..]));
        }
    }
    let all: usize = repeats.iter().sum();
    assert!(repeats[0] == 100 && (1_000..1_350).contains(&all), "{all} of 9,000, of 900 packets");
    assert!(world.room.stats().rtx_over_budget > 7_000);
}
