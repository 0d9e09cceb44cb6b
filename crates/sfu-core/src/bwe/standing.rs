//! How long a queue has stood: since the last burst that came through about as fast as the fastest of late. A queue that we
//! make empties when we give way, and so does one of others who give way as we do; between the pictures of several, too.

use super::groups::Delta;
use super::lowest::Lowest;
use super::trend::DEEP_QUEUE_MS;

/// So much slower than the fastest is a queue. The pictures of one burst wait for each other for as long.
const QUEUE_MS: f64 = 30.0;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Standing {
    lowest: Lowest,
    /// By the receiver's clock: when a burst last found no queue, and when none that is deep, as neither a longer route nor a path
    /// that delays unevenly makes one.
    empty_us: i64,
    shallow_us: i64,
    /// When the last burst came.
    newest_us: i64,
}

impl Standing {
    /// A burst has arrived.
    pub(super) fn add(&mut self, delta: &Delta) {
        let lag = delta.lag_us() as f64 / 1e3;
        self.lowest.add(delta.at_us, lag);
        self.newest_us = delta.at_us;
        let queue = lag - self.lowest.get();
        if queue < QUEUE_MS {
            self.empty_us = delta.at_us;
        }
        if queue < DEEP_QUEUE_MS {
            self.shallow_us = delta.at_us;
        }
    }

    /// How long a queue has stood.
    pub(super) fn stood_us(&self) -> i64 {
        self.newest_us - self.empty_us
    }

    /// How long a deep one has.
    pub(super) fn deep_us(&self) -> i64 {
        self.newest_us - self.shallow_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_since_no_burst_came_through_as_if_there_were_none() {
        // (ms at which a burst is sent, ms it takes, ms for which a queue has stood then, and a deep one)
        let rows = [
            (0, 500, 0, 0), // the clocks have nothing in common
            (100, 520, 0, 0),
            (200, 640, 220, 220),
            (300, 700, 380, 380),
            (1_000, 540, 920, 0),
            (1_100, 525, 0, 0),
            (1_200, 545, 120, 0),
            (1_300, 495, 0, 0),
            (1_400, 527, 132, 0),
        ];
        let mut standing = Standing::default();
        for (sent, takes, stood, deep) in rows {
            let (sent_at_us, at_us) = (sent * 1_000, (sent + takes) * 1_000);
            standing.add(&Delta { sent_us: 0, arrival_us: 0, sent_at_us, at_us });
            assert_eq!((standing.stood_us(), standing.deep_us()), (stood * 1_000, deep * 1_000), "{sent}");
        }
    }
}
