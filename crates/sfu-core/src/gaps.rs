//! Closes the gaps that padding-only packets leave: numbers media packets as if the padding had never been sent.
//!
//! libwebrtc probes for bandwidth with padding-only packets on the media SSRC where RTX is not negotiated; of an idle
//! layer they are most packets. They are not forwarded, and a hole in the numbers would look like loss.

use std::collections::VecDeque;

use convene_types::ExtSeq;

/// Changes of the shift remembered. A late packet from before the oldest is dropped; neighbouring padding shares one.
const MAX_STEPS: usize = 64;

/// From this number on, `shift` padding packets came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    from: u64,
    shift: u64,
}

/// How many padding packets lie before each number.
#[derive(Clone, Debug)]
pub(crate) struct Gaps {
    steps: VecDeque<Step>,
    /// The highest number that was given to a media packet: from there down nothing can be closed any more.
    numbered: u64,
}

impl Gaps {
    pub(crate) fn new() -> Self {
        Self { steps: VecDeque::from([Step { from: 0, shift: 0 }]), numbered: 0 }
    }

    /// The number of a media packet without the padding before it. `None`: too long ago to tell.
    pub(crate) fn number(&mut self, ExtSeq(seq): ExtSeq) -> Option<u64> {
        let step = self.steps.iter().rev().find(|step| step.from <= seq)?;
        self.numbered = self.numbered.max(seq);
        Some(seq.saturating_sub(step.shift))
    }

    /// The number that a media packet got. `None`: too long ago to tell.
    pub(crate) fn find(&self, ExtSeq(seq): ExtSeq) -> Option<u64> {
        let step = self.steps.iter().rev().find(|step| step.from <= seq)?;
        Some(seq.saturating_sub(step.shift))
    }

    /// Takes a padding packet out of the numbers. `false`: a later media packet is numbered already, so the hole has to
    /// be filled instead. Each number may be closed once.
    pub(crate) fn close(&mut self, ExtSeq(seq): ExtSeq) -> bool {
        if seq <= self.numbered {
            return false;
        }
        let later = self.steps.iter().rev().take_while(|step| step.from > seq).count();
        let at = self.steps.len().saturating_sub(later);
        let shift = at.checked_sub(1).and_then(|before| self.steps.get(before)).map_or(0, |step| step.shift);
        self.steps.range_mut(at..).for_each(|step| step.shift += 1);
        self.steps.insert(at, Step { from: seq + 1, shift: shift + 1 });
        self.merge(at);
        if self.steps.len() > MAX_STEPS {
            self.steps.pop_front();
        }
        true
    }

    /// A step whose only number is padding itself says nothing.
    fn merge(&mut self, at: usize) {
        let from = |steps: &VecDeque<Step>, index: usize| steps.get(index).map(|step| step.from);
        for index in [at, at.wrapping_sub(1)] {
            let next = from(&self.steps, index.wrapping_add(1));
            if next.is_some() && from(&self.steps, index).map(|from| from + 1) == next {
                self.steps.remove(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Step {
        /// A media packet and the number it gets.
        Media(u64, Option<u64>),
        /// A padding packet and whether its gap closes.
        Padding(u64, bool),
    }
    use Step::{Media, Padding};

    #[test]
    fn numbers_without_padding() {
        const W: u64 = 0x1_ffff; // the wire number wraps behind it
        let rows: [(&str, &[Step]); 6] = [
            ("no padding", &[Media(W, Some(W)), Media(W + 1, Some(W + 1))]),
            ("one", &[Media(W, Some(W)), Padding(W + 1, true), Media(W + 2, Some(W + 1)), Media(W + 3, Some(W + 2))]),
            (
                "a run, then a late packet from before it",
                &[
                    Media(10, Some(10)),
                    Padding(12, true),
                    Padding(13, true),
                    Padding(14, true),
                    Media(15, Some(12)),
                    Media(11, Some(11)),
                ],
            ),
            (
                "out of order padding",
                &[Media(10, Some(10)), Padding(13, true), Padding(11, true), Padding(12, true), Media(14, Some(11))],
            ),
            (
                "a packet is missing within padding",
                &[
                    Media(10, Some(10)),
                    Padding(11, true),
                    Padding(13, true),
                    Media(14, Some(12)),
                    Media(12, Some(11)),
                    Media(15, Some(13)),
                ],
            ),
            ("too late to close", &[Media(10, Some(10)), Media(12, Some(12)), Padding(11, false), Media(11, Some(11))]),
        ];
        for (name, steps) in rows {
            let mut gaps = Gaps::new();
            for step in steps {
                match *step {
                    Media(seq, want) => assert_eq!(gaps.number(ExtSeq(seq)), want, "{name}: {seq}"),
                    Padding(seq, want) => assert_eq!(gaps.close(ExtSeq(seq)), want, "{name}: {seq}"),
                }
            }
        }
    }

    #[test]
    fn a_flood_of_padding_is_one_step() {
        let mut gaps = Gaps::new();
        gaps.number(ExtSeq(100));
        (101..100_000).for_each(|seq| assert!(gaps.close(ExtSeq(seq))));
        assert!(gaps.steps.len() <= 3, "{:?}", gaps.steps);
        assert_eq!(gaps.number(ExtSeq(100_000)), Some(101));
    }

    #[test]
    fn forgets_what_is_old() {
        let mut gaps = Gaps::new();
        for seq in (0..4 * MAX_STEPS as u64).step_by(2) {
            assert_eq!(gaps.number(ExtSeq(1_000 + seq)), Some(1_000 + seq / 2));
            assert!(gaps.close(ExtSeq(1_001 + seq)));
        }
        assert!(gaps.steps.len() <= MAX_STEPS);
        assert_eq!(gaps.number(ExtSeq(1_000)), None);
    }
}
