use super::*;
use crate::testing::{vp8, vp8_meta};

/// A frame's only packet.
fn frame(spatial: u8, temporal: u8) -> Part {
    let within = |bound: u8, layer: u8| bound == crate::cut::ALL || layer <= bound;
    let payload = [0b0110_1100, temporal << 5 | 1 << 4 | spatial << 1, 9, 1];
    let part = Part::of_vp9(&convene_rtp::vp9::Descriptor::parse(&payload).unwrap());
    assert!(
        Cut::every()
            .all(|cut| { part.is_in(cut) == (within(cut.spatial(), spatial) && within(cut.temporal(), temporal)) })
    );
    part
}

/// A frame of the kind of which no higher spatial layer makes use.
fn aside(spatial: u8, temporal: u8) -> Part {
    let payload = [0b0110_1101, temporal << 5 | 1 << 4 | spatial << 1, 9, 1];
    Part::of_vp9(&convene_rtp::vp9::Descriptor::parse(&payload).unwrap())
}

#[test]
fn turns_where_the_stream_allows() {
    let cut = Cut::new;
    // (name, cut, goal, frames with keyframe, cut after each)
    type Row = (&'static str, Cut, Cut, Vec<(Part, bool)>, Vec<Cut>);
    let rows: [Row; 7] = [
        (
            "spatially up at a keyframe alone",
            cut(0, 3),
            cut(2, 3),
            vec![(frame(0, 0), false), (frame(0, 0), true)],
            vec![cut(0, 3), cut(2, 3)],
        ),
        (
            "down with the next picture",
            cut(2, 3),
            cut(1, 0),
            vec![(frame(1, 2), false), (frame(2, 2), false), (frame(0, 1), false)],
            vec![cut(2, 3), cut(2, 3), cut(1, 0)],
        ),
        (
            "temporally up from a frame it has",
            cut(1, 0),
            cut(1, 3),
            vec![(frame(0, 2), false), (frame(0, 0), false)],
            vec![cut(1, 0), cut(1, 3)],
        ),
        (
            "frames by a frame that is not there",
            cut(1, 0),
            cut(1, 1),
            vec![(Part { sync: true, ..frame(0, 1) }, false)],
            vec![cut(1, 1)],
        ),
        (
            "one temporal layer at a time by frames of its own",
            cut(3, 0),
            cut(3, 3),
            vec![(Part { sync: true, ..frame(0, 2) }, false), (Part { sync: true, ..frame(0, 1) }, false)],
            vec![cut(3, 0), cut(3, 1)],
        ),
        (
            "not down to a layer of which frames are missing",
            cut(2, 3),
            cut(1, 0),
            vec![(aside(0, 0), false), (aside(1, 0), false), (aside(2, 0), false), (aside(0, 0), false)],
            vec![cut(2, 0), cut(2, 0), cut(2, 0), cut(2, 0)],
        ),
        (
            "then at a keyframe",
            cut(2, 3),
            cut(1, 3),
            vec![(aside(0, 0), false), (aside(1, 0), false), (aside(0, 0), false), (frame(0, 0), true)],
            vec![cut(1, 3); 4],
        ),
    ];
    for (name, from, goal, frames, want) in rows {
        let mut trim = Trim::new(1, from);
        let mut seq = 0;
        if name.starts_with("not down") || name.starts_with("then") {
            // A picture before: its lower layers are left out.
            for spatial in 0..2 {
                seq += 1;
                trim.passes(seq, &aside(spatial, 0), false);
            }
        }
        trim.aim(goal);
        for (index, ((part, keyframe), want)) in frames.into_iter().zip(want).enumerate() {
            seq += 1;
            trim.passes(seq, &part, keyframe);
            if name.starts_with("then") && index < 3 {
                assert!(trim.awaits_keyframe());
                continue;
            }
            assert_eq!(trim.cut(), want, "{name}: {index}");
        }
    }
}

#[test]
fn numbers_close_over_what_is_left_out() {
    const FIRST: u64 = 0x1_fffe; // the wire number wraps within the rows
    let meta = vp8_meta(0, &vp8(false, true, 5, false, 0));
    let mut trim = Trim::new(FIRST, Cut::WHOLE);
    // (number, left out; then whether that closes its gap)
    let rows = [(0, None), (1, Some(true)), (2, Some(true)), (3, None), (6, Some(true)), (5, Some(true)), (7, None)];
    for (seq, left_out) in rows {
        match left_out {
            Some(closes) => assert_eq!(trim.leave_out(FIRST + seq, &meta), closes, "{seq}"),
            None => trim.place(FIRST + seq),
        }
    }
    assert!(!trim.leave_out(FIRST + 4, &meta), "its hole has to be filled");
    // (number in, number out)
    for (seq, out) in [(0, 0), (3, 1), (4, 2), (7, 3)] {
        assert_eq!(trim.before(FIRST + seq).map(|(packets, _)| seq - packets), Some(out), "{seq}");
        assert_eq!(trim.find(FIRST + out), Some(FIRST + seq), "{seq}");
    }
}

#[test]
fn pictures_are_counted_once() {
    let meta = |id| vp8_meta(0, &vp8(false, true, id, false, 0));
    let mut trim = Trim::new(0, Cut::WHOLE);
    for (seq, id) in [(1, 0x7fff), (2, 0x7fff), (3, 0), (4, 0), (5, 1)] {
        trim.leave_out(seq, &meta(id));
    }
    assert_eq!(trim.before(6), Some((5, 3)));
}

#[test]
fn remembers_a_bounded_number_of_stretches() {
    let meta = vp8_meta(0, &vp8(false, true, 5, false, 0));
    let mut trim = Trim::new(0, Cut::WHOLE);
    for seq in 0..100_000 {
        match seq % 2 {
            0 => trim.place(seq),
            _ => assert!(trim.leave_out(seq, &meta)),
        }
    }
    assert!(trim.stretches.len() <= MAX_STRETCHES);
    assert_eq!((trim.before(99_998), trim.find(49_999)), (Some((49_999, 1)), Some(99_998)));
    assert_eq!((trim.before(10), trim.find(10)), (None, None));
}

/// Has a packet looked at and put where it belongs.
fn take(trim: &mut Trim, seq: u64, part: Part, keyframe: bool) -> bool {
    let has = trim.passes(seq, &part, keyframe);
    if has {
        trim.place(seq);
    } else {
        trim.leave_out(seq, &vp8_meta(0, &vp8(false, true, 5, false, 0)));
    }
    has
}

/// A run of which the keyframe, numbers 10 to 12, came whole.
fn after_keyframe(cut: Cut) -> Trim {
    let mut trim = Trim::new(10, cut);
    for spatial in 0..3 {
        take(&mut trim, 10 + u64::from(spatial), frame(spatial, 0), spatial == 0);
    }
    trim
}

#[test]
fn what_is_left_out_late_is_missing_as_well() {
    let mut trim = after_keyframe(Cut::new(2, 3));
    assert!(trim.falls_at_once(Cut::new(1, 3)) && trim.falls_at_once(Cut::new(0, 3)));
    assert!(take(&mut trim, 15, aside(2, 0), false));
    assert!(!take(&mut trim, 14, aside(1, 0), false), "overtaken by the one before");
    assert!(!trim.falls_at_once(Cut::new(1, 3)), "the next of its layer refers to it");
    assert!(trim.falls_at_once(Cut::new(0, 3)));
    take(&mut trim, 18, frame(0, 0), true);
    assert!(!take(&mut trim, 13, aside(0, 0), false));
    assert!(trim.falls_at_once(Cut::new(0, 3)), "what is older than the keyframe is missed by nobody");
}

#[test]
fn what_a_fall_needs_goes_out_although_it_comes_after_it() {
    let mut trim = after_keyframe(Cut::new(2, 3));
    assert!(take(&mut trim, 15, aside(2, 0), false));
    trim.aim(Cut::new(0, 3));
    assert!(take(&mut trim, 16, aside(0, 0), false));
    assert_eq!(trim.cut(), Cut::new(0, 3));
    assert!(take(&mut trim, 13, aside(0, 0), false), "16 refers to it");
    assert!(!take(&mut trim, 14, aside(1, 0), false));
    take(&mut trim, 19, frame(0, 0), true);
    assert!(!trim.has(13, &aside(0, 0)), "a keyframe is between");
}
