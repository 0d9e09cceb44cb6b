//! Packets for the tests of this crate.

use convene_rtp::ext;
use convene_rtp::packet::{Fields, View, write_header};
use convene_types::{Codec, Pt, SeqNo, Ssrc};

use crate::meta::Meta;

/// An RTP packet.
pub(crate) fn rtp(fields: Fields, extensions: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128 + payload.len()];
    let len = write_header(&mut bytes, &fields, extensions).unwrap();
    bytes.truncate(len);
    bytes.extend_from_slice(payload);
    bytes
}

/// A VP8 payload: a descriptor with a picture id of 15 bits (7 where `short`) and TL0PICIDX, then three bytes.
pub(crate) fn vp8(keyframe: bool, start: bool, picture_id: u16, short: bool, tl0: u8) -> Vec<u8> {
    let [high, low] = picture_id.to_be_bytes();
    let mut payload = vec![if start { 0x90 } else { 0x80 }, 0xe0];
    if short {
        payload.push(low & 0x7f);
    } else {
        payload.extend([high | 0x80, low]);
    }
    payload.extend([tl0, 0, u8::from(!keyframe), 0xaa, 0xbb]);
    payload
}

/// A VP8 packet and what is read of it.
pub(crate) fn read(fields: Fields, payload: &[u8]) -> (Meta, Vec<u8>) {
    let bytes = rtp(fields, &[], payload);
    let meta = Meta::read(&View::parse(&bytes).unwrap(), &bytes, Codec::Vp8, &ext::Map::new());
    (meta, bytes)
}

/// What is read of a VP8 packet with this payload.
pub(crate) fn vp8_meta(ts: u32, payload: &[u8]) -> Meta {
    read(Fields { marker: true, pt: Pt(96), seq: SeqNo(0), ts, ssrc: Ssrc(1) }, payload).0
}
