//! Throttles keyframe requests of one layer: however many subscribers ask, the publisher hears it once.

use std::time::{Duration, Instant};

/// Requests without an answer after which they become rarer: a lost PLI or keyframe should cost one interval, but a
/// publisher whose keyframes we cannot recognise must not be made to send nothing else.
const PATIENT_AFTER: u8 = 4;
/// Each request after that waits twice as long as the one before, up to 2^3 intervals.
const MAX_DOUBLINGS: u8 = 3;

/// Whether a keyframe is wanted, and when one was last asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Throttle {
    wanted: bool,
    /// It stays so until one comes.
    insists: bool,
    asked: Option<Instant>,
    /// Requests since the last keyframe.
    unanswered: u8,
}

impl Throttle {
    /// A subscriber needs a keyframe.
    pub(crate) fn request(&mut self) {
        self.wanted = true;
    }

    /// Packets are lost for good: nobody can go on without a keyframe, and the request may be lost as they were. Made again
    /// while there is hope: then subscribers ask, who know whether they still wait.
    pub(crate) fn insist(&mut self) {
        (self.wanted, self.insists) = (true, true);
    }

    /// A keyframe came: what was asked for until now is answered.
    pub(crate) fn answered(&mut self) {
        (self.wanted, self.insists, self.unanswered) = (false, false, 0);
    }

    pub(crate) const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether to ask the publisher now.
    pub(crate) fn poll(&mut self, now: Instant, interval: Duration) -> bool {
        let doublings = self.unanswered.saturating_sub(PATIENT_AFTER).min(MAX_DOUBLINGS);
        let pause = interval * (1 << doublings);
        let due = self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= pause);
        if !(self.wanted && due) {
            return false;
        }
        (self.asked, self.unanswered) = (Some(now), self.unanswered.saturating_add(1));
        self.insists &= self.unanswered < PATIENT_AFTER;
        self.wanted = self.insists;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_once_per_interval() {
        enum Step {
            Request,
            Answered,
            Poll(bool),
        }
        use Step::{Answered, Poll, Request};
        let interval = Duration::from_millis(500);
        let rows: [(u64, Step); 12] = [
            (0, Poll(false)),
            (0, Request),
            (0, Request),
            (0, Poll(true)),
            (1, Poll(false)),
            (100, Request),
            (499, Poll(false)),
            (500, Poll(true)),
            (600, Request),
            (700, Answered),
            (1_200, Poll(false)),
            (1_200, Request),
        ];
        let start = Instant::now();
        let mut throttle = Throttle::default();
        for (ms, step) in rows {
            let now = start + Duration::from_millis(ms);
            match step {
                Request => throttle.request(),
                Answered => throttle.answered(),
                Poll(want) => assert_eq!(throttle.poll(now, interval), want, "{ms}"),
            }
        }
        assert!(throttle.is_wanted());
    }

    #[test]
    fn insists_until_a_keyframe_comes_or_does_not() {
        let interval = Duration::from_millis(500);
        let start = Instant::now();
        let asked = |throttle: &mut Throttle, from: u64, to: u64| -> Vec<u64> {
            (from..to).filter(|ms| throttle.poll(start + Duration::from_millis(*ms), interval)).collect()
        };
        let mut throttle = Throttle::default();
        throttle.insist();
        assert_eq!(asked(&mut throttle, 0, 700), [0, 500]);
        throttle.answered();
        assert!(asked(&mut throttle, 700, 5_000).is_empty());
        throttle.insist();
        assert_eq!(asked(&mut throttle, 5_000, 30_000), [5_000, 5_500, 6_000, 6_500]);
    }

    #[test]
    fn asks_more_rarely_when_no_keyframe_comes() {
        let interval = Duration::from_millis(500);
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let asked: Vec<u64> = (0..30_000)
            .filter(|ms| {
                throttle.request();
                throttle.poll(start + Duration::from_millis(*ms), interval)
            })
            .collect();
        assert_eq!(asked, [0, 500, 1_000, 1_500, 2_000, 3_000, 5_000, 9_000, 13_000, 17_000, 21_000, 25_000, 29_000]);
        throttle.answered();
        throttle.request();
        assert!(throttle.poll(start + Duration::from_millis(30_000), interval));
    }
}
