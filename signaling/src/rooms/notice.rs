//! What a room tells one participant's signaling connection, in neutral words.

use std::sync::Arc;

use super::model::{DataTrackInfo, LeaveAction, LeaveReason, ParticipantInfo, QualityInfo, RoomInfo, SpeakerInfo};
use super::request::{Answered, Mode};

/// Notices a participant may have under way to its signaling connection. A full queue means the client does not read:
/// its connection is cut and it may resume. Raising it costs memory for each slow client.
pub const MAX_NOTICES: usize = 1024;

/// One message from a room to one participant.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Participants that changed, came or left (their own included).
    Participants(Arc<Vec<ParticipantInfo>>),
    /// The room changed.
    Room(Arc<RoomInfo>),
    /// Speakers that changed since the last notice; to whom may have missed some: everybody, and whether they speak.
    Speakers(Arc<Vec<SpeakerInfo>>),
    /// Participants whose connection is rated differently than before.
    Quality(Arc<Vec<QualityInfo>>),
    /// This participant's path is too narrow for a track, which is paused, or is wide enough again.
    StreamState {
        /// The publisher, `PA_…`.
        participant: String,
        /// `TR_…`.
        track: String,
        /// Which of the two.
        paused: bool,
    },
    /// The layers of a track of this participant that somebody wants; the others need not be sent.
    LayersWanted {
        /// `TR_…`.
        sid: String,
        /// Of each of its codecs, as `video/VP8`: the highest layer that somebody wants; `None`: nobody wants it.
        codecs: Vec<(String, Option<u8>)>,
    },
    /// The answer to an offer given with [`super::RoomHandle::offer_by_notice`].
    Answer {
        /// The offer's id.
        id: u32,
        /// SDP and which section carries which track.
        answer: Answered,
    },
    /// Our offer for the subscriber transport (two-connection mode); answer it with the same id.
    Offer {
        /// To be named by the answer.
        id: u32,
        /// SDP text.
        sdp: String,
        /// MID to track sid.
        mids: Vec<(String, String)>,
    },
    /// The client has to offer this many more receiving sections (single-connection mode); zeros: offer anyway.
    SectionsNeeded {
        /// Audio sections.
        audio: u32,
        /// Video sections.
        video: u32,
    },
    /// A track of this participant has its first subscriber.
    TrackSubscribed {
        /// `TR_…`.
        sid: String,
    },
    /// The server ended a track of this participant.
    TrackUnpublished {
        /// `TR_…`.
        sid: String,
    },
    /// All data tracks that this participant receives, and what their packets name them by.
    DataHandles(Vec<DataHandle>),
    /// The server ended a data track of this participant.
    DataTrackUnpublished(DataTrackInfo),
    /// The server muted or unmuted a track of this participant.
    Mute {
        /// `TR_…`.
        sid: String,
        /// The state to take.
        muted: bool,
    },
    /// A publisher allowed or forbade this participant one of its tracks.
    SubscriptionPermission {
        /// The publisher, `PA_…`.
        participant: String,
        /// `TR_…`.
        track: String,
        /// Which of the two.
        allowed: bool,
    },
    /// A requested subscription is not possible.
    SubscriptionFailed {
        /// `TR_…`.
        sid: String,
        /// Why.
        error: SubscriptionError,
    },
    /// It is out of the room; last notice.
    Leave {
        /// Why.
        reason: LeaveReason,
        /// What it should do.
        action: LeaveAction,
    },
}

/// What packets of a data track name it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataHandle {
    /// Not 0.
    pub handle: u16,
    /// Who publishes it.
    pub publisher_identity: String,
    /// `PA_…`.
    pub publisher_sid: String,
    /// `DTR_…`.
    pub track_sid: String,
}

/// Why a subscription is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionError {
    /// No such track.
    TrackNotFound,
    /// No codec both sides know, or the media plane refused.
    Unsupported,
}

impl Notice {
    /// Whether a participant of this mode has any use for it: a thousand viewers need not be told of each other. WHEP looks
    /// at whose tracks there are, WHIP at nobody, and neither has words for what is said again and again.
    pub(super) fn concerns(&self, mode: Mode) -> bool {
        match (mode, self) {
            (Mode::Single | Mode::Dual, _) | (_, Self::Leave { .. } | Self::TrackSubscribed { .. }) => true,
            (Mode::Whep, Self::Participants(changed)) => changed.iter().any(|info| !info.tracks.is_empty()),
            (Mode::Whip | Mode::Whep, _) => false,
        }
    }
}
