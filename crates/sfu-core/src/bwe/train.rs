//! What a path carries, told by the spread of what was sent back to back: a keyframe that arrives in more time than it was
//! sent in came through something narrow.
//!
//! That is rough: others' packets lie between ours, radios hold back and let go together. So it is no estimate, and only
//! says how fast the next large picture is to be sent while nothing better is known. Without it the first page of a shared
//! screen, in a call of small pictures, would be what finds out.

/// Packets so far apart are of one train.
const GAP_US: i64 = 5_000;
/// A shorter one says nothing.
const MIN_BYTES: u32 = 6_000;
const MIN_SPREAD_US: i64 = 20_000;
/// One that arrives in this many times the time it was sent in, and a little more, was slowed down.
const SLOWED: f64 = 1.4;
const JITTER_US: i64 = 5_000;
/// The fastest of so many counts.
const KEPT: usize = 4;

/// Packets that were sent back to back: time of the first and the last, as sent and as arrived.
#[derive(Clone, Copy, Debug)]
struct Train {
    sent_us: (i64, i64),
    arrived_us: (i64, i64),
    /// Without the first: that was there before the time began to count.
    bytes: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Trains {
    current: Option<Train>,
    /// Bits per second of the last ones; infinite: it was not slowed down.
    found: [Option<f64>; KEPT],
    count: usize,
}

impl Trains {
    /// A packet that is part of no probe arrived.
    pub(super) fn arrived(&mut self, sent_us: i64, arrival_us: i64, bytes: u16) {
        if let Some(train) = self.current.as_mut().filter(|train| (0..=GAP_US).contains(&(sent_us - train.sent_us.1))) {
            (train.sent_us.1, train.arrived_us.1) = (sent_us, train.arrived_us.1.max(arrival_us));
            train.bytes += u32::from(bytes);
            return;
        }
        self.end();
        self.current = Some(Train { sent_us: (sent_us, sent_us), arrived_us: (arrival_us, arrival_us), bytes: 0 });
    }

    /// What comes next is of another one.
    pub(super) fn end(&mut self) {
        let Some(train) = self.current.take().filter(|train| train.bytes >= MIN_BYTES) else { return };
        let (sent, spread) = (train.sent_us.1 - train.sent_us.0, train.arrived_us.1 - train.arrived_us.0);
        let slowed = spread >= MIN_SPREAD_US && spread as f64 > sent as f64 * SLOWED + JITTER_US as f64;
        let bits = if slowed { f64::from(train.bytes) * 8e6 / spread as f64 } else { f64::INFINITY };
        if let Some(slot) = self.found.get_mut(self.count % KEPT) {
            *slot = Some(bits);
        }
        self.count += 1;
    }

    /// Bits per second that the path seems to carry. `None`: nothing was slowed down.
    pub(super) fn carries(&self) -> Option<f64> {
        self.found.iter().flatten().copied().reduce(f64::max).filter(|bits| bits.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A train of packets of 1,200 bytes, sent at one rate over a link of another one.
    fn pass(trains: &mut Trains, at_us: i64, packets: i64, sent: f64, link: f64) {
        let time = |index: i64, rate: f64| (index as f64 * 9_600e6 / rate) as i64;
        for index in 0..packets {
            trains.arrived(at_us + time(index, sent), 7_000_000 + at_us + time(index, sent.min(link)), 1_200);
        }
        trains.end();
    }

    #[test]
    fn a_keyframe_tells_of_a_narrow_path_and_of_no_other() {
        // (packets, bits per second sent, carried, what it tells)
        let rows = [
            (12, 10e6, 1.5e6, Some(1.5e6)),
            (12, 4e6, 1.5e6, Some(1.5e6)),
            (12, 1.8e6, 1.5e6, None),
            (12, 10e6, 100e6, None),
            (4, 10e6, 1.5e6, None),
            (12, 100e6, 8e6, None),
        ];
        for (packets, sent, link, tells) in rows {
            let mut trains = Trains::default();
            pass(&mut trains, 0, packets, sent, link);
            let found = trains.carries().map(|bits| (bits / 1e5).round() * 1e5);
            assert_eq!(found, tells, "{packets} {sent} {link}");
        }
    }

    #[test]
    fn the_fastest_of_the_last_few_counts() {
        let mut trains = Trains::default();
        let told = [2e6, 1e6, 100e6, 1e6, 1e6, 1e6, 1e6].map(|link| {
            let at = trains.count as i64 * 1_000_000;
            pass(&mut trains, at, 12, 10e6, link);
            trains.carries().map(|bits| (bits / 1e5).round() / 10.0)
        });
        assert_eq!(told, [Some(2.0), Some(2.0), None, None, None, None, Some(1.0)]);
    }
}
