//! A stream's RTP clock against the publisher's wall clock, as its sender reports tell (RFC 3550 §6.4.1).
//!
//! The wall clock is kept for subscribers, so that audio and video of one publisher play in step; only the RTP side is
//! translated by what the subscription adds to timestamps.

use std::time::{Duration, Instant};

/// The latest sender report of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// NTP time, 32.32 bits.
    pub(crate) ntp: u64,
    /// The same instant on the RTP clock.
    pub(crate) rtp_ts: u32,
    /// When the report came in.
    pub(crate) at: Instant,
    /// RTP clock in Hz.
    pub(crate) rate: u32,
}

impl Clock {
    /// The wall clock time of a timestamp near the report.
    pub(crate) fn ntp_of(&self, ts: u32) -> u64 {
        let ticks = i128::from(ts.wrapping_sub(self.rtp_ts).cast_signed());
        let ntp = (ticks << 32) / i128::from(self.rate.max(1));
        self.ntp.wrapping_add_signed(ntp as i64) // 2^31 ticks of 8 kHz are below 2^19 s
    }

    /// The timestamp of a wall clock time near the report.
    pub(crate) fn ts_of(&self, ntp: u64) -> u32 {
        let ticks = (i128::from(ntp.wrapping_sub(self.ntp).cast_signed()) * i128::from(self.rate)) >> 32;
        self.rtp_ts.wrapping_add(ticks as u32) // modulo 2^32, as timestamps are
    }

    /// NTP time and timestamp of `now`, supposing that both clocks ran true since the report.
    pub(crate) fn at(&self, now: Instant) -> (u64, u32) {
        let elapsed = now.saturating_duration_since(self.at);
        (self.ntp.wrapping_add(ntp_duration(elapsed)), self.rtp_ts.wrapping_add(ticks(elapsed, self.rate)))
    }
}

/// A duration in NTP's 32.32 bits of seconds.
pub(crate) fn ntp_duration(duration: Duration) -> u64 {
    ((duration.as_nanos() << 32) / 1_000_000_000) as u64
}

/// A duration in ticks of an RTP clock, modulo 2^32.
pub(crate) fn ticks(duration: Duration, rate: u32) -> u32 {
    (duration.as_nanos() * u128::from(rate) / 1_000_000_000) as u32
}

/// The middle 32 bits of an NTP time: 16.16 bits of seconds.
pub(crate) const fn compact_ntp(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_both_ways() {
        const SECOND: u64 = 1 << 32;
        let rows: [(u64, u32, u32, i64); 7] = [
            // (ntp of the report, its timestamp, rate, ticks off)
            (1_000 * SECOND, 5_000, 90_000, 0),
            (1_000 * SECOND, 5_000, 90_000, 90_000),
            (1_000 * SECOND, 5_000, 90_000, -4_999),
            (1_000 * SECOND, u32::MAX, 90_000, 45_000), // over the 32-bit wrap
            (1_000 * SECOND, 10, 90_000, -90_000),
            (u64::MAX - 5, 7, 48_000, 480), // over the end of the NTP era
            (1_000 * SECOND, 0x8000_0000, 48_000, 48_000 * 3_600),
        ];
        for (ntp, rtp_ts, rate, off) in rows {
            let clock = Clock { ntp, rtp_ts, at: Instant::now(), rate };
            let ts = rtp_ts.wrapping_add(off as u32);
            let wall = clock.ntp_of(ts);
            let want = ntp.wrapping_add_signed(((i128::from(off) << 32) / i128::from(rate)) as i64);
            assert_eq!(wall, want, "{rtp_ts} {off}");
            let back = clock.ts_of(wall).wrapping_sub(ts).cast_signed();
            assert!((-1..=0).contains(&back), "{rtp_ts} {off}: rounded by {back}");
        }
    }

    #[test]
    fn runs_on() {
        let start = Instant::now();
        let clock = Clock { ntp: 10 << 32, rtp_ts: u32::MAX - 999, at: start, rate: 48_000 };
        let (ntp, ts) = clock.at(start + Duration::from_millis(500));
        assert_eq!((ntp, ts), ((10 << 32) + (1 << 31), 23_000));
        assert_eq!(compact_ntp(0x0001_0002_0003_0004), 0x0002_0003);
    }
}
