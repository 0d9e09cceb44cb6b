//! What a packet is within a layered stream: which cuts of the stream have it, and where one may go over to another.
//!
//! Read from the dependency descriptor where the publisher sends one, else from the payload descriptor of VP8 or VP9. A
//! packet that tells nothing belongs to every cut.

use convene_rtp::dd::{self, Dti};
use convene_rtp::{vp8, vp9};

use crate::cut::{ALL, CUTS, Cut};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    /// The cuts that have its frame.
    pub(crate) present: u16,
    /// The cuts to which one may go over at its frame, coming from a cut that has the frame.
    pub(crate) switch: u16,
    /// Its frame depends on the lowest temporal layer alone.
    pub(crate) sync: bool,
    /// First and last packet of a frame of its spatial layer.
    pub(crate) start: bool,
    pub(crate) end: bool,
    /// Spatial layers from this keyframe on, where the stream says so; 0: it does not.
    pub(crate) announced: u8,
}

impl Part {
    /// A packet of a stream without layers.
    pub(crate) const WHOLE: Self = Self {
        spatial: 0,
        temporal: 0,
        present: u16::MAX,
        switch: 0,
        sync: false,
        start: false,
        end: false,
        announced: 0,
    };

    /// Whether a cut has its frame.
    pub(crate) const fn is_in(&self, cut: Cut) -> bool {
        self.present & cut.bit() != 0
    }

    /// Whether one may go over to a cut here, coming from one that has the frame.
    pub(crate) const fn leads_to(&self, cut: Cut) -> bool {
        self.switch & cut.bit() != 0
    }

    /// Whether it begins a picture.
    pub(crate) const fn begins_picture(&self) -> bool {
        self.start && self.spatial == 0
    }

    /// RFC 7741 §4.2.
    pub(crate) fn of_vp8(descriptor: &vp8::Descriptor) -> Self {
        let start = descriptor.start_of_partition;
        let Some(tid) = descriptor.tid else { return Self { start, ..Self::WHOLE } };
        Self {
            temporal: tid,
            present: Cut::set(|cut| has_temporal(cut, tid)),
            // Y says that a frame depends on layer 0 alone; where such a frame is, its own layer may begin.
            sync: descriptor.layer_sync && tid > 0,
            start,
            ..Self::WHOLE
        }
    }

    /// RFC 9628 §4.2. Z: no frame of a higher spatial layer refers to this one. U: frames of higher temporal layers that
    /// follow refer to nothing above this one's layer that came before it.
    pub(crate) fn of_vp9(descriptor: &vp9::Descriptor) -> Self {
        let (start, end) = (descriptor.start_of_frame, descriptor.end_of_frame);
        let announced = descriptor.spatial_layers.unwrap_or(0);
        let (Some(sid), Some(tid)) = (descriptor.sid, descriptor.tid) else {
            return Self { start, end, announced, ..Self::WHOLE };
        };
        let has_spatial = |cut: Cut| {
            cut.spatial() == ALL || sid == cut.spatial() || (sid < cut.spatial() && !descriptor.not_for_upper)
        };
        let switch = if descriptor.switching_up { Cut::set(|cut| has_temporal(cut, tid)) } else { 0 };
        Self {
            spatial: sid.min(ALL),
            temporal: tid,
            present: Cut::set(|cut| has_spatial(cut) && has_temporal(cut, tid)),
            switch,
            sync: false,
            start,
            end,
            announced,
        }
    }

    /// AOM RTP payload format for AV1, §A.4. `targets`: the decode target that is each cut; 255: there is none.
    pub(crate) fn of_dd(descriptor: &dd::Descriptor, targets: &[u8; CUTS], announced: u8) -> Self {
        let dti = |cut: Cut| targets.get(cut.index()).map_or(Dti::NotPresent, |target| descriptor.dti(*target));
        Self {
            spatial: descriptor.sid.min(ALL),
            temporal: descriptor.tid,
            present: Cut::set(|cut| cut == Cut::WHOLE || dti(cut) != Dti::NotPresent),
            switch: Cut::set(|cut| dti(cut) == Dti::Switch),
            sync: false,
            start: descriptor.mandatory.start_of_frame,
            end: descriptor.mandatory.end_of_frame,
            announced,
        }
    }
}

const fn has_temporal(cut: Cut, tid: u8) -> bool {
    cut.temporal() == ALL || tid <= cut.temporal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp8_by_temporal_layer() {
        let of = |payload: &[u8]| Part::of_vp8(&vp8::Descriptor::parse(payload).unwrap());
        assert_eq!(of(&[0x10, 1]), Part { start: true, ..Part::WHOLE });
        let sync = of(&[0x90, 0x20, 0b0110_0000, 1]);
        assert_eq!((sync.temporal, sync.sync, sync.start), (1, true, true));
        for (temporal, present) in [(0, false), (1, true), (2, true), (3, true)] {
            assert_eq!(sync.is_in(Cut::new(0, temporal)), present, "{temporal}");
            assert_eq!(sync.is_in(Cut::new(3, temporal)), present, "{temporal}");
        }
    }

    #[test]
    fn vp9_by_both() {
        // I=0 P=1 L=1 F=0 B=1 E=1 V=0 Z; TID, U, SID, D; TL0PICIDX.
        let of = |z: u8, tid: u8, u: u8, sid: u8| {
            let payload = [0b0110_1100 | z, tid << 5 | u << 4 | sid << 1, 9, 1];
            Part::of_vp9(&vp9::Descriptor::parse(&payload).unwrap())
        };
        // (frame, cut, whether the cut has it, whether it leads there)
        let rows = [
            ((0, 0, 1, 0), (0, 0), true, true),
            ((0, 0, 1, 0), (2, 3), true, true),
            ((1, 0, 1, 0), (2, 3), false, true), // nothing above refers to it
            ((1, 0, 0, 0), (0, 0), true, false),
            ((1, 0, 0, 0), (3, 0), true, false), // the whole stream has it
            ((1, 1, 1, 1), (1, 0), false, false),
            ((1, 1, 1, 1), (1, 1), true, true),
            ((1, 2, 0, 2), (1, 3), false, false),
            ((1, 2, 0, 2), (2, 3), true, false),
        ];
        for ((z, tid, u, sid), (spatial, temporal), present, leads) in rows {
            let (part, cut) = (of(z, tid, u, sid), Cut::new(spatial, temporal));
            assert_eq!((part.is_in(cut), part.leads_to(cut)), (present, leads), "{z} {tid} {u} {sid} {cut:?}");
            assert!(part.start && part.end);
        }
    }
}
