//! Redundant audio (RFC 2198): older blocks first, the primary last.

use convene_types::Pt;

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

/// The primary block: what plain Opus would have carried. `None`: the headers and lengths do not add up.
#[must_use]
pub fn primary(payload: &[u8]) -> Option<&[u8]> {
    let (mut rest, mut redundant) = (payload, 0_usize);
    for _ in 0..=MAX_REDUNDANT {
        let (first, tail) = rest.split_first()?;
        if first & FOLLOWS == 0 {
            // The primary's header is one byte and it ends with the packet.
            return tail.get(redundant..);
        }
        // 14 bits timestamp offset, 10 bits block length.
        let (head, tail) = tail.split_first_chunk::<3>()?;
        let [_, middle, low] = *head;
        redundant = redundant.checked_add(usize::from(u16::from_be_bytes([middle & 0x03, low])))?;
        rest = tail;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        let block = |offset, payload| Block { offset, payload };
        let mut out = [0; 64];
        let len = write(&mut out, Pt(111), &[block(1_920, &[7]), block(960, &[8, 8])], &[1, 2]).unwrap();
        assert_eq!(out[..len], [0x80 | 111, 0x1e, 0x00, 1, 0x80 | 111, 0x0f, 0x00, 2, 111, 7, 8, 8, 1, 2]);
        assert_eq!(primary(&out[..len]), Some(&[1, 2][..]));
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
    fn finds_the_primary_or_nothing() {
        let rows: [(&[u8], Option<&[u8]>); 8] = [
            (&[111, 1, 2, 3], Some(&[1, 2, 3])),
            (&[111], Some(&[])),
            (&[0x80 | 111, 0x0f, 0x00, 2, 111, 9, 9, 1, 2], Some(&[1, 2])),
            (&[0x80 | 111, 0x0f, 0x00, 1, 0x80 | 111, 0x0f, 0x00, 2, 111, 7, 8, 8, 1], Some(&[1])),
            (&[0x80 | 111, 0x0f, 0x00, 3, 111, 9, 9], None),
            (&[0x80 | 111, 0x0f], None),
            (&[], None),
            (&[0x80; 64], None),
        ];
        for (payload, want) in rows {
            assert_eq!(primary(payload), want, "{payload:02x?}");
        }
    }
}
