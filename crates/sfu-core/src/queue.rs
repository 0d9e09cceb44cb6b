//! Whether a publisher's path is full: its packets wait in a queue on their way, and what the queue has no room for is lost.
//!
//! What is lost of a full path is not to be asked for as on a path that loses at random: a repeat waits in the same queue, and
//! publishers send repeats before anything new, so the keyframe of a lower layer, which would bring the picture back, comes
//! behind them all.

use std::time::{Duration, Instant};

/// Packets that come later than the earliest ones by this much have waited. A pacer spreads a keyframe over less, and jitter of
/// 50 ms either way stays below it; routers hold back 200 ms and more before they drop.
const FULL: Duration = Duration::from_millis(150);
/// The earliest packet of this long speaks for the path: later ones may have waited for the publisher's pacer.
const SLOT: Duration = Duration::from_millis(50);
/// What a slot said holds for the next one if that begins within this: of 5 pictures a second without audio.
const FRESH: Duration = Duration::from_millis(250);
/// How long the earliest packet of a stream is remembered, and up to twice that: clocks drift, and a path may become longer.
const MEMORY: Duration = Duration::from_secs(5);
/// No queue is so long: the stream's clock has jumped.
const JUMP_US: i64 = 3_000_000;

/// How late packets of one stream are, by their timestamps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Transit {
    last: Option<(Instant, u32)>,
    /// Of the last packet, in µs from an arbitrary zero: when it arrived less when it was captured.
    transit: i64,
    /// The lowest of the time since, and of the time before that.
    earliest: i64,
    before: i64,
    since: Option<Instant>,
}

impl Transit {
    /// A packet: by how much it came later than the earliest one of the last seconds.
    pub(crate) fn late(&mut self, now: Instant, ts: u32, rate: u32) -> Duration {
        let Some((at, last_ts)) = self.last.replace((now, ts)) else {
            self.begin(now);
            return Duration::ZERO;
        };
        let captured = i64::from(ts.wrapping_sub(last_ts).cast_signed()) * 1_000_000 / i64::from(rate.max(1));
        let arrived = now.saturating_duration_since(at).as_micros() as i64;
        self.transit += arrived - captured;
        if (self.transit - self.earliest.min(self.before)).abs() > JUMP_US {
            self.begin(now);
        }
        if self.since.is_none_or(|since| now.saturating_duration_since(since) > MEMORY) {
            (self.before, self.earliest, self.since) = (self.earliest, self.transit, Some(now));
        }
        self.earliest = self.earliest.min(self.transit);
        Duration::from_micros((self.transit - self.earliest.min(self.before)).max(0).cast_unsigned())
    }

    fn begin(&mut self, now: Instant) {
        (self.transit, self.earliest, self.before, self.since) = (0, 0, 0, Some(now));
    }
}

/// What the packets of all streams of a publisher say together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queue {
    since: Option<Instant>,
    /// How late the earliest packet since then was, and the earliest of the slot before.
    least: Duration,
    before: Option<Duration>,
}

impl Queue {
    /// A packet came so late.
    pub(crate) fn note(&mut self, now: Instant, late: Duration) {
        match self.since.map(|since| now.saturating_duration_since(since)) {
            Some(age) if age <= SLOT => self.least = self.least.min(late),
            age => {
                self.before = age.filter(|age| *age <= FRESH).map(|_| self.least);
                (self.since, self.least) = (Some(now), late);
            }
        }
    }

    /// Whether all packets of late have waited. Of a path from which nothing comes nobody knows.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        let fresh = self.since.is_some_and(|since| now.saturating_duration_since(since) <= FRESH);
        fresh && self.before.is_some_and(|before| before.min(self.least) > FULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 90_000;

    /// A packet each 20 ms, each so late; for each that arrived, when it was sent and whether the path counts as full.
    fn full(lates_ms: impl IntoIterator<Item = u64>) -> Vec<(u64, bool)> {
        let start = Instant::now();
        let (mut transit, mut queue) = (Transit::default(), Queue::default());
        let mut arrivals: Vec<(u64, u64)> =
            (0..).step_by(20).zip(lates_ms).map(|(sent, late)| (sent + late, sent)).collect();
        arrivals.sort_unstable();
        let packets = arrivals.into_iter().map(|(ms, sent)| {
            let now = start + Duration::from_millis(ms);
            // Over the wrap.
            let ts = (u32::MAX - 90_000).wrapping_add(sent as u32 * 90);
            queue.note(now, transit.late(now, ts, RATE));
            (sent, queue.is_full(now))
        });
        packets.collect()
    }

    #[test]
    fn is_full_while_all_packets_wait() {
        let full = full([0; 100].into_iter().chain((0..20).map(|step| step * 15)).chain([300; 50]).chain([0; 30]));
        let first = full.iter().find(|(_, full)| *full).unwrap().0;
        assert!((2_240..=2_400).contains(&first), "{first}");
        assert!(full.iter().all(|(sent, full)| *full || !(first..3_000).contains(sent)));
        assert!(full.iter().all(|(sent, full)| !full || *sent <= 3_400), "the queue is empty again");
    }

    #[test]
    fn jitter_a_pacer_and_a_longer_path_are_no_queue() {
        let none = |full: &[(u64, bool)]| full.iter().all(|(_, full)| !full);
        assert!(none(&full((0..500).map(|index| (index * 37) % 100))), "jitter");
        let paced = full((0..500).map(|index| if index % 3 == 0 { 0 } else { 400 }));
        assert!(none(&paced[..450]), "two of three wait for a keyframe");
        assert!(none(&full([0; 100].into_iter().chain([20_000; 100]))), "the stream's clock jumps");
        let mut transit = Transit::default();
        let anywhere =
            (0_u32..100_000).map(|index| transit.late(Instant::now(), index.wrapping_mul(0x9e37_79b9), 8_000));
        assert!(anywhere.max() <= Some(Duration::from_secs(3)), "timestamps that anybody may send");
        let longer = full([0; 200].into_iter().chain([250; 1_000]));
        assert!(longer.iter().any(|(_, full)| *full), "it looks like one at first");
        assert!(none(&longer[750..]), "not for more than 10 s");
    }

    #[test]
    fn nobody_knows_what_a_silent_path_is_like() {
        let start = Instant::now();
        let mut queue = Queue::default();
        (0..20).for_each(|step| queue.note(start + Duration::from_millis(step * 20), FULL * 2));
        assert!(queue.is_full(start + Duration::from_millis(400)));
        assert!(!queue.is_full(start + Duration::from_millis(700)));
        queue.note(start + Duration::from_secs(2), FULL * 2);
        assert!(!queue.is_full(start + Duration::from_secs(2)), "a single packet after an outage");
    }
}
