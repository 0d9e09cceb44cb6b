//! Any bytes as an AV1 payload: the header's bits are the first byte's.

use convene_rtp::av1::AggregationHeader;
use convene_types::Codec;

pub(crate) fn run(payload: &[u8]) {
    let parsed = AggregationHeader::parse(payload);
    assert_eq!(convene_rtp::is_keyframe(Codec::Av1, payload), parsed.is_ok_and(|header| header.keyframe()));
    let Ok(header) = parsed else { return };
    let flags = [(header.continues, 7), (header.continued, 6), (header.new_sequence, 3)];
    let byte = flags.iter().fold(header.elements << 4, |byte, (flag, shift)| byte | u8::from(*flag) << shift);
    assert_eq!(byte, payload[0] & 0b1111_1000);
}
