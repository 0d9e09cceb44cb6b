//! RIFF WAVE with 16-bit PCM, the one kind of sound file that every recorder writes, into mono at 48 kHz. For
//! [`crate::encode::from_wav`].

use std::num::NonZeroU64;

use crate::{SAMPLE_RATE, VoiceError};

/// `wFormatTag`: PCM, and a format that a GUID at the end of the chunk names, whose first two bytes are the tag.
const PCM: u16 = 1;
const EXTENSIBLE: u16 = 0xfffe;
/// Below it is not speech; above it no recorder goes. It bounds what a small file can become: 48,000 / 8,000 times.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// Between two samples of the file there are so many places for one of ours.
const STEPS: NonZeroU64 = NonZeroU64::new(SAMPLE_RATE as u64).expect("a sample rate");

struct Format {
    channels: usize,
    rate: u32,
}

/// Mono samples at 48 kHz.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<i16>, VoiceError> {
    let (format, data) = chunks(bytes).ok_or(VoiceError::NotWav)?;
    let frames = data.chunks_exact(format.channels.saturating_mul(2));
    let mono: Vec<i16> = frames.map(average).collect();
    Ok(resample(&mono, format.rate))
}

/// The format and the samples' bytes.
fn chunks(bytes: &[u8]) -> Option<(Format, &[u8])> {
    let (_size, mut rest) = bytes.strip_prefix(b"RIFF")?.split_first_chunk::<4>()?;
    rest = rest.strip_prefix(b"WAVE")?;
    let mut format = None;
    loop {
        let (name, behind) = rest.split_first_chunk::<4>()?;
        let (size, behind) = behind.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
        match name {
            // What was written to a pipe does not know its length, and says 0 or the most: take what there is.
            b"data" if size == 0 => return Some((format?, behind)),
            b"data" => return Some((format?, behind.get(..size).unwrap_or(behind))),
            b"fmt " => format = Some(parse_format(behind.get(..size)?)?),
            _ => {}
        }
        // Chunks begin at even places.
        rest = behind.get(size.checked_next_multiple_of(2)?..)?;
    }
}

fn parse_format(chunk: &[u8]) -> Option<Format> {
    let (tag, rest) = chunk.split_first_chunk::<2>()?;
    let (channels, rest) = rest.split_first_chunk::<2>()?;
    let (rate, rest) = rest.split_first_chunk::<4>()?;
    // Bytes per second (4) and per frame (2) follow from the others.
    let (_, rest) = rest.split_first_chunk::<6>()?;
    let (bits, rest) = rest.split_first_chunk::<2>()?;
    let tag = match u16::from_le_bytes(*tag) {
        // Size of the extension (2), valid bits (2), speakers (4), GUID.
        EXTENSIBLE => u16::from_le_bytes(*rest.get(8..)?.first_chunk()?),
        tag => tag,
    };
    let channels = usize::from(u16::from_le_bytes(*channels));
    let rate = u32::from_le_bytes(*rate);
    let readable = tag == PCM && u16::from_le_bytes(*bits) == 16 && channels > 0 && RATES.contains(&rate);
    readable.then_some(Format { channels, rate })
}

fn average(frame: &[u8]) -> i16 {
    let (samples, _) = frame.as_chunks::<2>();
    let sum: i64 = samples.iter().map(|sample| i64::from(i16::from_le_bytes(*sample))).sum();
    let mean = i64::try_from(samples.len()).ok().and_then(|count| sum.checked_div(count));
    mean.and_then(|mean| i16::try_from(mean).ok()).unwrap_or_default()
}

fn resample(mono: &[i16], rate: u32) -> Vec<i16> {
    let (from, to) = (u64::from(rate), STEPS.get());
    if from == to {
        return mono.to_vec();
    }
    let count = (mono.len() as u64).saturating_mul(to).checked_div(from).unwrap_or(0);
    (0..count).map(|at| between(mono, at.saturating_mul(from), STEPS)).collect()
}

/// The value at `position / scale`.
fn between(mono: &[i16], position: u64, scale: NonZeroU64) -> i16 {
    let sample = |at: u64| usize::try_from(at).ok().and_then(|at| mono.get(at).or(mono.last())).copied().unwrap_or(0);
    let (at, part) = (position / scale, position % scale);
    let (left, right) = (i64::from(sample(at)), i64::from(sample(at.saturating_add(1))));
    let (part, scale) = (i64::try_from(part).unwrap_or(0), i64::try_from(scale.get()).unwrap_or(1));
    let rise = right.saturating_sub(left).saturating_mul(part).checked_div(scale).unwrap_or(0);
    i16::try_from(left.saturating_add(rise)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::VoiceError;

    fn wav(channels: u16, rate: u32, bits: u16, samples: &[i16]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0".to_vec();
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend((samples.len() as u32 * 2).to_le_bytes());
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    #[test]
    fn reads_what_it_can_and_refuses_the_rest() {
        let rows = [
            (wav(1, 48_000, 16, &[1, -2, 3]), Ok(vec![1, -2, 3])),
            (wav(2, 48_000, 16, &[10, 20, -10, -30, 7]), Ok(vec![15, -20])),
            (wav(1, 24_000, 16, &[0, 100, 50]), Ok(vec![0, 50, 100, 75, 50, 50])),
            (wav(1, 96_000, 16, &[1, 2, 3, 4]), Ok(vec![1, 3])),
            (wav(1, 48_000, 24, &[1]), Err(VoiceError::NotWav)),
            (wav(0, 48_000, 16, &[1]), Err(VoiceError::NotWav)),
            (wav(1, 0, 16, &[1]), Err(VoiceError::NotWav)),
            (wav(1, 48_000, 16, &[]), Ok(vec![])),
            (b"RIFF".to_vec(), Err(VoiceError::NotWav)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(read(&bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_length_that_nobody_knew_takes_what_is_there() {
        let whole = wav(1, 48_000, 16, &[1, 2]);
        for size in [0, u32::MAX, 5] {
            let mut bytes = whole.clone();
            let at = bytes.len() - 8;
            bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
            assert_eq!(read(&bytes), Ok(vec![1, 2]), "{size}");
        }
        for len in 0..whole.len() {
            let _ = read(&whole[..len]);
        }
    }
}
