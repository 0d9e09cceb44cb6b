//! What a receiver report says of one layer (RFC 3550 §6.4.1 and appendix A.3, A.8).

use std::time::Instant;

use convene_rtp::rtcp::ReportBlock;
use convene_types::{ExtSeq, Ssrc};

use crate::sr;

/// Counts one stream's packets.
#[derive(Clone, Debug)]
pub(crate) struct Reception {
    epoch: Instant,
    base: Option<u64>,
    highest: u64,
    received: u64,
    reported_expected: u64,
    reported_received: u64,
    transit: Option<u32>,
    /// In 1/16 of a tick, as in RFC 3550 A.8.
    jitter: u32,
    last_sr: Option<(u32, Instant)>,
}

impl Reception {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            base: None,
            highest: 0,
            received: 0,
            reported_expected: 0,
            reported_received: 0,
            transit: None,
            jitter: 0,
            last_sr: None,
        }
    }

    /// A packet of the media stream, padding included, RTX not.
    pub(crate) fn packet(&mut self, now: Instant, ExtSeq(seq): ExtSeq, ts: u32, rate: u32) {
        self.base = Some(self.base.map_or(seq, |base| base.min(seq)));
        self.highest = self.highest.max(seq);
        self.received += 1;
        // RFC 3550 A.8: D is the change of (arrival - timestamp), both in ticks.
        let transit = sr::ticks(now.saturating_duration_since(self.epoch), rate).wrapping_sub(ts);
        if let Some(previous) = self.transit.replace(transit) {
            let change = transit.wrapping_sub(previous).cast_signed().unsigned_abs();
            self.jitter = self.jitter.saturating_add(change).saturating_sub(self.jitter.saturating_add(8) >> 4);
        }
    }

    /// A sender report came in.
    pub(crate) fn sender_report(&mut self, now: Instant, ntp: u64) {
        self.last_sr = Some((sr::compact_ntp(ntp), now));
    }

    /// The block for the next report. `None`: no packet yet.
    pub(crate) fn report(&mut self, now: Instant, ssrc: Ssrc) -> Option<ReportBlock> {
        let expected = self.highest - self.base? + 1;
        let lost = expected.cast_signed() - self.received.cast_signed();
        let expected_since = expected - self.reported_expected;
        let received_since = self.received - self.reported_received;
        let lost_since = expected_since.saturating_sub(received_since);
        // RFC 3550 A.3: in 1/256; all of them lost would be 256.
        let fraction = (lost_since << 8).checked_div(expected_since).unwrap_or(0).min(255);
        (self.reported_expected, self.reported_received) = (expected, self.received);
        let (last_sr, delay) = self
            .last_sr
            .map_or((0, 0), |(ntp, at)| (ntp, sr::compact_ntp(sr::ntp_duration(now.saturating_duration_since(at)))));
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction as u8,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            // The unwrapper's first lap is not one of the sender's.
            highest_seq: (self.highest as u32).wrapping_sub(1 << 16),
            jitter: self.jitter >> 4,
            last_sr,
            delay_since_last_sr: delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn reports_loss_over_the_wrap_and_since_the_last_report() {
        let start = Instant::now();
        let mut reception = Reception::new(start);
        assert!(reception.report(start, Ssrc(7)).is_none());
        // 65534..=65537 (wire 1) with one missing, then all of the next four
        for seq in [0x1_fffe, 0x1_ffff, 0x2_0001] {
            reception.packet(start, ExtSeq(seq), 0, 90_000);
        }
        let block = reception.report(start, Ssrc(7)).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (64, 1));
        assert_eq!(block.highest_seq, 0x1_0001, "one lap, number 1");
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0, 0));
        (0x2_0002..0x2_0006).for_each(|seq| reception.packet(start, ExtSeq(seq), 0, 90_000));
        reception.sender_report(start, 0x1122_3344_5566_7788);
        let block = reception.report(start + Duration::from_millis(500), Ssrc(7)).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 1));
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0x3344_5566, 0x8000));
    }

    #[test]
    fn jitter_is_zero_at_an_even_pace_and_grows_with_unevenness() {
        let start = Instant::now();
        for (shake, low, high) in [(0, 0, 1), (10, 700, 1_000)] {
            let mut reception = Reception::new(start);
            for index in 0..200_u64 {
                let at = start + Duration::from_millis(20 * index + shake * (index % 2));
                reception.packet(
                    at,
                    ExtSeq(0x1_0000 + index),
                    (u32::MAX - 5_000).wrapping_add(1_800 * index as u32),
                    90_000,
                );
            }
            let jitter = reception.report(start, Ssrc(1)).unwrap().jitter;
            assert!((low..=high).contains(&jitter), "{shake}: {jitter}");
        }
    }
}
