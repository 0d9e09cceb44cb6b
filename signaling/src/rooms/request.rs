//! What adapters ask of a room, and what they get.

use std::collections::BTreeMap;

use convene_sfu::Channel;
use convene_types::MediaKind;
use tokio::sync::mpsc;

use super::budget::Budget;
use super::model::{
    CodecInfo, FrameName, LayerInfo, ParticipantId, ParticipantInfo, ParticipantKind, Permission, RoomInfo, SessionId,
    Source, TrackExtras,
};
use super::notice::Notice;

/// How a participant's media is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One transport, the client always offers (`/rtc/v1`).
    Single,
    /// A publisher transport (client offers) and a subscriber transport (we offer) (`/rtc`).
    Dual,
    /// RFC 9725: one transport, sends only; every section it offers becomes a track.
    Whip,
    /// draft-ietf-wish-whep: one transport, receives only; free sections fill as tracks come.
    Whep,
}

/// A wish to join.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Unique within the room.
    pub identity: String,
    /// Display name.
    pub name: String,
    /// Free text of the application.
    pub metadata: String,
    /// Free key-value pairs of the application.
    pub attributes: BTreeMap<String, String>,
    /// The API key that lets it in; empty: none that could end.
    pub key: String,
    /// What it may do.
    pub permission: Permission,
    /// What it is.
    pub kind: ParticipantKind,
    /// How its media is negotiated.
    pub mode: Mode,
    /// Receive every track without asking.
    pub auto_subscribe: bool,
    /// Receive every data track without asking.
    pub auto_subscribe_data: bool,
    /// In [`Mode::Single`]: it brings its first offer along, so that it need not be asked for one.
    pub offers: bool,
    /// In [`Mode::Dual`]: it knows a received track by its id, so that the stream need not name it and may be what the publisher
    /// calls it: browsers play what is in one stream in step.
    pub knows_track_ids: bool,
    /// Copied into its [`ParticipantInfo`].
    pub client_protocol: i32,
    /// Copied into its [`ParticipantInfo`].
    pub capabilities: Vec<i32>,
    /// It makes the room where that is not left to everybody who joins.
    pub may_create: bool,
}

impl JoinRequest {
    /// A request with nothing but an identity and a mode.
    #[must_use]
    pub fn new(identity: impl Into<String>, mode: Mode) -> Self {
        Self {
            identity: identity.into(),
            name: String::new(),
            metadata: String::new(),
            attributes: BTreeMap::new(),
            key: String::new(),
            permission: Permission::default(),
            kind: ParticipantKind::default(),
            mode,
            auto_subscribe: true,
            auto_subscribe_data: false,
            offers: false,
            knows_track_ids: false,
            client_protocol: 0,
            capabilities: Vec::new(),
            may_create: false,
        }
    }
}

/// A seat taken, or taken again by a resume.
#[derive(Debug)]
pub struct Joined {
    /// Names the participant in every other call.
    pub participant: ParticipantId,
    /// Names this signaling connection.
    pub session: SessionId,
    /// Itself.
    pub info: ParticipantInfo,
    /// The room.
    pub room: RoomInfo,
    /// Everyone else who is visible. At a resume nobody: they are among what is told.
    pub others: Vec<ParticipantInfo>,
    /// How it was and is negotiated.
    pub mode: Mode,
    /// Highest `sequence` of its reliable data packets the room has seen.
    pub last_data_seq: u32,
    /// How much of what it says is read: all connections of one seat have the same.
    pub budget: Budget,
    /// What the room tells it, at a resume how everything stands first. Closed when the participant is out of the room, resumed
    /// elsewhere, or too slow.
    pub notices: mpsc::Receiver<Notice>,
}

/// A track to be announced.
#[derive(Clone, Debug)]
pub struct TrackRequest {
    /// Second token of `a=msid` in the offer that carries it.
    pub cid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it shows.
    pub source: Source,
    /// The publisher's name for it.
    pub name: String,
    /// Starts muted.
    pub muted: bool,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Stream name; empty: taken from the source.
    pub stream: String,
    /// Layers of the first codec.
    pub layers: Vec<LayerInfo>,
    /// Codecs in the publisher's order.
    pub codecs: Vec<CodecInfo>,
    /// Handed on.
    pub extras: TrackExtras,
}

/// Our answer to a client's offer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// SDP text.
    pub sdp: String,
    /// MID to track sid, for the sections we send on.
    pub mids: Vec<(String, String)>,
    /// ICE ufrag of the transport, for ETags.
    pub ufrag: String,
}

/// A change to a participant. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ParticipantChange {
    /// Display name.
    pub name: Option<String>,
    /// Free text.
    pub metadata: Option<String>,
    /// Merged into what is there; an empty value deletes its key.
    pub attributes: BTreeMap<String, String>,
    /// What it may do from now on; what it no longer may is ended.
    pub permission: Option<Permission>,
}

/// What a participant may send. All else that it may do is not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speech {
    /// Tracks.
    pub media: bool,
    /// Data packets.
    pub data: bool,
}

impl Speech {
    /// By what it may do.
    #[must_use]
    pub const fn of(permission: &Permission) -> Self {
        Self { media: permission.can_publish, data: permission.can_publish_data }
    }
}

/// A change of what a participant wants to receive.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionChange {
    /// Tracks, `TR_…`.
    pub tracks: Vec<String>,
    /// To receive them or not.
    pub subscribe: bool,
}

/// A data track to be published.
#[derive(Clone, Debug, Default)]
pub struct DataTrackRequest {
    /// What its packets are to name it by: 1 to 65,535, unique among the publisher's.
    pub handle: u32,
    /// Unique among the publisher's data tracks, 1 to 256 bytes.
    pub name: String,
    /// End-to-end encryption: 0 none, 1 GCM, 2 custom.
    pub encryption: i32,
    /// How its frames are written.
    pub encoding: Option<FrameName>,
    /// Name and language of what describes its frames.
    pub schema: Option<(String, FrameName)>,
}

/// A change of which data tracks a participant receives, in order.
#[derive(Clone, Debug, Default)]
pub struct DataSubscription {
    /// Tracks, `DTR_…`, and whether to receive them.
    pub tracks: Vec<(String, bool)>,
}

/// How a participant wants to receive tracks.
#[derive(Clone, Debug, Default)]
pub struct TrackSettings {
    /// Tracks, `TR_…`.
    pub tracks: Vec<String>,
    /// Send nothing for now.
    pub disabled: bool,
    /// Highest layer wanted, 0 = lowest; used where no size is given.
    pub max_layer: u8,
    /// Pixels it is shown at; 0: unknown.
    pub width: u32,
    /// Pixels it is shown at; 0: unknown.
    pub height: u32,
    /// 1 is the most important, 0: not said.
    pub priority: u32,
}

/// Whom a publisher lets receive its tracks.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionPolicy {
    /// Everyone; `allowed` is not looked at.
    pub all_participants: bool,
    /// Who may receive what.
    pub allowed: Vec<AllowedTracks>,
}

/// What one participant may receive of a publisher.
#[derive(Clone, Debug, Default)]
pub struct AllowedTracks {
    /// `PA_…`; empty where the identity is given.
    pub sid: String,
    /// Identity; empty where the sid is given.
    pub identity: String,
    /// All of them; `tracks` is not looked at.
    pub all_tracks: bool,
    /// `TR_…`.
    pub tracks: Vec<String>,
}

/// A data message of the server itself (API).
#[derive(Clone, Debug)]
pub struct ServerData {
    /// Which path.
    pub channel: Channel,
    /// Application bytes.
    pub payload: Vec<u8>,
    /// Application topic.
    pub topic: Option<String>,
    /// Receivers; empty: everyone.
    pub to_identities: Vec<String>,
    /// Receivers by sid, in addition.
    pub to_sids: Vec<String>,
}

/// How a room is made.
#[derive(Clone, Debug, Default)]
pub struct RoomRequest {
    /// Its name.
    pub name: String,
    /// Free text.
    pub metadata: String,
    /// `None`: the server's default.
    pub empty_timeout_s: Option<u32>,
    /// `None`: the server's default.
    pub departure_timeout_s: Option<u32>,
    /// `None`: the server's default.
    pub max_participants: Option<u32>,
}
