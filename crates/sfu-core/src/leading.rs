//! Whether a packet holds the first of the parameter sets that a keyframe of H.264 or H.265 begins with: nothing in front of it is
//! needed then. Called for packets that begin a keyframe; those of other codecs hold none.

use convene_rtp::h264;
use convene_types::Codec;

/// NAL unit types of ITU-T H.264 table 7-1, and of ITU-T H.265 table 7-1 and RFC 7798 §4.4.
const H264_SPS: u8 = 7;
const H265_VPS: u8 = 32;
const H265_AGGREGATION: u8 = 48;

/// See the module.
pub(crate) fn has_first_set(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::H264 => h264::nals(payload).any(|nal| nal.start && nal.kind == H264_SPS),
        Codec::H265 => has_vps(payload),
        Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => false,
    }
}

/// RFC 7798 §4.4.1, and §4.4.2: in an aggregate a 16-bit size is in front of each NAL unit.
fn has_vps(payload: &[u8]) -> bool {
    let Some(([head, _], mut rest)) = payload.split_first_chunk::<2>() else { return false };
    if h265_type(*head) != H265_AGGREGATION {
        return h265_type(*head) == H265_VPS;
    }
    while let Some((size, body)) = rest.split_first_chunk::<2>() {
        let Some((nal, after)) = body.split_at_checked(u16::from_be_bytes(*size).into()) else { return false };
        if nal.first().is_some_and(|head| h265_type(*head) == H265_VPS) {
            return true;
        }
        rest = after;
    }
    false
}

const fn h265_type(head: u8) -> u8 {
    (head >> 1) & 0b0011_1111
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_set_is_found_alone_and_among_others() {
        const VPS: u8 = 32 << 1;
        const SPS: u8 = 33 << 1;
        const AGGREGATE: u8 = 48 << 1;
        let rows: [(Codec, &[u8], bool); 15] = [
            (Codec::H264, &[0x67, 0x42], true),
            (Codec::H264, &[0x68, 0xce], false),
            (Codec::H264, &[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce], true),
            (Codec::H264, &[0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x67, 0x42], true), // behind a delimiter
            (Codec::H264, &[0x78, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88], false),
            (Codec::H264, &[0x7c, 0x85, 0x88], false),
            (Codec::H264, &[], false),
            (Codec::H265, &[VPS, 1, 0], true),
            (Codec::H265, &[SPS, 1, 0], false),
            (Codec::H265, &[AGGREGATE, 1, 0, 2, VPS, 1, 0, 2, SPS, 1], true),
            (Codec::H265, &[AGGREGATE, 1, 0, 0, 0, 3, VPS, 1, 9], true), // behind one of no bytes
            (Codec::H265, &[AGGREGATE, 1, 0, 2, SPS, 1], false),
            (Codec::H265, &[AGGREGATE, 1, 0, 9, VPS, 1], false), // cut
            (Codec::H265, &[VPS], false),
            (Codec::Vp8, &[0x67, 0x42], false),
        ];
        for (codec, payload, want) in rows {
            assert_eq!(has_first_set(codec, payload), want, "{codec:?} {payload:02x?}");
        }
    }
}
