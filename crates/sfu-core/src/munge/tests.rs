use std::time::Duration;

use super::*;
use crate::testing::{vp8, vp8_meta};

const PTS: Pts = Pts { from: Pt(96), to: Pt(100), rtx: Some(Pt(101)) };
const RATE: u32 = 90_000;

/// Starts a run at a packet and numbers it.
fn start(munger: &mut Munger, now: Instant, layer: u8, seq: u64, meta: &Meta) -> Numbers {
    start_by_clock(munger, now, layer, seq, meta, (None, None))
}

fn start_by_clock(
    munger: &mut Munger,
    now: Instant,
    layer: u8,
    seq: u64,
    meta: &Meta,
    clocks: (Option<Clock>, Option<Clock>),
) -> Numbers {
    munger.start(
        now,
        &Start { layer, generation: 0, seq, ahead: 0, meta, cut: Cut::WHOLE, pts: PTS, rate: RATE, clocks },
    );
    munger.place(now, seq, meta).unwrap()
}

fn delta(picture_id: u16, short: bool, tl0: u8, ts: u32) -> Meta {
    vp8_meta(ts, &vp8(false, true, picture_id, short, tl0))
}

#[test]
fn seq_goes_on_over_switches_and_wraps() {
    let now = Instant::now();
    let mut munger = Munger::new(65_534);
    let meta = delta(0, false, 0, 0);
    let first = 0x1_fffe;
    // (layer that starts here, number in the layer, number out)
    let rows: [(Option<u8>, u64, Option<u64>); 12] = [
        (Some(0), 0x2_ffff, Some(first)),
        (None, 0x3_0000, Some(first + 1)), // the incoming number wraps
        (None, 0x3_0003, Some(first + 4)), // a gap stays a gap
        (None, 0x3_0001, Some(first + 2)), // late within the run
        (None, 0x2_fffe, None),            // from before its start
        (Some(2), 7, Some(first + 5)),
        (None, 9, Some(first + 7)),
        (None, 8, Some(first + 6)),
        (None, 6, None),
        (Some(0), 0x3_0100, Some(first + 8)),
        (None, 0x3_0101, Some(first + 9)),
        (None, 0x3_0004, None), // would be of the first run
    ];
    for (begins, seq, want) in rows {
        let got = match begins {
            Some(layer) => Some(start(&mut munger, now, layer, seq, &meta)),
            None => munger.place(now, seq, &meta).ok(),
        };
        assert_eq!(got.map(|numbers| numbers.seq), want, "{seq:x}");
    }
    // What a NACK finds: (number out, layer, number in the layer)
    let found = [
        (first, Some((0, 0x2_ffff))),
        (first + 3, Some((0, 0x3_0002))),
        (first + 5, Some((2, 7))),
        (first + 7, Some((2, 9))),
        (first + 8, Some((0, 0x3_0100))),
        (first + 9, Some((0, 0x3_0101))),
        (first - 1, None),
        (first + 10, None),
    ];
    for (out, want) in found {
        let got = munger.find(out as u16).map(|(run, seq)| (run.layer, seq));
        assert_eq!(got, want, "{out:x}");
    }
}

#[test]
fn picture_ids_and_tl0_go_on_over_switches_and_wraps() {
    // (name, last packet before the switch, packets after it, what they become: picture id and TL0PICIDX)
    type Number = (u16, bool, u8);
    type Row = (&'static str, Number, &'static [Number], &'static [(u16, u8)]);
    let rows: [Row; 5] = [
        ("plain", (10, false, 3), &[(700, false, 9), (701, false, 9)], &[(11, 4), (12, 4)]),
        ("15 bits wrap out", (0x7fff, false, 255), &[(5, false, 1), (6, false, 2)], &[(0, 0), (1, 1)]),
        ("15 bits wrap in", (10, false, 3), &[(0x7fff, false, 255), (0, false, 0)], &[(11, 4), (12, 5)]),
        ("7 bits wrap out", (127, true, 3), &[(5, true, 9), (6, true, 9)], &[(0, 4), (1, 4)]),
        ("7 bits wrap in", (10, true, 3), &[(127, true, 9), (0, true, 10)], &[(11, 4), (12, 5)]),
    ];
    for (name, (id, short, tl0), after, want) in rows {
        let now = Instant::now();
        let mut munger = Munger::new(1);
        let before = start(&mut munger, now, 0, 100, &delta(id, short, tl0, 0));
        assert_eq!((before.picture_id, before.tl0), (Some(id), Some(tl0)), "{name}: the first run changes nothing");
        for (index, ((id, short, tl0), want)) in after.iter().zip(want).enumerate() {
            let meta = delta(*id, *short, *tl0, 1);
            let seq = 50 + index as u64;
            let got = if index == 0 {
                start(&mut munger, now, 1, seq, &meta)
            } else {
                munger.place(now, seq, &meta).unwrap()
            };
            assert_eq!((got.picture_id, got.tl0), (Some(want.0), Some(want.1)), "{name}: {index}");
        }
    }
}

#[test]
fn ts_goes_on() {
    let begin = Instant::now();
    let clock = |ntp_ms: u64, rtp_ts: u32| {
        Some(Clock { ntp: (1_000 << 32) + ((ntp_ms << 32) / 1_000), rtp_ts, at: begin, rate: RATE })
    };
    // (name, ts before, ms until the switch, ts after, clocks of (new layer, layer before), ts out)
    type Row = (&'static str, u32, u64, u32, (Option<Clock>, Option<Clock>), u32);
    let rows: [Row; 9] = [
        ("by arrival", 1_000, 100, 77, (None, None), 10_000),
        ("by arrival over the wrap", u32::MAX - 999, 100, 77, (None, None), 8_000),
        ("by arrival at the same instant", 1_000, 0, 77, (None, None), 1_001),
        ("one clock is not enough", 1_000, 100, 77, (clock(0, 0), None), 10_000),
        ("by clocks: 50 ms later", 1_000, 100, 504_500, (clock(0, 500_000), clock(0, 1_000)), 5_500),
        ("by clocks over the wrap", u32::MAX, 100, 3_500, (clock(0, u32::MAX - 999), clock(0, u32::MAX)), 4_499),
        ("by clocks of different times", 1_000, 100, 500_000, (clock(150, 500_000), clock(100, 1_000)), 5_500),
        ("by clocks into the past", 1_000, 100, 500_000, (clock(0, 504_500), clock(0, 1_000)), 1_001),
        ("by clocks that cannot be", 1_000, 100, 500_000, (clock(60_000, 500_000), clock(0, 1_000)), 10_000),
    ];
    for (name, before, ms, after, clocks, want) in rows {
        let mut munger = Munger::new(1);
        start(&mut munger, begin, 0, 100, &delta(0, false, 0, before));
        let now = begin + Duration::from_millis(ms);
        let got = start_by_clock(&mut munger, now, 1, 5, &delta(0, false, 0, after), clocks);
        let off = got.ts.wrapping_sub(want).cast_signed();
        assert!((-1..=0).contains(&off), "{name}: {} instead of {want}", got.ts);
        assert!(got.ts.wrapping_sub(before).cast_signed() > 0, "{name}");
    }
}

#[test]
fn pictures_from_before_the_last_one_follow_it_at_once_and_later_ones_are_in_time() {
    let now = Instant::now();
    let clock = |rtp_ts| Some(Clock { ntp: 1_000 << 32, rtp_ts, at: now, rate: RATE });
    let mut munger = Munger::new(1);
    // Up to the wrap; the other layer's clock is a million ahead, and its first picture half a second old.
    let last = u32::MAX - 9_000;
    start(&mut munger, now, 0, 100, &delta(0, false, 0, last));
    let first = last.wrapping_add(1_000_000 - 45_000);
    let clocks = (clock(last.wrapping_add(1_000_000)), clock(last));
    let mut before = last;
    for picture in 0..12_000_u32 {
        let ts = first.wrapping_add(picture * 3_000);
        let meta = delta(0, false, 0, ts);
        let out = match picture {
            0 => start_by_clock(&mut munger, now, 1, 5, &meta, clocks),
            _ => munger.place(now, 5 + u64::from(picture), &meta).unwrap(),
        };
        let passed = out.ts.wrapping_sub(before).cast_signed();
        let off = out.ts.wrapping_sub(ts.wrapping_sub(1_000_000)).cast_signed();
        assert!(passed > 0 && (picture < 16 || off.abs() <= 1), "{picture}: {passed} after the one before, {off} off");
        assert!(picture >= 15 || out.ts.wrapping_sub(last) < 900, "{picture}: within 10 ms");
        before = out.ts;
    }
}

#[test]
fn a_pause_keeps_the_stream_in_time() {
    let begin = Instant::now();
    let mut munger = Munger::new(1);
    start(&mut munger, begin, 0, 100, &delta(5, false, 0, 9_000));
    munger.stop();
    assert_eq!(munger.place(begin, 101, &delta(6, false, 0, 12_000)), Err(Skip::Outside));
    let later = begin + Duration::from_secs(10);
    let got = start(&mut munger, later, 0, 400, &delta(300, false, 0, 909_123));
    assert_eq!((got.ts, got.seq, got.picture_id), (909_123, 0x1_0002, Some(6)));
}

#[test]
fn a_pause_of_hours_does_not_slow_the_stream_down() {
    let begin = Instant::now();
    for (hours, layer) in [(1, 0), (7, 0), (8, 1), (13, 0), (13, 1), (20, 0)] {
        let mut munger = Munger::new(1);
        start(&mut munger, begin, 0, 100, &delta(5, false, 0, u32::MAX));
        munger.stop();
        let later = begin + Duration::from_secs(3_600 * hours);
        let away = (90_000 * 3_600 * hours) as u32;
        let meta = |picture: u32| delta(6, false, 0, u32::MAX.wrapping_add(away + 3_000 * picture));
        let first = start(&mut munger, later, layer, 400, &meta(0)).ts;
        assert_eq!(first, u32::MAX.wrapping_add(away), "{hours} h");
        for picture in 1..30_u32 {
            let got = munger.place(later, 400 + u64::from(picture), &meta(picture)).unwrap();
            assert_eq!(got.ts, first.wrapping_add(3_000 * picture), "{hours} h");
        }
    }
}

#[test]
fn remembers_a_bounded_number_of_runs() {
    let now = Instant::now();
    let mut munger = Munger::new(1);
    let meta = delta(0, false, 0, 0);
    for switch in 0..100_u64 {
        start(&mut munger, now, (switch % 3) as u8, 1_000 * switch, &meta);
    }
    assert_eq!(munger.ended.len(), MAX_ENDED_RUNS);
    assert_eq!(munger.find(100).map(|(_, seq)| seq), Some(99_000));
    assert_eq!(munger.find(1), None);
}

#[test]
fn numbers_in_front_of_a_run_are_given_once_and_to_its_first_picture_only() {
    let now = Instant::now();
    for (first_seq, in_start) in [(65_533, 0x2_0001), (0, 0x1_0003)] {
        let mut munger = Munger::new(first_seq);
        let (own, other) = (delta(0, false, 0, 9_000), delta(0, false, 0, 6_000));
        let first = u64::from(first_seq) + (1 << 16);
        let begin = |munger: &mut Munger, seq: u64, ahead: u8| {
            let clocks = (None, None);
            let start = Start {
                layer: 0,
                generation: 0,
                seq,
                ahead,
                meta: &own,
                cut: Cut::WHOLE,
                pts: PTS,
                rate: RATE,
                clocks,
            };
            munger.start(now, &start);
            munger.place(now, seq, &own).unwrap().seq
        };
        assert_eq!(begin(&mut munger, in_start, 3), first + 3, "the first that goes out leaves room");
        assert_eq!(munger.run().unwrap().ahead(), in_start - 3..in_start);
        // (number in the layer, what it is, number out and whether it is empty)
        let rows = [
            (in_start - 1, &own, Ok((first + 2, false))),
            (in_start - 1, &own, Err(Skip::Outside)),
            (in_start - 3, &other, Ok((first, true))),
            (in_start - 4, &own, Err(Skip::Outside)),
            (in_start - 2, &own, Ok((first + 1, false))),
            (in_start - 3, &other, Err(Skip::Outside)),
            (in_start - 300, &own, Err(Skip::Outside)),
            (in_start + 1, &own, Ok((first + 4, false))),
        ];
        for (seq, meta, want) in rows {
            let got = munger.place(now, seq, meta);
            assert_eq!(got.map(|numbers| (numbers.seq, numbers.blank)), want, "{seq:x}");
            assert!(got.is_ok_and(|numbers| numbers.ts == 9_000) || want.is_err());
        }
        assert_eq!(begin(&mut munger, 500, 2), first + 7);
        // What a NACK finds: (number out, number in the layer)
        let found = [(0, in_start - 3), (2, in_start - 1), (4, in_start + 1), (5, 498), (7, 500)];
        for (out, want) in found {
            assert_eq!(munger.find((first + out) as u16).map(|(_, seq)| seq), Some(want), "{out}");
        }
    }
}
