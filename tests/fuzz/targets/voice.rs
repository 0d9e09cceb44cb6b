//! Any bytes as a voice message, as they are and with the checksums made right: no panic, bounded work, and measures that
//! can be. What is stored must be taken again, with the same length.

use convene_voice::{Limits, MAX_POINTS, draw, encode, inspect};

/// Little sound: what is fuzzed is the reading of files, not libopus.
const LIMITS: Limits = Limits { max_duration_ms: 2_000, max_bytes: 1 << 16 };

pub(crate) fn run(file: &[u8]) {
    check(file);
    check(&with_right_checksums(file));
    let _ = encode::from_wav(file);
}

fn check(file: &[u8]) {
    let Ok(voice) = inspect(file, &LIMITS) else { return };
    assert!(voice.samples > 0 && voice.duration_ms <= LIMITS.max_duration_ms);
    assert!((1..=MAX_POINTS).contains(&voice.waveform.len()) && (1..=2).contains(&voice.channels));
    assert!(voice.loudness_lufs.is_finite() && voice.peak.is_finite());
    assert_eq!(draw::bars(&voice.waveform, 40).chars().count(), 40);
    if voice.transcoded {
        let again = inspect(&voice.ogg, &Limits { max_bytes: usize::MAX, ..LIMITS }).expect("what we wrote");
        assert_eq!((again.samples, &again.waveform), (voice.samples, &voice.waveform));
    } else {
        assert_eq!(&*voice.ogg, file);
    }
}

/// A fuzzer does not guess a CRC: each page that is whole gets the one that it needs.
fn with_right_checksums(file: &[u8]) -> Vec<u8> {
    let mut fixed = file.to_vec();
    let mut at = 0;
    while let Some(len) = page_len(&fixed[at..]) {
        let page = &mut fixed[at..at + len];
        page[22..26].fill(0);
        let sum = page.iter().fold(0_u32, |sum, byte| {
            (0..8).fold(sum ^ (u32::from(*byte) << 24), |sum, _| (sum << 1) ^ ((sum >> 31) * 0x04c1_1db7))
        });
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at += len;
    }
    fixed
}

fn page_len(rest: &[u8]) -> Option<usize> {
    let segments = usize::from(*rest.strip_prefix(b"OggS")?.get(22)?);
    let lacing = rest.get(27..27 + segments)?;
    let len = 27 + segments + lacing.iter().map(|value| usize::from(*value)).sum::<usize>();
    (len <= rest.len()).then_some(len)
}
