//! SR, RR, SDES and BYE, RFC 3550 §6.4 to §6.6.

use convene_types::Ssrc;

use crate::ParseError;
use crate::read::Reader;

/// SDES item type of the canonical name, RFC 3550 §6.5.1.
pub(super) const SDES_CNAME: u8 = 1;
/// Bytes of a report block.
const REPORT_BLOCK_LEN: usize = 24;

/// The sender's part of an SR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// Whose report it is.
    pub ssrc: Ssrc,
    /// NTP time of the report, 32.32 bits of seconds since 1900.
    pub ntp: u64,
    /// The same instant on the stream's RTP clock.
    pub rtp_ts: u32,
    /// Packets sent so far, wraps.
    pub packets: u32,
    /// Payload bytes sent so far, wraps.
    pub octets: u32,
}

/// What a receiver says of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: Ssrc,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all, 24 bits, negative with duplicates.
    pub cumulative_lost: i32,
    /// Extended highest sequence number: cycles in the upper half.
    pub highest_seq: u32,
    /// Interarrival jitter in units of the RTP clock.
    pub jitter: u32,
    /// The middle 32 bits of the last SR's NTP time; 0 without one.
    pub last_sr: u32,
    /// Time since that SR in 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            ssrc: Ssrc(reader.u32()?),
            fraction_lost: reader.u8()?,
            // Shifted up and down again to spread the sign of 24 bits.
            cumulative_lost: (reader.u24()? << 8).cast_signed() >> 8,
            highest_seq: reader.u32()?,
            jitter: reader.u32()?,
            last_sr: reader.u32()?,
            delay_since_last_sr: reader.u32()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ssrc.0.to_be_bytes());
        // RFC 3550 §6.4.1: clamped to 24 bits signed.
        let [_, l0, l1, l2] = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
        out.extend_from_slice(&[self.fraction_lost, l0, l1, l2]);
        for word in [self.highest_seq, self.jitter, self.last_sr, self.delay_since_last_sr] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// The report blocks at the front of `body`; the count is checked once here.
fn report_blocks(count: u8, body: &[u8]) -> Result<&[u8], ParseError> {
    Reader::new(body).take(usize::from(count).saturating_mul(REPORT_BLOCK_LEN))
}

fn iterate(blocks: &[u8]) -> impl Iterator<Item = ReportBlock> + use<'_> {
    blocks.chunks_exact(REPORT_BLOCK_LEN).filter_map(|block| ReportBlock::read(&mut Reader::new(block)).ok())
}

/// SR.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    /// The sender's part.
    pub info: SenderInfo,
    blocks: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let info = SenderInfo {
            ssrc: Ssrc(reader.u32()?),
            ntp: reader.u64()?,
            rtp_ts: reader.u32()?,
            packets: reader.u32()?,
            octets: reader.u32()?,
        };
        Ok(Self { info, blocks: report_blocks(count, reader.rest())? })
    }

    /// What it says of streams that it receives.
    pub fn reports(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        iterate(self.blocks)
    }
}

/// RR.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// Whose report it is.
    pub sender: Ssrc,
    blocks: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        Ok(Self { sender: Ssrc(reader.u32()?), blocks: report_blocks(count, reader.rest())? })
    }

    /// What it says of streams that it receives.
    pub fn reports(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        iterate(self.blocks)
    }
}

/// SDES.
#[derive(Clone, Copy, Debug)]
pub struct SourceDescription<'a> {
    count: u8,
    body: &'a [u8],
}

/// One item of an SDES chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdesItem<'a> {
    /// The source that the chunk describes.
    pub ssrc: Ssrc,
    /// Item type, RFC 3550 §6.5.
    pub kind: u8,
    /// The text, not checked for UTF-8.
    pub text: &'a [u8],
}

impl<'a> SourceDescription<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        Ok(Self { count, body })
    }

    /// All items of all chunks; ends at the first broken one.
    pub fn items(&self) -> impl Iterator<Item = SdesItem<'a>> + use<'a> {
        SdesItems { reader: Reader::new(self.body), len: self.body.len(), chunks_left: self.count, ssrc: None }
    }

    /// Canonical names by source.
    pub fn cnames(&self) -> impl Iterator<Item = (Ssrc, &'a [u8])> + use<'a> {
        self.items().filter(|item| item.kind == SDES_CNAME).map(|item| (item.ssrc, item.text))
    }
}

struct SdesItems<'a> {
    reader: Reader<'a>,
    /// Bytes of the whole body: chunks are aligned to it.
    len: usize,
    chunks_left: u8,
    /// The chunk that is being read.
    ssrc: Option<Ssrc>,
}

impl<'a> Iterator for SdesItems<'a> {
    type Item = SdesItem<'a>;

    fn next(&mut self) -> Option<SdesItem<'a>> {
        loop {
            let ssrc = match self.ssrc {
                Some(ssrc) => ssrc,
                None => {
                    self.chunks_left = self.chunks_left.checked_sub(1)?;
                    *self.ssrc.insert(Ssrc(self.reader.u32().ok()?))
                }
            };
            let kind = self.reader.u8().ok()?;
            if kind != 0 {
                let len = self.reader.u8().ok()?;
                return Some(SdesItem { ssrc, kind, text: self.reader.take(usize::from(len)).ok()? });
            }
            // RFC 3550 §6.5: a zero byte ends the chunk, zeros follow up to the next 32-bit boundary.
            let read = self.len.saturating_sub(self.reader.rest().len());
            self.reader.take(read.wrapping_neg() & 3).ok()?;
            self.ssrc = None;
        }
    }
}

/// BYE.
#[derive(Clone, Copy, Debug)]
pub struct Bye<'a> {
    sources: &'a [u8],
}

impl<'a> Bye<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        Ok(Self { sources: Reader::new(body).take(usize::from(count).saturating_mul(4))? })
    }

    /// The streams that end.
    pub fn sources(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        self.sources.as_chunks::<4>().0.iter().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }
}
