//! H.264 in RTP: NAL units of a payload (RFC 6184 §5.4) and whether a keyframe starts in it.

use crate::read::Reader;

/// NAL unit types, RFC 6184 §5.4 and ITU-T H.264 table 7-1.
const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const TYPE_MASK: u8 = 0b0001_1111;
const FU_START_BIT: u8 = 0b1000_0000;

/// A NAL unit, or the piece of one that a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nal<'a> {
    /// `nal_unit_type`, 1..=23.
    pub kind: u8,
    /// The NAL unit begins here.
    pub start: bool,
    /// What follows the NAL unit header.
    pub body: &'a [u8],
}

/// The NAL units of a payload in order: one, or those of a STAP-A, or a piece of one in a FU-A. Other packet types
/// (STAP-B, MTAP, FU-B) need interleaving, which WebRTC does not use (RFC 7742 §6.2): none. A broken STAP-A ends early.
pub fn nals(payload: &[u8]) -> impl Iterator<Item = Nal<'_>> {
    let mut reader = Reader::new(payload);
    let head = reader.u8().unwrap_or(0) & TYPE_MASK;
    let body = reader.rest();
    let aggregate = if head == STAP_A { body } else { &[] };
    let single = match head {
        1..STAP_A => Some(Nal { kind: head, start: true, body }),
        FU_A => body.split_first().map(|(fu, body)| Nal { kind: fu & TYPE_MASK, start: fu & FU_START_BIT != 0, body }),
        _ => None,
    };
    single.into_iter().chain(Aggregate(Reader::new(aggregate)))
}

/// RFC 6184 §5.7.1: a 16-bit size in front of each NAL unit.
struct Aggregate<'a>(Reader<'a>);

impl<'a> Iterator for Aggregate<'a> {
    type Item = Nal<'a>;

    fn next(&mut self) -> Option<Nal<'a>> {
        let size = self.0.u16().ok()?;
        let (head, body) = self.0.take(usize::from(size)).ok()?.split_first()?;
        Some(Nal { kind: head & TYPE_MASK, start: true, body })
    }
}

/// Whether a keyframe starts in this payload: parameter sets that announce one (SPS), or its first slice.
///
/// ITU-T H.264 §7.3.3: a slice header begins with `first_mb_in_slice`, whose code for 0 is a single 1 bit; the other
/// slices of an IDR picture are no place to start.
#[must_use]
pub fn is_keyframe(payload: &[u8]) -> bool {
    nals(payload).any(|nal| {
        nal.start
            && match nal.kind {
                SPS => true,
                IDR => nal.body.first().is_some_and(|slice| slice & 0b1000_0000 != 0),
                _ => false,
            }
    })
}

/// Whether it has the first of the parameter sets that a keyframe begins with, or the beginning of it.
#[must_use]
pub fn has_first_set(payload: &[u8]) -> bool {
    nals(payload).any(|nal| nal.start && nal.kind == SPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes() {
        let rows: [(&str, &[u8], bool); 16] = [
            ("SPS", &[0x67, 0x42], true),
            ("SPS, reference bits differ", &[0x27], true),
            ("PPS", &[0x68, 0xce], false),
            ("IDR, first slice", &[0x65, 0x88], true),
            ("IDR, later slice", &[0x65, 0x40], false),
            ("IDR without slice", &[0x65], false),
            ("delta slice", &[0x41, 0x9a], false),
            ("STAP-A of SPS and PPS", &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68], true),
            ("STAP-A of SEI and IDR", &[0x78, 0, 1, 0x06, 0, 2, 0x65, 0x80], true),
            ("STAP-A of delta slices", &[0x78, 0, 2, 0x41, 0x9a, 0, 2, 0x41, 0x9a], false),
            ("STAP-A with a size past the end", &[0x78, 0xff, 0xff, 0x67], false),
            ("FU-A start of IDR", &[0x7c, 0x85, 0x88], true),
            ("FU-A middle of IDR", &[0x7c, 0x05, 0x88], false),
            ("FU-A start of delta slice", &[0x5c, 0x81, 0x9a], false),
            ("FU-A cut", &[0x7c], false),
            ("nothing", &[], false),
        ];
        for (name, payload, want) in rows {
            assert_eq!(is_keyframe(payload), want, "{name}");
        }
    }

    #[test]
    fn splits_a_stap_a() {
        let kinds: Vec<_> = nals(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68, 0, 3, 0x65]).map(|nal| nal.kind).collect();
        assert_eq!(kinds, [7, 8]); // the third is cut
        for head in [24, 25, 26, 27, 28, 29, 0, 30, 31] {
            assert_eq!(nals(&[head]).count(), 0, "type {head}");
        }
    }
}
