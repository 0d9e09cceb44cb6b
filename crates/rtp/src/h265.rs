//! H.265 in RTP (RFC 7798 §4.4): whether a keyframe starts in a payload.

use crate::read::Reader;

/// NAL unit types, ITU-T H.265 table 7-1 and RFC 7798 §4.4.
const FIRST_IRAP: u8 = 16;
const LAST_IRAP: u8 = 21;
const VPS: u8 = 32;
const SPS: u8 = 33;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
const FU_START_BIT: u8 = 0b1000_0000;

/// Whether a keyframe starts in this payload: parameter sets that announce one (VPS, SPS), or the first slice of an
/// intra random access picture. Payloads with decoding order numbers (`sprop-max-don-diff` above 0) are not read.
#[must_use]
pub fn is_keyframe(payload: &[u8]) -> bool {
    let Some(([head, _], body)) = payload.split_first_chunk::<2>() else { return false };
    match nal_type(*head) {
        AGGREGATION => any_in_aggregate(body),
        FRAGMENTATION => body
            .split_first()
            .is_some_and(|(fu, slice)| fu & FU_START_BIT != 0 && starts_keyframe(fu & 0b0011_1111, slice)),
        kind => starts_keyframe(kind, body),
    }
}

/// Whether it has the first of the parameter sets that a keyframe begins with, whole: they are too short to be fragmented.
#[must_use]
pub fn has_first_set(payload: &[u8]) -> bool {
    let Some(([head, _], body)) = payload.split_first_chunk::<2>() else { return false };
    match nal_type(*head) {
        AGGREGATION => aggregated(body).any(|nal| nal.first().is_some_and(|head| nal_type(*head) == VPS)),
        kind => kind == VPS,
    }
}

/// RFC 7798 §4.4.2: a 16-bit size in front of each NAL unit. Ends where one does not fit.
fn aggregated(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(body);
    std::iter::from_fn(move || {
        let size = reader.u16().ok()?;
        reader.take(usize::from(size)).ok()
    })
}

fn any_in_aggregate(body: &[u8]) -> bool {
    for nal in aggregated(body) {
        let Some(([head, _], slice)) = nal.split_first_chunk::<2>() else { return false };
        if starts_keyframe(nal_type(*head), slice) {
            return true;
        }
    }
    false
}

/// ITU-T H.265 §7.3.6.1: a slice begins with `first_slice_segment_in_pic_flag`.
fn starts_keyframe(kind: u8, slice: &[u8]) -> bool {
    match kind {
        VPS | SPS => true,
        FIRST_IRAP..=LAST_IRAP => slice.first().is_some_and(|byte| byte & 0b1000_0000 != 0),
        _ => false,
    }
}

const fn nal_type(head: u8) -> u8 {
    (head >> 1) & 0b0011_1111
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes() {
        let rows: [(&str, &[u8], bool); 11] = [
            ("VPS", &[32 << 1, 1], true),
            ("SPS", &[33 << 1, 1, 0x42], true),
            ("PPS", &[34 << 1, 1, 0x42], false),
            ("IDR, first slice", &[19 << 1, 1, 0x80], true),
            ("CRA, later slice", &[21 << 1, 1, 0x40], false),
            ("trailing picture", &[1 << 1, 1, 0x80], false),
            ("aggregate of PPS and IDR", &[48 << 1, 1, 0, 2, 34 << 1, 1, 0, 3, 19 << 1, 1, 0x80], true),
            ("aggregate past the end", &[48 << 1, 1, 0, 9, 33 << 1, 1], false),
            ("fragment, start of IDR", &[49 << 1, 1, 0x80 | 19, 0x80], true),
            ("fragment, middle of IDR", &[49 << 1, 1, 19, 0x80], false),
            ("one byte", &[33 << 1], false),
        ];
        for (name, payload, want) in rows {
            assert_eq!(is_keyframe(payload), want, "{name}");
        }
    }
}
