//! Any packets at data channels, as an authenticated but hostile client would send them: no panic, bounded memory.

use std::time::{Duration, Instant};

use convene_peer::sctp::{Channels, MAX_CHANNELS};

pub(crate) fn run(input: &[u8]) {
    let mut now = Instant::now();
    let mut channels = Channels::new(now);
    let mut opened = 0;
    let _ = channels.open(now, "ours", true, None);
    let mut rest = input;
    while let Some(([wait, length], tail)) = rest.split_first_chunk::<2>().map(|(head, tail)| (*head, tail)) {
        let (packet, tail) = tail.split_at(usize::from(length).saturating_mul(4).min(tail.len()));
        rest = tail;
        now += Duration::from_millis(u64::from(wait));
        channels.handle_packet(now, &with_checksum(packet));
        channels.handle_timeout(now);
        while channels.poll_packet().is_some() {}
        while channels.poll_event().is_some() {
            opened += 1;
        }
    }
    assert!(opened <= input.len() + MAX_CHANNELS);
}

/// RFC 9260 §6.8: without the right CRC32c nothing gets past the first check.
fn with_checksum(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let Some(field) = packet.get_mut(8..12) else { return packet };
    field.fill(0);
    let crc = !packet.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    });
    if let Some(field) = packet.get_mut(8..12) {
        field.copy_from_slice(&crc.to_le_bytes());
    }
    packet
}
