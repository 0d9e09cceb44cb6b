//! What the shell says of tracks and subscriptions: the outcome of SDP, without SDP.

use convene_rtp::ext;
use convene_types::{Codec, MediaKind, Mid, PeerId, Pt, SeqNo, Ssrc, TrackId};

/// A published track.
#[derive(Clone, Debug)]
pub struct TrackSpec {
    /// Its id, unique in the room.
    pub track: TrackId,
    /// Whose it is.
    pub publisher: PeerId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Media payload types, without those of RTX.
    pub pts: Vec<(Pt, Codec)>,
    /// Simulcast layers, index 0 lowest; 1: no simulcast. Clamped to 1..=8.
    pub layers: u8,
    /// The publisher's header extension ids.
    pub exts: ext::Map,
    /// The publisher can answer NACKs by RTX.
    pub rtx: bool,
    /// The publisher repeats what it is asked for (generic NACK): by RTX, or audio as it was.
    pub nack: bool,
}

/// How a payload type of the publisher looks to one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PtMap {
    /// The publisher's.
    pub from: Pt,
    /// The subscriber's.
    pub to: Pt,
    /// The subscriber's RTX payload type for it.
    pub rtx: Option<Pt>,
}

/// The way a track goes out to one subscriber.
#[derive(Clone, Debug)]
pub struct Egress {
    /// Unique among all that the subscriber receives. Used again on its transport only with `after`.
    pub ssrc: Ssrc,
    /// The same for retransmissions. Without it NACKs are not answered: an SRTP index may not be used twice.
    pub rtx_ssrc: Option<Ssrc>,
    /// The last sequence numbers sent with `ssrc` and `rtx_ssrc` where an earlier subscription had them (a reserved
    /// section): numbers go on after them, because with these SSRCs each may be used once. Timestamps and picture ids go on
    /// as well, if that was in the same room.
    pub after: (Option<SeqNo>, Option<SeqNo>),
    /// The subscriber's media section.
    pub mid: Mid,
    /// The subscriber's header extension ids.
    pub exts: ext::Map,
    /// Packets with a payload type that is not here are not sent.
    pub pts: Vec<PtMap>,
    /// The publisher's payload type of RED, where the subscriber cannot take RED: only the primary block is sent, under
    /// the payload type that `pts` has for it.
    pub unwrap_red: Option<Pt>,
    /// Set where the subscriber takes RED: plain Opus is wrapped into it while its path loses packets.
    pub make_red: Option<RedPts>,
}

/// Payload types of RED made of plain Opus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedPts {
    /// The publisher's of plain Opus.
    pub from: Pt,
    /// The subscriber's of RED.
    pub red: Pt,
    /// The subscriber's of the Opus within it.
    pub opus: Pt,
}

/// One decrypted RTP packet of a publisher.
#[derive(Debug)]
pub struct RtpIn<'a> {
    /// Which track it belongs to.
    pub track: TrackId,
    /// Which layer.
    pub layer: u8,
    /// It came on the layer's RTX stream and is still in RTX form.
    pub repair: bool,
    /// The packet; an RTX packet is turned into its media form in place.
    pub packet: &'a mut [u8],
    /// With `repair`: the media payload type that the RTX payload type stands for (`apt`).
    pub rtx_media_pt: Option<Pt>,
}
