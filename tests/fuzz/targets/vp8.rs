//! Any bytes as a VP8 payload: the descriptor fits, and patching changes the two numbers and nothing else.

use arbitrary::{Arbitrary, Unstructured};
use convene_rtp::vp8::{self, Descriptor};
use convene_types::Codec;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(input) = <(u16, u8, &[u8])>::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let (picture_id, tl0picidx, payload) = input;
    let parsed = Descriptor::parse(payload);
    assert_eq!(convene_rtp::is_keyframe(Codec::Vp8, payload), parsed.is_ok_and(|descriptor| descriptor.keyframe));
    let mut patched = payload.to_vec();
    assert_eq!(vp8::patch(&mut patched, Some(picture_id), Some(tl0picidx)), parsed.is_ok());
    let Ok(old) = parsed else {
        assert_eq!(patched, payload);
        return;
    };
    assert!(old.len <= payload.len());
    let mask = if old.picture_id_15bit { 0x7fff } else { 0x7f };
    let want = Descriptor {
        picture_id: old.picture_id.map(|_| picture_id & mask),
        tl0picidx: old.tl0picidx.map(|_| tl0picidx),
        ..old
    };
    assert_eq!(Descriptor::parse(&patched), Ok(want));
    assert_eq!(patched[old.len..], payload[old.len..]);
    assert!(vp8::patch(&mut patched, old.picture_id, old.tl0picidx));
    assert_eq!(patched, payload);
}
