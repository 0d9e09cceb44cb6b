//! What a worker without time leaves out: simulcast layers of video from the top, for everybody alike, and in the end all
//! video, of which its viewers are told. Audio goes on. That it refuses new rooms before is `Handle::open_room`'s matter, and
//! what becomes of packets meanwhile `lag`'s.

/// Share of its time from which a worker takes less on. Above it, packets wait and receivers see jitter.
const TOO_BUSY: f64 = 0.97;

/// Share below which it may take more again: a layer more is up to three times the packets.
const AT_EASE: f64 = 0.6;

/// Samples (seconds) in a row before less, and before more again. Each fall soon after a rise doubles the latter: pictures
/// that come and go are worse than none.
const PATIENCE_DOWN: u32 = 2;
const PATIENCE_UP: u32 = 10;
const MAX_PATIENCE_UP: u32 = 320;

/// Steps there are: without the highest of three layers, the lowest alone, no video.
const MOST: u8 = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shedder {
    level: u8,
    busy_for: u32,
    at_ease_for: u32,
    /// Samples at ease before more again.
    patience_up: u32,
    /// Samples since the last rise.
    risen_for: Option<u32>,
}

impl Default for Shedder {
    fn default() -> Self {
        Self { level: 0, busy_for: 0, at_ease_for: 0, patience_up: PATIENCE_UP, risen_for: None }
    }
}

impl Shedder {
    /// Takes in the load of the last second, and whether video came too late in it to be forwarded: without that the last
    /// layer stays. `Some`: another level from now on.
    pub(crate) fn sample(&mut self, busy: f64, late: bool) -> Option<u8> {
        let too_busy = busy >= TOO_BUSY && (late || self.level + 1 < MOST);
        self.busy_for = if too_busy { self.busy_for + 1 } else { 0 };
        self.at_ease_for = if busy < AT_EASE { self.at_ease_for + 1 } else { 0 };
        self.risen_for = self.risen_for.map(|samples| samples + 1);
        match self.level {
            level if self.busy_for >= PATIENCE_DOWN && level < MOST => {
                // A rise is wrong once, however many steps the way down has.
                if let Some(samples) = self.risen_for.take() {
                    let wrong = samples <= self.patience_up;
                    self.patience_up = if wrong { (self.patience_up * 2).min(MAX_PATIENCE_UP) } else { PATIENCE_UP };
                }
                self.level = level + 1;
            }
            level if self.at_ease_for >= self.patience_up && level > 0 => {
                self.level = level - 1;
                self.risen_for = Some(0);
            }
            _ => return None,
        }
        (self.busy_for, self.at_ease_for) = (0, 0);
        Some(self.level)
    }
}

/// The highest layer of video that a level leaves; `None`: none.
pub(crate) const fn ceiling(level: u8) -> Option<u8> {
    match level {
        0 => Some(u8::MAX),
        level => (MOST - 1).checked_sub(level),
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
            [0.9; 20].into_iter().chain([1.0; 7]).chain([0.7; 20]).chain([0.3; 9]).chain([0.98]).chain([0.3; 30]);
        for (second, busy) in loads.enumerate() {
            told.extend(shedder.sample(busy, second < 26).map(|level| (second, ceiling(level))));
        }
        assert_eq!(told, [(21, Some(1)), (23, Some(0)), (25, None), (66, Some(0)), (76, Some(1)), (86, Some(u8::MAX))]);
    }

    #[test]
    fn the_last_layer_stays_while_it_comes_in_time() {
        let mut shedder = Shedder::default();
        let levels: Vec<u8> = (0..20).filter_map(|_| shedder.sample(1.0, false)).collect();
        assert_eq!(levels, [1, 2]);
        assert_eq!((shedder.sample(1.0, true), shedder.sample(1.0, true)), (None, Some(3)));
    }

    #[test]
    fn waits_longer_each_time_that_more_was_too_much() {
        let mut shedder = Shedder::default();
        let (mut fell, mut rose) = (Vec::new(), Vec::new());
        for second in 0..900_u32 {
            // Everything but no video at all is too much.
            let busy = if shedder.level < MOST { 1.0 } else { 0.1 };
            match (shedder.level, shedder.sample(busy, true)) {
                (_, Some(MOST)) => fell.push(second),
                (MOST, Some(_)) => rose.push(second),
                _ => {}
            }
        }
        let waited: Vec<u32> = rose.iter().zip(&fell).map(|(rose, fell)| rose - fell).collect();
        assert_eq!(waited, [10, 20, 40, 80, 160, 320]);
    }
}
