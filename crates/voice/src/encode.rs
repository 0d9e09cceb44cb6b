//! Sound into a voice message: Ogg Opus at 48 kHz in packets of 20 ms. `convene chat` calls it for a WAV file; the bench
//! and the tests call it for tones.

use opus::{Application, Bitrate, Channels, Encoder};

use crate::head::Head;
use crate::write::Writer;
use crate::{SAMPLE_RATE, VoiceError, wav};

/// 20 ms: what voice over Opus is tuned for (RFC 6716 §2.1.4). Longer saves little, shorter costs bits.
const FRAME_SAMPLES: usize = 960;
/// Full band speech is transparent to most listeners at 32 kbit/s; a minute is 240 kB.
const BITRATE_PER_CHANNEL: i32 = 32_000;
/// Largest packet of one frame (RFC 6716 §3.2.1).
const MAX_PACKET_BYTES: usize = 1_275;

/// A file of one channel from samples at 48 kHz. It plays exactly as many samples as there are.
///
/// # Errors
/// `Empty` without samples; `Codec` if libopus has no memory.
pub fn mono(pcm: &[i16]) -> Result<Vec<u8>, VoiceError> {
    encode(pcm, Channels::Mono)
}

/// The same for two channels: left, right, left and so on. Half a sample at the end is dropped.
///
/// # Errors
/// As of [`mono`].
pub fn stereo(interleaved: &[i16]) -> Result<Vec<u8>, VoiceError> {
    encode(interleaved, Channels::Stereo)
}

/// A file of one channel from a RIFF WAVE file of 16-bit PCM: its channels are averaged, its rate is turned into 48 kHz
/// by linear interpolation (good enough for speech; it has no filter against aliases).
///
/// # Errors
/// `NotWav` for anything else, `Empty` without samples.
pub fn from_wav(bytes: &[u8]) -> Result<Vec<u8>, VoiceError> {
    mono(&wav::read(bytes)?)
}

fn encode(pcm: &[i16], channels: Channels) -> Result<Vec<u8>, VoiceError> {
    let count = if channels == Channels::Mono { 1 } else { 2 };
    let samples = pcm.chunks_exact(count).len();
    if samples == 0 {
        return Err(VoiceError::Empty);
    }
    let (mut encoder, look_ahead) = encoder(channels).map_err(|_| VoiceError::Codec("opus encoder"))?;
    let head = Head { channels: if count == 1 { 1 } else { 2 }, pre_skip: look_ahead, gain: 0 };
    let mut writer = Writer::new(head.write(SAMPLE_RATE))?;

    // What is heard is late by the look-ahead: that much silence at the end drives the last samples out.
    let needed = samples.saturating_add(usize::from(look_ahead));
    let frames = needed.div_ceil(FRAME_SAMPLES);
    let frame_len = FRAME_SAMPLES.saturating_mul(count);
    let mut chunks = pcm.chunks(frame_len);
    for _ in 0..frames {
        let mut frame = chunks.next().unwrap_or_default().to_vec();
        frame.resize(frame_len, 0);
        let packet = encoder.encode_vec(&frame, MAX_PACKET_BYTES).map_err(|_| VoiceError::Codec("opus encoder"))?;
        writer.push(packet, FRAME_SAMPLES as u64)?;
    }
    let trim = frames.saturating_mul(FRAME_SAMPLES).saturating_sub(needed);
    writer.finish(trim as u64)
}

fn encoder(channels: Channels) -> opus::Result<(Encoder, u16)> {
    let mut encoder = Encoder::new(SAMPLE_RATE, channels, Application::Voip)?;
    let count = if channels == Channels::Mono { 1 } else { 2 };
    encoder.set_bitrate(Bitrate::Bits(BITRATE_PER_CHANNEL.saturating_mul(count)))?;
    let look_ahead = u16::try_from(encoder.get_lookahead()?).unwrap_or_default();
    Ok((encoder, look_ahead))
}
