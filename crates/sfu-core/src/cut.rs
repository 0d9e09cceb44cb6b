//! How much of a layered stream goes on to a subscriber: its spatial and temporal layers up to a bound.
//!
//! A *level* is what a subscriber sees as quality: a simulcast stream, or, where a track is one stream, a spatial layer in
//! it. A *step* is a level with a bound of its temporal layers; the allocator climbs steps. A *cut* is what a step means
//! within the stream that carries it.

use crate::config::MAX_LAYERS;

/// The bound that takes everything. Browsers make three layers of each kind, so that this is above all that is told apart.
pub(crate) const ALL: u8 = 3;
/// Cuts of a stream.
pub(crate) const CUTS: usize = 16;
/// Steps of a track.
pub(crate) const STEPS: usize = MAX_LAYERS * 4;

/// Bounds of spatial and temporal layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    spatial: u8,
    temporal: u8,
}

impl Cut {
    pub(crate) const WHOLE: Self = Self { spatial: ALL, temporal: ALL };

    pub(crate) fn new(spatial: u8, temporal: u8) -> Self {
        Self { spatial: spatial.min(ALL), temporal: temporal.min(ALL) }
    }

    pub(crate) const fn spatial(self) -> u8 {
        self.spatial
    }

    pub(crate) const fn temporal(self) -> u8 {
        self.temporal
    }

    /// Below `CUTS`.
    pub(crate) const fn index(self) -> usize {
        (self.spatial * 4 + self.temporal) as usize
    }

    /// Its place in a set of cuts.
    pub(crate) const fn bit(self) -> u16 {
        1 << self.index()
    }

    /// The lower bound of each.
    pub(crate) fn min(self, other: Self) -> Self {
        Self { spatial: self.spatial.min(other.spatial), temporal: self.temporal.min(other.temporal) }
    }

    /// All cuts.
    pub(crate) fn every() -> impl Iterator<Item = Self> {
        (0..=ALL).flat_map(|spatial| (0..=ALL).map(move |temporal| Self { spatial, temporal }))
    }

    /// The set of cuts of which something holds.
    pub(crate) fn set(holds: impl Fn(Self) -> bool) -> u16 {
        Self::every().filter(|cut| holds(*cut)).fold(0, |set, cut| set | cut.bit())
    }
}

/// The step of a level and a bound of temporal layers. Steps are in order of quality.
pub(crate) fn step(level: u8, temporal: u8) -> u8 {
    level.min(MAX_LAYERS as u8 - 1) * 4 + temporal.min(ALL)
}

/// The level of a step; that of `u8::MAX` is above all levels.
pub(crate) const fn level_of(step: u8) -> u8 {
    step >> 2
}

/// The bound of temporal layers of a step.
pub(crate) const fn temporal_of(step: u8) -> u8 {
    step & ALL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_cuts_have_their_places() {
        for level in 0..MAX_LAYERS as u8 {
            for temporal in 0..=ALL {
                let step = step(level, temporal);
                assert!(usize::from(step) < STEPS);
                assert_eq!((level_of(step), temporal_of(step)), (level, temporal));
            }
        }
        assert_eq!((level_of(u8::MAX) as usize >= MAX_LAYERS, temporal_of(u8::MAX)), (true, ALL));
        let places: Vec<usize> = Cut::every().map(Cut::index).collect();
        assert_eq!(places, (0..CUTS).collect::<Vec<_>>());
        assert_eq!(Cut::set(|_| true), u16::MAX);
        assert_eq!(Cut::new(2, 0).min(Cut::new(1, 3)), Cut::new(1, 0));
    }
}
