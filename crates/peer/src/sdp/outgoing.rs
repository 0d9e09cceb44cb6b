//! What we send: asked for, waiting for a section, on one.

use convene_types::{MediaKind, Ssrc, TrackId};

use super::codec::CodecParams;

/// Longest token of an `a=msid` of ours, in bytes.
const MAX_TOKEN_BYTES: usize = 128;

/// `a=msid:<stream> <track>` (RFC 8830). Browsers play what is in one stream in step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Msid {
    /// Stream token, and the CNAME.
    pub stream: String,
    /// Track token.
    pub track: String,
    /// Stream token in an offer of ours, on a section that has carried another track before: there the client's
    /// `receiver.track` keeps the id of that one for ever (WebRTC §5.3), so that only the stream can name the track. `None`:
    /// `stream` there as well.
    pub reused: Option<String>,
}

impl Msid {
    /// The same in characters that may stand in a line.
    fn printable(&self) -> Self {
        Self { stream: token(&self.stream), track: token(&self.track), reused: self.reused.as_deref().map(token) }
    }
}

/// RFC 8830 §2: no space; a line end would start a line of its own.
fn token(text: &str) -> String {
    let token: String = text.chars().filter(char::is_ascii_graphic).take(MAX_TOKEN_BYTES).collect();
    if token.is_empty() { "-".to_owned() } else { token }
}

/// A track to be sent, for [`Negotiator::attach`].
///
/// [`Negotiator::attach`]: super::Negotiator::attach
#[derive(Clone, Debug)]
pub struct Attach<'a> {
    /// Which.
    pub track: TrackId,
    /// Audio or video.
    pub kind: MediaKind,
    /// What the client is told of it.
    pub msid: &'a Msid,
    /// SSRC to send with, unless the section has a reserved one.
    pub ssrc: Ssrc,
    /// SSRC of its RTX.
    pub rtx_ssrc: Ssrc,
    /// The publisher's codecs.
    pub codecs: &'a [CodecParams],
}

/// What we send on a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The track it carries, as the caller knows it.
    pub key: TrackId,
    /// What the client is told of it.
    pub msid: Msid,
    /// Media SSRC. On a reserved section this is the reserved one, not the one given to `attach`.
    pub ssrc: Ssrc,
    /// RTX SSRC. In use only for codecs with [`CodecParams::rtx`].
    pub rtx_ssrc: Ssrc,
}

/// A track to be sent, wherever it is put.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    pub kind: MediaKind,
    pub codecs: Vec<CodecParams>,
    pub outgoing: Outgoing,
}

impl From<Attach<'_>> for Attachment {
    fn from(wanted: Attach<'_>) -> Self {
        let Attach { track, kind, msid, ssrc, rtx_ssrc, codecs } = wanted;
        let outgoing = Outgoing { key: track, msid: msid.printable(), ssrc, rtx_ssrc };
        Self { kind, codecs: codecs.to_vec(), outgoing }
    }
}
