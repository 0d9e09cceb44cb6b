//! [`Drain`]: how fast what a channel is given goes, and so how long what it is given now would wait.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back it looks, beyond the span that it needs at least: long enough to see through acknowledgements that come in
/// clusters, short enough to follow a path that changes.
const LOOK_BACK: Duration = Duration::from_millis(500);
/// What comes within so long of the last reading is one with it.
const GRAIN: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Drain {
    given: u64,
    /// When, and how many bytes had gone by then; ascending, since the channel was last empty.
    readings: VecDeque<(Instant, u64)>,
}

impl Drain {
    /// So many bytes are given, and are taken.
    pub(super) fn give(&mut self, bytes: usize) {
        self.given += bytes as u64;
    }

    /// How long what is given now would wait, where `waiting` bytes are before it. `None`: it has been busy for less than
    /// `least`, which is to be a round trip or more, and that says nothing.
    pub(super) fn wait(&mut self, now: Instant, waiting: usize, least: Duration) -> Option<Duration> {
        let gone = self.given.saturating_sub(waiting as u64);
        if waiting == 0 {
            self.readings.clear();
        }
        if self.readings.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= GRAIN) {
            self.readings.push_back((now, gone));
        }
        let enough = |(at, _): &(Instant, u64)| now.saturating_duration_since(*at) >= least + LOOK_BACK;
        while self.readings.get(1).is_some_and(enough) {
            self.readings.pop_front();
        }
        let (since, before) = self.readings.front()?;
        let (span, went) = (now.saturating_duration_since(*since), gone.saturating_sub(*before));
        let whole = span.as_secs_f64() * waiting as f64 / went as f64; // infinite where nothing goes
        (span >= least).then(|| Duration::try_from_secs_f64(whole).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_wait_is_told_by_what_went() {
        let (start, least) = (Instant::now(), Duration::from_millis(100));
        let mut drain = Drain::default();
        // 1,000 bytes each 10 ms, of which so many go; then how long the next would wait, in ms, to a tenth.
        for (going, waits) in [(1_000, Some(0)), (500, Some(1_000)), (0, None)] {
            let mut waiting = 0_usize;
            let mut last = None;
            for step in 0..100_u32 {
                last = drain.wait(start + Duration::from_millis(10) * step, waiting, least);
                assert_eq!(last.is_some(), waiting > 0 && step >= 10, "{going} {step}");
                drain.give(1_000);
                waiting += 1_000 - going;
            }
            match waits {
                Some(0) => assert_eq!(last, None, "it was never busy"),
                Some(ms) => {
                    assert!(last.is_some_and(|last| last.as_millis().abs_diff(ms) <= ms / 10), "{going}: {last:?}")
                }
                None => assert_eq!(last, Some(Duration::MAX)),
            }
            assert!(drain.readings.len() <= 61, "what is kept is bounded");
            drain = Drain::default();
        }
    }
}
