//! RTP numbers (RFC 3550 §5.1).

use std::fmt;

/// Synchronisation source: names one RTP stream within one transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

/// Payload type, 0..=127.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pt(pub u8);

/// Sequence number as it stands on the wire: 16 bits, wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNo(pub u16);

/// Unwrapped sequence number: the low 16 bits are what the wire carries, it only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtSeq(pub u64);

impl ExtSeq {
    /// What the wire carries of this number.
    #[must_use]
    pub const fn seq(self) -> SeqNo {
        SeqNo((self.0 & 0xffff) as u16)
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for ExtSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
