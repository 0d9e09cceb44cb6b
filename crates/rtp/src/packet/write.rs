//! Makes and changes RTP headers.

use convene_types::{Pt, SeqNo, Ssrc};

use super::elements::{Elements, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};
use super::{EXTENSION_BIT, FIXED_HEADER_LEN, MARKER_BIT, PT_MASK, VERSION_2, View};

/// Largest id of the one-byte form, RFC 8285 §4.2.
const MAX_ONE_BYTE_ID: u8 = 14;
/// Longest value of the one-byte form, RFC 8285 §4.2: four bits hold the length minus one.
const MAX_ONE_BYTE_LEN: usize = 16;

/// The fields of a fixed RTP header; there are no CSRCs and no padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Marker bit.
    pub marker: bool,
    /// Payload type; only the low seven bits are used.
    pub pt: Pt,
    /// Sequence number.
    pub seq: SeqNo,
    /// Timestamp.
    pub ts: u32,
    /// Synchronisation source.
    pub ssrc: Ssrc,
}

/// Writes a header to the front of `out` and returns its length; the payload goes right behind it.
///
/// Extensions (id, value) use the one-byte form unless one of them has an id above 14, no byte, or more than 16 bytes.
/// An empty list writes no extension block. `None`: an id is 0, a value is longer than 255 bytes, or `out` is too short;
/// `out` then holds garbage.
pub fn write_header(out: &mut [u8], fields: &Fields, extensions: &[(u8, &[u8])]) -> Option<usize> {
    let (fixed, rest) = out.split_first_chunk_mut::<FIXED_HEADER_LEN>()?;
    let extension_bit = if extensions.is_empty() { 0 } else { EXTENSION_BIT };
    let marker_bit = if fields.marker { MARKER_BIT } else { 0 };
    let [s0, s1] = fields.seq.0.to_be_bytes();
    let [t0, t1, t2, t3] = fields.ts.to_be_bytes();
    let [r0, r1, r2, r3] = fields.ssrc.0.to_be_bytes();
    let second = marker_bit | (fields.pt.0 & PT_MASK);
    *fixed = [VERSION_2 | extension_bit, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
    if extensions.is_empty() {
        return Some(FIXED_HEADER_LEN);
    }
    FIXED_HEADER_LEN.checked_add(write_block(rest, extensions)?)
}

/// Writes profile word, length word, elements and padding; returns the bytes written.
fn write_block(out: &mut [u8], extensions: &[(u8, &[u8])]) -> Option<usize> {
    let one_byte =
        extensions.iter().all(|(id, value)| *id <= MAX_ONE_BYTE_ID && (1..=MAX_ONE_BYTE_LEN).contains(&value.len()));
    let (head, data) = out.split_first_chunk_mut::<4>()?;
    let mut at = 0_usize;
    for (id, value) in extensions {
        if *id == 0 {
            return None; // 0 is padding, RFC 8285 §4.2
        }
        let len = u8::try_from(value.len()).ok()?;
        if one_byte {
            put(data, &mut at, &[(id << 4) | len.wrapping_sub(1)])?;
        } else {
            put(data, &mut at, &[*id, len])?;
        }
        put(data, &mut at, value)?;
    }
    let padded = at.checked_next_multiple_of(4)?;
    data.get_mut(at..padded)?.fill(0);
    let [p0, p1] = if one_byte { ONE_BYTE_PROFILE } else { TWO_BYTE_PROFILE }.to_be_bytes();
    let [l0, l1] = u16::try_from(padded >> 2).ok()?.to_be_bytes();
    *head = [p0, p1, l0, l1];
    padded.checked_add(head.len())
}

fn put(out: &mut [u8], at: &mut usize, bytes: &[u8]) -> Option<()> {
    let end = at.checked_add(bytes.len())?;
    out.get_mut(*at..end)?.copy_from_slice(bytes);
    *at = end;
    Some(())
}

/// Sets the marker bit. Bytes too short for a fixed header stay as they are; so it is with every `set_*` here.
pub fn set_marker(packet: &mut [u8], marker: bool) {
    if let Some([_, second, ..]) = packet.first_chunk_mut::<FIXED_HEADER_LEN>() {
        *second = (*second & PT_MASK) | if marker { MARKER_BIT } else { 0 };
    }
}

/// Sets the payload type; only the low seven bits of `pt` are used.
pub fn set_pt(packet: &mut [u8], pt: Pt) {
    if let Some([_, second, ..]) = packet.first_chunk_mut::<FIXED_HEADER_LEN>() {
        *second = (*second & MARKER_BIT) | (pt.0 & PT_MASK);
    }
}

/// Sets the sequence number.
pub fn set_seq(packet: &mut [u8], seq: SeqNo) {
    if let Some([_, _, s0, s1, ..]) = packet.first_chunk_mut::<FIXED_HEADER_LEN>() {
        [*s0, *s1] = seq.0.to_be_bytes();
    }
}

/// Sets the timestamp.
pub fn set_ts(packet: &mut [u8], ts: u32) {
    if let Some([_, _, _, _, t0, t1, t2, t3, ..]) = packet.first_chunk_mut::<FIXED_HEADER_LEN>() {
        [*t0, *t1, *t2, *t3] = ts.to_be_bytes();
    }
}

/// Sets the synchronisation source.
pub fn set_ssrc(packet: &mut [u8], ssrc: Ssrc) {
    if let Some([.., r0, r1, r2, r3]) = packet.first_chunk_mut::<FIXED_HEADER_LEN>() {
        [*r0, *r1, *r2, *r3] = ssrc.0.to_be_bytes();
    }
}

/// Overwrites the first header extension `id` with a value of the same length. `false`: no such extension, another
/// length, or no RTP packet; nothing is changed then.
pub fn set_extension(packet: &mut [u8], id: u8, value: &[u8]) -> bool {
    let Ok(view) = View::parse(packet) else { return false };
    let elements: Elements<'_> = view.elements;
    let data_start = view.header_len.saturating_sub(elements.data().len());
    let Some(range) = { elements }.find_map(|(found, range)| (found == id).then_some(range)) else { return false };
    let range = data_start.saturating_add(range.start)..data_start.saturating_add(range.end);
    match packet.get_mut(range) {
        Some(target) if target.len() == value.len() => {
            target.copy_from_slice(value);
            true
        }
        Some(_) | None => false,
    }
}
