//! Whether a queue grows on the path: the slope of the delay between bursts, against a threshold that learns how uneven
//! the path is (draft-ietf-rmcat-gcc-02 §5.3 and §5.4).

use std::collections::VecDeque;

use super::groups::Delta;
use super::lowest::Lowest;

/// Bursts that the line is laid through: more are steadier and slower. At 30 frames/s this is two thirds of a second.
const WINDOW: usize = 20;
/// Weight of the past in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// Scales the slope to the threshold's milliseconds, and the number of bursts that may scale it.
const GAIN: f64 = 4.0;
const MAX_BURSTS: f64 = 60.0;
/// The threshold in ms: where it begins, its bounds, and how fast it follows a slope above and below it (per ms).
const START_THRESHOLD: f64 = 12.5;
const MIN_THRESHOLD: f64 = 6.0;
const MAX_THRESHOLD: f64 = 600.0;
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
/// A slope this far above the threshold is a path that changed, not one that is uneven: nothing to learn from.
const OUTLIER_MS: f64 = 15.0;
/// The threshold moves by at most this many ms of time a step.
const MAX_STEP_MS: f64 = 100.0;
/// Overuse has to last this long: a single late frame is none.
const OVERUSE_MS: f64 = 10.0;
/// And the delay has to stand this far above its lowest: an SFU mostly sends far less than the path carries, and a slope
/// without a queue is only jitter.
const MIN_QUEUE_MS: f64 = 15.0;
/// A queue this long is no false alarm, whatever else is doubtful.
pub(super) const DEEP_QUEUE_MS: f64 = 100.0;
/// One this long is not what a flow that gives way makes beside us: a download in our own manner keeps 100 ms, and half a second
/// while it begins.
const FULL_QUEUE_MS: f64 = 600.0;
/// One that loses this part of what comes is full as well, however short it is: not to send less is not to arrive.
const OVERFLOW_PART: u32 = 6;
/// From this part on it counts as a full queue where nothing creeps.
const LOSSY_PART: u32 = 3;
/// And this many times the usual unevenness from burst to burst.
const QUEUE_OVER_NOISE: f64 = 3.0;
/// Weight of the past in the unevenness and in the mean change it is measured from: long, so that a queue that begins to
/// grow is not taken for unevenness.
const NOISE_SMOOTHING: f64 = 0.97;
/// And it has to creep: over this many bursts it grows by this much more than in its largest single step. One step is a
/// longer route, or a large frame; with loss it is a queue that was full at once.
const CREEP_BURSTS: usize = 6;
const MIN_CREEP_MS: f64 = 2.0;

/// What the delay says of the path, the worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Usage {
    /// A queue empties: what arrives is more than what is sent.
    Under,
    /// No queue builds up or empties.
    #[default]
    Normal,
    /// A queue grows.
    Over,
    /// A queue grows, and is long already.
    Deep,
    /// And is so long that it counts more than what it keeps waiting.
    Full,
}

impl Usage {
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Over | Self::Deep | Self::Full)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Trend {
    /// Arrival and smoothed delay of each burst, in ms.
    line: VecDeque<(f64, f64)>,
    /// Delay of each of the last bursts, in ms.
    delays: VecDeque<f64>,
    lossy: bool,
    overflows: bool,
    zero_us: Option<i64>,
    /// Time on the way of the first burst, by two clocks that have nothing in common.
    lag_us: Option<i64>,
    bursts: f64,
    delay: f64,
    smoothed: f64,
    slope: f64,
    threshold: f64,
    updated_ms: Option<f64>,
    over_ms: Option<f64>,
    over_bursts: u32,
    /// A burst was judged since the last look.
    judged: bool,
    lowest: Lowest,
    mean_change: f64,
    noise: f64,
    usage: Usage,
}

impl Trend {
    pub(super) fn new() -> Self {
        Self {
            line: VecDeque::with_capacity(WINDOW),
            delays: VecDeque::with_capacity(CREEP_BURSTS + 1),
            lossy: false,
            overflows: false,
            zero_us: None,
            lag_us: None,
            bursts: 0.0,
            delay: 0.0,
            smoothed: 0.0,
            slope: 0.0,
            threshold: START_THRESHOLD,
            updated_ms: None,
            over_ms: None,
            over_bursts: 0,
            judged: false,
            mean_change: 0.0,
            noise: 0.0,
            lowest: Lowest::default(),
            usage: Usage::Normal,
        }
    }

    /// What the bursts since the last call say; nothing new is `Normal`.
    pub(super) fn verdict(&mut self) -> Usage {
        if std::mem::take(&mut self.judged) { self.usage } else { Usage::Normal }
    }

    /// How much of what was told of last is lost.
    pub(super) fn heed_loss(&mut self, gone: u32, settled: u32) {
        self.lossy = gone * LOSSY_PART > settled;
        self.overflows = gone * OVERFLOW_PART > settled;
    }

    /// A burst is complete.
    pub(super) fn add(&mut self, delta: &Delta) {
        let zero = *self.zero_us.get_or_insert(delta.at_us);
        let at = (delta.at_us - zero) as f64 / 1e3;
        let sent = delta.sent_us as f64 / 1e3;
        self.bursts = (self.bursts + 1.0).min(MAX_BURSTS);
        let change = (delta.arrival_us - delta.sent_us) as f64 / 1e3;
        self.mean_change = NOISE_SMOOTHING * self.mean_change + (1.0 - NOISE_SMOOTHING) * change;
        self.noise = NOISE_SMOOTHING * self.noise + (1.0 - NOISE_SMOOTHING) * (change - self.mean_change).abs();
        // Absolute, not a sum of changes: what is left out between (probes) must not add up.
        let lag = delta.lag_us();
        self.delay = (lag - *self.lag_us.get_or_insert(lag)) as f64 / 1e3;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.delay;
        self.lowest.add(delta.at_us, self.smoothed);
        if self.delays.len() > CREEP_BURSTS {
            self.delays.pop_front();
        }
        self.delays.push_back(self.delay);
        if self.line.len() >= WINDOW {
            self.line.pop_front();
        }
        self.line.push_back((at, self.smoothed));
        if self.line.len() >= WINDOW / 2 {
            let slope = slope(&self.line).unwrap_or(self.slope);
            self.judge(at, sent, slope);
        }
    }

    fn judge(&mut self, at: f64, sent: f64, slope: f64) {
        let scaled = slope * self.bursts * GAIN;
        let queued = self.smoothed - self.lowest.get() > MIN_QUEUE_MS.max(self.noise * QUEUE_OVER_NOISE);
        if scaled > self.threshold && queued && (self.lossy || self.creeps()) {
            let over = self.over_ms.map_or(sent / 2.0, |over| over + sent);
            (self.over_ms, self.over_bursts) = (Some(over), self.over_bursts + 1);
            if over > OVERUSE_MS && self.over_bursts > 1 && slope >= self.slope {
                (self.over_ms, self.over_bursts) = (Some(0.0), 0);
                self.usage = match self.smoothed - self.lowest.get() {
                    queue if queue > FULL_QUEUE_MS || (self.overflows && queue > DEEP_QUEUE_MS) => Usage::Full,
                    queue if queue > DEEP_QUEUE_MS => Usage::Deep,
                    _ => Usage::Over,
                };
            }
        } else {
            (self.over_ms, self.over_bursts) = (None, 0);
            self.usage = if scaled < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.slope = slope;
        self.judged = true;
        self.learn(at, scaled.abs());
    }

    fn creeps(&self) -> bool {
        let (Some(first), Some(last)) = (self.delays.front(), self.delays.back()) else { return false };
        let steps = self.delays.iter().zip(self.delays.iter().skip(1)).map(|(before, after)| after - before);
        last - first - steps.fold(0.0, f64::max) > MIN_CREEP_MS
    }

    /// The threshold follows the slope, quickly down and slowly up: an uneven path is not taken for a congested one, and a
    /// flow that shares its queue with TCP is not starved by it.
    fn learn(&mut self, at: f64, scaled: f64) {
        let step = self.updated_ms.map_or(0.0, |before| (at - before).clamp(0.0, MAX_STEP_MS));
        self.updated_ms = Some(at);
        if scaled > self.threshold + OUTLIER_MS {
            return;
        }
        let rate = if scaled < self.threshold { THRESHOLD_DOWN } else { THRESHOLD_UP };
        self.threshold += rate * (scaled - self.threshold) * step;
        self.threshold = self.threshold.clamp(MIN_THRESHOLD, MAX_THRESHOLD);
    }
}

/// Of the line of least squares.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let spread = points.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum::<f64>();
    let rise = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>();
    (spread > 0.0).then(|| rise / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bursts 33 ms apart whose delay changes by what `delay` says; how many verdicts of each kind.
    fn verdicts(bursts: i64, delay: impl Fn(i64) -> i64) -> (usize, usize) {
        let mut trend = Trend::new();
        let (mut over, mut under) = (0, 0);
        for index in 1..=bursts {
            let arrival_us = 33_000 + delay(index) - delay(index - 1);
            let at_us = 33_000 * index + delay(index);
            trend.add(&Delta { sent_us: 33_000, arrival_us, sent_at_us: 33_000 * index, at_us });
            let usage = trend.verdict();
            over += usize::from(usage.is_over());
            under += usize::from(usage == Usage::Under);
        }
        (over, under)
    }

    #[test]
    fn sees_queues_and_not_jitter() {
        assert_eq!(verdicts(600, |_| 0), (0, 0), "even");
        let jitter = |index: i64| (index * 7_919 % 13) * 1_000;
        assert_eq!(verdicts(600, jitter).0, 0, "12 ms of jitter");
        let drift = |index: i64| index * 10;
        assert_eq!(verdicts(600, drift).0, 0, "clocks drift by 300 ppm");
        let (over, _) = verdicts(40, |index| index * 5_000);
        assert!(over > 5, "a queue grows by 150 ms a second: {over}");
        let hill = |index: i64| if index < 30 { index * 6_000 } else { (60 - index).max(0) * 6_000 };
        let (over, under) = verdicts(60, hill);
        assert!(over > 3 && under > 3, "grows and empties: {over} {under}");
        for longer in [12_000, 80_000, 300_000] {
            assert_eq!(verdicts(100, |index| if index < 50 { 0 } else { longer }).0, 0, "a longer route: {longer}");
        }
    }

    #[test]
    fn a_queue_is_full_when_it_is_long_or_loses_what_comes() {
        // (ms to which a queue grows, packets lost of a hundred, the worst it is called)
        let rows = [
            (80, 0, Usage::Over),
            (80, 30, Usage::Over),
            (280, 0, Usage::Deep),
            (280, 10, Usage::Deep),
            (280, 20, Usage::Full),
            (900, 0, Usage::Full),
        ];
        for (most, lost, want) in rows {
            let mut trend = Trend::new();
            trend.heed_loss(lost, 100);
            let delay = |index: i64| index.min(40) * most * 25;
            let mut called = Vec::new();
            for index in 1..=60 {
                let (sent_at_us, at_us) = (33_000 * index, 33_000 * index + delay(index));
                let arrival_us = 33_000 + delay(index) - delay(index - 1);
                trend.add(&Delta { sent_us: 33_000, arrival_us, sent_at_us, at_us });
                called.push(trend.verdict());
            }
            let is = |usage| called.contains(&usage);
            let worst = [Usage::Full, Usage::Deep, Usage::Over].into_iter().find(|usage| is(*usage));
            assert_eq!(worst, Some(want), "{most} ms, {lost} % lost");
        }
    }
}
