//! Decodes a surveyed stream from end to end, packet by packet, and measures what plays. No sound is kept.

use opus::{Channels, Decoder};

use crate::loudness::Loudness;
use crate::survey::{Span, Stream};
use crate::toc::MAX_PACKET_SAMPLES;
use crate::waveform::Waveform;
use crate::{SAMPLE_RATE, VoiceError};

/// What was measured; [`crate::Voice`] says in what units.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Analysis {
    pub(crate) loudness_lufs: f32,
    pub(crate) peak: f32,
    pub(crate) waveform: Vec<u8>,
}

/// Decodes all of `stream` and measures the part that `span` says plays.
pub(crate) fn analyse(stream: &Stream<'_>, span: Span) -> Result<Analysis, VoiceError> {
    let head = stream.head();
    let channels = usize::from(head.channels);
    let mut decoder = decoder(head.channels, head.gain).map_err(|_| VoiceError::Codec("opus decoder"))?;
    let mut pcm = vec![0.0; usize::try_from(MAX_PACKET_SAMPLES).unwrap_or_default().saturating_mul(channels)];
    let mut meter = Meter::new(channels, span.samples);
    let (mut skip, mut left) = (span.skip, span.samples);
    let mut pages = stream.pages();
    while let Some(page) = pages.next()? {
        for packet in &page.packets {
            // An empty packet would be concealed as lost; the survey lets none pass.
            let samples = decoder.decode_float(packet, &mut pcm, false);
            let samples = samples.map_err(|_| VoiceError::Damaged("an Opus packet"))?;
            let decoded = pcm.get(..samples.saturating_mul(channels)).unwrap_or_default();
            for frame in decoded.chunks_exact(channels) {
                if skip > 0 {
                    skip = skip.saturating_sub(1);
                } else if left > 0 {
                    left = left.saturating_sub(1);
                    meter.push(frame);
                }
            }
        }
    }
    Ok(meter.finish())
}

fn decoder(channels: u8, gain: i16) -> opus::Result<Decoder> {
    let channels = if channels == 1 { Channels::Mono } else { Channels::Stereo };
    let mut decoder = Decoder::new(SAMPLE_RATE, channels)?;
    // RFC 7845 §5.1 item 5: a player must apply the gain of the header.
    decoder.set_gain(i32::from(gain))?;
    Ok(decoder)
}

/// All measures in one pass.
pub(crate) struct Meter {
    loudness: Loudness,
    waveform: Waveform,
    peak: f32,
}

impl Meter {
    pub(crate) fn new(channels: usize, samples: u64) -> Meter {
        Meter { loudness: Loudness::new(channels), waveform: Waveform::new(samples), peak: 0.0 }
    }

    /// One sample of each channel.
    pub(crate) fn push(&mut self, frame: &[f32]) {
        let power = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        self.waveform.push(power);
        self.loudness.push(frame);
        self.peak = frame.iter().fold(self.peak, |peak, sample| peak.max(sample.abs()));
    }

    pub(crate) fn finish(self) -> Analysis {
        Analysis { loudness_lufs: self.loudness.finish(), peak: self.peak, waveform: self.waveform.finish() }
    }
}
