//! How much audio a subscriber on a lossy path gets twice, as RED (RFC 2198), by the loss that it reports.
//!
//! A packet of speech is some 80 bytes and its headers as many again, so that a second copy in the next packet costs less
//! than it looks, and unlike a repeat it is there without a round trip.

use std::time::{Duration, Instant};

/// Older packets that a packet carries at most.
pub(crate) const MAX_BLOCKS: usize = 3;
/// How far back they are. With a gap before the third, four in a row may be lost; it comes 80 ms later, which a jitter
/// buffer on such a path holds back anyway.
const BACK: [u8; MAX_BLOCKS] = [1, 2, 4];
/// Loss in 1/256 from which on one, two and three are carried (3 %, 6 % and 10 %), and below which nothing is gained (1 %).
const ONE_FROM: u8 = 8;
const TWO_FROM: u8 = 15;
const THREE_FROM: u8 = 26;
const NONE_BELOW: u8 = 3;
/// Less is carried after this long: a report covers a second or five of audio, which is a small sample.
const CALM: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Redundancy {
    blocks: u8,
    calm_since: Option<Instant>,
}

impl Redundancy {
    /// How many older packets to carry.
    pub(crate) const fn blocks(&self) -> u8 {
        self.blocks
    }

    /// How far back each of them is, nearest first.
    pub(crate) fn back(&self) -> &'static [u8] {
        BACK.get(..usize::from(self.blocks)).unwrap_or(&BACK)
    }

    /// A receiver report: the part lost in 1/256. `congested`: a queue overflowed meanwhile, or may have; more would only
    /// lose more of it, and of everything else.
    pub(crate) fn report(&mut self, now: Instant, fraction_lost: u8, congested: bool) {
        let told = match fraction_lost {
            THREE_FROM.. => 3,
            TWO_FROM.. => 2,
            ONE_FROM.. => 1,
            NONE_BELOW.. => self.blocks.min(1),
            _ => 0,
        };
        let wanted = if congested { told.min(self.blocks) } else { told };
        if wanted >= self.blocks {
            (self.blocks, self.calm_since) = (wanted, None);
            return;
        }
        if now.saturating_duration_since(*self.calm_since.get_or_insert(now)) >= CALM {
            (self.blocks, self.calm_since) = (wanted, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_loss_up_at_once_and_down_with_patience() {
        let start = Instant::now();
        let mut redundancy = Redundancy::default();
        // (second, lost of 256, blocks)
        let rows = [
            (0, 0, 0),
            (1, 7, 0),
            (2, 8, 1),
            (3, 3, 1),
            (20, 3, 1),
            (21, 15, 2),
            (22, 10, 2),
            (31, 10, 2),
            (32, 10, 1),
            (33, 0, 1),
            (42, 0, 1),
            (43, 0, 0),
            (44, 255, 3),
            (45, 25, 3),
        ];
        for (second, lost, blocks) in rows {
            redundancy.report(start + Duration::from_secs(second), lost, false);
            assert_eq!(redundancy.blocks(), blocks, "{second}");
        }
        let mut queued = Redundancy::default();
        // (lost of 256, congested, blocks)
        for (lost, congested, blocks) in [(60, true, 0), (10, false, 1), (60, true, 1), (60, false, 3), (60, true, 3)] {
            queued.report(start, lost, congested);
            assert_eq!(queued.blocks(), blocks, "{lost} {congested}");
        }
    }
}
