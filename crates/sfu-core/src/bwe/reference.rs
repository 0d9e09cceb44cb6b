//! The reference time of feedback: 24 bits of 64 ms, unwrapped (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

const UNIT_US: i64 = 64_000;
const WRAP: u32 = 1 << 24;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reference {
    /// The last one as it came, and unwrapped.
    last: Option<(u32, i64)>,
}

impl Reference {
    /// A reference time in µs since the receiver's zero. Feedback may overtake feedback.
    pub(super) fn micros(&mut self, reference: u32) -> i64 {
        let unwrapped = match self.last {
            None => i64::from(reference),
            Some((last, unwrapped)) => {
                let ahead = reference.wrapping_sub(last) % WRAP;
                let back = ahead >= WRAP / 2;
                unwrapped + i64::from(ahead) - if back { i64::from(WRAP) } else { 0 }
            }
        };
        self.last = Some((reference, unwrapped));
        unwrapped * UNIT_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_over_the_wrap_and_back() {
        let mut reference = Reference::default();
        let units = [WRAP - 2, WRAP - 1, 1, WRAP - 1, 5].map(|at| reference.micros(at) / UNIT_US);
        let first = i64::from(WRAP) - 2;
        assert_eq!(units, [first, first + 1, first + 3, first + 1, first + 7]);
    }
}
