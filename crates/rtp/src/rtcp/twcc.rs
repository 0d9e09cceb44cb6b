//! Transport-wide feedback, draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1: which packets of one transport
//! arrived, and when.

use convene_types::{SeqNo, Ssrc};

use super::write::frame_padded;
use super::{FMT_TWCC, PT_RTPFB};
use crate::ParseError;
use crate::read::Reader;

/// Packets that one written feedback can name: its count field has 16 bits.
const MAX_STATUSES: usize = 65_535;
/// Statuses of a run-length chunk: 13 bits.
const MAX_RUN: usize = 8191;
/// Statuses of a vector chunk with one and with two bits each.
const ONE_BIT_STATUSES: usize = 14;
const TWO_BIT_STATUSES: usize = 7;

/// Chunk bits, §3.1.3 and §3.1.4.
const VECTOR_BIT: u16 = 0x8000;
const TWO_BIT_BIT: u16 = 0x4000;

/// What a chunk says of one packet, §3.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    NotReceived,
    /// Delta of one byte, 0..=63.75 ms.
    SmallDelta,
    /// Delta of two bytes, signed.
    LargeDelta,
}

impl Status {
    fn from_bits(bits: u16) -> Result<Self, ParseError> {
        match bits {
            0 => Ok(Self::NotReceived),
            1 => Ok(Self::SmallDelta),
            2 => Ok(Self::LargeDelta),
            _ => Err(ParseError::Malformed), // 3 is reserved
        }
    }

    fn of(arrival: Option<i16>) -> Self {
        match arrival {
            None => Self::NotReceived,
            Some(0..=255) => Self::SmallDelta,
            Some(_) => Self::LargeDelta,
        }
    }

    const fn bits(self) -> u16 {
        match self {
            Self::NotReceived => 0,
            Self::SmallDelta => 1,
            Self::LargeDelta => 2,
        }
    }

    const fn delta_len(self) -> usize {
        match self {
            Self::NotReceived => 0,
            Self::SmallDelta => 1,
            Self::LargeDelta => 2,
        }
    }
}

/// One packet status chunk: up to `left` statuses still to give.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    Run {
        status: Status,
        left: u16,
    },
    /// Symbols left-aligned in `bits`.
    OneBit {
        bits: u16,
        left: u16,
    },
    TwoBit {
        bits: u16,
        left: u16,
    },
}

impl Chunk {
    const EMPTY: Self = Self::Run { status: Status::NotReceived, left: 0 };

    fn parse(word: u16) -> Result<Self, ParseError> {
        if word & VECTOR_BIT == 0 {
            return Ok(Self::Run { status: Status::from_bits(word >> 13)?, left: word & 0x1fff });
        }
        if word & TWO_BIT_BIT == 0 {
            return Ok(Self::OneBit { bits: word << 2, left: 14 });
        }
        Ok(Self::TwoBit { bits: word << 2, left: 7 })
    }

    const fn left(&self) -> u16 {
        match self {
            Self::Run { left, .. } | Self::OneBit { left, .. } | Self::TwoBit { left, .. } => *left,
        }
    }

    fn next(&mut self) -> Result<Status, ParseError> {
        let (status, left) = match self {
            Self::Run { status, left } => (*status, left),
            Self::OneBit { bits, left } => {
                let status = Status::from_bits(*bits >> 15)?;
                *bits <<= 1;
                (status, left)
            }
            Self::TwoBit { bits, left } => {
                let status = Status::from_bits(*bits >> 14)?;
                *bits <<= 2;
                (status, left)
            }
        };
        *left = left.checked_sub(1).ok_or(ParseError::Truncated)?;
        Ok(status)
    }
}

/// Transport-wide feedback.
#[derive(Clone, Copy, Debug)]
pub struct TransportCc<'a> {
    /// Who reports.
    pub sender: Ssrc,
    /// One of the streams reported on.
    pub media: Ssrc,
    /// Transport-wide number of the first status.
    pub base_seq: SeqNo,
    /// Packets reported on, arrived or not.
    pub count: u16,
    /// Time that the first delta counts from, 24 bits, in units of 64 ms.
    pub reference_time_64ms: u32,
    /// Counts feedback packets, wraps.
    pub fb_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportCc<'a> {
    /// Checks that chunks cover the count and that all deltas are there.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let sender = Ssrc(reader.u32()?);
        let media = Ssrc(reader.u32()?);
        let base_seq = SeqNo(reader.u16()?);
        let count = reader.u16()?;
        let reference_time_64ms = reader.u24()?;
        let fb_count = reader.u8()?;
        let chunks = reader.rest();
        let mut deltas_len = 0_usize;
        let mut left = count;
        while left > 0 {
            let chunk = Chunk::parse(reader.u16()?)?;
            deltas_len = deltas_len.saturating_add(deltas_len_of(chunk, left)?);
            left = left.saturating_sub(chunk.left());
        }
        let chunks = chunks.get(..chunks.len().saturating_sub(reader.rest().len())).ok_or(ParseError::Truncated)?;
        let deltas = reader.take(deltas_len)?;
        Ok(Self { sender, media, base_seq, count, reference_time_64ms, fb_count, chunks, deltas })
    }

    /// Every reported packet in order: its number, and if it arrived the time since the one that arrived before it (for
    /// the first: since the reference time) in units of 250 us.
    pub fn arrivals(&self) -> impl Iterator<Item = (SeqNo, Option<i16>)> + use<'a> {
        Arrivals {
            chunks: Reader::new(self.chunks),
            deltas: Reader::new(self.deltas),
            chunk: Chunk::EMPTY,
            seq: self.base_seq,
            left: self.count,
        }
    }
}

/// Bytes of deltas for the first `limit` statuses of a chunk.
fn deltas_len_of(mut chunk: Chunk, limit: u16) -> Result<usize, ParseError> {
    let statuses = chunk.left().min(limit);
    if let Chunk::Run { status, .. } = chunk {
        return Ok(usize::from(statuses).saturating_mul(status.delta_len()));
    }
    let mut len = 0_usize;
    for _ in 0..statuses {
        len = len.saturating_add(chunk.next()?.delta_len());
    }
    Ok(len)
}

struct Arrivals<'a> {
    chunks: Reader<'a>,
    deltas: Reader<'a>,
    chunk: Chunk,
    seq: SeqNo,
    left: u16,
}

impl Arrivals<'_> {
    fn read(&mut self) -> Result<Option<i16>, ParseError> {
        // A run of length 0 is legal and says nothing; `chunks` is finite.
        while self.chunk.left() == 0 {
            self.chunk = Chunk::parse(self.chunks.u16()?)?;
        }
        match self.chunk.next()? {
            Status::NotReceived => Ok(None),
            Status::SmallDelta => self.deltas.u8().map(|delta| Some(i16::from(delta))),
            Status::LargeDelta => self.deltas.u16().map(|delta| Some(delta.cast_signed())),
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = (SeqNo, Option<i16>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let arrival = self.read().ok()?;
        let seq = self.seq;
        self.seq = SeqNo(seq.0.wrapping_add(1));
        Some((seq, arrival))
    }
}

/// Appends one feedback packet about `arrivals.len()` packets from `base_seq` on.
///
/// `media` must be an SSRC that the receiver of the feedback sends, or libwebrtc ignores it. An arrival is the time since
/// the one before it in units of 250 us, the first since `reference_time_64ms` (24 bits, 64 ms units). The size is at most
/// 24 + 2.3 bytes per arrival; keeping it within one datagram is the caller's part. Beyond 65535 arrivals the rest is
/// left out.
pub fn write_twcc(
    out: &mut Vec<u8>,
    sender: Ssrc,
    media: Ssrc,
    base_seq: SeqNo,
    reference_time_64ms: u32,
    fb_count: u8,
    arrivals: &[Option<i16>],
) {
    let arrivals = arrivals.get(..MAX_STATUSES).unwrap_or(arrivals);
    let count = u16::try_from(arrivals.len()).unwrap_or(u16::MAX);
    frame_padded(out, PT_RTPFB, FMT_TWCC, |out| {
        out.extend_from_slice(&sender.0.to_be_bytes());
        out.extend_from_slice(&media.0.to_be_bytes());
        out.extend_from_slice(&base_seq.0.to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        let [_, r0, r1, r2] = reference_time_64ms.to_be_bytes();
        out.extend_from_slice(&[r0, r1, r2, fb_count]);
        write_chunks(out, arrivals);
        for delta in arrivals.iter().flatten() {
            match u8::try_from(*delta) {
                Ok(small) => out.push(small),
                Err(_) => out.extend_from_slice(&delta.to_be_bytes()),
            }
        }
    });
}

/// Greedy: a run where it covers more than a vector would, else the vector with the smallest symbols that fit.
fn write_chunks(out: &mut Vec<u8>, mut arrivals: &[Option<i16>]) {
    while let Some(first) = arrivals.first() {
        let status = Status::of(*first);
        let run = arrivals.iter().take(MAX_RUN).take_while(|arrival| Status::of(**arrival) == status).count();
        let one_bit = arrivals.iter().take(ONE_BIT_STATUSES).all(|arrival| Status::of(*arrival) != Status::LargeDelta);
        let vector = if one_bit { ONE_BIT_STATUSES } else { TWO_BIT_STATUSES };
        let (word, taken) = if run > vector || run == arrivals.len() {
            (status.bits() << 13 | u16::try_from(run).unwrap_or(0), run)
        } else if one_bit {
            (VECTOR_BIT | symbols(arrivals, ONE_BIT_STATUSES, 1), ONE_BIT_STATUSES)
        } else {
            (VECTOR_BIT | TWO_BIT_BIT | symbols(arrivals, TWO_BIT_STATUSES, 2), TWO_BIT_STATUSES)
        };
        out.extend_from_slice(&word.to_be_bytes());
        arrivals = arrivals.get(taken..).unwrap_or_default();
    }
}

/// The first `statuses` symbols, first in the highest bits; missing ones are 0.
fn symbols(arrivals: &[Option<i16>], statuses: usize, width: u32) -> u16 {
    let padded = arrivals.iter().copied().chain(std::iter::repeat(None)).take(statuses);
    padded.fold(0, |word, arrival| word.wrapping_shl(width) | Status::of(arrival).bits())
}
