//! How many bits per second a layer is, as a subscriber's path would feel it.

use crate::bwe::WIRE_OVERHEAD;
use crate::cut::{CUTS, Cut};

/// Windows kept, each `config::SELECT_TICKS` long: 1.6 s, so that a large picture does not look like a rate.
const WINDOWS: usize = 8;
/// Windows that keyframes and the usual rate go by, and those they begin with: 6 s, in which a screen has a page or two. Keyframes
/// come when somebody asks, and are spread on narrow paths: whoever rises to a layer would fall again for the one that it took.
const USUAL: f64 = 30.0;
const FIRST: f64 = 8.0;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Volume {
    /// Bytes of this window: of keyframes, and of all else.
    current: (u32, u32),
    /// Bytes of the last ones, without keyframes.
    windows: [u32; WINDOWS],
    /// Bytes of a window, over a longer time: all of them, and of keyframes.
    usual: f64,
    keyframes: f64,
    /// Windows closed; the sum counts from the first with bytes in it.
    closed: usize,
    began: bool,
}

impl Volume {
    /// A packet of this many plaintext bytes, and whether it is part of a keyframe.
    pub(crate) fn add(&mut self, bytes: usize, keyframe: bool) {
        let bytes = u32::try_from(bytes + WIRE_OVERHEAD).unwrap_or(u32::MAX);
        let (keyframes, pictures) = &mut self.current;
        let sum = if keyframe { keyframes } else { pictures };
        *sum = sum.saturating_add(bytes);
        self.began = true;
    }

    /// A window ends.
    pub(crate) fn close_window(&mut self) {
        if !self.began {
            return;
        }
        let (keyframes, pictures) = std::mem::take(&mut self.current);
        let weight = (self.closed as f64).clamp(FIRST, USUAL).recip();
        self.usual += (f64::from(keyframes) + f64::from(pictures) - self.usual) * weight;
        self.keyframes += (f64::from(keyframes) - self.keyframes) * weight;
        if let Some(slot) = self.windows.get_mut(self.closed % WINDOWS) {
            *slot = pictures;
        }
        self.closed += 1;
    }

    /// Bits per second; 0: no window was closed since the first packet. Never 0 after that: a still screen is quiet, and there.
    pub(crate) fn bits(&self, window_ms: u64) -> f64 {
        let windows = self.closed.min(WINDOWS);
        if windows == 0 {
            return 0.0;
        }
        let pictures: u64 = self.windows.iter().map(|bytes| u64::from(*bytes)).sum();
        let bytes = pictures as f64 / windows as f64 + self.keyframes;
        (bytes * 8.0 * 1e3 / window_ms as f64).max(1.0)
    }

    /// The same over a longer time, where bursts are spread.
    pub(crate) fn usual_bits(&self, window_ms: u64) -> f64 {
        self.usual * 8.0 * 1e3 / window_ms as f64
    }
}

/// The volumes of the cuts of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volumes([Volume; CUTS]);

impl Volumes {
    /// A packet of this many plaintext bytes that these cuts have, and whether it is part of a keyframe.
    pub(crate) fn add(&mut self, cuts: u16, bytes: usize, keyframe: bool) {
        for (index, volume) in self.0.iter_mut().enumerate() {
            if cuts & (1 << index) != 0 {
                volume.add(bytes, keyframe);
            }
        }
    }

    /// A window ends.
    pub(crate) fn close_window(&mut self) {
        self.0.iter_mut().for_each(Volume::close_window);
    }

    /// Bits per second of a cut; see `Volume::bits`.
    pub(crate) fn bits(&self, cut: Cut, window_ms: u64) -> f64 {
        self.0.get(cut.index()).map_or(0.0, |volume| volume.bits(window_ms))
    }

    /// The same over a longer time.
    pub(crate) fn usual_bits(&self, cut: Cut, window_ms: u64) -> f64 {
        self.0.get(cut.index()).map_or(0.0, |volume| volume.usual_bits(window_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_since_it_began() {
        let mut volume = Volume::default();
        volume.close_window();
        assert_eq!(volume.bits(200), 0.0);
        for window in 1..30 {
            volume.add(1_000 - WIRE_OVERHEAD, false);
            volume.close_window();
            assert_eq!(volume.bits(200), 40_000.0, "{window}");
        }
        (0..WINDOWS).for_each(|_| volume.close_window());
        assert_eq!(volume.bits(200), 1.0);
    }

    #[test]
    fn a_page_now_and_then_is_not_what_is_usual() {
        let mut volume = Volume::default();
        for window in 0..100 {
            volume.add(if window % 20 == 0 { 60_000 } else { 1_000 } - WIRE_OVERHEAD, false);
            volume.close_window();
            // 3,950 bytes in each 200 ms, and the page alone is 60 KB in 1.6 s.
            let usual = volume.usual_bits(200);
            assert!((30_000.0..310_000.0).contains(&usual), "{window}: {usual}");
            assert!(window % 20 >= WINDOWS || window < WINDOWS || volume.bits(200) > 300_000.0);
        }
    }

    #[test]
    fn a_keyframe_that_somebody_asked_for_is_not_what_a_layer_takes() {
        let mut volume = Volume::default();
        let mut pass = |windows: usize, keyframe: bool| {
            for _ in 0..windows {
                volume.add(25_000 - WIRE_OVERHEAD, false);
                if keyframe {
                    volume.add(50_000 - WIRE_OVERHEAD, true);
                }
                volume.close_window();
            }
            (volume.bits(200) / 1e3).round()
        };
        assert_eq!(pass(40, false), 1_000.0);
        let with_one = pass(1, true);
        assert!((1_050.0..1_080.0).contains(&with_one), "{with_one} instead of 1,250");
        let all_the_time = pass(200, true);
        assert!((2_990.0..3_010.0).contains(&all_the_time), "{all_the_time}");
    }
}
