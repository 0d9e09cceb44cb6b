//! Any bytes at all: an answer, never a panic, and never an answer that cannot be.

use super::{CHROMIUM_MONO, CHROMIUM_STEREO, LIMITS, Rng, tone};
use crate::{encode, inspect};

fn check(file: &[u8]) -> &'static str {
    match inspect(file, &LIMITS) {
        Ok(voice) => {
            assert!(voice.samples > 0 && voice.duration_ms <= LIMITS.max_duration_ms);
            assert!((1..=crate::MAX_POINTS).contains(&voice.waveform.len()));
            assert!(voice.loudness_lufs.is_finite() && voice.peak.is_finite(), "{voice:?}");
            "ok"
        }
        Err(error) => error.code(),
    }
}

fn short() -> Vec<u8> {
    encode::mono(&tone(4_800, 440.0, |_| 0.5)).unwrap()
}

#[test]
fn cut_off_at_every_byte() {
    let ogg = short();
    for len in 0..ogg.len() {
        // What ends at a page's end is whole Ogg; without sound it is empty.
        let code = check(&ogg[..len]);
        assert!(["damaged", "empty", "not_opus"].contains(&code), "{len}: {code}");
    }
    // Headers and four packets.
    for len in 0..1_400 {
        check(&CHROMIUM_STEREO[..len]);
    }
}

#[test]
fn a_flipped_bit_in_ogg_never_passes() {
    let ogg = short();
    for at in 0..ogg.len() * 8 {
        let mut file = ogg.clone();
        file[at / 8] ^= 1 << (at % 8);
        assert_ne!(check(&file), "ok", "bit {at}");
    }
}

/// WebM has no checksums: most of these decode.
#[test]
fn damaged_webm() {
    let mut rng = Rng(0x5eed);
    for _ in 0..800 {
        let mut file = if rng.below(2) == 0 { CHROMIUM_MONO.to_vec() } else { CHROMIUM_STEREO.to_vec() };
        // The headers are the first few hundred bytes: half of the damage goes there.
        let within = if rng.below(2) == 0 { 320 } else { file.len() };
        for _ in 0..=rng.below(4) {
            let at = rng.below(within);
            match rng.below(3) {
                0 => file[at] ^= 1 << rng.below(8),
                1 => file[at] = rng.next() as u8,
                _ => drop(file.remove(at)),
            }
        }
        check(&file);
    }
}

/// Damage that the checksums do not catch, because they were made after it.
#[test]
fn damaged_ogg_with_right_checksums() {
    let (ogg, mut rng) = (short(), Rng(0xfeed));
    let mut taken = 0;
    for _ in 0..3_000 {
        let mut file = ogg.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(file.len());
            file[at] ^= 1 << rng.below(8);
        }
        fix_checksums(&mut file);
        taken += usize::from(check(&file) == "ok");
    }
    assert!(taken > 100, "only {taken} got past the checksums");
}

/// As long as pages can be found in it.
fn fix_checksums(file: &mut [u8]) {
    let mut at = 0;
    while let Some(segments) = file.get(at + 26).map(|segments| usize::from(*segments)) {
        let Some(lacing) = file.get(at + 27..at + 27 + segments) else { return };
        let len = 27 + segments + lacing.iter().map(|value| usize::from(*value)).sum::<usize>();
        let Some(page) = file.get_mut(at..at + len) else { return };
        page[22..26].fill(0);
        let sum = page.iter().fold(0_u32, |sum, byte| {
            (0..8).fold(sum ^ (u32::from(*byte) << 24), |sum, _| (sum << 1) ^ ((sum >> 31) * 0x04c1_1db7))
        });
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at += len;
    }
}
