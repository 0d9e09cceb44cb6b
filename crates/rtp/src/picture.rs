//! The picture id and TL0PICIDX bytes, which VP8 (RFC 7741 §4.2) and VP9 (RFC 9628 §4.2) code alike.

use std::ops::Range;

use crate::ParseError;
use crate::read::Reader;

/// M bit: the picture id has 15 bits in two bytes.
const LONG_BIT: u8 = 0b1000_0000;

/// Reads a payload's descriptor and notes where its rewritable bytes lie.
pub(crate) struct Cursor<'a> {
    payload: &'a [u8],
    pub(crate) reader: Reader<'a>,
    pub(crate) places: Places,
}

/// Where the rewritable bytes lie; empty if absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    picture_id: Range<usize>,
    tl0picidx: Range<usize>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { payload, reader: Reader::new(payload), places: Places::default() }
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> usize {
        self.payload.len().saturating_sub(self.reader.rest().len())
    }

    /// Reads a picture id; `true`: it has 15 bits.
    pub(crate) fn picture_id(&mut self) -> Result<(u16, bool), ParseError> {
        let start = self.at();
        let head = self.reader.u8()?;
        let (id, long) = match head & LONG_BIT {
            0 => (u16::from(head), false),
            _ => (u16::from_be_bytes([head & !LONG_BIT, self.reader.u8()?]), true),
        };
        self.places.picture_id = start..self.at();
        Ok((id, long))
    }

    /// Reads a TL0PICIDX.
    pub(crate) fn tl0picidx(&mut self) -> Result<u8, ParseError> {
        let start = self.at();
        let index = self.reader.u8()?;
        self.places.tl0picidx = start..self.at();
        Ok(index)
    }
}

impl Places {
    /// Overwrites what is there and asked for. Lengths never change: a short picture id takes the low 7 bits.
    pub(crate) fn patch(self, payload: &mut [u8], picture_id: Option<u16>, tl0picidx: Option<u8>) {
        if let Some(id) = picture_id {
            let [high, low] = id.to_be_bytes();
            match payload.get_mut(self.picture_id) {
                Some([byte]) => *byte = low & !LONG_BIT,
                Some([first, second]) => (*first, *second) = (high | LONG_BIT, low),
                Some(_) | None => {}
            }
        }
        if let (Some(index), Some([byte])) = (tl0picidx, payload.get_mut(self.tl0picidx)) {
            *byte = index;
        }
    }
}
