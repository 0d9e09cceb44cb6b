//! Throttles keyframe requests of one layer: however many subscribers ask, the publisher hears it once.

use std::time::{Duration, Instant};

/// Whether a keyframe is wanted, and when one was last asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Throttle {
    wanted: bool,
    asked: Option<Instant>,
}

impl Throttle {
    /// A subscriber needs a keyframe.
    pub(crate) fn request(&mut self) {
        self.wanted = true;
    }

    /// A keyframe came: what was asked for until now is answered.
    pub(crate) fn answered(&mut self) {
        self.wanted = false;
    }

    pub(crate) const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether to ask the publisher now.
    pub(crate) fn poll(&mut self, now: Instant, interval: Duration) -> bool {
        let due = self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= interval);
        if !(self.wanted && due) {
            return false;
        }
        *self = Self { wanted: false, asked: Some(now) };
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
}
