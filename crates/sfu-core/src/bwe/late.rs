//! Whether packets that feedback tells to be missing are lost, or only late: on a path where packets overtake each other most
//! of them come, and what is sent again at once goes out in vain.

/// Of how many it is judged at most: the older ones count half by then.
const MAX_TOLD: u32 = 64;
/// Fewer say nothing.
const MIN_TOLD: u32 = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Late {
    told: u32,
    came: u32,
}

impl Late {
    /// Feedback tells that a packet is missing.
    pub(super) fn missing(&mut self) {
        if self.told == MAX_TOLD {
            (self.told, self.came) = (self.told / 2, self.came / 2);
        }
        self.told += 1;
    }

    /// One of those came.
    pub(super) fn came(&mut self) {
        self.came = (self.came + 1).min(self.told);
    }

    /// Half of what is missing will come, at least.
    pub(super) const fn is_usual(&self) -> bool {
        self.told >= MIN_TOLD && self.came * 2 >= self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_path_that_loses_from_one_that_reorders() {
        let mut late = Late::default();
        let mut run = |told: u32, of_ten: u32| {
            for index in 0..told {
                late.missing();
                (index % 10 < of_ten).then(|| late.came());
            }
            late.is_usual()
        };
        assert!(!run(5, 10), "too few");
        assert!(run(50, 9));
        assert!(!run(200, 1), "it loses them now");
        assert!(run(200, 7));
    }
}
