//! The template structure that comes with keyframes, §A.8.3.

use super::bits::BitReader;
use crate::ParseError;

/// Six bits name a template.
pub const MAX_TEMPLATES: usize = 64;
/// Five bits count decode targets, less one.
pub const MAX_DECODE_TARGETS: usize = 32;
/// AV1 has two bits for the spatial layer; VP9 in browsers makes three layers.
pub const MAX_SPATIAL_LAYERS: usize = 4;
/// AV1 has three bits for the temporal layer.
pub const MAX_TEMPORAL_LAYERS: usize = 8;

/// `next_layer_idc`, §A.8.3 `template_layers`.
const SAME_LAYER: u32 = 0;
const NEXT_TEMPORAL: u32 = 1;
const NEXT_SPATIAL: u32 = 2;

/// What frames that follow one template have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) sid: u8,
    pub(super) tid: u8,
    /// Two bits per decode target, target 0 lowest.
    pub(super) dtis: u64,
}

/// Templates, decode targets and sizes of one stream, about 1 KiB; it holds until the next keyframe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    template_id_offset: u8,
    template_count: u8,
    templates: [Template; MAX_TEMPLATES],
    decode_targets: u8,
    chains: u8,
    /// Width and height, less one, by spatial layer.
    resolutions: Option<[(u16, u16); MAX_SPATIAL_LAYERS]>,
}

impl Structure {
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self, ParseError> {
        let mut structure = Self {
            template_id_offset: byte(bits.read(6)?),
            template_count: 0,
            templates: [Template::default(); MAX_TEMPLATES],
            decode_targets: byte(bits.read(5)?).saturating_add(1),
            chains: 0,
            resolutions: None,
        };
        structure.read_layers(bits)?;
        let targets = structure.decode_targets;
        for template in structure.known_mut() {
            template.dtis = read_dtis(bits, targets)?;
        }
        for _ in 0..structure.template_count {
            // `template_fdiffs`: a flag before each difference of four bits.
            while bits.flag()? {
                bits.skip(4)?;
            }
        }
        structure.read_chains(bits)?;
        if bits.flag()? {
            structure.read_resolutions(bits)?;
        }
        Ok(structure)
    }

    /// Decode targets, 1..=32.
    #[must_use]
    pub const fn decode_targets(&self) -> u8 {
        self.decode_targets
    }

    /// One bit per decode target, all set.
    #[must_use]
    pub fn all_decode_targets(&self) -> u32 {
        u32::MAX.checked_shr(u32::BITS.saturating_sub(u32::from(self.decode_targets))).unwrap_or(0)
    }

    /// Chains, 0..=decode targets.
    #[must_use]
    pub const fn chains(&self) -> u8 {
        self.chains
    }

    /// Highest spatial and temporal layer of any template.
    #[must_use]
    pub fn max_layer(&self) -> (u8, u8) {
        let known = self.templates.iter().take(usize::from(self.template_count));
        known.fold((0, 0), |(sid, tid), template| (sid.max(template.sid), tid.max(template.tid)))
    }

    /// Highest spatial and temporal layer of the frames that a decode target has. `None`: it has none.
    #[must_use]
    pub fn target_layer(&self, target: u8) -> Option<(u8, u8)> {
        let shift = u32::from(target).saturating_mul(2);
        let has = |template: &&Template| template.dtis.checked_shr(shift).unwrap_or(0) & 0b11 != 0;
        let known = self.templates.iter().take(usize::from(self.template_count)).filter(has);
        known
            .map(|template| (template.sid, template.tid))
            .reduce(|(sid, tid), layer| (sid.max(layer.0), tid.max(layer.1)))
    }

    /// Largest width and height of a spatial layer.
    #[must_use]
    pub fn resolution(&self, sid: u8) -> Option<(u32, u32)> {
        let (width, height) = *self.resolutions?.get(usize::from(sid))?;
        (sid <= self.max_layer().0).then(|| (u32::from(width).saturating_add(1), u32::from(height).saturating_add(1)))
    }

    /// The template of an id: ids count from the offset and wrap at 64.
    pub(super) fn template(&self, template_id: u8) -> Option<Template> {
        let index = template_id.wrapping_sub(self.template_id_offset) & 0b0011_1111;
        self.templates.get(..usize::from(self.template_count))?.get(usize::from(index)).copied()
    }

    fn known_mut(&mut self) -> impl Iterator<Item = &mut Template> {
        self.templates.iter_mut().take(usize::from(self.template_count))
    }

    /// `template_layers`: templates are sorted by spatial, then temporal layer.
    fn read_layers(&mut self, bits: &mut BitReader<'_>) -> Result<(), ParseError> {
        let mut layer = Template::default();
        for template in &mut self.templates {
            *template = layer;
            self.template_count = self.template_count.saturating_add(1);
            match bits.read(2)? {
                SAME_LAYER => {}
                NEXT_TEMPORAL => layer.tid = layer.tid.saturating_add(1),
                NEXT_SPATIAL => layer = Template { sid: layer.sid.saturating_add(1), ..Template::default() },
                _ => return Ok(()),
            }
            if usize::from(layer.sid) >= MAX_SPATIAL_LAYERS || usize::from(layer.tid) >= MAX_TEMPORAL_LAYERS {
                return Err(ParseError::Malformed);
            }
        }
        Err(ParseError::Malformed) // more templates than ids
    }

    /// `template_chains`.
    fn read_chains(&mut self, bits: &mut BitReader<'_>) -> Result<(), ParseError> {
        let targets = u32::from(self.decode_targets);
        let chains = bits.below(targets.saturating_add(1))?;
        self.chains = byte(chains);
        if chains == 0 {
            return Ok(());
        }
        for _ in 0..targets {
            bits.below(chains)?;
        }
        bits.skip(u32::from(self.template_count).saturating_mul(chains).saturating_mul(4))
    }

    /// `render_resolutions`.
    fn read_resolutions(&mut self, bits: &mut BitReader<'_>) -> Result<(), ParseError> {
        let layers = usize::from(self.max_layer().0).saturating_add(1);
        let mut resolutions = [(0, 0); MAX_SPATIAL_LAYERS];
        for size in resolutions.iter_mut().take(layers) {
            *size = (short(bits.read(16)?), short(bits.read(16)?));
        }
        self.resolutions = Some(resolutions);
        Ok(())
    }
}

/// Two bits for each decode target.
pub(super) fn read_dtis(bits: &mut BitReader<'_>, targets: u8) -> Result<u64, ParseError> {
    (0..u32::from(targets)).try_fold(0_u64, |dtis, target| {
        let dti = u64::from(bits.read(2)?);
        Ok(dtis | dti.checked_shl(target.saturating_mul(2)).unwrap_or(0))
    })
}

/// A value that was read with at most eight bits.
const fn byte(value: u32) -> u8 {
    (value & 0xff) as u8
}

/// A value that was read with sixteen bits.
const fn short(value: u32) -> u16 {
    (value & 0xffff) as u16
}
