//! What is done about a path that loses packets: a subscription repeats twice, and asks the receiver for patience.
//!
//! A receiver that sends nothing cannot measure the round trip (it has no sender reports of its own), so its jitter buffer
//! does not grow for repairs: each lost packet that takes longer than a frame or two stops the picture. The server knows
//! the round trip, and the playout delay extension carries the answer. No receiver can know that of the publisher's path,
//! whose repairs come late to all of them.

use std::time::{Duration, Instant};

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

/// More would be felt in a conversation; a path that needs more shows its losses.
const MAX_DELAY: Duration = Duration::from_millis(500);

/// What is known of the path's loss.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    bad_until: Option<Instant>,
    delay: Option<Duration>,
}

impl Loss {
    /// A receiver report.
    pub(crate) fn report(&mut self, now: Instant, fraction: u8, round_trip: Option<Duration>) {
        if fraction >= LOSSY_FRACTION {
            self.bad_until = Some(now + HOLD);
        } else if self.bad_until.is_some_and(|until| until <= now) {
            self.bad_until = None;
        }
        if self.is_bad() {
            let wanted = round_trip.map_or(START_DELAY, |rtt| rtt * REPAIR_ROUND_TRIPS + NOTICE);
            self.delay = Some(wanted.min(MAX_DELAY));
        } else if self.delay.is_some() {
            // The receiver keeps the last delay it was told, so it has to be told that the reason is gone.
            self.delay = Some(Duration::ZERO);
        }
    }

    /// Whether much was lost lately.
    pub(crate) const fn is_bad(&self) -> bool {
        self.bad_until.is_some()
    }

    /// The value of the extension for packets that come by the path `from` and go by this one: smallest and largest delay
    /// in units of 10 ms, 12 bits each (webrtc.org/experiments/rtp-hdrext/playout-delay). `None`: never asked for any.
    pub(crate) fn playout_delay(&self, from: &Self) -> Option<[u8; 3]> {
        /// 10 s, libwebrtc's own bound: none for us.
        const MAX_UNITS: u32 = 1_000;
        if self.delay.is_none() && from.delay.is_none() {
            return None;
        }
        // A packet may be lost on both.
        let both = self.delay.unwrap_or_default() + from.delay.unwrap_or_default();
        let least = (both.min(MAX_DELAY).as_millis() / 10) as u32;
        let [_, bytes @ ..] = ((least << 12) | MAX_UNITS).to_be_bytes();
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_patience_while_the_path_is_bad() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let ms = |ms: u64| Some(Duration::from_millis(ms));
        let delay = |ms: u32| Some([((ms / 10) >> 4) as u8, ((ms / 10) << 4) as u8 | 3, 0xe8]);
        let mut loss = Loss::default();
        let rows = [
            (at(0), 4, None, None, false),
            (at(1), 5, None, delay(300), true),
            (at(2), 0, ms(50), delay(200), true),
            (at(3), 13, ms(400), delay(500), true),
            (at(12), 0, ms(50), delay(200), true),
            (at(13), 0, ms(50), delay(0), false),
            (at(14), 255, ms(10), delay(120), true),
        ];
        for (now, fraction, round_trip, want, bad) in rows {
            loss.report(now, fraction, round_trip);
            assert_eq!((loss.playout_delay(&Loss::default()), loss.is_bad()), (want, bad), "at {:?}", now - start);
        }
    }

    #[test]
    fn a_packet_may_be_lost_on_both_paths() {
        let now = Instant::now();
        let (mut up, mut down) = (Loss::default(), Loss::default());
        up.report(now, 255, Some(Duration::from_millis(40)));
        assert_eq!(down.playout_delay(&up), Some([1, 0x23, 0xe8]), "180 ms");
        down.report(now, 255, Some(Duration::from_millis(10)));
        assert_eq!(down.playout_delay(&up), Some([1, 0xe3, 0xe8]), "120 ms more");
        down.report(now, 255, Some(Duration::from_secs(1)));
        assert_eq!(down.playout_delay(&up), Some([3, 0x23, 0xe8]), "no more than 500 ms");
    }
}
