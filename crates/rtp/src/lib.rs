//! RTP and RTCP as bytes: views, in-place rewrites, header extensions, RTX, and the little of each video codec that a
//! forwarder must read (where a frame starts, whether it is a keyframe, which layer it is).
//!
//! ```text
//! bytes from SRTP -> packet::View -> ext::Map      -> who it is from
//!                        |
//!                        +-> vp8 / vp9 / h264 / h265 / av1 / dd -> which frame and layer
//! write_header + payload (+ vp8::patch) or write_header + write_osn + payload (RTX) -> bytes for SRTP
//! ```
//!
//! Invariants: nothing here panics on any bytes, allocates outside the RTCP writers, keeps state beyond `seq`'s two
//! unwrappers, or reads a clock. What is forwarded untouched (the coded picture itself) is never looked into.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

pub mod av1;
pub mod dd;
pub mod ext;
pub mod h264;
pub mod h265;
pub mod packet;
pub mod red;
pub mod rtcp;
pub mod rtx;
pub mod seq;
pub mod vp8;
pub mod vp9;

mod picture;
mod read;

use convene_types::Codec;

/// Why some bytes are not what they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes end before the structure does.
    #[error("bytes end too early")]
    Truncated,
    /// The version field is not 2.
    #[error("version is not 2")]
    Version,
    /// The padding count is zero or larger than what it pads.
    #[error("padding count does not fit")]
    Padding,
    /// A field has a value that its specification forbids.
    #[error("field value is not allowed")]
    Malformed,
}

/// Whether the RTP payload starts (or, for H.264 and H.265, contains what starts) a frame that needs no other frame.
///
/// Audio has no such frames: always `false`. A layer switch waits for `true`.
#[must_use]
pub fn is_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => false,
        Codec::Vp8 => vp8::Descriptor::parse(payload).is_ok_and(|descriptor| descriptor.keyframe),
        Codec::Vp9 => vp9::Descriptor::parse(payload).is_ok_and(|descriptor| descriptor.keyframe),
        Codec::H264 => h264::is_keyframe(payload),
        Codec::H265 => h265::is_keyframe(payload),
        Codec::Av1 => av1::AggregationHeader::parse(payload).is_ok_and(|header| header.keyframe()),
    }
}

/// Whether the payload has the first of the parameter sets that a keyframe of H.264 (SPS) or H.265 (VPS) begins with: nothing in front
/// of it is needed to decode that. Other codecs have none.
#[must_use]
pub fn has_first_set(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::H264 => h264::has_first_set(payload),
        Codec::H265 => h265::has_first_set(payload),
        Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => false,
    }
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
