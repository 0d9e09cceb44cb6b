//! Bits from the front of untrusted bytes, most significant first.

use crate::ParseError;

pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    at: u32,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn flag(&mut self) -> Result<bool, ParseError> {
        let byte = self.bytes.get((self.at >> 3) as usize).ok_or(ParseError::Truncated)?;
        let bit = byte.wrapping_shl(self.at & 7) & 0b1000_0000;
        self.at = self.at.saturating_add(1);
        Ok(bit != 0)
    }

    /// The next `width` bits, 0..=32.
    pub(super) fn read(&mut self, width: u32) -> Result<u32, ParseError> {
        debug_assert!(width <= u32::BITS);
        (0..width).try_fold(0, |value: u32, _| Ok(value << 1 | u32::from(self.flag()?)))
    }

    pub(super) fn skip(&mut self, width: u32) -> Result<(), ParseError> {
        (0..width).try_for_each(|_| self.flag().map(|_| ()))
    }

    /// `ns(n)` of the AV1 bitstream specification §4.10.7: a number below `n` in as few bits as it takes. `n` is at
    /// least 1.
    pub(super) fn below(&mut self, n: u32) -> Result<u32, ParseError> {
        let width = u32::BITS.saturating_sub(n.leading_zeros());
        let short_codes = 1_u32.checked_shl(width).ok_or(ParseError::Malformed)?.saturating_sub(n);
        let value = self.read(width.saturating_sub(1))?;
        if value < short_codes {
            return Ok(value);
        }
        let extra = u32::from(self.flag()?);
        Ok((value << 1 | extra).saturating_sub(short_codes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_ends() {
        let mut bits = BitReader::new(&[0b1010_0101, 0xff]);
        assert_eq!(bits.read(3), Ok(0b101));
        assert_eq!(bits.read(0), Ok(0));
        assert_eq!(bits.read(9), Ok(0b0_0101_1111));
        assert_eq!(bits.skip(4), Ok(()));
        assert_eq!(bits.flag(), Err(ParseError::Truncated));
        assert_eq!(BitReader::new(&[0xff; 4]).read(32), Ok(u32::MAX));
    }

    #[test]
    fn below_uses_short_codes() {
        // The table of the AV1 specification for n = 5: 00 01 10 110 111.
        let rows =
            [(0b0000_0000, 0, 2), (0b0100_0000, 1, 2), (0b1000_0000, 2, 2), (0b1100_0000, 3, 3), (0b1110_0000, 4, 3)];
        for (byte, want, width) in rows {
            let bytes = [byte];
            let mut bits = BitReader::new(&bytes);
            assert_eq!((bits.below(5), bits.at), (Ok(want), width), "{byte:08b}");
        }
        assert_eq!(BitReader::new(&[]).below(1), Ok(0));
    }
}
