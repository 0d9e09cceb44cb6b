//! WebM with one Opus track, as browsers record it, turned into Ogg Opus. The packets stay what they are.
//!
//! It is not a Matroska reader: it walks over the elements in file order and looks into the few that lead to Opus
//! packets. A recorder does not know the length of what it still writes, and is often stopped in the middle of it:
//! unknown sizes and a file that is cut off at its end are normal here. matroska-demuxer refuses cut-off files, at
//! times before the first packet, which is why this is here.
//!
//! Timestamps are not used: pauses are not sound, and Ogg Opus counts samples.

use crate::head::{HEAD_MAGIC, Head};
use crate::toc::{self, MAX_PACKET_SAMPLES};
use crate::write::Writer;
use crate::{Limits, SAMPLE_RATE, VoiceError};

/// The EBML header's id, the first bytes of each file (RFC 8794 §11.2.1).
pub(crate) const EBML_MAGIC: &[u8; 4] = &[0x1a, 0x45, 0xdf, 0xa3];

/// Element ids, length marker included (RFC 9559 §5.1).
mod id {
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const TRACKS: u32 = 0x1654_ae6b;
    pub(super) const TRACK_ENTRY: u32 = 0xae;
    pub(super) const TRACK_NUMBER: u32 = 0xd7;
    pub(super) const CODEC_ID: u32 = 0x86;
    pub(super) const CODEC_PRIVATE: u32 = 0x63a2;
    pub(super) const CONTENT_ENCODINGS: u32 = 0x6d80;
    pub(super) const CLUSTER: u32 = 0x1f43_b675;
    pub(super) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(super) const BLOCK_GROUP: u32 = 0xa0;
    pub(super) const BLOCK: u32 = 0xa1;
    pub(super) const DISCARD_PADDING: u32 = 0x75a2;
}
/// RFC 9559 §10.1: both lacing bits of a block's flags.
const LACING: u8 = 0x06;

/// An Ogg Opus file with the packets of `file`.
///
/// # Errors
/// `NotOpus` for other codecs and for more than one track; `TooLong` as soon as that is known.
pub(crate) fn remux(file: &[u8], limits: &Limits) -> Result<Vec<u8>, VoiceError> {
    let mut remux = Remux { track: None, writer: None, samples: 0, discard: 0 };
    let mut rest = file;
    while let Some(element) = next(&mut rest)? {
        match element.id {
            // What is inside comes next, whether its size is known or not.
            id::SEGMENT | id::TRACKS | id::CLUSTER | id::BLOCK_GROUP => rest = element.body_and_behind,
            id::TRACK_ENTRY => remux.track_entry(element.body()?)?,
            id::SIMPLE_BLOCK | id::BLOCK => {
                // A block that is cut off is where the recorder was stopped.
                let Some(body) = element.whole() else { break };
                remux.block(body, limits)?;
            }
            id::DISCARD_PADDING => remux.discard = nanoseconds(element.body()?),
            _ => {}
        }
    }
    remux.finish()
}

struct Remux<'a> {
    track: Option<Track<'a>>,
    writer: Option<Writer<'a>>,
    /// All that the packets so far decode to.
    samples: u64,
    /// What the newest block wants dropped at its end, in ns.
    discard: u64,
}

impl<'a> Remux<'a> {
    fn track_entry(&mut self, body: &'a [u8]) -> Result<(), VoiceError> {
        let track = Track::parse(body)?;
        if self.track.is_some() {
            return Err(VoiceError::NotOpus);
        }
        self.writer = Some(Writer::new(track.head)?);
        self.track = Some(track);
        Ok(())
    }

    fn block(&mut self, body: &'a [u8], limits: &Limits) -> Result<(), VoiceError> {
        let (Some(track), Some(writer)) = (&self.track, &mut self.writer) else {
            return Err(VoiceError::Damaged("a block before the track"));
        };
        let mut rest = body;
        let number = size(&mut rest).ok_or(VoiceError::Damaged("a block"))?;
        let ([_, _, flags], packet) = rest.split_first_chunk::<3>().ok_or(VoiceError::Damaged("a block"))?;
        if number != Size::Known(track.number) {
            return Err(VoiceError::Damaged("a block of no track"));
        }
        if flags & LACING != 0 {
            return Err(VoiceError::Damaged("laced blocks are not read"));
        }
        let samples = toc::samples(packet).ok_or(VoiceError::Damaged("an Opus packet"))?;
        // Untrimmed: the exact length is surveyed later, this keeps the work within bounds.
        if self.samples > limits.max_samples().saturating_add(u64::from(u16::MAX)) {
            return Err(VoiceError::TooLong { limit_ms: limits.max_duration_ms });
        }
        writer.push(packet, samples)?;
        self.samples = self.samples.saturating_add(samples);
        self.discard = 0;
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, VoiceError> {
        let writer = self.writer.ok_or(VoiceError::NotOpus)?;
        // DiscardPadding is in ns of 48 kHz samples, rounded.
        let scaled = u128::from(self.discard).saturating_mul(u128::from(SAMPLE_RATE)).saturating_add(500_000_000);
        let trim = u64::try_from(scaled / 1_000_000_000).unwrap_or(u64::MAX);
        if trim > MAX_PACKET_SAMPLES {
            return Err(VoiceError::Damaged("DiscardPadding"));
        }
        writer.finish(trim)
    }
}

struct Track<'a> {
    number: u64,
    /// An OpusHead packet that was read once.
    head: &'a [u8],
}

impl<'a> Track<'a> {
    fn parse(mut body: &'a [u8]) -> Result<Track<'a>, VoiceError> {
        let (mut number, mut codec, mut private) = (1, None, None);
        while let Some(child) = next(&mut body)? {
            match child.id {
                id::TRACK_NUMBER => number = unsigned(child.body()?),
                id::CODEC_ID => codec = Some(child.body()?),
                id::CODEC_PRIVATE => private = Some(child.body()?),
                id::CONTENT_ENCODINGS => return Err(VoiceError::Damaged("compressed or encrypted blocks")),
                _ => {}
            }
        }
        // RFC 8794 §7.4: strings may be padded with zeros.
        if codec.map(|codec| codec.trim_ascii_end()).map(trim_zeros) != Some(b"A_OPUS") {
            return Err(VoiceError::NotOpus);
        }
        let head = private.filter(|head| head.starts_with(HEAD_MAGIC)).ok_or(VoiceError::Damaged("no OpusHead"))?;
        Head::parse(head)?;
        Ok(Track { number, head })
    }
}

fn trim_zeros(text: &[u8]) -> &[u8] {
    let zeros = text.iter().rev().take_while(|byte| **byte == 0).count();
    text.get(..text.len().saturating_sub(zeros)).unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Known(u64),
    Unknown,
}

struct Element<'a> {
    id: u32,
    size: Size,
    /// From the first byte of its body to the end of the file, or of its parent.
    body_and_behind: &'a [u8],
}

impl<'a> Element<'a> {
    /// `None`: the size is unknown, or the file ends before the element does.
    fn whole(&self) -> Option<&'a [u8]> {
        let Size::Known(size) = self.size else { return None };
        self.body_and_behind.get(..usize::try_from(size).ok()?)
    }

    fn body(&self) -> Result<&'a [u8], VoiceError> {
        self.whole().ok_or(VoiceError::Damaged("an element is cut off"))
    }
}

/// The element at the beginning of `rest`, which is moved behind it. `None` at the end, even if it comes early.
fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<Element<'a>>, VoiceError> {
    let Some(first) = rest.first() else { return Ok(None) };
    let len = vint_len(*first).filter(|len| *len <= 4).ok_or(VoiceError::Damaged("an element id"))?;
    let Some((bytes, mut behind)) = rest.split_at_checked(len) else { return Ok(None) };
    let id = bytes.iter().fold(0_u32, |id, byte| id << 8 | u32::from(*byte));
    let Some(size) = size(&mut behind) else { return Ok(None) };
    *rest = match size {
        Size::Known(size) => usize::try_from(size).ok().and_then(|size| behind.get(size..)).unwrap_or_default(),
        Size::Unknown if matches!(id, id::SEGMENT | id::CLUSTER) => behind,
        Size::Unknown => return Err(VoiceError::Damaged("an element of unknown size")),
    };
    Ok(Some(Element { id, size, body_and_behind: behind }))
}

/// A variable-size integer's length by its first byte (RFC 8794 §4). `None`: longer than 8.
fn vint_len(first: u8) -> Option<usize> {
    usize::try_from(first.leading_zeros()).ok()?.checked_add(1).filter(|len| *len <= 8)
}

/// A data size or track number, without its length marker. `None`: malformed or cut off.
fn size(rest: &mut &[u8]) -> Option<Size> {
    let len = vint_len(*rest.first()?)?;
    let (bytes, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    let value_bits = u32::try_from(len).ok()?.checked_mul(7)?;
    let mask = 1_u64.checked_shl(value_bits)?.checked_sub(1)?;
    let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)) & mask;
    // RFC 8794 §6.2: all ones.
    Some(if value == mask { Size::Unknown } else { Size::Known(value) })
}

/// RFC 8794 §7.2. Of more than 8 bytes, the last ones.
fn unsigned(body: &[u8]) -> u64 {
    body.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// A signed count of ns that is not negative; 0 for one that is: padding at the beginning is pre-skip's affair.
fn nanoseconds(body: &[u8]) -> u64 {
    if body.first().is_some_and(|first| first & 0x80 != 0) { 0 } else { unsigned(body) }
}
