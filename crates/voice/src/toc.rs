//! How long an Opus packet plays, from its first two bytes (RFC 6716 §3.1, §3.2). Everything else in a packet is
//! libopus' affair.

/// Longest packet, 120 ms at 48 kHz (RFC 6716 §3.2.5 [R5]).
pub(crate) const MAX_PACKET_SAMPLES: u64 = 5_760;

/// Samples per channel at 48 kHz. `None`: no valid packet (empty, no frames, longer than 120 ms).
pub(crate) fn samples(packet: &[u8]) -> Option<u64> {
    let toc = *packet.first()?;
    // RFC 6716 §3.1, table 2: the configuration number in the upper 5 bits gives the frame's length.
    let frame: u64 = match (toc >> 3, toc >> 3 & 0x03) {
        (0..12, 0) => 480,
        (0..12, 1) => 960,
        (0..12, 2) => 1_920,
        (0..12, _) => 2_880,
        (12..16, 0 | 2) => 480,
        (12..16, _) => 960,
        (_, 0) => 120,
        (_, 1) => 240,
        (_, 2) => 480,
        (_, _) => 960,
    };
    let frames = match toc & 0x03 {
        0 => 1,
        1 | 2 => 2,
        // RFC 6716 §3.2.5: code 3 has its number of frames in the next byte's lower 6 bits.
        _ => u64::from(packet.get(1)? & 0x3f),
    };
    Some(frame.checked_mul(frames)?).filter(|samples| (1..=MAX_PACKET_SAMPLES).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::samples;

    #[test]
    fn every_first_byte_says_what_libopus_says() {
        for toc in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let packet = [toc, second, 0];
                let theirs = opus::packet::get_nb_samples(&packet, 48_000).ok().filter(|samples| *samples > 0);
                assert_eq!(samples(&packet), theirs.map(|samples| samples as u64), "{packet:?}");
            }
        }
        assert_eq!(samples(&[]), None);
        assert_eq!(samples(&[0x03]), None);
    }
}
