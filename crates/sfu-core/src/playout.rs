//! How long a receiver is asked to hold pictures back, by the playout delay extension
//! (webrtc.org/experiments/rtp-hdrext/playout-delay).
//!
//! ```text
//! wanted  ____|^^^^^^^^^^^^^|________      what repairs need, of the publisher's path and the receiver's
//! told    ____/^^^^^^^^^^^^^|________
//! ```
//! A receiver that is told to hold pictures back for 400 ms more than it does shows nothing for 400 ms: the remedy would be
//! what it is for. So it is told little by little, and shows them a little slower for a while.

use std::time::{Duration, Instant};

/// More would be felt in a conversation; a path that needs more shows its losses.
pub(crate) const MAX_DELAY: Duration = Duration::from_millis(500);
/// The delay grows by a part of the time that passes: pictures come at four fifths of their speed meanwhile.
const SLOWER: u32 = 4;
/// The largest delay in units of 10 ms: 10 s is libwebrtc's own bound, and none for us.
const MAX_UNITS: u32 = 1_000;

/// What a receiver was told. Most never are: it takes the room of a pointer among what each packet needs.
#[derive(Debug, Default)]
pub(crate) struct Playout {
    told: Option<Box<Told>>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    delay: Duration,
    at: Instant,
}

impl Playout {
    /// Whether something was told.
    pub(crate) const fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// A packet goes out on its way to somebody who was told something, or is to be: so much is wanted now. `shows`: there
    /// were others before it.
    #[cold]
    pub(crate) fn note(&mut self, now: Instant, wanted: Duration, shows: bool) {
        let wanted = wanted.min(MAX_DELAY);
        let first = if shows { Duration::ZERO } else { wanted };
        let told = self.told.get_or_insert_with(|| Box::new(Told { delay: first, at: now }));
        told.delay = wanted.min(told.delay + now.saturating_duration_since(told.at) / SLOWER);
        told.at = now;
    }

    /// The value of the extension: smallest and largest delay in units of 10 ms, 12 bits each. `None`: none was ever asked
    /// for. The receiver keeps the last one it was told, so it has to be told that the reason is gone.
    pub(crate) fn value(&self) -> Option<[u8; 3]> {
        let least = (self.told.as_ref()?.delay.as_millis() / 10) as u32;
        let [_, bytes @ ..] = ((least << 12) | MAX_UNITS).to_be_bytes();
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn least_ms(playout: &Playout) -> Option<u32> {
        let [high, middle, low] = playout.value()?;
        assert_eq!((u32::from(middle & 0xf) << 8) | u32::from(low), MAX_UNITS);
        Some(10 * ((u32::from(high) << 4) | u32::from(middle >> 4)))
    }

    #[test]
    fn more_is_told_little_by_little_and_less_at_once() {
        let start = Instant::now();
        let mut playout = Playout::default();
        // (ms, what the paths want in ms, what is told then)
        let rows = [
            (10, 180, 0),
            (30, 180, 0),
            (50, 180, 10),
            (410, 180, 100),
            (730, 180, 180),
            (5_000, 180, 180),
            (5_100, 300, 200),
            (6_000, 300, 300),
            (6_000, 120, 120),
            (6_020, 0, 0),
            (7_000, 0, 0),
            (9_000, 800, 500),
        ];
        for (ms, wanted, told) in rows {
            playout.note(start + MS * ms, MS * wanted, true);
            assert_eq!(least_ms(&playout), Some(told), "{ms}");
        }
    }

    #[test]
    fn who_sees_nothing_yet_is_told_at_once() {
        let mut playout = Playout::default();
        playout.note(Instant::now(), MS * 300, false);
        assert_eq!(least_ms(&playout), Some(300));
    }
}
