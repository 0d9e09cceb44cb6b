//! Writers: each appends one or more whole RTCP packets. All but TWCC, which is in `twcc`.

use convene_types::{Bitrate, SeqNo, Ssrc};

use super::feedback::{REMB_MAGIC, REMB_MANTISSA_BITS};
use super::report::{ReportBlock, SDES_CNAME, SenderInfo};
use super::{
    COUNT_MASK, FMT_AFB, FMT_FIR, FMT_NACK, FMT_PLI, MAX_COUNT, PADDING_BIT, PT_BYE, PT_PSFB, PT_RR, PT_RTPFB, PT_SDES,
    PT_SR, VERSION_2,
};

/// An SDES item's length is one byte.
const MAX_CNAME_LEN: usize = 255;
/// A REMB counts its streams in one byte.
const MAX_REMB_SSRCS: usize = 255;
/// Sequence numbers of one NACK packet: far above what a receiver may ask for at once, and within the 16-bit length
/// field even if every one takes an entry of its own.
const MAX_NACK_SEQS: usize = 1024;

/// SR, then as many RRs as it takes: a packet holds 31 report blocks (RFC 3550 §6.1).
pub fn write_sr(out: &mut Vec<u8>, info: &SenderInfo, reports: &[ReportBlock]) {
    let (first, rest) = reports.split_at_checked(MAX_COUNT).unwrap_or((reports, &[]));
    frame(out, PT_SR, count_bits(first.len()), |out| {
        out.extend_from_slice(&info.ssrc.0.to_be_bytes());
        out.extend_from_slice(&info.ntp.to_be_bytes());
        for word in [info.rtp_ts, info.packets, info.octets] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        first.iter().for_each(|report| report.write(out));
    });
    if !rest.is_empty() {
        write_rr(out, info.ssrc, rest);
    }
}

/// RR, or as many as it takes for all report blocks; one without blocks for an empty list.
pub fn write_rr(out: &mut Vec<u8>, sender: Ssrc, reports: &[ReportBlock]) {
    let (first, mut rest) = reports.split_at_checked(MAX_COUNT).unwrap_or((reports, &[]));
    let mut write_one = |reports: &[ReportBlock]| {
        frame(out, PT_RR, count_bits(reports.len()), |out| {
            out.extend_from_slice(&sender.0.to_be_bytes());
            reports.iter().for_each(|report| report.write(out));
        });
    };
    write_one(first);
    while !rest.is_empty() {
        let (next, after) = rest.split_at_checked(MAX_COUNT).unwrap_or((rest, &[]));
        write_one(next);
        rest = after;
    }
}

/// SDES with one canonical name; names over 255 bytes are cut.
pub fn write_sdes_cname(out: &mut Vec<u8>, ssrc: Ssrc, cname: &str) {
    let text = cname.as_bytes();
    let text = text.get(..MAX_CNAME_LEN).unwrap_or(text);
    frame(out, PT_SDES, 1, |out| {
        out.extend_from_slice(&ssrc.0.to_be_bytes());
        out.extend_from_slice(&[SDES_CNAME, byte(text.len())]);
        out.extend_from_slice(text);
        out.push(0); // ends the chunk; `frame` adds the zeros up to the boundary
    });
}

/// NACK. Neighbours within 16 of an earlier one share its entry if they follow it in the list, so sort for the
/// shortest packet. An empty list writes nothing; beyond 1024 numbers the rest is left out.
pub fn write_nack(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc, seqs: &[SeqNo]) {
    let mut seqs = seqs.iter().take(MAX_NACK_SEQS).peekable();
    if seqs.peek().is_none() {
        return;
    }
    frame(out, PT_RTPFB, FMT_NACK, |out| {
        out.extend_from_slice(&sender.0.to_be_bytes());
        out.extend_from_slice(&media.0.to_be_bytes());
        while let Some(SeqNo(pid)) = seqs.next() {
            let mut blp = 0_u16;
            while let Some(bit) = seqs.peek().and_then(|seq| blp_bit(*pid, seq.0)) {
                blp |= bit;
                seqs.next();
            }
            out.extend_from_slice(&pid.to_be_bytes());
            out.extend_from_slice(&blp.to_be_bytes());
        }
    });
}

/// The BLP bit of `seq` in an entry for `pid`: bit 0 is `pid + 1`. A repeat of `pid` itself needs no bit.
fn blp_bit(pid: u16, seq: u16) -> Option<u16> {
    match seq.wrapping_sub(pid) {
        0 => Some(0),
        distance @ 1..=16 => 1_u16.checked_shl(u32::from(distance).saturating_sub(1)),
        _ => None,
    }
}

/// PLI.
pub fn write_pli(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc) {
    frame(out, PT_PSFB, FMT_PLI, |out| {
        out.extend_from_slice(&sender.0.to_be_bytes());
        out.extend_from_slice(&media.0.to_be_bytes());
    });
}

/// FIR for one stream; `seq_nr` grows by one with every request that is no repeat.
pub fn write_fir(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc, seq_nr: u8) {
    frame(out, PT_PSFB, FMT_FIR, |out| {
        out.extend_from_slice(&sender.0.to_be_bytes());
        out.extend_from_slice(&[0; 4]); // RFC 5104 §4.3.1.2: the media source of the header is 0
        out.extend_from_slice(&media.0.to_be_bytes());
        out.extend_from_slice(&[seq_nr, 0, 0, 0]);
    });
}

/// REMB for up to 255 streams; the bitrate is rounded down to 18 significant bits.
pub fn write_remb(out: &mut Vec<u8>, sender: Ssrc, bitrate: Bitrate, ssrcs: &[Ssrc]) {
    let significant = u64::BITS.saturating_sub(bitrate.0.leading_zeros());
    let exponent = significant.saturating_sub(REMB_MANTISSA_BITS);
    let mantissa = bitrate.0.checked_shr(exponent).unwrap_or(0);
    // 46 is the largest exponent of a u64, so the six exponent bits suffice.
    let packed = u64::from(exponent) << REMB_MANTISSA_BITS | mantissa;
    let [.., p0, p1, p2] = packed.to_be_bytes();
    let ssrcs = ssrcs.get(..MAX_REMB_SSRCS).unwrap_or(ssrcs);
    frame(out, PT_PSFB, FMT_AFB, |out| {
        out.extend_from_slice(&sender.0.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&REMB_MAGIC);
        out.extend_from_slice(&[byte(ssrcs.len()), p0, p1, p2]);
        ssrcs.iter().for_each(|ssrc| out.extend_from_slice(&ssrc.0.to_be_bytes()));
    });
}

/// BYE, as many as it takes: a packet names 31 streams. An empty list writes nothing.
pub fn write_bye(out: &mut Vec<u8>, sources: &[Ssrc]) {
    for sources in sources.chunks(MAX_COUNT) {
        frame(out, PT_BYE, count_bits(sources.len()), |out| {
            sources.iter().for_each(|ssrc| out.extend_from_slice(&ssrc.0.to_be_bytes()));
        });
    }
}

/// Appends the common header, what `body` writes, and zeros up to a 32-bit boundary; then sets the length.
pub(super) fn frame(out: &mut Vec<u8>, pt: u8, count: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[VERSION_2 | (count & COUNT_MASK), pt, 0, 0]);
    body(out);
    let len = out.len().saturating_sub(start);
    out.extend_from_slice([0_u8; 3].get(..len.wrapping_neg() & 3).unwrap_or_default());
    set_length(out, start);
}

/// Like [`frame`], but the filling counts as padding with the P bit (RFC 3550 §6.4.1): for bodies that are read up to
/// their end.
pub(super) fn frame_padded(out: &mut Vec<u8>, pt: u8, count: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[VERSION_2 | (count & COUNT_MASK), pt, 0, 0]);
    body(out);
    let padding: &[u8] = match out.len().saturating_sub(start) & 3 {
        0 => &[],
        1 => &[0, 0, 3],
        2 => &[0, 2],
        _ => &[1],
    };
    out.extend_from_slice(padding);
    if let (false, Some(first)) = (padding.is_empty(), out.get_mut(start)) {
        *first |= PADDING_BIT;
    }
    set_length(out, start);
}

/// The length field counts 32-bit words after the first. Every writer bounds its body, so it fits 16 bits.
fn set_length(out: &mut [u8], start: usize) {
    let words = (out.len().saturating_sub(start) >> 2).saturating_sub(1);
    debug_assert!(words <= usize::from(u16::MAX));
    let words = u16::try_from(words).unwrap_or(u16::MAX);
    if let Some([_, _, l0, l1, ..]) = out.get_mut(start..) {
        [*l0, *l1] = words.to_be_bytes();
    }
}

/// A length that the caller has bounded by 255.
fn byte(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

/// A count that the caller has bounded by [`MAX_COUNT`].
fn count_bits(count: usize) -> u8 {
    byte(count.min(MAX_COUNT))
}
