//! Asks a publisher for what is missing of a layer (generic NACK, RFC 4585 §6.2.1).

use std::time::{Duration, Instant};

use convene_types::{ExtSeq, SeqNo};

/// A missing packet may only be out of order for this long, until packets have shown to come later than that. Longer
/// delays every recovery, shorter asks for packets that are on their way.
pub(crate) const REORDER_TOLERANCE: Duration = Duration::from_millis(10);
/// The most that is learnt of it: a repair that begins later comes too late for a conversation.
const MAX_TOLERANCE: Duration = Duration::from_millis(100);
/// Of what was learnt, a part this small is forgotten with each packet that came sooner.
const FORGET: u32 = 64;
/// Missing packets remembered. A burst that loses more is healed by a keyframe sooner than by RTX.
const MAX_MISSING: usize = 256;
/// Packets that are asked for and have not come, before another is asked for as well: 20 KB, a third of a second of
/// 500 kbit/s. A path that loses so many is full, and repeats only keep it so; one in ten lost of 4 Mbit/s has ten under way
/// at a round trip of 250 ms. Each repeat that comes allows one more, one that has to be asked for again halves it.
const MIN_ASKED: usize = 16;
const MAX_ASKED: usize = 64;
/// The same on a path that is full, where each repeat makes all that is new later: 5 KB.
const FULL_ASKED: usize = 4;
/// Times a packet is asked for.
const MAX_TRIES: u8 = 8;
/// In place of that: it was given up, and is remembered only to learn how late it comes.
const GIVEN_UP: u8 = u8::MAX;
/// Bounds of the time between two tries, and the first value of it, before a recovery has told the round trip.
const MIN_RETRY: Duration = Duration::from_millis(20);
const START_RETRY: Duration = Duration::from_millis(50);
const MAX_RETRY: Duration = Duration::from_millis(250);
/// On a full path a repeat waits behind its queue and behind what the publisher has to send at once.
const FULL_RETRY: Duration = Duration::from_millis(600);
/// On a lossy path each request is made twice, so far apart that one burst of losses hardly takes both. Of a path that loses a
/// fifth both ways a try fails in 23 instead of 36 of 100 cases. Publishers send a packet once a round trip, however often they are asked.
const ECHO: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
struct Missing {
    seq: u64,
    noticed: Instant,
    due: Instant,
    asked: Instant,
    tries: u8,
    /// It was asked for, and is to be asked for once more in case that was lost.
    echo: bool,
}

/// What is known of the publisher's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Good,
    /// It loses packets, and so may what is asked of it.
    Lossy,
    /// It has a queue that overflows, see `queue`.
    Full,
}

/// What is missing of one layer.
#[derive(Debug)]
pub(crate) struct Generator {
    /// By number, lowest first.
    missing: Vec<Missing>,
    /// From asking to receiving, smoothed.
    round_trip: Option<Duration>,
    /// How long to wait for a packet that may only be late.
    tolerance: Duration,
    /// Packets that may be asked for and not have come, `MIN_ASKED..=MAX_ASKED`.
    window: usize,
}

impl Generator {
    pub(crate) const fn new() -> Self {
        Self { missing: Vec::new(), round_trip: None, tolerance: REORDER_TOLERANCE, window: MIN_ASKED }
    }

    /// Nothing is missing any more: the stream began anew.
    pub(crate) fn clear(&mut self) {
        self.missing.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }

    /// The newest packet is `seq`, the newest before it was `after`. `false`: too much is missing; all of it is given up.
    pub(crate) fn gap(&mut self, now: Instant, ExtSeq(after): ExtSeq, ExtSeq(seq): ExtSeq) -> bool {
        let count = seq.saturating_sub(after).saturating_sub(1);
        if count == 0 {
            return true;
        }
        if count > (MAX_MISSING.saturating_sub(self.missing.len())) as u64 {
            self.missing.clear();
            return false;
        }
        let due = now + self.tolerance;
        self.missing.extend((after + 1..seq).map(|seq| Missing {
            seq,
            noticed: now,
            due,
            asked: now,
            tries: 0,
            echo: false,
        }));
        true
    }

    /// A packet below the newest came in, on its own or by RTX. Answers whether it had been lost, and not only late.
    pub(crate) fn arrived(&mut self, now: Instant, ExtSeq(seq): ExtSeq, repair: bool) -> bool {
        let Ok(index) = self.missing.binary_search_by_key(&seq, |missing| missing.seq) else { return false };
        let missing = self.missing.remove(index);
        let since_asked = now.saturating_duration_since(missing.asked);
        // No answer is so quick: it was on its way when it was asked for.
        let asked = missing.tries > 0 && missing.tries != GIVEN_UP;
        let late = !repair && (!asked || since_asked < MIN_RETRY);
        if missing.tries == 1 && !late {
            self.round_trip = Some(self.round_trip.map_or(since_asked, |smoothed| (smoothed * 7 + since_asked) / 8));
        }
        if missing.tries > 0 && !late {
            self.window = (self.window + 1).min(MAX_ASKED);
        }
        let mut lateness = if late { now.saturating_duration_since(missing.noticed) } else { Duration::ZERO };
        if missing.tries == GIVEN_UP {
            lateness += lateness / 4; // the next as late as this is not to cost a keyframe as well
        }
        self.learn(lateness.clamp(REORDER_TOLERANCE, MAX_TOLERANCE));
        !late
    }

    /// Whether a packet is missing that is, or will be, asked for.
    pub(crate) fn lacks(&self, ExtSeq(seq): ExtSeq) -> bool {
        self.missing.binary_search_by_key(&seq, |missing| missing.seq).is_ok()
    }

    /// From asking to receiving. `None`: nothing was asked for so far.
    pub(crate) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    fn learn(&mut self, lateness: Duration) {
        let less = self.tolerance.saturating_sub(lateness);
        self.tolerance = self.tolerance.max(lateness) - less / FORGET;
    }

    /// A keyframe begins at `seq`, at the earliest: nothing before it is needed.
    pub(crate) fn forget_before(&mut self, ExtSeq(seq): ExtSeq) {
        self.missing.retain(|missing| missing.seq >= seq);
    }

    /// Of a publisher that repeats nothing: how many packets have been missing for longer than they may only be late.
    pub(crate) fn give_up(&mut self, now: Instant) -> usize {
        let mut lost = 0;
        self.missing.retain_mut(|missing| {
            if missing.due <= now && missing.tries != GIVEN_UP {
                lost += 1;
                (missing.tries, missing.due) = (GIVEN_UP, missing.noticed + MAX_TOLERANCE);
            }
            missing.due > now
        });
        lost
    }

    /// When [`Self::poll`] or [`Self::give_up`] has something to say.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.due).min()
    }

    /// How many are missing.
    pub(crate) const fn len(&self) -> usize {
        self.missing.len()
    }

    /// Appends the numbers to ask for; returns how many are given up.
    pub(crate) fn poll(&mut self, now: Instant, path: Path, out: &mut Vec<SeqNo>) -> usize {
        let usual = self.round_trip.map_or(START_RETRY, |round_trip| round_trip * 3 / 2).clamp(MIN_RETRY, MAX_RETRY);
        let retry = if path == Path::Full { FULL_RETRY } else { usual };
        let before = self.missing.len();
        self.missing.retain(|missing| missing.due > now || missing.echo || missing.tries < MAX_TRIES);
        if self.missing.iter().any(|missing| missing.tries > 0 && missing.due <= now && !missing.echo) {
            self.window = (self.window / 2).max(MIN_ASKED);
        }
        let most = if path == Path::Full { FULL_ASKED } else { self.window };
        let mut asked = self.missing.iter().filter(|missing| missing.tries > 0).count();
        for missing in self.missing.iter_mut().filter(|missing| missing.due <= now) {
            if missing.tries == 0 && asked >= most {
                missing.due = now + MIN_RETRY;
                continue;
            }
            out.push(ExtSeq(missing.seq).seq());
            if std::mem::take(&mut missing.echo) {
                missing.due = missing.asked + retry.max(ECHO * 2);
                continue;
            }
            asked += usize::from(missing.tries == 0);
            missing.tries += 1;
            missing.asked = now;
            missing.echo = path == Path::Lossy && retry > ECHO;
            missing.due = now + if missing.echo { ECHO } else { retry };
        }
        before - self.missing.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x1_fffe;

    fn polled(generator: &mut Generator, now: Instant) -> Vec<u16> {
        let mut out = Vec::new();
        generator.poll(now, Path::Good, &mut out);
        out.into_iter().map(|seq| seq.0).collect()
    }

    #[test]
    fn a_path_that_loses_many_is_asked_for_a_few_at_a_time() {
        let start = Instant::now();
        let mut generator = Generator::new();
        assert!(generator.gap(start, ExtSeq(BASE), ExtSeq(BASE + 61)));
        let mut now = start + REORDER_TOLERANCE;
        assert_eq!(polled(&mut generator, now).len(), MIN_ASKED);
        assert!(generator.due() > Some(now), "nobody waits without an end");
        now += MIN_RETRY;
        assert!(polled(&mut generator, now).is_empty());
        for seq in 1..=3 {
            generator.arrived(now, ExtSeq(BASE + seq), true);
        }
        now += MIN_RETRY;
        let next: Vec<u16> = (17..23).map(|seq| ExtSeq(BASE + seq).seq().0).collect();
        assert_eq!(polled(&mut generator, now), next, "for each that has come, two more");
        now += START_RETRY;
        let again: Vec<u16> = (4..23).map(|seq| ExtSeq(BASE + seq).seq().0).collect();
        assert_eq!(polled(&mut generator, now), again, "a path that does not answer is asked for no more than that");
    }

    #[test]
    fn a_full_path_is_asked_for_very_few_and_given_time() {
        let start = Instant::now();
        let mut generator = Generator::new();
        assert!(generator.gap(start, ExtSeq(BASE), ExtSeq(BASE + 10)));
        let now = start + REORDER_TOLERANCE;
        let mut out = Vec::new();
        generator.poll(now, Path::Full, &mut out);
        assert_eq!(out.len(), FULL_ASKED);
        generator.poll(now + FULL_RETRY - Duration::from_millis(1), Path::Full, &mut out);
        assert_eq!(out.len(), FULL_ASKED, "none twice");
        generator.arrived(now, ExtSeq(BASE + 1), true);
        generator.poll(now + FULL_RETRY, Path::Full, &mut out);
        assert_eq!(out.len(), FULL_ASKED + 3, "those that have not come");
    }

    #[test]
    fn a_lossy_path_is_asked_twice_for_each_try() {
        let start = Instant::now();
        let mut generator = Generator::new();
        generator.round_trip = Some(Duration::from_millis(60));
        assert!(generator.gap(start, ExtSeq(BASE), ExtSeq(BASE + 2)));
        let asked: Vec<u64> = (0..300)
            .filter(|ms| {
                let mut out = Vec::new();
                generator.poll(start + Duration::from_millis(*ms), Path::Lossy, &mut out);
                !out.is_empty()
            })
            .collect();
        assert_eq!(asked, [10, 30, 100, 120, 190, 210, 280]);
        // A path that answers sooner is only asked again.
        generator.clear();
        generator.round_trip = Some(Duration::from_millis(5));
        assert!(generator.gap(start, ExtSeq(BASE + 2), ExtSeq(BASE + 4)));
        let mut out = Vec::new();
        generator.poll(start + REORDER_TOLERANCE, Path::Lossy, &mut out);
        assert_eq!(generator.due(), Some(start + REORDER_TOLERANCE + MIN_RETRY));
    }

    #[test]
    fn a_long_gap_on_a_path_that_answers_is_filled_in_two_turns() {
        let mut now = Instant::now();
        let mut generator = Generator::new();
        assert!(generator.gap(now, ExtSeq(BASE), ExtSeq(BASE + 49)));
        now += REORDER_TOLERANCE;
        let mut turns = 0;
        while !generator.is_empty() {
            let mut out = Vec::new();
            generator.poll(now, Path::Good, &mut out);
            now += MIN_RETRY;
            for seq in out {
                let of = |seq: u16| BASE + u64::from(seq.wrapping_sub(ExtSeq(BASE).seq().0));
                generator.arrived(now, ExtSeq(of(seq.0)), true);
            }
            turns += 1;
        }
        assert_eq!(turns, 2);
    }

    #[test]
    fn waits_asks_repeats_and_gives_up() {
        let start = Instant::now();
        let mut generator = Generator::new();
        assert!(generator.gap(start, ExtSeq(BASE), ExtSeq(BASE + 4)));
        assert_eq!(generator.due(), Some(start + REORDER_TOLERANCE));
        assert!(polled(&mut generator, start + Duration::from_millis(9)).is_empty());
        generator.arrived(start + Duration::from_millis(9), ExtSeq(BASE + 2), false); // only out of order
        let mut now = start + REORDER_TOLERANCE;
        assert_eq!(polled(&mut generator, now), [65535, 1], "over the 16-bit wrap");
        assert!(polled(&mut generator, now + Duration::from_millis(49)).is_empty(), "not before the retry time");
        for _ in 1..MAX_TRIES {
            now += START_RETRY;
            assert_eq!(polled(&mut generator, now), [65535, 1]);
        }
        assert_eq!(generator.poll(now + START_RETRY, Path::Good, &mut Vec::new()), 2);
        assert!(generator.is_empty());
    }

    #[test]
    fn learns_the_round_trip_from_first_tries() {
        // (round trip, retry time that comes of it)
        let rows = [(2, MIN_RETRY), (100, Duration::from_millis(150)), (900, MAX_RETRY)];
        for (round_trip, retry) in rows {
            let start = Instant::now();
            let mut generator = Generator::new();
            generator.gap(start, ExtSeq(1), ExtSeq(3));
            let asked = start + REORDER_TOLERANCE;
            assert_eq!(polled(&mut generator, asked), [2]);
            let answered = asked + Duration::from_millis(round_trip);
            generator.arrived(answered, ExtSeq(2), true);
            generator.gap(answered, ExtSeq(3), ExtSeq(5));
            let asked = answered + REORDER_TOLERANCE;
            assert_eq!(polled(&mut generator, asked), [4]);
            assert_eq!(generator.due(), Some(asked + retry), "{round_trip}");
        }
    }

    #[test]
    fn is_bounded_and_forgets_before_a_keyframe() {
        let now = Instant::now();
        let mut generator = Generator::new();
        assert!(generator.gap(now, ExtSeq(0), ExtSeq(MAX_MISSING as u64)));
        assert!(!generator.gap(now, ExtSeq(1_000), ExtSeq(1_010)), "no room");
        assert!(generator.is_empty());
        assert!(!generator.gap(now, ExtSeq(0), ExtSeq(MAX_MISSING as u64 + 2)));
        generator.gap(now, ExtSeq(10), ExtSeq(13));
        generator.forget_before(ExtSeq(12));
        assert_eq!(polled(&mut generator, now + REORDER_TOLERANCE), [12]);
        generator.arrived(now, ExtSeq(999), false);
    }

    #[test]
    fn learns_how_late_packets_come() {
        let start = Instant::now();
        let mut generator = Generator::new();
        let mut asked = 0;
        // Each second packet comes up to 60 ms late.
        for index in 0..200_u64 {
            let noticed = start + Duration::from_millis(index * 100);
            let late = (index * 7) % 60;
            generator.gap(noticed, ExtSeq(2 * index), ExtSeq(2 * index + 2));
            for ms in 0..late {
                asked += polled(&mut generator, noticed + Duration::from_millis(ms)).len();
            }
            generator.arrived(noticed + Duration::from_millis(late), ExtSeq(2 * index + 1), false);
            asked = if index == 40 { 0 } else { asked };
        }
        assert!(asked < 16, "{asked} of 160 asked for in vain");
        assert!(generator.tolerance <= Duration::from_millis(60));
        // Then none is late any more, and some are lost.
        for index in 300..400_u64 {
            generator.gap(start, ExtSeq(2 * index), ExtSeq(2 * index + 2));
            generator.arrived(start + Duration::from_millis(80), ExtSeq(2 * index + 1), true);
        }
        assert!(generator.tolerance < REORDER_TOLERANCE * 3, "{:?}", generator.tolerance);
    }
}
