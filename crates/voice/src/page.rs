//! Ogg pages and the packets in them (RFC 3533 §6), from a file that is in memory whole. Stricter than a player: no
//! page may be missing, damaged, or of a second stream, because what is stored is what was checked.
//!
//! [`crate::survey`] calls this; it knows nothing of Opus.

use std::borrow::Cow;

use crate::VoiceError;

/// Every page begins with it.
pub(crate) const CAPTURE: &[u8; 4] = b"OggS";
const CONTINUED: u8 = 0x01;
const FIRST: u8 = 0x02;
const LAST: u8 = 0x04;
/// The granule position of a page on which no packet ends.
pub(crate) const NO_GRANULE: i64 = -1;

/// A page, and the packets that end on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page<'a> {
    /// Borrowed, but for a packet that began on an earlier page.
    pub(crate) packets: Vec<Cow<'a, [u8]>>,
    /// What the codec counts, at the end of the last of them.
    pub(crate) granule: i64,
    /// The stream ends here.
    pub(crate) last: bool,
    /// No packet goes on behind this page.
    pub(crate) closed: bool,
}

/// Reads a file of one logical stream from its beginning.
#[derive(Clone, Debug)]
pub(crate) struct Pages<'a> {
    rest: &'a [u8],
    serial: Option<u32>,
    next_seq: u32,
    /// The beginning of a packet that goes on.
    partial: Option<Vec<u8>>,
    ended: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(file: &'a [u8]) -> Pages<'a> {
        Pages { rest: file, serial: None, next_seq: 0, partial: None, ended: false }
    }

    /// `None` behind the last page.
    pub(crate) fn next(&mut self) -> Result<Option<Page<'a>>, VoiceError> {
        if self.rest.is_empty() {
            return if self.partial.is_none() { Ok(None) } else { Err(VoiceError::Damaged("a packet is cut off")) };
        }
        let (raw, rest) = Raw::split(self.rest)?;
        self.rest = rest;
        self.check_order(&raw)?;
        let packets = self.packets(raw.lacing, raw.body)?;
        let closed = self.partial.is_none();
        Ok(Some(Page { packets, granule: raw.granule, last: self.ended, closed }))
    }

    fn check_order(&mut self, raw: &Raw<'_>) -> Result<(), VoiceError> {
        let is_first = self.serial.is_none();
        // A first page further on is a chained or a multiplexed file (RFC 3533 §4).
        if (raw.flags & FIRST != 0) != is_first || self.serial.is_some_and(|serial| serial != raw.serial) {
            return Err(VoiceError::Damaged("not exactly one stream"));
        }
        if self.ended {
            return Err(VoiceError::Damaged("pages after the last"));
        }
        if !is_first && raw.seq != self.next_seq {
            return Err(VoiceError::Damaged("a page is missing"));
        }
        if (raw.flags & CONTINUED != 0) != self.partial.is_some() {
            return Err(VoiceError::Damaged("a packet is cut off"));
        }
        self.serial = Some(raw.serial);
        self.next_seq = raw.seq.wrapping_add(1);
        self.ended = raw.flags & LAST != 0;
        Ok(())
    }

    /// RFC 3533 §5: a packet is a run of lacing values of 255 and a smaller one.
    fn packets(&mut self, lacing: &[u8], mut body: &'a [u8]) -> Result<Vec<Cow<'a, [u8]>>, VoiceError> {
        let mut packets = Vec::new();
        for run in lacing.split_inclusive(|value| *value < 255) {
            let (data, tail) = body.split_at_checked(len_of(run)).ok_or(VoiceError::Damaged("a page is cut off"))?;
            body = tail;
            if run.last() == Some(&255) {
                self.partial.get_or_insert_default().extend(data);
            } else if let Some(mut whole) = self.partial.take() {
                whole.extend(data);
                packets.push(Cow::Owned(whole));
            } else {
                packets.push(Cow::Borrowed(data));
            }
        }
        Ok(packets)
    }
}

fn len_of(lacing: &[u8]) -> usize {
    // At most 255 values of 255.
    lacing.iter().map(|value| usize::from(*value)).sum()
}

/// A page as it stands in the file, with its checksum checked.
struct Raw<'a> {
    flags: u8,
    granule: i64,
    serial: u32,
    seq: u32,
    lacing: &'a [u8],
    body: &'a [u8],
}

impl<'a> Raw<'a> {
    fn split(file: &'a [u8]) -> Result<(Raw<'a>, &'a [u8]), VoiceError> {
        if !file.starts_with(CAPTURE) {
            return Err(VoiceError::Damaged("bytes between the pages"));
        }
        let (raw, sum, rest) = Raw::split_unchecked(file).ok_or(VoiceError::Damaged("a page is cut off"))?;
        // RFC 3533 §6: the sum is taken with zeros in its own place.
        let (header, _) = file.split_at_checked(22).ok_or(VoiceError::Damaged("a page is cut off"))?;
        let count = u8::try_from(raw.lacing.len()).unwrap_or(u8::MAX);
        let parts = [header, &[0, 0, 0, 0, count], raw.lacing, raw.body];
        let ours = parts.into_iter().fold(0, checksum);
        if ours != sum {
            return Err(VoiceError::Damaged("a page's checksum"));
        }
        Ok((raw, rest))
    }

    /// The page, the checksum that it bears, and what is behind it.
    fn split_unchecked(file: &'a [u8]) -> Option<(Raw<'a>, u32, &'a [u8])> {
        let (_capture, rest) = file.split_first_chunk::<4>()?;
        let ([version, flags], rest) = rest.split_first_chunk::<2>()?;
        if *version != 0 {
            return None;
        }
        let (granule, rest) = rest.split_first_chunk::<8>()?;
        let (serial, rest) = rest.split_first_chunk::<4>()?;
        let (seq, rest) = rest.split_first_chunk::<4>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let (segments, rest) = rest.split_first()?;
        let (lacing, rest) = rest.split_at_checked(usize::from(*segments))?;
        let (body, rest) = rest.split_at_checked(len_of(lacing))?;
        let raw = Raw {
            flags: *flags,
            granule: i64::from_le_bytes(*granule),
            serial: u32::from_le_bytes(*serial),
            seq: u32::from_le_bytes(*seq),
            lacing,
            body,
        };
        Some((raw, u32::from_le_bytes(*sum), rest))
    }
}

/// CRC-32 with Ogg's polynomial and bit order (RFC 3533 §6, item 7).
fn checksum(start: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    bytes.iter().fold(start, |sum, byte| {
        let [top, ..] = sum.to_be_bytes();
        let entry = TABLE.get(usize::from(top ^ byte)).copied().unwrap_or_default();
        (sum << 8) ^ entry
    })
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < table.len() {
        let mut value = (at as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value >> 31 == 1 { (value << 1) ^ 0x04c1_1db7 } else { value << 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}
