//! Why an upload is not a voice message. [`VoiceError::code`] is what clients see; the text is for a person.

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VoiceError {
    /// Neither Ogg nor WebM, or another codec or a picture in it.
    #[error("not an Opus recording in Ogg or WebM")]
    NotOpus,
    /// It plays longer than is taken.
    #[error("longer than {limit_ms} ms")]
    TooLong {
        /// [`crate::Limits::max_duration_ms`].
        limit_ms: u32,
    },
    /// The file is larger than is taken.
    #[error("larger than {limit_bytes} bytes")]
    TooLarge {
        /// [`crate::Limits::max_bytes`].
        limit_bytes: usize,
    },
    /// It claims to be Opus, and breaks a rule of the format.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// More than stereo, or stereo as two Opus streams.
    #[error("more than two channels, or more than one Opus stream")]
    TooManyChannels,
    /// No bytes, or no sound to play.
    #[error("no sound in it")]
    Empty,
    /// [`crate::encode::from_wav`] was given something else than 16-bit PCM in RIFF WAVE.
    #[error("not a 16-bit PCM WAV file")]
    NotWav,
    /// libopus has no memory left, or the Ogg writer failed: nothing is wrong with the bytes.
    #[error("codec failed: {0}")]
    Codec(&'static str),
}

impl VoiceError {
    /// Stable name for the wire and for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            VoiceError::NotOpus => "not_opus",
            VoiceError::TooLong { .. } => "too_long",
            VoiceError::TooLarge { .. } => "too_large",
            VoiceError::Damaged(_) => "damaged",
            VoiceError::TooManyChannels => "too_many_channels",
            VoiceError::Empty => "empty",
            VoiceError::NotWav => "not_wav",
            VoiceError::Codec(_) => "codec",
        }
    }
}
