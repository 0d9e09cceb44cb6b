//! The few fields of RTP and RTCP headers that SRTP needs. Not a parser: that is `convene_rtp::packet`.

/// What SRTP reads from an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RtpHeader {
    pub(super) ssrc: u32,
    pub(super) seq: u16,
    /// Fixed header, CSRCs and extension: the part that is authenticated but not encrypted (RFC 3711 §3.1).
    pub(super) len: usize,
}

impl RtpHeader {
    /// `None`: not RTP, or its header is longer than the packet.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; 12] = packet.first_chunk()?;
        // RFC 3550 §5.1: V=2, then P, X, CC.
        let first = fixed[0];
        if first >> 6 != 2 {
            return None;
        }
        let mut len = 12 + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let extension: &[u8; 4] = packet.get(len..)?.first_chunk()?;
            let words = u16::from_be_bytes([extension[2], extension[3]]);
            len += 4 + 4 * usize::from(words);
        }
        if len > packet.len() {
            return None;
        }
        let seq = u16::from_be_bytes([fixed[2], fixed[3]]);
        let ssrc = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
        Some(Self { ssrc, seq, len })
    }
}

/// The RTCP header up to the sender SSRC, which SRTCP leaves in the clear (RFC 3711 §3.4).
pub(super) const RTCP_HEADER_LEN: usize = 8;

/// The E flag of the word that follows an SRTCP packet: the payload is encrypted (RFC 3711 §3.4).
pub(super) const RTCP_E_FLAG: u32 = 1 << 31;

/// Sender SSRC of a compound packet; `None`: not RTCP.
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let fixed: &[u8; 8] = packet.first_chunk()?;
    (fixed[0] >> 6 == 2).then(|| u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]))
}

#[cfg(test)]
mod tests {
    use super::{RtpHeader, rtcp_ssrc};

    #[test]
    fn header_length_covers_csrcs_and_extension() {
        let mut packet = [0u8; 40];
        packet[2..4].copy_from_slice(&0xffff_u16.to_be_bytes());
        packet[8..12].copy_from_slice(&7u32.to_be_bytes());
        // First byte, extension words at their place, packet length, header length.
        type Row = (u8, Option<(usize, u16)>, usize, Option<usize>);
        let rows: &[Row] = &[
            (0x80, None, 40, Some(12)),
            (0x80, None, 12, Some(12)),
            (0x80, None, 11, None),
            (0x82, None, 40, Some(20)),
            (0x82, None, 19, None),
            (0x90, Some((12, 1)), 40, Some(20)),
            (0x90, Some((12, 1)), 19, None),
            (0x90, Some((12, 0xffff)), 40, None),
            (0x91, Some((16, 0)), 40, Some(20)),
            (0x91, Some((16, 0)), 19, None),
            (0x40, None, 40, None),
            (0xc0, None, 40, None),
        ];
        for (row, (first, extension, len, want)) in rows.iter().enumerate() {
            let mut bytes = packet;
            bytes[0] = *first;
            if let Some((at, words)) = extension {
                bytes[at + 2..at + 4].copy_from_slice(&words.to_be_bytes());
            }
            let got = RtpHeader::parse(&bytes[..*len]);
            assert_eq!(got.map(|header| header.len), *want, "row {row}");
            if let Some(header) = got {
                assert_eq!((header.ssrc, header.seq), (7, 0xffff), "row {row}");
            }
        }
    }

    #[test]
    fn rtcp_needs_a_whole_header() {
        assert_eq!(rtcp_ssrc(&[0x80, 200, 0, 1, 0, 0, 0, 9]), Some(9));
        assert_eq!(rtcp_ssrc(&[0x80, 200, 0, 1, 0, 0, 0]), None);
        assert_eq!(rtcp_ssrc(&[0x40, 200, 0, 1, 0, 0, 0, 9]), None);
    }
}
