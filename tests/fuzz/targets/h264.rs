//! Any bytes as an H.264 or H.265 payload: NAL units lie within it and in order.

use convene_rtp::h264;
use convene_types::Codec;

pub(crate) fn run(payload: &[u8]) {
    let whole = payload.as_ptr_range();
    let mut at = whole.start;
    let mut starts = false;
    for nal in h264::nals(payload) {
        let range = nal.body.as_ptr_range();
        assert!(nal.kind < 32 && at <= range.start && range.end <= whole.end);
        at = range.end;
        starts |= nal.start && matches!(nal.kind, 5 | 7);
    }
    assert!(starts || !convene_rtp::is_keyframe(Codec::H264, payload));
    let _ = convene_rtp::is_keyframe(Codec::H265, payload); // does not panic
}
