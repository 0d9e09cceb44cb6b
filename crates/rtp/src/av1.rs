//! AV1 in RTP: the aggregation header of AOM "RTP Payload Format For AV1" §4.4. Layers are in the dependency descriptor,
//! see `dd`.

use crate::ParseError;

/// The first byte of an AV1 payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregationHeader {
    /// Z bit: the first OBU element continues one of the packet before.
    pub continues: bool,
    /// Y bit: the last OBU element continues in the next packet.
    pub continued: bool,
    /// W: OBU elements in the packet, 1..=3; 0: each has a length field instead.
    pub elements: u8,
    /// N bit: first packet of a coded video sequence.
    pub new_sequence: bool,
}

impl AggregationHeader {
    /// Reads the header; a payload without any OBU byte behind it is an error.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let [head, _, ..] = *payload else { return Err(ParseError::Truncated) };
        let header = Self {
            continues: head & 0b1000_0000 != 0,
            continued: head & 0b0100_0000 != 0,
            elements: (head >> 4) & 0b11,
            new_sequence: head & 0b0000_1000 != 0,
        };
        // §4.4: the first packet of a sequence cannot continue an OBU.
        if header.new_sequence && header.continues { Err(ParseError::Malformed) } else { Ok(header) }
    }

    /// Whether the packet starts a keyframe: a coded video sequence starts with one.
    #[must_use]
    pub const fn keyframe(&self) -> bool {
        self.new_sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        type Row = (&'static [u8], Result<(bool, bool, u8, bool), ParseError>);
        let rows: [Row; 7] = [
            (&[0b0010_1000, 0x0a], Ok((false, false, 2, true))),
            (&[0b0101_1000, 0x0a], Ok((false, true, 1, true))),
            (&[0b1001_0000, 0x30], Ok((true, false, 1, false))),
            (&[0b0011_0111, 0x30], Ok((false, false, 3, false))),
            (&[0b1001_1000, 0x0a], Err(ParseError::Malformed)),
            (&[0b0001_1000], Err(ParseError::Truncated)),
            (&[], Err(ParseError::Truncated)),
        ];
        for (payload, want) in rows {
            let got = AggregationHeader::parse(payload);
            assert_eq!(got.map(|h| (h.continues, h.continued, h.elements, h.new_sequence)), want, "{payload:02x?}");
            let keyframe = crate::is_keyframe(convene_types::Codec::Av1, payload);
            assert_eq!(keyframe, want.is_ok_and(|(.., new_sequence)| new_sequence), "{payload:02x?}");
        }
    }
}
