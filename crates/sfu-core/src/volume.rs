//! How many bits per second a layer is, as a subscriber's path would feel it.

use crate::bwe::WIRE_OVERHEAD;
use crate::cut::{CUTS, Cut};

/// Windows kept, each `config::SELECT_TICKS` long: 1.6 s, so that a keyframe does not look like a rate.
const WINDOWS: usize = 8;
/// Windows that the usual rate goes by, and those it begins with: 6 s, in which a screen has a page or two. A stream begins with
/// a keyframe, which is no rate either.
const USUAL: f64 = 30.0;
const FIRST: f64 = 8.0;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Volume {
    current: u32,
    windows: [u32; WINDOWS],
    /// Bytes of a window, over a longer time.
    usual: f64,
    /// Windows closed; the sum counts from the first with bytes in it.
    closed: usize,
    began: bool,
}

impl Volume {
    /// A packet of this many plaintext bytes.
    pub(crate) fn add(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes + WIRE_OVERHEAD).unwrap_or(u32::MAX);
        self.current = self.current.saturating_add(bytes);
        self.began = true;
    }

    /// A window ends.
    pub(crate) fn close_window(&mut self) {
        if !self.began {
            return;
        }
        let bytes = std::mem::take(&mut self.current);
        self.usual += (f64::from(bytes) - self.usual) / (self.closed as f64).clamp(FIRST, USUAL);
        if let Some(slot) = self.windows.get_mut(self.closed % WINDOWS) {
            *slot = bytes;
        }
        self.closed += 1;
    }

    /// Bits per second; 0: no window was closed since the first packet. Never 0 after that: a still screen is quiet, and there.
    pub(crate) fn bits(&self, window_ms: u64) -> f64 {
        let bytes: u64 = self.windows.iter().map(|bytes| u64::from(*bytes)).sum();
        let windows = self.closed.min(WINDOWS);
        if windows == 0 { 0.0 } else { (bytes as f64 * 8.0 * 1e3 / (windows as f64 * window_ms as f64)).max(1.0) }
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
    /// A packet of this many plaintext bytes that these cuts have.
    pub(crate) fn add(&mut self, cuts: u16, bytes: usize) {
        for (index, volume) in self.0.iter_mut().enumerate() {
            if cuts & (1 << index) != 0 {
                volume.add(bytes);
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
            volume.add(1_000 - WIRE_OVERHEAD);
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
            volume.add(if window % 20 == 0 { 60_000 } else { 1_000 } - WIRE_OVERHEAD);
            volume.close_window();
            // 3,950 bytes in each 200 ms, and the page alone is 60 KB in 1.6 s.
            let usual = volume.usual_bits(200);
            assert!((30_000.0..310_000.0).contains(&usual), "{window}: {usual}");
            assert!(window % 20 >= WINDOWS || window < WINDOWS || volume.bits(200) > 300_000.0);
        }
    }
}
