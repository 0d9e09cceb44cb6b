//! The two header packets of Ogg Opus (RFC 7845 §5). WebM carries the first of them as CodecPrivate.

use crate::VoiceError;

/// Signature of the identification header (RFC 7845 §5.1).
pub(crate) const HEAD_MAGIC: &[u8; 8] = b"OpusHead";
const TAGS_MAGIC: &[u8; 8] = b"OpusTags";

/// What the identification header says of how to decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// 1 or 2.
    pub(crate) channels: u8,
    /// Samples at 48 kHz to drop at the beginning.
    pub(crate) pre_skip: u16,
    /// What to amplify by, in 1/256 dB.
    pub(crate) gain: i16,
}

impl Head {
    /// Reads an OpusHead packet.
    pub(crate) fn parse(packet: &[u8]) -> Result<Head, VoiceError> {
        let body = packet.strip_prefix(HEAD_MAGIC).ok_or(VoiceError::NotOpus)?;
        let (fixed, mapping) = body.split_first_chunk::<11>().ok_or(VoiceError::Damaged("OpusHead is cut off"))?;
        let [version, channels, skip_low, skip_high, _, _, _, _, gain_low, gain_high, family] = *fixed;
        // RFC 7845 §5.1 item 2: the upper four bits are the incompatible part.
        if version >> 4 != 0 {
            return Err(VoiceError::Damaged("unknown OpusHead version"));
        }
        match channels {
            0 => return Err(VoiceError::Damaged("no channels")),
            1 | 2 => {}
            3.. => return Err(VoiceError::TooManyChannels),
        }
        // RFC 7845 §5.1.1: family 0 has no table; family 1 names streams, coupled streams, and where a channel is from.
        let one_stream: &[u8] = if channels == 1 { &[1, 0, 0] } else { &[1, 1, 0, 1] };
        match family {
            0 => {}
            1 if mapping.starts_with(one_stream) => {}
            _ => return Err(VoiceError::TooManyChannels),
        }
        let pre_skip = u16::from_le_bytes([skip_low, skip_high]);
        let gain = i16::from_le_bytes([gain_low, gain_high]);
        Ok(Head { channels, pre_skip, gain })
    }

    /// The packet for a stream of ours.
    pub(crate) fn write(self, recorded_rate: u32) -> Vec<u8> {
        let mut packet = HEAD_MAGIC.to_vec();
        packet.extend([1, self.channels]);
        packet.extend(self.pre_skip.to_le_bytes());
        packet.extend(recorded_rate.to_le_bytes());
        packet.extend(self.gain.to_le_bytes());
        packet.push(0);
        packet
    }
}

/// Whether a comment header's lengths stay within it (RFC 7845 §5.2). What the comments say is not looked at.
pub(crate) fn check_tags(packet: &[u8]) -> Result<(), VoiceError> {
    let inside = || -> Option<()> {
        let (_vendor, rest) = text(packet.strip_prefix(TAGS_MAGIC)?)?;
        let (count, mut rest) = number(rest)?;
        // A comment takes four bytes at least: a count that promises more ends at the packet's end.
        for _ in 0..count {
            rest = text(rest)?.1;
        }
        Some(())
    };
    inside().ok_or(VoiceError::Damaged("OpusTags"))
}

/// A comment header without comments.
pub(crate) fn write_tags() -> Vec<u8> {
    let vendor = b"convene";
    let mut packet = TAGS_MAGIC.to_vec();
    packet.extend([7, 0, 0, 0]);
    packet.extend(vendor);
    packet.extend([0; 4]);
    packet
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = number(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{Head, check_tags, write_tags};
    use crate::VoiceError;

    #[test]
    fn heads() {
        let good = Head { channels: 2, pre_skip: 312, gain: -256 };
        let packet = good.write(44_100);
        assert_eq!((packet.len(), Head::parse(&packet)), (19, Ok(good)));

        // Byte, its value, the error.
        let rows = [
            (0, b'o', VoiceError::NotOpus),
            (8, 0x10, VoiceError::Damaged("unknown OpusHead version")),
            (9, 0, VoiceError::Damaged("no channels")),
            (9, 3, VoiceError::TooManyChannels),
            (18, 1, VoiceError::TooManyChannels),
            (18, 255, VoiceError::TooManyChannels),
        ];
        for (at, value, error) in rows {
            let mut packet = packet.clone();
            packet[at] = value;
            assert_eq!(Head::parse(&packet), Err(error), "{at} = {value}");
        }
        for len in 8..packet.len() {
            assert_eq!(Head::parse(&packet[..len]), Err(VoiceError::Damaged("OpusHead is cut off")));
        }
        // A later minor version is read like the first.
        let mut minor = packet;
        minor[8] = 0x0f;
        minor.push(9);
        assert_eq!(Head::parse(&minor), Ok(good));
    }

    #[test]
    fn a_mapping_table_must_name_one_stream() {
        let rows: [(u8, &[u8], bool); 5] = [
            (1, &[1, 0, 0], true),
            (2, &[1, 1, 0, 1], true),
            (2, &[2, 0, 0, 1], false),
            (2, &[1, 1, 1, 0], false),
            (1, &[1, 0], false),
        ];
        for (channels, table, taken) in rows {
            let mut packet = Head { channels, pre_skip: 0, gain: 0 }.write(48_000);
            packet[18] = 1;
            packet.extend(table);
            assert_eq!(Head::parse(&packet).is_ok(), taken, "{table:?}");
        }
    }

    #[test]
    fn tags() {
        let none = write_tags();
        let mut one = none.clone();
        one[19] = 1;
        one.extend([3, 0, 0, 0, b'a', b'=', b'b']);
        let mut many = none.clone();
        many[19..23].copy_from_slice(&[0xff; 4]);
        for (packet, good) in [(&none, true), (&one, true), (&many, false)] {
            assert_eq!(check_tags(packet).is_ok(), good, "{packet:?}");
        }
        for len in 0..one.len() {
            assert_eq!(check_tags(&one[..len]), Err(VoiceError::Damaged("OpusTags")), "{len}");
        }
    }
}
