//! Retransmission payloads, RFC 4588 §4: a two-byte original sequence number (OSN) in front of the media payload.
//!
//! Making one is `packet::write_header` with the RTX stream's fields, [`write_osn`], then the media payload.

use convene_types::{Pt, SeqNo, Ssrc};

use crate::packet::{self, View};

/// Bytes of the OSN field, RFC 4588 §4.
pub const OSN_LEN: usize = 2;

/// Turns a decrypted RTX packet back into the media packet that it repeats and returns the new length.
///
/// `None`: no RTP packet, or the payload has no OSN, as in the padding-only packets that browsers send as bandwidth
/// probes on RTX streams; nothing is changed then. Header extensions and padding stay.
pub fn unwrap_in_place(bytes: &mut [u8], media_pt: Pt, media_ssrc: Ssrc) -> Option<usize> {
    let view = View::parse(bytes).ok()?;
    let osn = SeqNo(u16::from_be_bytes(*view.payload().first_chunk::<OSN_LEN>()?));
    let payload_at = view.header_len();
    let media_at = payload_at.checked_add(OSN_LEN)?;
    let len = bytes.len().checked_sub(OSN_LEN)?;
    bytes.copy_within(media_at.., payload_at);
    packet::set_seq(bytes, osn);
    packet::set_pt(bytes, media_pt);
    packet::set_ssrc(bytes, media_ssrc);
    Some(len)
}

/// Writes the original sequence number to the front of `out`; returns [`OSN_LEN`], or `None` if it does not fit.
pub fn write_osn(out: &mut [u8], osn: SeqNo) -> Option<usize> {
    *out.first_chunk_mut::<OSN_LEN>()? = osn.0.to_be_bytes();
    Some(OSN_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Fields;

    /// An RTX packet with this payload and trailing bytes.
    fn rtx(extensions: &[(u8, &[u8])], tail: &[u8], padded: bool) -> Vec<u8> {
        let fields = Fields { marker: true, pt: Pt(97), seq: SeqNo(5), ts: u32::MAX, ssrc: Ssrc(2) };
        let mut bytes = vec![0; 64];
        let len = packet::write_header(&mut bytes, &fields, extensions).unwrap();
        bytes.truncate(len);
        bytes.extend_from_slice(tail);
        bytes[0] |= if padded { 0x20 } else { 0 };
        bytes
    }

    #[test]
    fn unwraps() {
        // (name, behind the header, padding bit, original number and payload)
        type Row = (&'static str, &'static [u8], bool, Option<(u16, &'static [u8])>);
        let rows: [Row; 8] = [
            ("plain", &[0x12, 0x34, 1, 2, 3], false, Some((0x1234, &[1, 2, 3]))),
            ("highest number", &[0xff, 0xff, 1], false, Some((65535, &[1]))),
            ("lowest number", &[0, 0, 1], false, Some((0, &[1]))),
            ("number alone", &[0, 7], false, Some((7, &[]))),
            ("padding stays", &[0, 7, 1, 0, 2], true, Some((7, &[1]))),
            ("probe of padding alone", &[0, 0, 0, 4], true, None),
            ("one byte", &[7], false, None),
            ("one byte and padding", &[7, 0, 0, 3], true, None),
        ];
        for (name, tail, padded, want) in rows {
            for extensions in [&[][..], &[(1_u8, &b"m"[..]), (11, b"hi")]] {
                let mut bytes = rtx(extensions, tail, padded);
                let before = bytes.clone();
                let len = unwrap_in_place(&mut bytes, Pt(96), Ssrc(1));
                assert_eq!(len, want.map(|_| before.len() - OSN_LEN), "{name}");
                let (Some(len), Some((seq, payload))) = (len, want) else {
                    assert_eq!(bytes, before, "{name}");
                    continue;
                };
                let view = View::parse(&bytes[..len]).unwrap();
                assert_eq!((view.seq(), view.pt(), view.ssrc()), (SeqNo(seq), Pt(96), Ssrc(1)), "{name}");
                assert_eq!((view.marker(), view.ts(), view.payload()), (true, u32::MAX, payload), "{name}");
                assert_eq!(view.extensions().collect::<Vec<_>>(), extensions, "{name}");
            }
        }
        assert_eq!(unwrap_in_place(&mut [0x80; 11], Pt(96), Ssrc(1)), None);
    }

    #[test]
    fn what_is_written_unwraps() {
        let mut bytes = rtx(&[], &[0, 0, 9, 9], false);
        assert_eq!(write_osn(&mut bytes[12..], SeqNo(65535)), Some(OSN_LEN));
        assert_eq!(unwrap_in_place(&mut bytes, Pt(96), Ssrc(1)), Some(14));
        assert_eq!(View::parse(&bytes[..14]).unwrap().seq(), SeqNo(65535));
        assert_eq!(write_osn(&mut [0], SeqNo(1)), None);
    }
}
