//! The dependency descriptor header extension: AOM "RTP Payload Format For AV1" appendix A.
//!
//! Which frame a packet belongs to, on which layer that frame is, and which decode targets need it. A keyframe carries
//! the template structure; later descriptors only point into it, so a reader keeps the last structure of the stream.
//! Frame and chain differences are skipped, not kept: nothing here follows references.

mod bits;
mod structure;

use crate::ParseError;
use crate::read::Reader;
use bits::BitReader;

pub use structure::{MAX_DECODE_TARGETS, MAX_SPATIAL_LAYERS, MAX_TEMPLATES, MAX_TEMPORAL_LAYERS, Structure};

/// Bytes of the mandatory fields, §A.8.2.
const MANDATORY_LEN: usize = 3;

/// The fields that every descriptor has, §A.8.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandatory {
    /// First packet of a frame.
    pub start_of_frame: bool,
    /// Last packet of a frame.
    pub end_of_frame: bool,
    /// Which template the frame follows, 0..=63.
    pub template_id: u8,
    /// Grows by one per frame over all layers of the stream, wraps.
    pub frame_number: u16,
}

/// A descriptor read against its template structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The fields that need no structure.
    pub mandatory: Mandatory,
    /// Spatial layer.
    pub sid: u8,
    /// Temporal layer.
    pub tid: u8,
    /// What the frame is to each decode target, see [`Descriptor::dti`].
    dtis: u64,
    /// Decode targets that the sender makes from here on, one bit each; `None`: as before.
    pub active_decode_targets: Option<u32>,
    /// Largest width and height of the frame's spatial layer, if the structure tells.
    pub resolution: Option<(u32, u32)>,
    /// The descriptor carried a structure: the frame is a keyframe.
    pub keyframe: bool,
}

/// What a frame is to a decode target, §A.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dti {
    /// The target does not have the frame.
    NotPresent,
    /// Nothing else of the target depends on it.
    Discardable,
    /// The target can be switched to here.
    Switch,
    /// The target needs it.
    Required,
}

impl Mandatory {
    /// Reads the first three bytes of the extension's value.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(value);
        let head = reader.u8()?;
        Ok(Self {
            start_of_frame: head & 0b1000_0000 != 0,
            end_of_frame: head & 0b0100_0000 != 0,
            template_id: head & 0b0011_1111,
            frame_number: reader.u16()?,
        })
    }
}

impl Descriptor {
    /// Reads the extension's value. `known` is the last structure of the stream; a structure in the value itself takes
    /// its place and is handed back for the caller to keep. Without either the value cannot be read.
    pub fn parse(value: &[u8], known: Option<&Structure>) -> Result<(Self, Option<Structure>), ParseError> {
        let mandatory = Mandatory::parse(value)?;
        let mut bits = BitReader::new(value.get(MANDATORY_LEN..).unwrap_or_default());
        let flags = if value.len() > MANDATORY_LEN { Flags::read(&mut bits)? } else { Flags::default() };
        let attached = if flags.structure { Some(Structure::read(&mut bits)?) } else { None };
        let structure = attached.as_ref().or(known).ok_or(ParseError::Malformed)?;
        let targets = structure.decode_targets();
        let active_decode_targets = match (flags.active_decode_targets, &attached) {
            (true, _) => Some(bits.read(u32::from(targets))?),
            (false, Some(structure)) => Some(structure.all_decode_targets()),
            (false, None) => None,
        };
        let template = structure.template(mandatory.template_id).ok_or(ParseError::Malformed)?;
        let dtis = if flags.custom_dtis { structure::read_dtis(&mut bits, targets)? } else { template.dtis };
        if flags.custom_fdiffs {
            skip_fdiffs(&mut bits)?;
        }
        if flags.custom_chains {
            bits.skip(u32::from(structure.chains()).saturating_mul(8))?;
        }
        let descriptor = Self {
            mandatory,
            sid: template.sid,
            tid: template.tid,
            dtis,
            active_decode_targets,
            resolution: structure.resolution(template.sid),
            keyframe: attached.is_some(),
        };
        Ok((descriptor, attached))
    }

    /// What the frame is to a decode target; not present beyond the structure's targets.
    #[must_use]
    pub fn dti(&self, target: u8) -> Dti {
        match self.dtis.checked_shr(u32::from(target).saturating_mul(2)).unwrap_or(0) & 0b11 {
            0 => Dti::NotPresent,
            1 => Dti::Discardable,
            2 => Dti::Switch,
            _ => Dti::Required,
        }
    }
}

/// §A.8.2 `extended_descriptor_fields`: which parts follow.
#[derive(Clone, Copy, Default)]
struct Flags {
    structure: bool,
    active_decode_targets: bool,
    custom_dtis: bool,
    custom_fdiffs: bool,
    custom_chains: bool,
}

impl Flags {
    fn read(bits: &mut BitReader<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            structure: bits.flag()?,
            active_decode_targets: bits.flag()?,
            custom_dtis: bits.flag()?,
            custom_fdiffs: bits.flag()?,
            custom_chains: bits.flag()?,
        })
    }
}

/// §A.8.2 `frame_fdiffs`: differences of 4, 8 or 12 bits until a size of 0.
fn skip_fdiffs(bits: &mut BitReader<'_>) -> Result<(), ParseError> {
    loop {
        match bits.read(2)? {
            0 => return Ok(()),
            size => bits.skip(size.saturating_mul(4))?,
        }
    }
}

#[cfg(test)]
mod tests;
