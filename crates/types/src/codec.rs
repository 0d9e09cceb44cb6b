//! Codecs the SFU forwards.

use std::fmt;

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Picture: camera or screen.
    Video,
}

/// What the payload of an RTP stream is. RTX is no codec here: it is a way to carry one of these again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 2198 around Opus.
    Red,
    /// G.711 µ-law, RFC 3551.
    Pcmu,
    /// G.711 A-law, RFC 3551.
    Pcma,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// RFC 7798.
    H265,
    /// AOM "RTP Payload Format For AV1".
    Av1,
}

impl Codec {
    /// Audio or video.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus | Self::Red | Self::Pcmu | Self::Pcma => MediaKind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::H265 | Self::Av1 => MediaKind::Video,
        }
    }

    /// RTP clock in Hz.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus | Self::Red => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::H265 | Self::Av1 => 90_000,
        }
    }

    /// The name as `a=rtpmap` spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Red => "red",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Av1 => "AV1",
        }
    }

    /// Reads the encoding name of an `a=rtpmap` line; names compare without case (RFC 8866 §6.6).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [Codec; 9] = [
            Codec::Opus,
            Codec::Red,
            Codec::Pcmu,
            Codec::Pcma,
            Codec::Vp8,
            Codec::Vp9,
            Codec::H264,
            Codec::H265,
            Codec::Av1,
        ];
        ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
        })
    }
}
