//! Which of the latest sequence numbers have been seen, so that the same packet by media and by RTX counts once.

use convene_types::ExtSeq;

/// Numbers remembered: a second at 4,000 packets/s. Later repeats count as too old.
const SPAN: u64 = 4_096;
const WORDS: usize = (SPAN / 64) as usize;

/// What the window says of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The first, or above all before; `after` is the highest until then.
    Newest { after: Option<ExtSeq> },
    /// Below the highest and not seen before.
    Late,
    /// Seen before.
    Duplicate,
    /// Below the window.
    TooOld,
}

/// A ring of bits below the highest number.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    highest: Option<u64>,
    bits: [u64; WORDS],
}

impl Window {
    pub(crate) const fn new() -> Self {
        Self { highest: None, bits: [0; WORDS] }
    }

    /// Notes a number.
    pub(crate) fn insert(&mut self, ExtSeq(seq): ExtSeq) -> Seen {
        let Some(highest) = self.highest else {
            self.highest = Some(seq);
            self.set(seq);
            return Seen::Newest { after: None };
        };
        if seq > highest {
            if seq - highest >= SPAN {
                self.bits = [0; WORDS];
            } else {
                (highest + 1..seq).for_each(|skipped| self.clear(skipped));
            }
            self.highest = Some(seq);
            self.set(seq);
            return Seen::Newest { after: Some(ExtSeq(highest)) };
        }
        if highest - seq >= SPAN {
            return Seen::TooOld;
        }
        if self.set(seq) { Seen::Duplicate } else { Seen::Late }
    }

    /// Whether a number below the highest is known not to have been seen.
    pub(crate) fn lacks(&self, ExtSeq(seq): ExtSeq) -> bool {
        let Some(highest) = self.highest else { return false };
        let place = (seq % SPAN) as usize;
        seq < highest && highest - seq < SPAN && self.bits[(place / 64) % WORDS] & (1 << (place % 64)) == 0
    }

    fn word(&mut self, seq: u64) -> (&mut u64, u64) {
        let place = (seq % SPAN) as usize;
        // The index is below WORDS because place is below SPAN.
        (&mut self.bits[(place / 64) % WORDS], 1 << (place % 64))
    }

    /// Sets the bit and says whether it was set.
    fn set(&mut self, seq: u64) -> bool {
        let (word, mask) = self.word(seq);
        let was = *word & mask != 0;
        *word |= mask;
        was
    }

    fn clear(&mut self, seq: u64) {
        let (word, mask) = self.word(seq);
        *word &= !mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_new_late_and_repeated() {
        const BASE: u64 = 0x1_fffe; // the wire number wraps within the rows
        let newest = |after: u64| Seen::Newest { after: Some(ExtSeq(BASE + after)) };
        let rows: [(u64, Seen); 10] = [
            (0, Seen::Newest { after: None }),
            (0, Seen::Duplicate),
            (3, newest(0)),
            (1, Seen::Late),
            (1, Seen::Duplicate),
            (2, Seen::Late),
            (3, Seen::Duplicate),
            (SPAN + 3, newest(3)),
            (3, Seen::TooOld),
            (4, Seen::Late),
        ];
        let mut window = Window::new();
        for (seq, want) in rows {
            assert_eq!(window.insert(ExtSeq(BASE + seq)), want, "{seq}");
        }
    }

    #[test]
    fn a_lap_leaves_no_stale_bits() {
        let mut window = Window::new();
        for seq in 0..SPAN {
            window.insert(ExtSeq(seq));
        }
        window.insert(ExtSeq(SPAN + 10));
        assert_eq!(window.insert(ExtSeq(SPAN + 9)), Seen::Late);
        assert_eq!(window.insert(ExtSeq(SPAN - 1)), Seen::Duplicate);
        window.insert(ExtSeq(10 * SPAN));
        assert_eq!(window.insert(ExtSeq(10 * SPAN - 1)), Seen::Late);
    }
}
