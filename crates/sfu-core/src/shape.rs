//! Which layers a stream has within it, as its packets tell: spatial and temporal layers, and what its dependency
//! descriptors refer to.

use convene_rtp::dd::{Descriptor, MAX_DECODE_TARGETS, Structure};

use crate::cut::{ALL, CUTS, Cut};
use crate::part::Part;

/// Pictures without a frame of a spatial layer after which the publisher counts as having given it up: a quarter of a
/// second at 30 frames. Encoders leave out single frames of a layer when they are short of bits.
const MAX_MISSED: u8 = 8;
/// In `targets`: no decode target is that cut.
const NO_TARGET: u8 = u8::MAX;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Of the last keyframe with a dependency descriptor, and that packet's number.
    structure: Option<Box<Structure>>,
    structure_seq: u64,
    /// By cut: its decode target.
    targets: [u8; CUTS],
    /// By spatial layer: pictures since its last frame; `None`: there was none.
    missed: [Option<u8>; ALL as usize + 1],
    temporal_layers: u8,
    live: u8,
    cuts: u16,
}

impl Shape {
    pub(crate) fn new() -> Self {
        let mut shape = Self {
            structure: None,
            structure_seq: 0,
            targets: [NO_TARGET; CUTS],
            missed: [None; ALL as usize + 1],
            temporal_layers: 1,
            live: 1,
            cuts: 0,
        };
        shape.update_cuts();
        shape
    }

    /// One bit per spatial layer that is sent.
    pub(crate) const fn live(&self) -> u8 {
        self.live
    }

    /// Temporal layers.
    pub(crate) const fn temporal_layers(&self) -> u8 {
        self.temporal_layers
    }

    /// The cuts that differ.
    pub(crate) const fn cuts(&self) -> u16 {
        self.cuts
    }

    /// What a packet with a dependency descriptor is. `None`: it cannot be read, or the structure it refers to is not here.
    pub(crate) fn read(&mut self, seq: u64, value: &[u8]) -> Option<(Part, bool)> {
        let (descriptor, attached) = Descriptor::parse(value, self.structure.as_deref()).ok()?;
        if let Some(structure) = attached.filter(|_| self.structure.is_none() || seq >= self.structure_seq) {
            self.targets = targets(&structure);
            self.structure_seq = seq;
            match &mut self.structure {
                Some(known) => **known = structure,
                None => self.structure = Some(Box::new(structure)),
            }
        }
        let announced = if descriptor.keyframe { self.announced(&descriptor) } else { 0 };
        let begins = descriptor.keyframe && descriptor.mandatory.start_of_frame;
        Some((Part::of_dd(&descriptor, &self.targets, announced), begins))
    }

    /// Spatial layers of the decode targets that are sent.
    fn announced(&self, descriptor: &Descriptor) -> u8 {
        let Some(structure) = &self.structure else { return 0 };
        let active = descriptor.active_decode_targets.unwrap_or_else(|| structure.all_decode_targets());
        let targets = (0..structure.decode_targets()).filter(|target| active & (1 << (target & 31)) != 0);
        targets.filter_map(|target| structure.target_layer(target)).map(|(sid, _)| sid + 1).max().unwrap_or(0)
    }

    /// Takes note of a packet. `true`: another set of spatial layers is sent from here on.
    pub(crate) fn note(&mut self, part: &Part, keyframe: bool) -> bool {
        if keyframe && part.announced > 0 {
            // So that a subscriber can go over to an upper layer at the very keyframe that brings it.
            let layers = self.missed.iter_mut().enumerate();
            layers.for_each(|(spatial, missed)| *missed = (spatial < usize::from(part.announced)).then_some(0));
        }
        if part.begins_picture() {
            self.missed.iter_mut().flatten().for_each(|missed| *missed = missed.saturating_add(1));
        }
        if let Some(missed) = self.missed.get_mut(usize::from(part.spatial)) {
            *missed = Some(0);
        }
        let temporal = part.temporal.saturating_add(1);
        let live =
            self.missed.iter().enumerate().filter(|(_, missed)| missed.is_some_and(|missed| missed <= MAX_MISSED));
        let live = live.fold(0, |bits, (spatial, _)| bits | 1_u8 << spatial);
        if live == self.live && temporal <= self.temporal_layers {
            return false;
        }
        self.temporal_layers = self.temporal_layers.max(temporal);
        let changed = std::mem::replace(&mut self.live, live) != live;
        self.update_cuts();
        changed
    }

    fn update_cuts(&mut self) {
        let (live, temporal_layers) = (self.live, self.temporal_layers);
        self.cuts = Cut::set(|cut| {
            let spatial = cut.spatial() == ALL || live & (1 << cut.spatial()) != 0;
            spatial && (cut.temporal() == ALL || cut.temporal() + 1 < temporal_layers)
        });
    }
}

/// For each cut the decode target with the most layers among those within it.
fn targets(structure: &Structure) -> [u8; CUTS] {
    let mut targets = [NO_TARGET; CUTS];
    for cut in Cut::every() {
        let within = |bound: u8, layer: u8| bound == ALL || layer <= bound;
        let best = (0..MAX_DECODE_TARGETS as u8)
            .filter_map(|target| Some((structure.target_layer(target)?, target)))
            .filter(|((sid, tid), _)| within(cut.spatial(), *sid) && within(cut.temporal(), *tid))
            .max();
        if let (Some((_, target)), Some(slot)) = (best, targets.get_mut(cut.index())) {
            *slot = target;
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spatial_layer_that_stays_away_is_gone() {
        let frame = |spatial| Part { spatial, start: true, ..Part::WHOLE };
        let mut shape = Shape::new();
        assert!(!shape.note(&frame(0), true));
        assert!(shape.note(&frame(1), false));
        assert_eq!(shape.live(), 0b11);
        let gone = (1..20).find(|_| shape.note(&frame(0), false));
        assert_eq!((gone, shape.live()), (Some(i32::from(MAX_MISSED) + 1), 0b01));
        assert!(shape.note(&frame(1), false));
        assert!(shape.note(&Part { announced: 3, ..frame(0) }, true), "told before its first frame");
        assert_eq!(shape.live(), 0b111);
        assert!(shape.note(&Part { announced: 1, ..frame(0) }, true));
        assert_eq!(shape.live(), 0b001);
    }

    #[test]
    fn cuts_are_those_that_differ() {
        let mut shape = Shape::new();
        assert_eq!(shape.cuts(), Cut::new(0, 3).bit() | Cut::WHOLE.bit());
        shape.note(&Part { temporal: 2, ..Part::WHOLE }, false);
        let of_one = |spatial| [0, 1, 3].map(|temporal| Cut::new(spatial, temporal).bit()).iter().sum::<u16>();
        assert_eq!((shape.cuts(), shape.temporal_layers()), (of_one(0) | of_one(3), 3));
    }
}
