//! What a worker without time leaves out: simulcast layers of video from the top, for everybody alike. Audio and the lowest
//! layers go on. That it refuses new rooms before is `Handle::open_room`'s matter.

/// Share of its time from which a worker takes less on. Above it, packets wait and receivers see jitter.
const TOO_BUSY: f64 = 0.97;

/// Share below which it may take more again: a layer more is up to three times the packets.
const AT_EASE: f64 = 0.6;

/// Samples (seconds) in a row before less, and before more again.
const PATIENCE_DOWN: u32 = 2;
const PATIENCE_UP: u32 = 10;

/// Steps there are: without the highest of three layers, then the lowest alone.
const MOST: u8 = 2;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shedder {
    level: u8,
    busy_for: u32,
    at_ease_for: u32,
}

impl Shedder {
    /// Takes in the load of the last second. `Some`: another level from now on.
    pub(crate) fn sample(&mut self, busy: f64) -> Option<u8> {
        self.busy_for = if busy >= TOO_BUSY { self.busy_for + 1 } else { 0 };
        self.at_ease_for = if busy < AT_EASE { self.at_ease_for + 1 } else { 0 };
        let level = match self.level {
            level if self.busy_for >= PATIENCE_DOWN && level < MOST => level + 1,
            level if self.at_ease_for >= PATIENCE_UP && level > 0 => level - 1,
            _ => return None,
        };
        *self = Self { level, ..Self::default() };
        Some(level)
    }
}

/// The highest layer that a level leaves.
pub(crate) const fn ceiling(level: u8) -> u8 {
    match level {
        0 => u8::MAX,
        level => MOST - level,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_down_by_steps_and_up_with_patience() {
        let mut shedder = Shedder::default();
        let mut told = Vec::new();
        let loads =
            [0.9; 20].into_iter().chain([1.0; 7]).chain([0.7; 20]).chain([0.3; 9]).chain([0.98]).chain([0.3; 20]);
        for (second, busy) in loads.enumerate() {
            told.extend(shedder.sample(busy).map(|level| (second, ceiling(level))));
        }
        assert_eq!(told, [(21, 1), (23, 0), (66, 1), (76, u8::MAX)]);
    }
}
