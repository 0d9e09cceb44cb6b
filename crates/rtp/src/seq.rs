//! Unwraps the 16-bit sequence numbers and 32-bit timestamps of RTP into counters that do not wrap.
//!
//! After the idea of RFC 3550 §A.1: a step of less than half the number space is the shorter way round. There is no
//! probation and no reset here: a sender that jumps further than that looks like a step back, and the caller decides.

use convene_types::{ExtSeq, SeqNo};

/// The first number is placed one full cycle up, so that packets from before the first one never go below zero.
const FIRST_SEQ_CYCLE: u64 = 1 << 16;
const FIRST_TS_CYCLE: u64 = 1 << 32;

/// 16-bit sequence numbers to [`ExtSeq`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwrapper {
    highest: Option<ExtSeq>,
}

impl Unwrapper {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// Unwraps `seq` and remembers it if it is the highest so far.
    pub fn unwrap(&mut self, seq: SeqNo) -> ExtSeq {
        let ext_seq = self.peek(seq);
        self.highest = self.highest.max(Some(ext_seq));
        ext_seq
    }

    /// Unwraps `seq` and remembers nothing.
    #[must_use]
    pub fn peek(&self, seq: SeqNo) -> ExtSeq {
        let Some(ExtSeq(highest)) = self.highest else {
            return ExtSeq(FIRST_SEQ_CYCLE.saturating_add(u64::from(seq.0)));
        };
        // Exactly half the space counts as a step back: an old packet does less harm than a jump ahead.
        let step = seq.0.wrapping_sub(ExtSeq(highest).seq().0).cast_signed();
        ExtSeq(highest.saturating_add_signed(i64::from(step)))
    }

    /// The highest number so far.
    #[must_use]
    pub const fn highest(&self) -> Option<ExtSeq> {
        self.highest
    }
}

/// 32-bit timestamps to `u64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TsUnwrapper {
    highest: Option<u64>,
}

impl TsUnwrapper {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// Unwraps `ts` and remembers it if it is the highest so far.
    pub fn unwrap(&mut self, ts: u32) -> u64 {
        let unwrapped = self.peek(ts);
        self.highest = self.highest.max(Some(unwrapped));
        unwrapped
    }

    /// Unwraps `ts` and remembers nothing.
    #[must_use]
    pub fn peek(&self, ts: u32) -> u64 {
        let Some(highest) = self.highest else {
            return FIRST_TS_CYCLE.saturating_add(u64::from(ts));
        };
        let step = ts.wrapping_sub((highest & 0xffff_ffff) as u32).cast_signed();
        highest.saturating_add_signed(i64::from(step))
    }

    /// The highest timestamp so far.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seq_unwraps() {
        const C: u64 = 1 << 16;
        // (numbers in arrival order, what they unwrap to)
        let rows: [(&[u16], &[u64]); 7] = [
            (&[0, 1, 2], &[C, C + 1, C + 2]),
            (&[65534, 65535, 0, 1], &[2 * C - 2, 2 * C - 1, 2 * C, 2 * C + 1]),
            (&[0, 65535, 1], &[C, C - 1, C + 1]),
            (&[1, 0, 65535, 65534, 2], &[C + 1, C, C - 1, C - 2, C + 2]),
            (&[65535, 0, 65535, 0], &[2 * C - 1, 2 * C, 2 * C - 1, 2 * C]),
            (&[0, 0x7fff, 0xfffe, 0xfffd], &[C, C + 0x7fff, C + 0xfffe, C + 0xfffd]),
            (&[0, 0x8000], &[C, C - 0x8000]),
        ];
        for (input, want) in rows {
            let mut unwrapper = Unwrapper::new();
            let got: Vec<u64> = input.iter().map(|seq| unwrapper.unwrap(SeqNo(*seq)).0).collect();
            assert_eq!(got, want, "{input:?}");
            assert_eq!(unwrapper.highest().map(|e| e.0), want.iter().copied().max(), "{input:?}");
        }
    }

    #[test]
    fn seq_keeps_its_low_bits_and_only_moves_forward() {
        let mut unwrapper = Unwrapper::new();
        let mut highest = None;
        let mut seq = 0_u16;
        for step in 0..200_000_u32 {
            seq = seq.wrapping_add((step * 7919 % 40_000) as u16);
            let ext_seq = unwrapper.unwrap(SeqNo(seq));
            assert_eq!(ext_seq.seq(), SeqNo(seq));
            assert!(unwrapper.highest() >= highest);
            highest = unwrapper.highest();
        }
    }

    #[test]
    fn peek_remembers_nothing() {
        let mut unwrapper = Unwrapper::new();
        unwrapper.unwrap(SeqNo(65535));
        let before = unwrapper;
        assert_eq!(unwrapper.peek(SeqNo(0)), ExtSeq(1 << 17));
        assert_eq!(unwrapper, before);
    }

    #[test]
    fn ts_unwraps() {
        const C: u64 = 1 << 32;
        let rows: [(&[u32], &[u64]); 5] = [
            (&[0, 3000], &[C, C + 3000]),
            (&[u32::MAX, 0, 2999], &[2 * C - 1, 2 * C, 2 * C + 2999]),
            (&[0, u32::MAX], &[C, C - 1]),
            (&[u32::MAX - 959, 1, u32::MAX], &[2 * C - 960, 2 * C + 1, 2 * C - 1]),
            (&[0, 0x8000_0000], &[C, C - 0x8000_0000]),
        ];
        for (input, want) in rows {
            let mut unwrapper = TsUnwrapper::new();
            let got: Vec<u64> = input.iter().map(|ts| unwrapper.unwrap(*ts)).collect();
            assert_eq!(got, want, "{input:?}");
        }
    }
}
