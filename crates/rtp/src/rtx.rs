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
