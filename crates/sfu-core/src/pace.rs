//! How far apart the frames of a layer are, and whether it has stopped.

use std::time::Duration;

/// A layer of which this many frames are missing, while others of its track go on, has stopped: a congested or busy
/// publisher leaves out its top layer without a word. Fewer, and an encoder that skips some frames looks like that.
const MISSED_FRAMES: u32 = 4;
/// Bounds of the time that takes; the upper one is the operator's. A frame of 30 a second may be late by this much.
const MIN_PATIENCE: Duration = Duration::from_millis(250);
/// Ticks by which a packet may be late: 11 s of 90 kHz. What seems to be behind by more has gone on in a pause of hours.
const MAX_LATE: u32 = 1 << 20;

/// How far apart frames are taken: by their timestamps, for a path that gets slow spreads their arrivals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    last: Option<u32>,
    interval: Option<Duration>,
    /// Frames since it was found to have stopped. `None`: it never was, or has sent a keyframe since.
    since_stop: Option<u32>,
}

impl Pace {
    /// A packet of a frame, by its timestamp. What comes over a `full` path was sent before, and does not tell of an end of the
    /// stop.
    pub(crate) fn note(&mut self, ts: u32, rate: u32, keyframe: bool, full: bool) {
        let Some(before) = self.last else {
            self.last = Some(ts);
            return;
        };
        let ticks = ts.wrapping_sub(before);
        if ticks == 0 && keyframe && !full {
            self.since_stop = None; // behind parameter sets of its own
        }
        if before.wrapping_sub(ts) < MAX_LATE {
            return; // of the same frame, or late
        }
        self.last = Some(ts);
        if !full {
            self.since_stop = self.since_stop.filter(|_| !keyframe).map(|frames| frames.saturating_add(1));
        }
        let sample = Duration::from_micros(u64::from(ticks) * 1_000_000 / u64::from(rate.max(1)));
        // Frames that are lost make a few of them look far apart.
        self.interval = Some(self.interval.map_or(sample, |smoothed| match sample > smoothed {
            true => (smoothed * 31 + sample) / 32,
            false => (smoothed * 7 + sample) / 8,
        }));
    }

    /// How long after the newest packet of its track a layer still counts as alive.
    pub(crate) fn patience(&self, longest: Duration) -> Duration {
        let missed = self.interval.map_or(longest, |interval| interval * MISSED_FRAMES);
        missed.max(MIN_PATIENCE).min(longest)
    }

    /// It has stopped.
    pub(crate) fn stop(&mut self) {
        self.since_stop = Some(0);
    }

    /// Whether it was stopped and is not back yet: with a keyframe or a few frames it is, a single one was under way.
    pub(crate) fn has_stopped(&self) -> bool {
        self.since_stop.is_some_and(|frames| frames < MISSED_FRAMES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_was_away_for_hours_is_back_with_its_keyframe() {
        const HOUR: u32 = 90_000 * 3_600;
        for (hours, wrap) in [(1, 0), (7, 0), (10, u32::MAX - 5_000), (13, 0), (13, u32::MAX)] {
            let mut pace = Pace::default();
            for picture in 0..10 {
                pace.note(3_000_u32.wrapping_mul(picture).wrapping_add(wrap), 90_000, picture == 0, false);
            }
            pace.stop();
            let back = wrap.wrapping_add(HOUR * hours);
            pace.note(back, 90_000, true, false);
            assert!(!pace.has_stopped(), "{hours} h");
            pace.stop();
            for late in 0..10 {
                pace.note(back.wrapping_sub(3_000 * late), 90_000, false, false);
            }
            assert!(pace.has_stopped(), "what comes late was under way");
        }
    }
}
