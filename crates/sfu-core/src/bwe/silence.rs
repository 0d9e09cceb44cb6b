//! Feedback that does not come. On a path that loses both ways it was lost like everything else, and the requests of the
//! same moment with it: what was lost of the media meanwhile would be heard of only when the picture has stopped. A receiver
//! that sends nothing but reports sends some twenty packets a second, so that a burst of losses lasts long there.

/// Taken before the first feedback: libwebrtc's, at a rate that leaves it the choice.
const START_INTERVAL_US: f64 = 100_000.0;
const START_ANSWER_US: f64 = 100_000.0;
/// Weight of a new value.
const WEIGHT: f64 = 1.0 / 8.0;
/// What is shorter was the rest of the same feedback; what is longer was a pause, or feedback was lost.
const INTERVAL_US: std::ops::RangeInclusive<i64> = 20_000..=300_000;
/// Feedback is overdue after this many intervals and this much.
const INTERVALS: f64 = 1.5;
const MARGIN_US: f64 = 20_000.0;
/// Silence that lasts longer is an outage: what goes out meanwhile is lost, and what was lost is too late.
const MAX_SILENCE_US: i64 = 500_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Silence {
    interval_us: f64,
    /// From sending a packet until feedback tells of it, where it is the last that the feedback tells of.
    answer_us: f64,
    heard_us: Option<i64>,
}

impl Default for Silence {
    fn default() -> Self {
        Self { interval_us: START_INTERVAL_US, answer_us: START_ANSWER_US, heard_us: None }
    }
}

impl Silence {
    /// Feedback came; the newest packet that it tells of was sent at `sent_us`.
    pub(super) fn broken(&mut self, now_us: i64, sent_us: i64) {
        let interval = self.heard_us.replace(now_us).map(|heard| now_us - heard);
        if let Some(interval) = interval.filter(|interval| INTERVAL_US.contains(interval)) {
            self.interval_us += (interval as f64 - self.interval_us) * WEIGHT;
        }
        let answer = now_us.saturating_sub(sent_us);
        if (0..=MAX_SILENCE_US).contains(&answer) {
            self.answer_us += (answer as f64 - self.answer_us) * WEIGHT;
        }
    }

    /// Whatever was sent up to this time should have been told of by now. `None`: nothing is overdue.
    pub(super) fn overdue(&self, now_us: i64) -> Option<i64> {
        let silence = now_us - self.heard_us?;
        let late = silence as f64 > self.interval_us * INTERVALS + MARGIN_US && silence <= MAX_SILENCE_US;
        late.then_some(now_us - (self.interval_us + self.answer_us + MARGIN_US) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_when_feedback_is_due_and_takes_an_outage_for_none() {
        let mut silence = Silence::default();
        assert_eq!(silence.overdue(1_000_000), None, "nothing was ever heard");
        for turn in 0..100 {
            silence.broken(turn * 60_000, turn * 60_000 - 40_000);
            silence.broken(turn * 60_000, turn * 60_000 - 40_000);
        }
        let last = 99 * 60_000;
        for (after_ms, answered_ms) in [(60, None), (109, None), (111, Some(-9)), (200, Some(80)), (501, None)] {
            // Sent before that, measured from the last feedback on: interval, answer and margin are 120 ms.
            let want = answered_ms.map(|ms: i64| ms * 1_000);
            let overdue = silence.overdue(last + after_ms * 1_000).map(|at| at - last);
            let near = match (overdue, want) {
                (Some(is), Some(want)) => (is - want).abs() < 100,
                (is, want) => is == want,
            };
            assert!(near, "after {after_ms} ms: {overdue:?}");
        }
        silence.broken(last + 10_000_000, last);
        assert_eq!(silence.interval_us.round(), 60_000.0, "a pause is no interval");
    }
}
