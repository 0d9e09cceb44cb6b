//! Any bytes as an RTX packet; and any packet comes back whole from being wrapped and unwrapped.

use convene_rtp::packet::{self, View};
use convene_rtp::rtx;
use convene_types::{Pt, SeqNo, Ssrc};

const MEDIA: (Pt, Ssrc) = (Pt(96), Ssrc(1));
const RTX: (Pt, SeqNo, Ssrc) = (Pt(97), SeqNo(65535), Ssrc(2));

pub(crate) fn run(bytes: &[u8]) {
    unwrap(bytes);
    wrap_and_unwrap(bytes);
}

fn unwrap(bytes: &[u8]) {
    let mut copy = bytes.to_vec();
    let Some(len) = rtx::unwrap_in_place(&mut copy, MEDIA.0, MEDIA.1) else {
        assert_eq!(copy, bytes);
        return;
    };
    let old = View::parse(bytes).expect("only packets are unwrapped");
    let new = View::parse(&copy[..len]).expect("what comes out is a packet");
    assert_eq!(len + rtx::OSN_LEN, bytes.len());
    assert_eq!((new.pt(), new.ssrc(), new.ts(), new.marker()), (MEDIA.0, MEDIA.1, old.ts(), old.marker()));
    let (osn, payload) = old.payload().split_at(rtx::OSN_LEN);
    assert_eq!((&new.seq().0.to_be_bytes()[..], new.payload()), (osn, payload));
    assert_eq!(new.padding_len(), old.padding_len());
    assert!(new.extensions().eq(old.extensions()));
}

fn wrap_and_unwrap(bytes: &[u8]) {
    let Ok(media) = View::parse(bytes) else { return };
    let mut wrapped = bytes.to_vec();
    wrapped.splice(media.header_len()..media.header_len(), [0; rtx::OSN_LEN]);
    assert_eq!(rtx::write_osn(&mut wrapped[media.header_len()..], media.seq()), Some(rtx::OSN_LEN));
    packet::set_pt(&mut wrapped, RTX.0);
    packet::set_seq(&mut wrapped, RTX.1);
    packet::set_ssrc(&mut wrapped, RTX.2);
    assert_eq!(rtx::unwrap_in_place(&mut wrapped, media.pt(), media.ssrc()), Some(bytes.len()));
    assert_eq!(&wrapped[..bytes.len()], bytes);
}
