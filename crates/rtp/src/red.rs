//! Redundant audio (RFC 2198): older blocks first, the primary last.

use convene_types::Pt;

use crate::packet::{View, set_pt};

/// F bit: another block header follows this one (RFC 2198 §3).
const FOLLOWS: u8 = 0x80;

/// Blocks before the primary. Browsers send one or two; the bound keeps a hostile packet from costing more.
const MAX_REDUNDANT: usize = 8;

/// The most that a block header says of how much earlier a block is, in ticks, and of its length in bytes (RFC 2198 §3: 14
/// and 10 bits).
pub const MAX_OFFSET: u16 = 0x3fff;
/// See [`MAX_OFFSET`].
pub const MAX_BLOCK_LEN: usize = 0x3ff;

/// An older block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block<'a> {
    /// Ticks of the RTP clock that it is earlier.
    pub offset: u16,
    /// Its payload.
    pub payload: &'a [u8],
}

/// Writes a payload of older blocks, oldest first, and a primary, all of one payload type; its length. `None`: a value is
/// above what its field holds, or `out` is too short.
pub fn write(out: &mut [u8], pt: Pt, older: &[Block<'_>], primary: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    let mut put = |bytes: &[u8]| {
        let end = at.checked_add(bytes.len())?;
        out.get_mut(at..end)?.copy_from_slice(bytes);
        at = end;
        Some(at)
    };
    let pt = pt.0 & !FOLLOWS;
    for block in older {
        if block.offset > MAX_OFFSET || block.payload.len() > MAX_BLOCK_LEN {
            return None;
        }
        let len = u32::try_from(block.payload.len()).ok()?;
        let [_, high, middle, low] = (u32::from(block.offset) << 10 | len).to_be_bytes();
        put(&[FOLLOWS | pt, high, middle, low])?;
    }
    put(&[pt])?;
    for block in older {
        put(block.payload)?;
    }
    put(primary)
}

/// A payload taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Payload type of every block.
    pub pt: Pt,
    blocks: [Block<'a>; MAX_REDUNDANT],
    count: usize,
    /// What plain Opus would have carried.
    pub primary: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The other blocks, oldest first.
    #[must_use]
    pub fn older(&self) -> &[Block<'a>] {
        self.blocks.get(..self.count).unwrap_or_default()
    }
}

/// Takes a payload apart. `None`: headers and lengths do not add up, or the blocks are not all of one payload type.
#[must_use]
pub fn read(payload: &[u8]) -> Option<Parts<'_>> {
    let pt = payload.first()? & !FOLLOWS;
    let (mut rest, mut blocks, mut lens, mut count) =
        (payload, [Block::default(); MAX_REDUNDANT], [0_usize; MAX_REDUNDANT], 0_usize);
    loop {
        let (first, tail) = rest.split_first()?;
        if first & !FOLLOWS != pt {
            return None;
        }
        if first & FOLLOWS == 0 {
            // The primary's header is one byte and it ends with the packet.
            rest = tail;
            break;
        }
        // 14 bits timestamp offset, 10 bits block length.
        let (&[high, middle, low], tail) = tail.split_first_chunk::<3>()?;
        blocks.get_mut(count)?.offset = u16::from_be_bytes([high, middle]) >> 2;
        *lens.get_mut(count)? = usize::from(u16::from_be_bytes([middle & 0x03, low]));
        count = count.checked_add(1)?;
        rest = tail;
    }
    for (block, len) in blocks.iter_mut().zip(lens).take(count) {
        (block.payload, rest) = rest.split_at_checked(len)?;
    }
    Some(Parts { pt: Pt(pt), blocks, count, primary: rest })
}

/// Writes the packet that plain Opus would have come in: the header of `packet`, and the primary; its length. `None`: it does
/// not fit, or `view` is not of `packet`.
pub fn write_plain(out: &mut [u8], packet: &[u8], view: &View<'_>, parts: &Parts<'_>) -> Option<usize> {
    /// RFC 3550 §5.1: padding stays behind.
    const PADDING_BIT: u8 = 0b0010_0000;
    let header = packet.get(..view.header_len())?;
    let len = header.len().checked_add(parts.primary.len())?;
    let (head, tail) = out.get_mut(..len)?.split_at_mut_checked(header.len())?;
    head.copy_from_slice(header);
    tail.copy_from_slice(parts.primary);
    *out.first_mut()? &= !PADDING_BIT;
    set_pt(out, parts.pt);
    Some(len)
}

/// The primary block alone.
#[must_use]
pub fn primary(payload: &[u8]) -> Option<&[u8]> {
    read(payload).map(|parts| parts.primary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Fields, write_header};
    use convene_types::{SeqNo, Ssrc};

    #[test]
    fn writes_what_it_reads() {
        let block = |offset, payload| Block { offset, payload };
        let mut out = [0; 64];
        let len = write(&mut out, Pt(111), &[block(1_920, &[7]), block(960, &[8, 8])], &[1, 2]).unwrap();
        assert_eq!(out[..len], [0x80 | 111, 0x1e, 0x00, 1, 0x80 | 111, 0x0f, 0x00, 2, 111, 7, 8, 8, 1, 2]);
        let parts = read(&out[..len]).unwrap();
        assert_eq!((parts.pt, parts.primary), (Pt(111), &[1, 2][..]));
        assert_eq!(parts.older(), [block(1_920, &[7]), block(960, &[8, 8])]);
        let len = write(&mut out, Pt(111), &[], &[5]).unwrap();
        assert_eq!(out[..len], [111, 5]);
        let long = [0; MAX_BLOCK_LEN + 1];
        let mut room = [0; 2_000];
        assert_eq!(write(&mut room, Pt(111), &[block(MAX_OFFSET, &long[1..])], &[5]), Some(4 + 1 + MAX_BLOCK_LEN + 1));
        for bad in [block(MAX_OFFSET + 1, &[]), block(0, &long)] {
            assert_eq!(write(&mut room, Pt(111), &[bad], &[5]), None);
        }
        assert_eq!(write(&mut out[..4], Pt(111), &[block(0, &[1])], &[5]), None);
    }

    #[test]
    fn a_packet_of_red_becomes_one_of_opus() {
        let fields = Fields { marker: true, pt: Pt(63), seq: SeqNo(65_535), ts: u32::MAX, ssrc: Ssrc(7) };
        let mut packet = vec![0; 32];
        let header = write_header(&mut packet, &fields, &[(3, &[0x85])]).unwrap();
        packet.truncate(header);
        packet.extend([0x80 | 111, 0x0f, 0, 2, 111, 9, 9, 1, 2, 0, 2]); // two bytes of padding
        packet[0] |= 0x20;
        let view = View::parse(&packet).unwrap();
        let (parts, mut out) = (read(view.payload()).unwrap(), [0; 64]);
        let len = write_plain(&mut out, &packet, &view, &parts).unwrap();
        let plain = View::parse(&out[..len]).unwrap();
        assert_eq!((plain.pt(), plain.seq(), plain.ts(), plain.marker()), (Pt(111), SeqNo(65_535), u32::MAX, true));
        assert_eq!((plain.payload(), plain.extension(3)), (&[1, 2][..], Some(&[0x85][..])));
        assert_eq!(write_plain(&mut out[..len - 1], &packet, &view, &parts), None);
    }

    #[test]
    fn finds_the_primary_or_nothing() {
        let rows: [(&[u8], Option<&[u8]>); 9] = [
            (&[111, 1, 2, 3], Some(&[1, 2, 3])),
            (&[111], Some(&[])),
            (&[0x80 | 111, 0x0f, 0x00, 2, 111, 9, 9, 1, 2], Some(&[1, 2])),
            (&[0x80 | 111, 0x0f, 0x00, 1, 0x80 | 111, 0x0f, 0x00, 2, 111, 7, 8, 8, 1], Some(&[1])),
            (&[0x80 | 111, 0x0f, 0x00, 3, 111, 9, 9], None),
            (&[0x80 | 111, 0x0f], None),
            (&[0x80 | 110, 0x0f, 0x00, 1, 111, 9, 1], None),
            (&[], None),
            (&[0x80; 64], None),
        ];
        for (payload, want) in rows {
            assert_eq!(primary(payload), want, "{payload:02x?}");
        }
    }
}
