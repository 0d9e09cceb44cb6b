//! The values of the header extensions that the SFU reads or writes itself; the others are carried as bytes.

use crate::read::Reader;

/// RFC 6464 §3, one-byte form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Loudness below overload in dB: 0 is the loudest, 127 is silence.
    pub level_dbov: u8,
    /// The sender takes it for speech.
    pub voice: bool,
}

impl AudioLevel {
    const VOICE_BIT: u8 = 0b1000_0000;

    /// Reads the extension's value.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let byte = *value.first()?;
        Some(Self { level_dbov: byte & !Self::VOICE_BIT, voice: byte & Self::VOICE_BIT != 0 })
    }

    /// The extension's value.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 1] {
        [(self.level_dbov & !Self::VOICE_BIT) | if self.voice { Self::VOICE_BIT } else { 0 }]
    }
}

/// Bounds that a sender sets for the receiver's playout delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    /// In units of 10 ms, 12 bits.
    pub min_10ms: u16,
    /// In units of 10 ms, 12 bits.
    pub max_10ms: u16,
}

impl PlayoutDelay {
    /// Reads the extension's value.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let [a, b, c] = *value.first_chunk::<3>()?;
        Some(Self { min_10ms: u16::from_be_bytes([a, b]) >> 4, max_10ms: u16::from_be_bytes([b, c]) & 0x0fff })
    }
}

/// 3GPP TS 26.114 §7.4.5: how the camera was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation {
    /// The camera on the back of the device.
    pub back_camera: bool,
    /// The picture is mirrored.
    pub flip: bool,
    /// Clockwise turns of 90 degrees, 0..=3, that the receiver makes.
    pub quarter_turns: u8,
}

impl Orientation {
    /// Reads the extension's value.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let byte = *value.first()?;
        Some(Self { back_camera: byte & 0b1000 != 0, flip: byte & 0b100 != 0, quarter_turns: byte & 0b11 })
    }
}

/// Transport-wide sequence number, draft-holmer-rmcat-transport-wide-cc-extensions-01 §2.
#[must_use]
pub fn transport_cc(value: &[u8]) -> Option<u16> {
    Reader::new(value).u16().ok()
}

/// Send time in units of 2^-18 s, 24 bits, wraps every 64 s.
#[must_use]
pub fn abs_send_time(value: &[u8]) -> Option<u32> {
    Reader::new(value).u24().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_level() {
        type Row = (&'static [u8], Option<(u8, bool)>);
        let rows: [Row; 5] = [
            (&[0x00], Some((0, false))),
            (&[0x80], Some((0, true))),
            (&[0x7f], Some((127, false))),
            (&[0xff, 0x00], Some((127, true))), // the two-byte form adds a byte of zeros
            (&[], None),
        ];
        for (value, want) in rows {
            let got = AudioLevel::parse(value);
            assert_eq!(got.map(|level| (level.level_dbov, level.voice)), want, "{value:?}");
            if let Some(level) = got {
                assert_eq!(level.to_bytes()[0], value[0]);
            }
        }
        assert_eq!(AudioLevel { level_dbov: 255, voice: false }.to_bytes(), [0x7f]);
    }

    #[test]
    fn numbers() {
        assert_eq!(transport_cc(&[0xff, 0xff]), Some(65535));
        assert_eq!(transport_cc(&[0x01, 0x02, 0x03]), Some(0x0102));
        assert_eq!(transport_cc(&[0xff]), None);
        assert_eq!(abs_send_time(&[0xff, 0xff, 0xff]), Some(0xff_ffff));
        assert_eq!(abs_send_time(&[0, 1]), None);
    }

    #[test]
    fn playout_delay_and_orientation() {
        let delay = PlayoutDelay::parse(&[0x00, 0x5f, 0xff]);
        assert_eq!(delay, Some(PlayoutDelay { min_10ms: 5, max_10ms: 0x0fff }));
        assert_eq!(PlayoutDelay::parse(&[0, 0]), None);
        let turned = Orientation { back_camera: true, flip: false, quarter_turns: 3 };
        assert_eq!(Orientation::parse(&[0b0000_1011]), Some(turned));
        assert_eq!(Orientation::parse(&[]), None);
    }
}
