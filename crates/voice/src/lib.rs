//! Voice messages: the bytes that somebody uploaded go in; the file to store and what is true of it come out.
//!
//! ```text
//! Ogg Opus  ----------------------------+--> survey (lengths, granules; no decoding) --> decode --> Voice
//! WebM Opus --> webm::remux --> Ogg Opus+
//! ```
//!
//! The server calls [`inspect`] on an upload, so that length, loudness and waveform are measured and not the sender's
//! word. `convene chat` calls [`encode`] for what it sends and [`draw`] for what it shows.
//!
//! It is not a player, and no codec but Opus is known here. It does not strip tags: an Ogg file is stored as it came.
//!
//! Invariants: no I/O, no clock, no randomness, no panic on any bytes. What one call costs is bounded by [`Limits`]:
//! the length is known from packet headers before the first packet is decoded, and no decoded sound is kept. Ten minutes
//! still take two to three seconds of a core: an async caller hands this to a blocking thread.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

pub mod draw;
pub mod encode;

mod analyse;
mod error;
mod head;
mod loudness;
mod page;
mod survey;
mod toc;
mod wav;
mod waveform;
mod webm;
mod write;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use error::VoiceError;
pub use loudness::SILENCE_LUFS;
pub use waveform::MAX_POINTS;

/// Opus counts in samples of 48 kHz whatever was recorded (RFC 7845 §4).
pub const SAMPLE_RATE: u32 = 48_000;
pub(crate) const SAMPLES_PER_MS: u64 = 48;

/// What a caller is ready to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest message; it bounds the work of decoding.
    pub max_duration_ms: u32,
    /// Largest upload; it bounds the memory.
    pub max_bytes: usize,
}

impl Limits {
    /// Ten minutes: beyond that it is a recording and goes as a file. Measuring it takes two to three seconds of a core.
    pub const MAX_DURATION_MS: u32 = 10 * 60 * 1000;
    /// Ten minutes at 200 kbit/s, above what any browser records voice with.
    pub const MAX_BYTES: usize = 16 << 20;

    /// In samples, the unit that everything here counts in.
    pub(crate) fn max_samples(&self) -> u64 {
        u64::from(self.max_duration_ms).saturating_mul(SAMPLES_PER_MS)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_duration_ms: Limits::MAX_DURATION_MS, max_bytes: Limits::MAX_BYTES }
    }
}

/// The file formats that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Ogg (RFC 3533): files, phones, Firefox.
    Ogg,
    /// WebM, or Matroska at large: what Chromium's MediaRecorder writes.
    WebM,
}

/// A voice message that was decoded from its first to its last sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice<'a> {
    /// The file to store, always Ogg Opus: the very bytes that came in, or a remux of them if they were WebM.
    pub ogg: Cow<'a, [u8]>,
    /// Samples that play, per channel at 48 kHz: pre-skip and end trimming are taken off. Never zero.
    pub samples: u64,
    /// The same in ms, rounded, at least 1.
    pub duration_ms: u32,
    /// Integrated loudness, LUFS (ITU-R BS.1770-4: K-weighted, gated at -70 and at -10 below the rest; a mono message
    /// is one channel). What is shorter than one gating block (400 ms) is measured whole. Never below
    /// [`SILENCE_LUFS`].
    pub loudness_lufs: f32,
    /// Largest absolute sample of any channel, where 1.0 is full scale. May exceed it: the codec overshoots.
    pub peak: f32,
    /// At most [`MAX_POINTS`], at most one per 100 ms, at least one; they part the message evenly. Each is the RMS of
    /// its part, all channels together, where 255 is the loudest part. All zero if that is below -60 dBFS.
    pub waveform: Vec<u8>,
    /// 1 or 2.
    pub channels: u8,
    /// The container was changed. The Opus packets never are.
    pub transcoded: bool,
}

impl Voice<'_> {
    /// The loudness in tenths of a LUFS, which is how it travels.
    #[must_use]
    pub fn loudness_dlufs(&self) -> i16 {
        #[expect(clippy::cast_possible_truncation, reason = "-70 to some 130 LUFS; `as` saturates")]
        let tenths = (self.loudness_lufs * 10.0).round() as i16;
        tenths
    }
}

/// What the first bytes of an upload claim to be, 4 of which are enough. It says nothing about the codec in it.
#[must_use]
pub fn is_opus_container(prefix: &[u8]) -> Option<Container> {
    if prefix.starts_with(page::CAPTURE) {
        Some(Container::Ogg)
    } else if prefix.starts_with(webm::EBML_MAGIC) {
        Some(Container::WebM)
    } else {
        None
    }
}

/// Reads a whole upload: checks it, decodes it, measures it.
///
/// # Errors
/// The first thing that is wrong with it. Length and size are refused before anything is decoded.
pub fn inspect<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Voice<'a>, VoiceError> {
    if bytes.is_empty() {
        return Err(VoiceError::Empty);
    }
    if bytes.len() > limits.max_bytes {
        return Err(VoiceError::TooLarge { limit_bytes: limits.max_bytes });
    }
    let (ogg, transcoded) = match is_opus_container(bytes) {
        Some(Container::Ogg) => (Cow::Borrowed(bytes), false),
        Some(Container::WebM) => (Cow::Owned(webm::remux(bytes, limits)?), true),
        None => return Err(VoiceError::NotOpus),
    };
    let stream = survey::Stream::open(&ogg)?;
    let span = stream.survey(limits)?;
    let analysis = analyse::analyse(&stream, span)?;
    let channels = stream.head().channels;
    Ok(Voice {
        ogg,
        samples: span.samples,
        duration_ms: duration_ms(span.samples),
        loudness_lufs: analysis.loudness_lufs,
        peak: analysis.peak,
        waveform: analysis.waveform,
        channels,
        transcoded,
    })
}

fn duration_ms(samples: u64) -> u32 {
    let rounded = samples.saturating_add(SAMPLES_PER_MS / 2) / SAMPLES_PER_MS;
    u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
}
