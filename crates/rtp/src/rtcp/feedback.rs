//! NACK (RFC 4585 §6.2.1), FIR (RFC 5104 §4.3.1) and REMB (draft-alvestrand-rmcat-remb-03 §2.2).

use convene_types::{Bitrate, SeqNo, Ssrc};

use crate::ParseError;
use crate::read::Reader;

/// Application layer feedback that is REMB begins with these bytes.
pub(super) const REMB_MAGIC: [u8; 4] = *b"REMB";
/// Bits of the REMB mantissa.
pub(super) const REMB_MANTISSA_BITS: u32 = 18;

/// Generic NACK.
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    /// Who misses packets.
    pub sender: Ssrc,
    /// The stream they belong to.
    pub media: Ssrc,
    entries: &'a [u8],
}

impl<'a> Nack<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        Ok(Self { sender: Ssrc(reader.u32()?), media: Ssrc(reader.u32()?), entries: reader.rest() })
    }

    /// The missing sequence numbers as listed: an entry names one (PID) and any of the 16 after it (BLP), modulo 2^16.
    pub fn seqs(&self) -> impl Iterator<Item = SeqNo> + use<'a> {
        self.entries.as_chunks::<4>().0.iter().flat_map(|[p0, p1, b0, b1]| {
            let pid = u16::from_be_bytes([*p0, *p1]);
            let blp = u16::from_be_bytes([*b0, *b1]);
            let after =
                (0..16_u16).filter(move |bit| blp.checked_shr(u32::from(*bit)).is_some_and(|rest| rest & 1 != 0));
            std::iter::once(SeqNo(pid)).chain(after.map(move |bit| SeqNo(pid.wrapping_add(bit).wrapping_add(1))))
        })
    }
}

/// Full intra request.
#[derive(Clone, Copy, Debug)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender: Ssrc,
    entries: &'a [u8],
}

/// One stream of a [`Fir`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirEntry {
    /// The stream that shall send a keyframe.
    pub ssrc: Ssrc,
    /// Grows with every request; a repeat of a request keeps it.
    pub seq_nr: u8,
}

impl<'a> Fir<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let sender = Ssrc(reader.u32()?);
        reader.u32()?; // RFC 5104 §4.3.1.2: the media source of the header is not used
        Ok(Self { sender, entries: reader.rest() })
    }

    /// The streams that are asked.
    pub fn entries(&self) -> impl Iterator<Item = FirEntry> + use<'a> {
        self.entries.as_chunks::<8>().0.iter().map(|[a, b, c, d, seq_nr, ..]| FirEntry {
            ssrc: Ssrc(u32::from_be_bytes([*a, *b, *c, *d])),
            seq_nr: *seq_nr,
        })
    }
}

/// Receiver's estimate of the bitrate.
#[derive(Clone, Copy, Debug)]
pub struct Remb<'a> {
    /// Who estimates.
    pub sender: Ssrc,
    /// For all of its streams together; saturates at the largest `u64`.
    pub bitrate: Bitrate,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let sender = Ssrc(reader.u32()?);
        reader.u32()?; // media source, always 0
        if reader.array::<4>()? != REMB_MAGIC {
            return Err(ParseError::Malformed);
        }
        let count = reader.u8()?;
        let packed = reader.u24()?;
        let mantissa = u128::from(packed & 0x3_ffff);
        // An exponent of 63 and 18 bits of mantissa fit 128 bits.
        let bitrate = mantissa.checked_shl(packed >> REMB_MANTISSA_BITS).unwrap_or(u128::MAX);
        let ssrcs = reader.take(usize::from(count).saturating_mul(4))?;
        Ok(Self { sender, bitrate: Bitrate(u64::try_from(bitrate).unwrap_or(u64::MAX)), ssrcs })
    }

    /// The streams that the estimate is for.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        self.ssrcs.as_chunks::<4>().0.iter().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }
}

/// Whether the body of an application layer feedback packet is REMB.
pub(super) fn is_remb(body: &[u8]) -> bool {
    body.get(8..12) == Some(&REMB_MAGIC)
}
