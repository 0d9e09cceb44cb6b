//! Redundant audio (RFC 2198): older blocks first, the primary last.

/// F bit: another block header follows this one (RFC 2198 §3).
const FOLLOWS: u8 = 0x80;

/// Blocks before the primary. Browsers send one or two; the bound keeps a hostile packet from costing more.
const MAX_REDUNDANT: usize = 8;

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
    use super::primary;

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
