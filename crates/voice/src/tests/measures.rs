//! Length, loudness and waveform of sound that is known.

use super::{LIMITS, tone};
use crate::{SILENCE_LUFS, encode, inspect};

#[test]
fn the_length_is_exact_to_the_sample() {
    for samples in [1, 23, 24, 47, 72, 312, 647, 648, 649, 960, 961, 48_000, 48_001, 123_457] {
        let file = encode::mono(&tone(samples, 440.0, |_| 0.5)).unwrap();
        let voice = inspect(&file, &LIMITS).unwrap();
        let expected_ms = ((samples + 24) / 48).max(1) as u32;
        assert_eq!((voice.samples, voice.duration_ms), (samples as u64, expected_ms));
        assert_eq!((voice.channels, voice.transcoded, &*voice.ogg), (1, false, file.as_slice()));
        assert_eq!(voice.waveform.len(), (samples / 4_800).clamp(1, 256));
    }
}

#[test]
fn silence_is_flat_and_has_no_loudness() {
    let file = encode::mono(&[0; 48_000]).unwrap();
    let voice = inspect(&file, &LIMITS).unwrap();
    assert_eq!((voice.loudness_lufs, voice.loudness_dlufs()), (SILENCE_LUFS, -700));
    assert_eq!(voice.waveform, [0; 10]);
    assert!(voice.peak < 0.001, "{}", voice.peak);
}

#[test]
fn a_tone_is_level_and_a_ramp_rises() {
    let file = encode::mono(&tone(96_000, 440.0, |_| 0.5)).unwrap();
    let voice = inspect(&file, &LIMITS).unwrap();
    assert!(voice.waveform.len() == 20 && voice.waveform.iter().all(|point| *point > 230), "{:?}", voice.waveform);
    assert!((0.45..0.56).contains(&voice.peak), "{}", voice.peak);

    let file = encode::mono(&tone(96_000, 440.0, |at| at * 0.9)).unwrap();
    let voice = inspect(&file, &LIMITS).unwrap();
    for (at, point) in voice.waveform.iter().enumerate() {
        let expected = (at as i32 * 2 + 1) * 255 / 39;
        assert!((i32::from(*point) - expected).abs() < 16, "{:?}", voice.waveform);
    }
}

/// BS.1770-4: 997 Hz at full scale reads -3.01 LUFS in one channel, 0.0 in both.
#[test]
fn sines_have_their_loudness() {
    for (dbfs, expected) in [(-6.02, -9.03), (-20.0, -23.01), (-40.0, -43.01)] {
        let mono = tone(240_000, 997.0, |_| 10_f64.powf(dbfs / 20.0));
        let file = encode::mono(&mono).unwrap();
        let measured = inspect(&file, &LIMITS).unwrap().loudness_lufs;
        assert!((measured - expected).abs() < 0.5, "mono {dbfs}: {measured}");

        let both: Vec<i16> = mono.iter().flat_map(|sample| [*sample, *sample]).collect();
        let file = encode::stereo(&both).unwrap();
        let measured = inspect(&file, &LIMITS).unwrap().loudness_lufs;
        assert!((measured - expected - 3.01).abs() < 0.5, "stereo {dbfs}: {measured}");
    }
}

#[test]
fn channels_that_cancel_out_are_heard() {
    let mono = tone(96_000, 440.0, |_| 0.5);
    let opposite: Vec<i16> = mono.iter().flat_map(|sample| [*sample, -*sample]).collect();
    let file = encode::stereo(&opposite).unwrap();
    let voice = inspect(&file, &LIMITS).unwrap();
    assert_eq!((voice.channels, voice.samples), (2, 96_000));
    assert!(voice.peak > 0.4 && voice.loudness_lufs > -12.0, "{voice:?}");
}

#[test]
fn gain_of_the_header_is_applied() {
    let file = encode::mono(&tone(48_000, 997.0, |_| 0.1)).unwrap();
    let before = inspect(&file, &LIMITS).unwrap();
    // 6 dB, in 1/256 dB.
    let louder = super::files::with_head(&file, |head| head[16..18].copy_from_slice(&1536_i16.to_le_bytes()));
    let after = inspect(&louder, &LIMITS).unwrap();
    assert!((after.loudness_lufs - before.loudness_lufs - 6.0).abs() < 0.05, "{before:?} {after:?}");
    assert_eq!(after.waveform, before.waveform);
}

#[test]
fn a_wav_file_becomes_a_message_of_its_length() {
    let pcm = tone(44_100, 440.0 * 48_000.0 / 44_100.0, |_| 0.5);
    let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\0\0\0\0\x02\0\x10\0data".to_vec();
    wav.extend((pcm.len() as u32 * 2).to_le_bytes());
    wav.extend(pcm.iter().flat_map(|sample| sample.to_le_bytes()));
    let file = encode::from_wav(&wav).unwrap();
    let voice = inspect(&file, &LIMITS).unwrap();
    assert_eq!((voice.samples, voice.duration_ms), (48_000, 1_000));
    assert!((0.4..0.6).contains(&voice.peak), "{}", voice.peak);
}
