//! Packet index of one SSRC (RFC 3711 §3.3.1) and which of the last indexes were used.
//!
//! The receiver uses it against replays, the sender against sealing two packets with one nonce.

/// How far behind the newest packet one may still come. libsrtp in browsers keeps 1,024; a repaired packet of a
/// 20 Mbit/s layer comes up to 1,000 packets late. Doubling costs 256 bytes more per SSRC.
pub(super) const WINDOW: u64 = 2048;

/// 64-bit words of the bitmap.
const WORDS: usize = (WINDOW / 64) as usize;

/// The 48-bit index is the 32-bit rollover counter and the 16-bit seq.
const MAX_INDEX: u64 = (1 << 48) - 1;

/// Where an index stands against the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Fresh,
    Seen,
    TooOld,
}

/// The indexes of one SSRC. Bit `index % WINDOW` of the ring tells whether `index` was used.
///
/// The ring's word that `highest` is in lies beside it, and the ring gets it when the next word begins: a stream in order
/// touches one cache line for each packet, and a second one for each 64.
#[derive(Clone, Debug)]
#[repr(C, align(32))]
pub(super) struct Window {
    highest: u64,
    /// The ring's word of `highest`; the ring itself has an old copy of it.
    newest: u64,
    bits: [u64; WORDS],
}

impl Window {
    /// A window whose first packet has `index`.
    pub(super) fn new(index: u64) -> Self {
        Self { highest: index, newest: place(index).1, bits: [0; WORDS] }
    }

    /// The highest sequence number used.
    pub(super) const fn last_seq(&self) -> u16 {
        (self.highest & 0xffff) as u16
    }

    /// The index that `seq` most likely has: the one nearest to the highest (RFC 3711 §3.3.1, appendix A).
    /// `None` when the 32-bit rollover counter is used up.
    pub(super) fn guess(&self, seq: u16) -> Option<u64> {
        let roc = self.highest >> 16;
        let last = (self.highest & 0xffff) as i32;
        let distance = i32::from(seq) - last;
        let roc = if last < 0x8000 && distance > 0x8000 {
            // Before the very first rollover there is no earlier cycle; libsrtp takes it as the same one.
            roc.saturating_sub(1)
        } else if last >= 0x8000 && distance < -0x8000 {
            roc + 1
        } else {
            roc
        };
        let index = (roc << 16) | u64::from(seq);
        (index <= MAX_INDEX).then_some(index)
    }

    /// Whether `index` may be used.
    pub(super) fn position(&self, index: u64) -> Position {
        let Some(behind) = self.highest.checked_sub(index) else { return Position::Fresh };
        if behind >= WINDOW {
            return Position::TooOld;
        }
        let (word, bit) = place(index);
        let bits = if index / 64 == self.highest / 64 { self.newest } else { self.bits[word] };
        if bits & bit == 0 { Position::Fresh } else { Position::Seen }
    }

    /// Marks `index` as used.
    pub(super) fn mark(&mut self, index: u64) {
        let (word, bit) = place(index);
        if index / 64 == self.highest / 64 {
            self.newest |= bit;
            self.highest = self.highest.max(index);
        } else if index < self.highest {
            self.bits[word] |= bit;
        } else {
            self.begin_word(index);
            (self.newest, self.highest) = (bit, index);
        }
    }

    /// Puts the newest word into the ring, and clears the words from there to that of `index`.
    fn begin_word(&mut self, index: u64) {
        self.bits[place(self.highest).0] = self.newest;
        let skipped = index / 64 - self.highest / 64 - 1;
        for word in 1..=skipped.min(WORDS as u64) {
            self.bits[place(self.highest + 64 * word).0] = 0;
        }
    }
}

/// Word and bit of an index; the word is always below `WORDS`.
fn place(index: u64) -> (usize, u64) {
    let at = index % WINDOW;
    ((at / 64) as usize % WORDS, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::{MAX_INDEX, Position, WINDOW, Window};

    #[test]
    fn guess_follows_rfc3711() {
        const R: u64 = 1 << 16;
        // (highest, seq, index)
        let rows: &[(u64, u16, Option<u64>)] = &[
            (0, 0, Some(0)),
            (0, 1, Some(1)),
            (5, 65535, Some(65535)), // no cycle before the first
            (65535, 0, Some(R)),     // 16-bit wrap
            (65535, 65534, Some(65534)),
            (R + 3, 65533, Some(65533)), // late across the wrap
            (R + 3, 4, Some(R + 4)),
            (R + 0x7fff, 0xffff, Some(R + 0xffff)), // exactly 2^15 ahead stays
            (R + 0x7fff, 0x8000, Some(R + 0x8000)),
            (R + 0x8000, 0, Some(R)), // exactly 2^15 behind stays
            (R + 0x8001, 0, Some(2 * R)),
            ((0xffff_ffff << 16) | 0xfff0, 0xfff1, Some((0xffff_ffff << 16) | 0xfff1)),
            (MAX_INDEX, 0, None), // the 32-bit rollover counter would wrap
        ];
        for (highest, seq, want) in rows {
            assert_eq!(Window::new(*highest).guess(*seq), *want, "highest {highest} seq {seq}");
        }
    }

    #[test]
    fn window_remembers_and_forgets() {
        let mut window = Window::new(65_530);
        for index in [65_531, 65_540, 65_535] {
            assert_eq!(window.position(index), Position::Fresh);
            window.mark(index);
            assert_eq!(window.position(index), Position::Seen);
        }
        assert_eq!(window.position(65_536), Position::Fresh);
        assert_eq!(window.position(65_530), Position::Seen);
        window.mark(65_540 + WINDOW - 1);
        assert_eq!(window.position(65_540), Position::Seen);
        assert_eq!(window.position(65_539), Position::TooOld);
        assert_eq!(window.position(65_541), Position::Fresh, "the ring was cleared on the way");
        window.mark(65_541 + 10 * WINDOW);
        assert_eq!(window.position(65_542 + 9 * WINDOW), Position::Fresh);
        assert_eq!(window.position(65_541 + 9 * WINDOW), Position::TooOld);
    }

    #[test]
    fn agrees_with_a_set() {
        let mut state = 0x1234_5678_u64;
        let mut window = Window::new(1_000);
        let mut used = std::collections::HashSet::from([1_000u64]);
        let mut highest = 1_000u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let jump = (state >> 33) % 3_000;
            let index = (highest + 40).saturating_sub(jump);
            let want = if highest >= index && highest - index >= WINDOW {
                Position::TooOld
            } else if used.contains(&index) {
                Position::Seen
            } else {
                Position::Fresh
            };
            assert_eq!(window.position(index), want);
            if want == Position::Fresh {
                window.mark(index);
                used.insert(index);
                highest = highest.max(index);
            }
        }
    }
}
