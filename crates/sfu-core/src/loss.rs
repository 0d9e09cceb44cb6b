//! What is done about a path that loses packets: a subscription repeats twice, and asks the receiver for patience.
//!
//! A receiver that sends nothing cannot measure the round trip (it has no sender reports of its own), so its jitter buffer
//! does not grow for repairs: each lost packet that takes longer than a frame or two stops the picture. The server knows
//! the round trip, and tells how long to hold pictures back (`playout`). No receiver can know that of the publisher's path,
//! whose repairs come late to all of them.

use std::time::{Duration, Instant};

use crate::playout::MAX_DELAY;

/// Loss of 2 % in 1/256 (RFC 3550 §6.4.1). At that rate one repeat in fifty is lost too; doubling the repeats costs 2 %
/// more packets. Lower, and paths with a rare single loss pay for nothing.
const LOSSY_FRACTION: u8 = 5;

/// How long a path counts as lossy after the last bad report. Reports come each second and a bad path sends good ones in
/// between; a minute would keep the delay long after a lift ride.
const HOLD: Duration = Duration::from_secs(10);

/// Round trips that a repair may take: the second request comes one round trip after the first.
const REPAIR_ROUND_TRIPS: u32 = 2;

/// Time until a receiver notices a gap: a frame at 15 frames/s, and the receiver's timers.
const NOTICE: Duration = Duration::from_millis(100);

/// Taken while the round trip is not known.
const START_DELAY: Duration = Duration::from_millis(300);

/// What is known of the path's loss.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    bad_until: Option<Instant>,
    delay: Duration,
}

impl Loss {
    /// A receiver report. What a full queue had no room for says nothing of the path: the caller makes that 0.
    pub(crate) fn report(&mut self, now: Instant, fraction: u8, round_trip: Option<Duration>) {
        if fraction >= LOSSY_FRACTION {
            self.bad_until = Some(now + HOLD);
        } else if self.bad_until.is_some_and(|until| until <= now) {
            self.bad_until = None;
        }
        if self.is_bad() {
            let wanted = round_trip.map_or(START_DELAY, |rtt| rtt * REPAIR_ROUND_TRIPS + NOTICE);
            self.delay = wanted.min(MAX_DELAY);
        }
    }

    /// Whether much was lost lately.
    pub(crate) const fn is_bad(&self) -> bool {
        self.bad_until.is_some()
    }

    /// How long pictures should be held back for its repairs. Of a layer that has stopped no report says that it is over.
    pub(crate) fn delay(&self, now: Instant) -> Duration {
        if self.bad_until.is_some_and(|until| now < until) { self.delay } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_patience_while_the_path_is_bad() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let ms = |ms: u64| Duration::from_millis(ms);
        let mut loss = Loss::default();
        let rows = [
            (at(0), 4, None, ms(0), false),
            (at(1), 5, None, ms(300), true),
            (at(2), 0, Some(ms(50)), ms(200), true),
            (at(3), 13, Some(ms(400)), ms(500), true),
            (at(12), 0, Some(ms(50)), ms(200), true),
            (at(13), 0, Some(ms(50)), ms(0), false),
            (at(14), 255, Some(ms(10)), ms(120), true),
        ];
        for (now, fraction, round_trip, want, bad) in rows {
            loss.report(now, fraction, round_trip);
            assert_eq!((loss.delay(now), loss.is_bad()), (want, bad), "at {:?}", now - start);
        }
    }
}
