//! What the publisher's path loses of a layer, told by how much of it had to be asked for.

use std::time::{Duration, Instant};

use crate::loss::Loss;

/// How long repairs are counted before they are judged: as long as receivers take between two reports.
const SPAN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Uplink {
    loss: Loss,
    since: Instant,
    packets: u32,
    repairs: u32,
}

impl Uplink {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { loss: Loss::default(), since: epoch, packets: 0, repairs: 0 }
    }

    /// A packet came, if it had to be asked for as a repair, over a path that was `full` or not.
    ///
    /// What comes while it is full does not count: to wait longer for its repairs would not help, and what the publisher
    /// sends next fits.
    pub(crate) fn packet(&mut self, now: Instant, repair: bool, full: bool, round_trip: Option<Duration>) {
        if !full {
            self.packets += 1;
            self.repairs += u32::from(repair);
        }
        if now.saturating_duration_since(self.since) < SPAN {
            return;
        }
        let fraction = (self.repairs << 8).checked_div(self.packets).unwrap_or(0).min(255) as u8;
        self.loss.report(now, fraction, round_trip);
        (self.since, self.packets, self.repairs) = (now, 0, 0);
    }

    /// Whether much was lost lately.
    pub(crate) const fn is_bad(&self) -> bool {
        self.loss.is_bad()
    }

    /// See `Loss::delay`.
    pub(crate) fn delay(&self, now: Instant) -> Duration {
        self.loss.delay(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_had_to_be_asked_for_calls_for_patience_unless_the_path_was_full() {
        let start = Instant::now();
        let at = |packet: u32| start + Duration::from_millis(10) * packet;
        // (packets of which one is a repair, packets at which the path is full, whether it is bad after a second)
        let rows = [(10, 0..0, true), (40, 0..0, true), (120, 0..0, false), (10, 30..40, true), (10, 0..101, false)];
        for (every, full, bad) in rows {
            let mut uplink = Uplink::new(start);
            for packet in 0..=100 {
                uplink.packet(at(packet), packet % every == 0, full.contains(&packet), None);
            }
            assert_eq!(
                (uplink.is_bad(), uplink.delay(at(100)) > Duration::ZERO),
                (bad, bad),
                "one in {every}, {full:?}"
            );
        }
    }

    #[test]
    fn a_layer_that_has_stopped_asks_for_no_patience_when_it_is_back() {
        let start = Instant::now();
        let mut uplink = Uplink::new(start);
        (0..=100).for_each(|packet| uplink.packet(start + Duration::from_millis(10) * packet, true, false, None));
        let later = |secs| uplink.delay(start + Duration::from_secs(secs));
        assert!(later(10) > Duration::ZERO);
        assert_eq!(later(12), Duration::ZERO, "no packet said so");
    }
}
