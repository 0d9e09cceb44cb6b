//! One RTP packet (RFC 3550 §5.1) with its header extensions (RFC 8285).
//!
//! [`View`] reads, the `set_*` functions change fields in place, [`write_header`] makes a header from nothing. Encryption
//! is not here: the bytes are plaintext on both sides.

mod elements;
mod write;

use convene_types::{Pt, SeqNo, Ssrc};

use crate::ParseError;
use crate::read::Reader;
use elements::Elements;

pub use write::{Fields, set_extension, set_marker, set_pt, set_seq, set_ssrc, set_ts, write_header};

/// Bytes of the fixed part of an RTP header, RFC 3550 §5.1.
pub const FIXED_HEADER_LEN: usize = 12;

/// RTP version 2 in the two top bits of the first byte.
const VERSION_2: u8 = 0b1000_0000;
const PADDING_BIT: u8 = 0b0010_0000;
const EXTENSION_BIT: u8 = 0b0001_0000;
const CSRC_COUNT_MASK: u8 = 0b0000_1111;
const MARKER_BIT: u8 = 0b1000_0000;
const PT_MASK: u8 = 0b0111_1111;

/// A parsed RTP packet: offsets into bytes that someone else owns. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    fixed: &'a [u8; FIXED_HEADER_LEN],
    header_len: usize,
    /// Profile word and data of the extension block.
    elements: Elements<'a>,
    payload: &'a [u8],
    padding_len: u8,
}

impl<'a> View<'a> {
    /// Reads the header and checks every length once; the elements of the extension block are checked while iterating.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, tail) = bytes.split_first_chunk::<FIXED_HEADER_LEN>().ok_or(ParseError::Truncated)?;
        let [first, ..] = *fixed;
        if first & 0b1100_0000 != VERSION_2 {
            return Err(ParseError::Version);
        }
        let mut reader = Reader::new(tail);
        reader.take(usize::from(first & CSRC_COUNT_MASK).saturating_mul(4))?;
        let mut elements = Elements::EMPTY;
        if first & EXTENSION_BIT != 0 {
            let profile = reader.u16()?;
            let words = reader.u16()?;
            elements = Elements::new(profile, reader.take(usize::from(words).saturating_mul(4))?);
        }
        let body = reader.rest();
        let padding_len = if first & PADDING_BIT == 0 { 0 } else { padding_len(body)? };
        let payload_len = body.len().checked_sub(usize::from(padding_len)).ok_or(ParseError::Padding)?;
        let payload = body.get(..payload_len).ok_or(ParseError::Padding)?;
        Ok(Self { fixed, header_len: bytes.len().saturating_sub(body.len()), elements, payload, padding_len })
    }

    /// The marker bit: last packet of a frame in video, first of a talk spurt in audio.
    #[must_use]
    pub const fn marker(&self) -> bool {
        let [_, second, ..] = *self.fixed;
        second & MARKER_BIT != 0
    }

    /// Payload type, 0..=127.
    #[must_use]
    pub const fn pt(&self) -> Pt {
        let [_, second, ..] = *self.fixed;
        Pt(second & PT_MASK)
    }

    /// Sequence number.
    #[must_use]
    pub const fn seq(&self) -> SeqNo {
        let [_, _, high, low, ..] = *self.fixed;
        SeqNo(u16::from_be_bytes([high, low]))
    }

    /// Timestamp in units of the codec's clock.
    #[must_use]
    pub const fn ts(&self) -> u32 {
        let [_, _, _, _, a, b, c, d, ..] = *self.fixed;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Synchronisation source.
    #[must_use]
    pub const fn ssrc(&self) -> Ssrc {
        let [.., a, b, c, d] = *self.fixed;
        Ssrc(u32::from_be_bytes([a, b, c, d]))
    }

    /// The payload without its padding; empty for a padding-only packet.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Padding bytes after the payload, counting the count byte itself; 0 without the P bit.
    #[must_use]
    pub fn padding_len(&self) -> usize {
        usize::from(self.padding_len)
    }

    /// Bytes before the payload: fixed header, CSRCs and extension block.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.header_len
    }

    /// The header extensions in wire order: id 1..=255 and value. A broken block ends at its first bad element, an
    /// extension block of an unknown profile has none.
    pub fn extensions(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let data = self.elements.data();
        self.elements.filter_map(move |(id, range)| data.get(range).map(|value| (id, value)))
    }

    /// The first header extension with this id.
    #[must_use]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions().find(|(found, _)| *found == id).map(|(_, value)| value)
    }
}

/// RFC 5761 §4: with RTP and RTCP on one port, an RTCP packet is one whose second byte is 192..=223; RTP payload types
/// 64..=95 with the marker bit would look the same and are therefore not used.
#[must_use]
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 192..=223, ..] if first & 0b1100_0000 == VERSION_2)
}

/// RFC 3550 §5.1: the last byte counts the padding, itself included.
fn padding_len(body: &[u8]) -> Result<u8, ParseError> {
    match body.last() {
        None | Some(0) => Err(ParseError::Padding),
        Some(&count) => Ok(count),
    }
}

#[cfg(test)]
mod tests;
