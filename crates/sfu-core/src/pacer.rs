//! Spreads what is more than a path carries at once: a keyframe, a page of a shared screen.
//!
//! Publishers send such a picture as fast as *their* path takes it. In front of a narrow path it would be a queue of half a
//! second, which audio waits in, or overflow one and have to be repeated. So where a path has shown a limit, video beyond a
//! small burst waits here, and goes out at the rate that the path is thought to carry. Audio and repeats go at once; they are
//! paid for all the same.
//!
//! What waits are references into the history, not yet numbered: who gets another layer meanwhile loses nothing but them.
//! The more waits the faster it goes, so that nothing waits for much longer than [`DRAIN_S`], whatever the estimate says.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::subscription::Pending;

/// In this many seconds all but a third of what waits goes out, whatever the estimate is. A history has 1.2 s.
const DRAIN_S: f64 = 0.8;
/// What waits should rather be gone in this many seconds: a picture that comes later than that is seen to come late.
const DESIRED_S: f64 = 0.2;
/// What may go out at once: this many seconds of the rate, and this many bytes. Most pictures of a camera are no more.
const BURST_S: f64 = 0.01;
const BURST_BYTES: f64 = 3_000.0;
/// What went out unasked counts against the next this many seconds.
const DEBT_S: f64 = 0.1;
/// Between two helpings at least; each is a turn of the worker.
const HELPING: Duration = Duration::from_millis(5);
/// Packets that wait at most, for all tracks; of more the oldest go at once. At 1,200 bytes that is half a second of 39 Mbit/s.
const MAX_HELD: usize = 2_048;

/// A packet that waits.
#[derive(Clone, Copy, Debug)]
struct Held {
    pending: Pending,
    bytes: usize,
    /// It begins a keyframe.
    keyframe: bool,
    since: Instant,
}

/// What waits of one track.
#[derive(Debug, Default)]
struct Queue {
    track: usize,
    packets: VecDeque<Held>,
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Bytes a second that the path is thought to carry.
    path: f64,
    /// Bytes that may go out; below zero: what has to come free first.
    credit: f64,
    earned: Instant,
    /// None of them is empty.
    queues: Vec<Queue>,
}

impl Pacer {
    pub(crate) fn new(now: Instant) -> Self {
        Self { path: 0.0, credit: BURST_BYTES, earned: now, queues: Vec::new() }
    }

    /// Bits per second that the path is thought to carry from now on.
    pub(crate) fn set_rate(&mut self, now: Instant, bits: f64) {
        self.earn(now);
        self.path = bits / 8.0;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    fn bytes(&self) -> usize {
        self.queues.iter().map(|queue| queue.bytes).sum()
    }

    fn held(&self) -> usize {
        self.queues.iter().map(|queue| queue.packets.len()).sum()
    }

    /// Bits per second that would be of use.
    pub(crate) fn desired(&self) -> f64 {
        self.bytes() as f64 * 8.0 / DESIRED_S
    }

    /// Something went out.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.credit = (self.credit - bytes as f64).max(-self.rate() * DEBT_S);
    }

    /// Lets so many bytes go of what waits, whatever the estimate says.
    pub(crate) fn lend(&mut self, bytes: usize) {
        if !self.is_empty() {
            self.credit = self.credit.max(0.0) + bytes as f64;
        }
    }

    /// Takes a packet of video that is to go out, if it has to wait. `false`: it may go.
    pub(crate) fn hold(
        &mut self,
        now: Instant,
        track: usize,
        pending: Pending,
        (bytes, keyframe): (usize, bool),
    ) -> bool {
        let waits = self.queues.iter().any(|queue| queue.track == track);
        if !waits {
            self.earn(now);
            if self.credit > 0.0 {
                return false;
            }
            self.queues.push(Queue { track, ..Queue::default() });
        }
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.track == track) {
            queue.packets.push_back(Held { pending, bytes, keyframe, since: now });
            queue.bytes += bytes;
        }
        true
    }

    /// The next packet whose time has come. Of the track of which least waits: a camera's pictures do not wait for a whole page
    /// of a shared screen. Unless another has waited for too long.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(usize, Pending)> {
        if self.is_empty() {
            return None;
        }
        self.earn(now);
        if self.credit <= 0.0 && self.held() <= MAX_HELD {
            return None;
        }
        let waited = |queue: &Queue| queue.packets.front().map(|held| now.saturating_duration_since(held.since));
        let late = self.queues.iter().enumerate().max_by_key(|(_, queue)| waited(queue));
        let late = late.filter(|(_, queue)| waited(queue).is_some_and(|waited| waited.as_secs_f64() > DRAIN_S));
        let least = || self.queues.iter().enumerate().min_by_key(|(_, queue)| queue.bytes);
        let (place, _) = late.or_else(least)?;
        let queue = self.queues.get_mut(place)?;
        let (track, held) = (queue.track, queue.packets.pop_front()?);
        queue.bytes -= held.bytes;
        if queue.packets.is_empty() {
            self.queues.swap_remove(place);
        }
        Some((track, held.pending))
    }

    /// Whether a keyframe of a layer waits.
    pub(crate) fn has_keyframe(&self, track: usize, layer: u8) -> bool {
        let mut held = self.queues.iter().filter(|queue| queue.track == track).flat_map(|queue| &queue.packets);
        held.any(|held| held.keyframe && held.pending.layer == layer)
    }

    /// When `next` may have one.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let missing = Duration::from_secs_f64((-self.credit).max(0.0) / self.rate().max(1.0));
        (!self.is_empty()).then(|| now + missing.max(HELPING))
    }

    /// Forgets what waits of a track.
    pub(crate) fn forget(&mut self, track: usize) {
        self.queues.retain(|queue| queue.track != track);
    }

    /// Bytes a second.
    fn rate(&self) -> f64 {
        self.path.max(self.bytes() as f64 / DRAIN_S)
    }

    fn earn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.earned, now));
        let rate = self.rate();
        self.credit = (self.credit + rate * passed.as_secs_f64()).min(rate * BURST_S + BURST_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes, and whether it begins a keyframe.
    const PACKET: (usize, bool) = (1_000, false);
    const MS: Duration = Duration::from_millis(1);

    fn packet(seq: u64) -> Pending {
        Pending { track: Some(0), layer: 0, generation: 0, seq }
    }

    /// For 800 kbit/s, which are 100 bytes a millisecond.
    fn fresh(now: Instant) -> Pacer {
        let mut pacer = Pacer::new(now);
        pacer.set_rate(now, 800e3);
        pacer
    }

    /// The same with its first burst spent.
    fn spent(now: Instant) -> Pacer {
        let mut pacer = fresh(now);
        pacer.spend(BURST_BYTES as usize);
        pacer
    }

    /// Bytes of packets of 1,000 that go out by each of these milliseconds.
    fn gone(pacer: &mut Pacer, start: Instant, at: &[u32]) -> Vec<usize> {
        let (mut bytes, mut seen, mut ms) = (0, Vec::new(), 0);
        for until in at {
            while ms < *until {
                ms += 1;
                while pacer.next(start + MS * ms).is_some() {
                    pacer.spend(1_000);
                    bytes += 1_000;
                }
            }
            seen.push(bytes);
        }
        seen
    }

    #[test]
    fn small_pictures_pass_and_large_ones_go_at_the_rate() {
        let start = Instant::now();
        let mut pacer = fresh(start);
        assert!((0..4).all(|_| {
            let goes = !pacer.hold(start, 0, packet(0), PACKET);
            pacer.spend(1_000);
            goes || pacer.credit <= 0.0
        }));
        let mut pacer = spent(start);
        assert!((0..40).all(|seq| pacer.hold(start, 0, packet(seq), PACKET)));
        assert_eq!(gone(&mut pacer, start, &[100, 200, 390, 500]), [10_000, 20_000, 39_000, 40_000]);
        assert!(pacer.due(start).is_none());
    }

    #[test]
    fn the_more_waits_the_faster_it_goes_and_none_for_much_longer_than_that() {
        let start = Instant::now();
        let mut pacer = spent(start);
        (0..400).for_each(|seq| assert!(pacer.hold(start, 0, packet(seq), PACKET)));
        let [early, late] = gone(&mut pacer, start, &[800, 2_200])[..] else { panic!() };
        assert!((240_000..270_000).contains(&early), "{early}: two thirds");
        assert_eq!(late, 400_000);
    }

    #[test]
    fn order_within_a_track_and_the_least_first_among_them() {
        let start = Instant::now();
        let mut pacer = spent(start);
        (0..30).for_each(|seq| assert!(pacer.hold(start, 7, packet(seq), PACKET)));
        (0..3).for_each(|seq| assert!(pacer.hold(start, 8, packet(seq), PACKET)));
        let mut order = Vec::new();
        for ms in 0..400 {
            while let Some((track, pending)) = pacer.next(start + MS * ms) {
                pacer.spend(1_000);
                order.push((track, pending.seq));
            }
        }
        let expected = (0..3).map(|seq| (8, seq)).chain((0..30).map(|seq| (7, seq)));
        assert_eq!(order, expected.collect::<Vec<_>>());
    }

    #[test]
    fn what_waited_too_long_goes_before_the_least() {
        let start = Instant::now();
        let mut pacer = spent(start);
        (0..10).for_each(|seq| assert!(pacer.hold(start, 7, packet(seq), PACKET)));
        let late = start + Duration::from_secs_f64(DRAIN_S) + MS;
        assert!(pacer.hold(late, 8, packet(0), PACKET) || pacer.credit > 0.0);
        assert_eq!(pacer.next(late).map(|(track, pending)| (track, pending.seq)), Some((7, 0)));
    }

    #[test]
    fn unasked_packets_are_paid_for_but_not_for_long() {
        let start = Instant::now();
        let mut pacer = spent(start);
        pacer.spend(1_000_000);
        assert!(pacer.hold(start, 0, packet(0), PACKET));
        assert_eq!(gone(&mut pacer, start, &[99, 102]), [0, 1_000]);
    }

    #[test]
    fn knows_of_which_layer_a_keyframe_waits() {
        let start = Instant::now();
        let mut pacer = spent(start);
        assert!(pacer.hold(start, 3, packet(0), PACKET));
        assert!(pacer.hold(start, 3, Pending { layer: 1, ..packet(1) }, (1_000, true)));
        assert_eq!(
            [(3, 0), (3, 1), (2, 1)].map(|(track, layer)| pacer.has_keyframe(track, layer)),
            [false, true, false]
        );
        pacer.lend(2_000);
        assert!((0..2).all(|_| pacer.next(start).is_some()));
        assert!(!pacer.has_keyframe(3, 1));
    }

    #[test]
    fn is_bounded_and_forgets_tracks() {
        let start = Instant::now();
        let mut pacer = spent(start);
        (0..=MAX_HELD as u64).for_each(|seq| assert!(pacer.hold(start, 0, packet(seq), PACKET)));
        assert!(pacer.next(start).is_some(), "one too many");
        assert!(pacer.next(start).is_none());
        pacer.hold(start, 1, packet(0), PACKET);
        pacer.forget(0);
        assert_eq!((pacer.held(), pacer.bytes(), pacer.queues.len()), (1, 1_000, 1));
        pacer.forget(1);
        assert_eq!((pacer.held(), pacer.bytes(), pacer.queues.len()), (0, 0, 0));
    }
}
