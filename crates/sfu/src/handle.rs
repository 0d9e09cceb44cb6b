//! What the control plane (tokio) says to the media plane (worker threads), and what it hears back.
//!
//! Nothing of SDP semantics, LiveKit or WHIP is known here: peers are transports, tracks are numbers, SDP is text that goes out,
//! or comes in as something that was read.
//! Commands travel over one bounded queue a worker; a full queue makes the caller wait, never the worker.

use bytes::Bytes;
use convene_peer::sdp::SdpError;
pub use convene_peer::sdp::{ClientAnswer, ClientOffer, Msid};
pub use convene_sfu_core::{Flow, Grade, Rating, Speaker};
use convene_types::{Codec, MediaKind, Mid, PeerId, Rid, TrackId};

/// Which of a peer's data paths a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Label `_reliable`: ordered, resent until it arrives.
    Reliable,
    /// Label `_lossy`: unordered, never resent.
    Lossy,
    /// Label `_data_track`: unordered, never resent; packets of data tracks.
    Tracks,
}

/// How a transport is negotiated and used.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// Chosen by the caller from a node-wide counter.
    pub peer: PeerId,
    /// For log spans: `participant identity` or the like.
    pub label: String,
    /// WHEP: answer every recvonly section as sendonly at once, so that a later `subscribe` needs no renegotiation.
    pub reserve_sections: bool,
    /// We offer and the client answers: the subscriber transport of the two-connection mode.
    pub we_offer: bool,
}

/// Which media section of the peer a publication is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// The section whose `a=msid` names this track id (second token).
    Msid(String),
    /// The section with this MID.
    Mid(Mid),
}

/// A track that a peer announces. May come before the offer that carries its section, or after.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Chosen by the caller from a node-wide counter.
    pub track: TrackId,
    /// Which section carries it.
    pub bind: Bind,
    /// Audio or video.
    pub kind: MediaKind,
    /// What the publisher is to send with, where it leaves the order of codecs to the answer and offers this one.
    pub codec: Option<Codec>,
    /// Audio may be put into RED for who loses packets: not what is encrypted end to end, where the payload has to arrive as
    /// it was sent.
    pub redundant: bool,
    /// RIDs from the lowest to the highest layer, where the caller knows the order (LiveKit: `q h f`); empty: as in the
    /// offer's `a=simulcast`, taken from lowest to highest.
    pub rids: Vec<Rid>,
}

/// One track for one receiving peer.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The published track.
    pub track: TrackId,
    /// What the SDP that this peer will see says of it.
    pub msid: Msid,
}

/// What a subscriber wants of a video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerTarget {
    /// Nothing is sent while this is set; audio as well.
    pub paused: bool,
    /// Highest simulcast layer wanted, 0 = lowest. Larger than what exists means "the highest there is".
    pub max_layer: u8,
    /// Where the path is too narrow for all tracks, the higher go first.
    pub priority: u8,
}

/// A media section the client sends on, as its offer says.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its MID.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
    /// Second token of `a=msid`, where there is one.
    pub msid_track: Option<String>,
    /// The publication it carries, where one is bound.
    pub track: Option<TrackId>,
    /// First codec both sides support; what a browser sends.
    pub codec: Option<Codec>,
}

/// What a client's answer to our offer says.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// Codecs that it was offered, in this offer or an earlier one, and has never taken.
    pub lacks: Vec<Codec>,
    /// Another offer is due: tracks that waited have taken the sections that this answer freed.
    pub negotiate: bool,
}

/// Our answer to an offer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// SDP text.
    pub sdp: String,
    /// Sections we send on, and what each carries.
    pub outgoing: Vec<(Mid, TrackId)>,
    /// Sections the client sends on.
    pub incoming: Vec<Incoming>,
    /// Codecs of the sections on which the client receives.
    pub decodes: Vec<Codec>,
    /// Subscriptions of this peer that found no free section. The client has to offer this many more
    /// (single-connection mode), or we have to (two-connection mode).
    pub missing: Missing,
    /// The ICE ufrag of this transport, for ETags and logs.
    pub ufrag: String,
    /// Whether this offer restarted ICE.
    pub ice_restarted: bool,
}

/// Sections wanted beyond those there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Audio sections.
    pub audio: u32,
    /// Video sections.
    pub video: u32,
    /// A subscription waits for an offer: the client's in single-connection mode (LiveKit: send
    /// `media_sections_requirement` with the two counts, 0/0 included), ours in the two-connection mode.
    pub negotiate: bool,
}

/// An offer of ours (two-connection mode, subscriber transport).
#[derive(Clone, Debug)]
pub struct Offer {
    /// SDP text.
    pub sdp: String,
    /// Sections we send on, and what each carries.
    pub outgoing: Vec<(Mid, TrackId)>,
}

/// What a room tells its owner. Delivered in order over the bounded channel given to `open_room`.
#[derive(Clone, Debug)]
pub enum Event {
    /// ICE and DTLS are up: media and data can flow.
    Connected {
        /// Who.
        peer: PeerId,
    },
    /// No consent (RFC 7675) for the time-out, DTLS closed or failed, or a limit hit. The peer is gone from the worker.
    Gone {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: GoneReason,
    },
    /// A data channel the client opened, or one of ours, is usable.
    ChannelOpen {
        /// Whose.
        peer: PeerId,
        /// Which.
        channel: Channel,
    },
    /// A message from a peer. Lossy ones are dropped and counted when the owner lags.
    Data {
        /// From whom.
        peer: PeerId,
        /// Over which.
        channel: Channel,
        /// The bytes.
        payload: Bytes,
    },
    /// First media packet of a track was authenticated: codec known.
    TrackStarted {
        /// Which.
        track: TrackId,
        /// What its payload is.
        codec: Codec,
    },
    /// The section of this track stopped sending (inactive, recvonly or rejected in a new offer).
    TrackEnded {
        /// Which.
        track: TrackId,
    },
    /// First media packet of a track went out to a subscriber.
    TrackFlowing {
        /// Receiver.
        peer: PeerId,
        /// Which.
        track: TrackId,
    },
    /// A subscriber's path became too narrow for a track, which is paused, or is wide enough again.
    StreamState {
        /// Receiver.
        peer: PeerId,
        /// Which.
        track: TrackId,
        /// Which of the two.
        paused: bool,
    },
    /// What went over each track of each peer in the last ten seconds. Dropped and counted when the owner lags.
    Measured(Vec<Flow>),
    /// Peers whose connection is rated differently than before.
    Quality(Vec<(PeerId, Rating)>),
    /// Who speaks: the dominant one first, then the loudest first; whoever spoke in the previous event and is not listed has
    /// stopped.
    Speakers(Vec<Speaker>),
    /// The room died of a panic; every peer of it is gone. Sent last.
    Failed,
}

/// Why a peer left the media plane on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneReason {
    /// It never finished ICE and DTLS within the time-out.
    NeverConnected,
    /// Its consent ran out.
    TimedOut,
    /// It sent a DTLS close_notify or an SCTP abort.
    Closed,
    /// DTLS failed: fingerprint, alert.
    DtlsFailed,
}

/// Why a command was refused. `code` is stable and may be shown to clients.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The SDP cannot be used.
    #[error("sdp refused: {reason}")]
    BadSdp {
        /// Stable code: `sdp_malformed`, `sdp_too_large`, `sdp_too_many_sections`, `sdp_no_fingerprint`, …
        code: &'static str,
        /// What is wrong, for a person.
        reason: String,
    },
    /// The worker knows no such peer.
    #[error("no such peer")]
    NoSuchPeer,
    /// The worker knows no such track.
    #[error("no such track")]
    NoSuchTrack,
    /// A named limit was hit.
    #[error("limit reached: {limit}")]
    Limit {
        /// The limit's name: `peers_per_room`, `tracks_per_peer`, `pending_handshakes`, …
        limit: &'static str,
    },
    /// The room is closed, or its worker has ended.
    #[error("room is closed")]
    Closed,
}

impl From<SdpError> for Error {
    fn from(error: SdpError) -> Self {
        Self::BadSdp { code: error.code, reason: error.reason }
    }
}

impl Error {
    /// A stable code for clients and counters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadSdp { code, .. } => code,
            Self::NoSuchPeer => "no_such_peer",
            Self::NoSuchTrack => "no_such_track",
            Self::Limit { limit } => limit,
            Self::Closed => "room_closed",
        }
    }
}
