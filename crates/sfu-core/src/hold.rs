//! A layer that comes back beside a lower one is held until its keyframe is whole, and its viewers go on with the lower one.
//!
//! A publisher leaves its large layer out where its path gets slow, and begins it anew when it dares to, over a path that is
//! slow still. A viewer who went over with the first packet of that keyframe would see nothing until its last one.
//!
//! ```text
//! lower  | d d d d d d d d d d |                            d: a packet that goes out
//! upper  |   K k   k     k     | K k k k d d d d d          in between nothing is missing
//!            first       whole   released
//! ```
//! It is also held until the paths of those who watch were shared anew. Who had been given less meanwhile would miss this
//! keyframe, and ask for another: of which the publisher makes one of each layer, over that path.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::history::History;
use crate::meta::Meta;

/// Held no longer than this, whole or not: below `Config::history_span`, from which it goes out.
const LONGEST: Duration = Duration::from_secs(1);
/// Packets that go out in a tick, at least, and the part of what waits beside as many as came in: all at once, a keyframe would
/// fill the queue of a path that has just enough for the layer. Of packets of 1,200 bytes, 16 in 20 ms are 7.7 Mbit/s.
const BATCH: u64 = 16;
const PART: u64 = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Hold {
    since: Instant,
    /// Timestamp of the keyframe.
    ts: u32,
    /// The next number of it that is not known to be there.
    lacks: u64,
    whole: bool,
    /// The paths of its viewers were shared since it began.
    shared: bool,
    released: bool,
    /// Its first packets went out in an earlier tick.
    flows: bool,
    /// Nothing waits any more: what comes in goes out at once.
    over: bool,
    /// What goes out next, the newest that is there, and the newest of the last tick.
    next: u64,
    newest: u64,
    seen: u64,
}

impl Hold {
    /// Of a keyframe that begins with this number, or at the earliest with this number.
    pub(crate) const fn new(now: Instant, seq: u64, ts: u32) -> Self {
        Self {
            since: now,
            ts,
            lacks: seq,
            whole: false,
            shared: false,
            released: false,
            flows: false,
            over: false,
            next: seq,
            newest: seq,
            seen: seq,
        }
    }

    /// Whether its keyframe has passed who did not wait for it then.
    pub(crate) const fn flows(&self) -> bool {
        self.flows
    }

    /// A packet of the layer, which is in its history. `true`: it goes out at once, behind others that have.
    pub(crate) fn note(&mut self, seq: u64, meta: &Meta, history: &History) -> bool {
        // Parameter sets and the first slice both begin the keyframe whose timestamp they have. The first set tells where.
        let begins = meta.keyframe && (meta.ts != self.ts || (meta.led && meta.opens()));
        if begins && seq > self.next && !self.released {
            let first = history.picture_start(seq, meta);
            (self.ts, self.lacks, self.next, self.whole) = (meta.ts, first, first, false);
        }
        self.newest = self.newest.max(seq);
        while let Some(stored) = history.get(self.lacks).filter(|_| !self.whole) {
            let own = stored.meta.ts == self.ts;
            match !own && self.lacks == self.next {
                true => self.next += 1, // it was missing, and is of the picture before
                false => self.whole = stored.meta.marker || !own,
            }
            self.lacks += 1;
        }
        self.over || (self.released && seq < self.next)
    }

    /// Once a tick: the numbers that go out now, of which some may be missing. `None`: nothing is held any more.
    ///
    /// `shared`: the paths have just been shared. `wanted`: somebody is to get the layer.
    pub(crate) fn release(&mut self, now: Instant, shared: bool, wanted: bool) -> Option<Range<u64>> {
        self.shared |= shared;
        self.flows = self.released;
        let late = now.saturating_duration_since(self.since) >= LONGEST;
        self.released |= late || (self.whole && self.shared);
        let came = self.newest - std::mem::replace(&mut self.seen, self.newest);
        if !self.released {
            return Some(self.next..self.next);
        }
        if self.over || !wanted {
            return None;
        }
        let waiting = (self.newest + 1).saturating_sub(self.next);
        // The keyframe itself came in before it was released.
        let came = if self.flows { came } else { 0 };
        let from = self.next;
        self.next += waiting.min(BATCH.max(came + waiting.div_ceil(PART)));
        self.over = self.next > self.newest;
        Some(from..self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{vp8, vp8_meta};

    const TICK: Duration = Duration::from_millis(20);

    struct Held {
        start: Instant,
        ticks: u32,
        history: History,
        hold: Hold,
    }

    /// A packet of a frame that begins at a number: all of a frame have its timestamp.
    fn meta(frame: u64, seq: u64, last: bool) -> Meta {
        let keyframe = frame.is_multiple_of(100) && seq == frame;
        let mut meta = vp8_meta(frame as u32, &vp8(keyframe, seq == frame, 1, false, 1));
        meta.marker = last;
        meta
    }

    impl Held {
        fn new(first: u64) -> Self {
            let start = Instant::now();
            let mut history = History::new(Duration::from_secs(1), 1 << 20);
            history.push(start, first, &meta(first, first, false), &[0; 100]);
            Self { start, ticks: 0, history, hold: Hold::new(start, first, first as u32) }
        }

        fn take(&mut self, frame: u64, seq: u64, last: bool) -> bool {
            let meta = meta(frame, seq, last);
            self.history.push(self.start, seq, &meta, &[0; 100]);
            self.hold.note(seq, &meta, &self.history)
        }

        fn tick(&mut self, shared: bool) -> Option<Range<u64>> {
            self.ticks += 1;
            self.hold.release(self.start + TICK * self.ticks, shared, true)
        }
    }

    #[test]
    fn goes_out_when_the_keyframe_is_whole_and_paths_were_shared() {
        let mut held = Held::new(1_000);
        assert!((1_001..1_020).all(|seq| !held.take(1_000, seq, seq == 1_019)));
        assert_eq!(held.tick(false), Some(1_000..1_000), "not shared yet");
        assert_eq!(held.tick(true), Some(1_000..1_016));
        assert!(!held.take(1_020, 1_020, true), "in its turn");
        assert!(held.take(1_000, 1_007, false), "late");
        assert_eq!(held.tick(false), Some(1_016..1_021));
        assert_eq!(held.tick(false), None);
    }

    #[test]
    fn waits_for_what_is_missing_and_not_for_ever() {
        let mut held = Held::new(1_000);
        held.take(1_000, 1_002, true);
        held.take(1_003, 1_003, true);
        assert_eq!(held.tick(true), Some(1_000..1_000));
        held.take(1_000, 1_001, false);
        assert_eq!(held.tick(false), Some(1_000..1_004));
        let mut held = Held::new(1_000);
        held.take(1_000, 1_002, true);
        let out = (0..60).find(|_| held.tick(true) != Some(1_000..1_000));
        assert_eq!(out, Some(49), "a second, whole or not");
    }

    #[test]
    fn a_second_keyframe_replaces_one_that_never_became_whole() {
        let mut held = Held::new(1_000);
        held.take(1_000, 1_002, true);
        (1_100..1_120).for_each(|seq| assert!(!held.take(1_100, seq, seq == 1_119)));
        assert_eq!(held.tick(true), Some(1_100..1_116));
        (1_120..1_201).for_each(|seq| assert!(!held.take(1_200, seq, seq == 1_200), "what goes out is not begun anew"));
        assert_eq!(held.tick(false), Some(1_116..1_201));
    }

    #[test]
    fn a_keyframe_without_an_end_ends_where_the_next_frame_begins() {
        let mut held = Held::new(1_000);
        held.take(1_000, 1_001, false);
        assert_eq!(held.tick(true), Some(1_000..1_000));
        held.take(1_002, 1_002, false);
        assert_eq!(held.tick(true), Some(1_000..1_003));
    }

    #[test]
    fn more_that_waits_goes_out_faster() {
        let mut held = Held::new(1_000);
        (1_001..1_400).for_each(|seq| assert!(!held.take(1_000, seq, seq == 1_399)));
        let batches: Vec<u64> = std::iter::from_fn(|| held.tick(true)).map(|range| range.end - range.start).collect();
        assert_eq!((batches.first(), batches.iter().sum::<u64>()), (Some(&50), 400));
        assert!(batches.len() < 20, "{batches:?}");
    }

    #[test]
    fn catches_up_with_every_rate_and_ends() {
        // (packets that wait, packets in each tick, ticks until nothing waits)
        for (first, rate, most) in [(20, 1, 3), (20, 2, 3), (10, 16, 10), (100, 20, 20), (400, 40, 30), (400, 80, 30)] {
            let mut held = Held::new(1_000);
            let mut seq = 1_000;
            for _ in 1..first {
                seq += 1;
                held.take(1_000, seq, seq + 1 == 1_000 + first);
            }
            let (mut ticks, mut out) = (0, 1_000);
            while let Some(range) = held.tick(true) {
                assert_eq!(range.start, out, "in order");
                out = range.end;
                ticks += 1;
                for _ in 0..rate {
                    seq += 1;
                    let at_once = held.take(seq, seq, true);
                    assert_eq!(at_once, out == seq, "behind all that waits");
                    out += u64::from(at_once);
                }
                assert!(ticks <= most, "{} wait at {rate} a tick", seq - out);
            }
            assert_eq!(out, seq + 1);
        }
    }

    #[test]
    fn what_nobody_is_to_get_is_let_go() {
        let mut held = Held::new(1_000);
        held.take(1_000, 1_001, true);
        assert_eq!(held.hold.release(held.start + TICK, true, false), None);
    }
}
