//! RTCP as bytes: compound packets (RFC 3550 §6, reduced size by RFC 5506), feedback (RFC 4585, RFC 5104), REMB and
//! transport-wide feedback.
//!
//! [`packets`] reads without allocating; the `write_*` functions append one whole RTCP packet to a `Vec`. What to send
//! and when is decided elsewhere.

mod feedback;
mod report;
mod twcc;
mod write;

use convene_types::Ssrc;

use crate::ParseError;
use crate::read::Reader;

pub use feedback::{Fir, FirEntry, Nack, Remb};
pub use report::{Bye, ReceiverReport, ReportBlock, SdesItem, SenderInfo, SenderReport, SourceDescription};
pub use twcc::{TransportCc, write_twcc};
pub use write::{write_bye, write_fir, write_nack, write_pli, write_remb, write_rr, write_sdes_cname, write_sr};

/// Packet types, RFC 3550 §12.1 and RFC 4585 §6.1.
const PT_SR: u8 = 200;
const PT_RR: u8 = 201;
const PT_SDES: u8 = 202;
const PT_BYE: u8 = 203;
const PT_RTPFB: u8 = 205;
const PT_PSFB: u8 = 206;
/// Feedback formats: RFC 4585 §6.2 and §6.3, RFC 5104 §4.3, draft-alvestrand-rmcat-remb-03 §2.2,
/// draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.
const FMT_NACK: u8 = 1;
const FMT_TWCC: u8 = 15;
const FMT_PLI: u8 = 1;
const FMT_FIR: u8 = 4;
const FMT_AFB: u8 = 15;

const VERSION_2: u8 = 0b1000_0000;
const PADDING_BIT: u8 = 0b0010_0000;
const COUNT_MASK: u8 = 0b0001_1111;
/// Items that the five count bits can name: report blocks, SDES chunks, BYE sources.
const MAX_COUNT: usize = 31;

/// Packet statuses that the transport-wide feedback of one compound may claim together: a run-length chunk claims 8191 in
/// two bytes, so a datagram could make its reader walk through millions. This many cover an outage of 16 s at 1000
/// packets/s; feedback beyond them is an error.
const MAX_STATUSES_PER_COMPOUND: u16 = 16_384;

/// One RTCP packet of a compound.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// SR, RFC 3550 §6.4.1.
    SenderReport(SenderReport<'a>),
    /// RR, RFC 3550 §6.4.2.
    ReceiverReport(ReceiverReport<'a>),
    /// SDES, RFC 3550 §6.5.
    SourceDescription(SourceDescription<'a>),
    /// BYE, RFC 3550 §6.6.
    Bye(Bye<'a>),
    /// Generic NACK, RFC 4585 §6.2.1.
    Nack(Nack<'a>),
    /// Picture loss indication, RFC 4585 §6.3.1.
    Pli {
        /// Who asks.
        sender: Ssrc,
        /// Which stream shall send a keyframe.
        media: Ssrc,
    },
    /// Full intra request, RFC 5104 §4.3.1.
    Fir(Fir<'a>),
    /// Receiver's estimate of the bitrate, draft-alvestrand-rmcat-remb-03.
    Remb(Remb<'a>),
    /// Transport-wide feedback, draft-holmer-rmcat-transport-wide-cc-extensions-01.
    TransportCc(TransportCc<'a>),
    /// Anything else, well framed.
    Other {
        /// Packet type.
        pt: u8,
        /// Count or feedback format.
        fmt: u8,
    },
}

/// Reads a compound packet. A packet with good framing and bad content yields an error and the next one follows; after
/// broken framing nothing follows.
pub fn packets(bytes: &[u8]) -> impl Iterator<Item = Result<Packet<'_>, ParseError>> {
    Packets { rest: bytes, statuses_left: MAX_STATUSES_PER_COMPOUND }
}

struct Packets<'a> {
    rest: &'a [u8],
    statuses_left: u16,
}

impl<'a> Packets<'a> {
    fn parse(&mut self, frame: Frame<'a>) -> Result<Packet<'a>, ParseError> {
        let packet = parse(frame)?;
        if let Packet::TransportCc(feedback) = &packet {
            self.statuses_left = self.statuses_left.checked_sub(feedback.count).ok_or(ParseError::Malformed)?;
        }
        Ok(packet)
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Frame::split(self.rest) {
            Ok((frame, rest)) => {
                self.rest = rest;
                Some(frame.and_then(|frame| self.parse(frame)))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// One packet by its common header, padding taken off.
#[derive(Clone, Copy)]
struct Frame<'a> {
    pt: u8,
    count: u8,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Splits the first packet off. The outer error is broken framing, the inner one broken padding.
    fn split(bytes: &'a [u8]) -> Result<(Result<Self, ParseError>, &'a [u8]), ParseError> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8()?;
        if first & 0b1100_0000 != VERSION_2 {
            return Err(ParseError::Version);
        }
        let pt = reader.u8()?;
        let words = reader.u16()?;
        let padded = reader.take(usize::from(words).saturating_mul(4))?;
        let body = if first & PADDING_BIT == 0 { Ok(padded) } else { strip_padding(padded) };
        Ok((body.map(|body| Self { pt, count: first & COUNT_MASK, body }), reader.rest()))
    }
}

/// RFC 3550 §6.4.1: the last byte counts the padding, itself included. The count should be a multiple of four, but
/// libwebrtc fills its transport-wide feedback with one to three bytes, and so do we.
fn strip_padding(body: &[u8]) -> Result<&[u8], ParseError> {
    let count = usize::from(*body.last().ok_or(ParseError::Padding)?);
    if count == 0 {
        return Err(ParseError::Padding);
    }
    let len = body.len().checked_sub(count).ok_or(ParseError::Padding)?;
    body.get(..len).ok_or(ParseError::Padding)
}

fn parse(frame: Frame<'_>) -> Result<Packet<'_>, ParseError> {
    let Frame { pt, count, body } = frame;
    match (pt, count) {
        (PT_SR, _) => SenderReport::parse(count, body).map(Packet::SenderReport),
        (PT_RR, _) => ReceiverReport::parse(count, body).map(Packet::ReceiverReport),
        (PT_SDES, _) => SourceDescription::parse(count, body).map(Packet::SourceDescription),
        (PT_BYE, _) => Bye::parse(count, body).map(Packet::Bye),
        (PT_RTPFB, FMT_NACK) => Nack::parse(body).map(Packet::Nack),
        (PT_RTPFB, FMT_TWCC) => TransportCc::parse(body).map(Packet::TransportCc),
        (PT_PSFB, FMT_PLI) => {
            let mut reader = Reader::new(body);
            Ok(Packet::Pli { sender: Ssrc(reader.u32()?), media: Ssrc(reader.u32()?) })
        }
        (PT_PSFB, FMT_FIR) => Fir::parse(body).map(Packet::Fir),
        (PT_PSFB, FMT_AFB) if feedback::is_remb(body) => Remb::parse(body).map(Packet::Remb),
        (pt, fmt) => Ok(Packet::Other { pt, fmt }),
    }
}

#[cfg(test)]
mod tests;
