//! Neutral descriptions of rooms, participants and tracks: what every adapter (LiveKit wire, Twirp, WHIP, WHEP) shows in
//! its own words. No protobuf type and no HTTP type appears here.

use std::collections::BTreeMap;

use convene_sfu::Rating;
use convene_types::MediaKind;

/// A participant of this process. Never reused while the process lives; clients see the `sid` instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(pub u64);

/// One signaling connection of a participant; a resume makes a new one. Lets a late "socket closed" be told apart from
/// the socket in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(pub u64);

/// What a room is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomInfo {
    /// `RM_…`, new for each life of the room.
    pub sid: String,
    /// Its name: what tokens and URLs say.
    pub name: String,
    /// Free text of the application.
    pub metadata: String,
    /// Seconds a room waits for its first participant.
    pub empty_timeout_s: u32,
    /// Seconds a room stays after the last one has left.
    pub departure_timeout_s: u32,
    /// 0: no limit beyond the server's.
    pub max_participants: u32,
    /// Unix time in milliseconds.
    pub created_at_ms: i64,
    /// Who is in it now, hidden ones not counted.
    pub num_participants: u32,
    /// How many of them publish.
    pub num_publishers: u32,
}

/// Where a participant is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParticipantState {
    /// Signaling is up, media is not.
    #[default]
    Joined,
    /// ICE and DTLS are up.
    Active,
    /// It has left; the last thing said of it.
    Disconnected,
}

/// What a participant is. Numbers are those of the LiveKit protocol, kept so that kinds we give no meaning pass through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParticipantKind {
    /// A person's device.
    #[default]
    Standard,
    /// WHIP or another ingest.
    Ingress,
    /// A recorder.
    Egress,
    /// A telephone leg.
    Sip,
    /// A program.
    Agent,
}

/// What a track shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The client did not say.
    #[default]
    Unknown,
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A screen or window.
    ScreenShare,
    /// The sound of a screen share.
    ScreenShareAudio,
}

/// What a participant may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// May receive tracks.
    pub can_subscribe: bool,
    /// May send tracks.
    pub can_publish: bool,
    /// May send data packets.
    pub can_publish_data: bool,
    /// Sources it may publish; empty: all.
    pub can_publish_sources: Vec<Source>,
    /// Others are not told of it.
    pub hidden: bool,
    /// It records; a hint for user interfaces.
    pub recorder: bool,
    /// May change its own name, metadata and attributes.
    pub can_update_metadata: bool,
    /// It is a program; transcriptions are taken from such only.
    pub agent: bool,
    /// May receive other participants' metrics.
    pub can_subscribe_metrics: bool,
}

impl Default for Permission {
    /// An absent grant means "may", as the LiveKit server reads it.
    fn default() -> Self {
        Self {
            can_subscribe: true,
            can_publish: true,
            can_publish_data: true,
            can_publish_sources: Vec::new(),
            hidden: false,
            recorder: false,
            can_update_metadata: false,
            agent: false,
            can_subscribe_metrics: false,
        }
    }
}

impl Permission {
    /// Whether a track of this source may be published. Where sources are named, a track has to name one of them.
    #[must_use]
    pub fn allows_source(&self, source: Source) -> bool {
        let named = source != Source::Unknown && self.can_publish_sources.contains(&source);
        self.can_publish && (self.can_publish_sources.is_empty() || named)
    }
}

/// What a participant is, with its tracks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParticipantInfo {
    /// `PA_…`, new for each join.
    pub sid: String,
    /// Unique within the room; a second join with the same one ends the first.
    pub identity: String,
    /// Display name.
    pub name: String,
    /// Free text of the application.
    pub metadata: String,
    /// Free key-value pairs of the application.
    pub attributes: BTreeMap<String, String>,
    /// Where it is in its life.
    pub state: ParticipantState,
    /// What it is.
    pub kind: ParticipantKind,
    /// What it may do.
    pub permission: Permission,
    /// Unix time in milliseconds.
    pub joined_at_ms: i64,
    /// Grows by one with each change; clients drop older ones.
    pub version: u32,
    /// Published tracks.
    pub tracks: Vec<TrackInfo>,
    /// Published data tracks.
    pub data_tracks: Vec<DataTrackInfo>,
    /// Why it left, once it has.
    pub left: Option<LeaveReason>,
    /// Client-to-client protocol number, copied from its join.
    pub client_protocol: i32,
    /// Client-to-client capabilities, copied from its join.
    pub capabilities: Vec<i32>,
}

/// One simulcast or SVC layer as the publisher describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerInfo {
    /// 0 low, 1 medium, 2 high.
    pub quality: i32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// bit/s.
    pub bitrate: u32,
    /// Spatial layer of an SVC stream.
    pub spatial_layer: i32,
    /// RID, where the client named it.
    pub rid: String,
}

/// One codec of a track as the publisher describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodecInfo {
    /// `video/VP8`; empty where the client did not say.
    pub mime_type: String,
    /// The client's id of it.
    pub cid: String,
    /// Its layers.
    pub layers: Vec<LayerInfo>,
    /// How layers are carried; the LiveKit protocol's number.
    pub layer_mode: i32,
}

/// What a track is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// `TR_…`.
    pub sid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it shows.
    pub source: Source,
    /// The publisher's name for it.
    pub name: String,
    /// Nothing is sent at the moment.
    pub muted: bool,
    /// Pixels of the highest layer; 0 for audio.
    pub width: u32,
    /// Pixels of the highest layer; 0 for audio.
    pub height: u32,
    /// `audio/opus`, `video/VP8`; empty until known.
    pub mime_type: String,
    /// Section of the publisher's SDP.
    pub mid: String,
    /// Tracks of one stream are played in sync.
    pub stream: String,
    /// Layers of the first codec.
    pub layers: Vec<LayerInfo>,
    /// Codecs in the publisher's order.
    pub codecs: Vec<CodecInfo>,
    /// Opaque to the server, echoed: see [`TrackExtras`].
    pub extras: TrackExtras,
}

/// Fields the server only hands on from the publisher to the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackExtras {
    /// End-to-end encryption: 0 none, 1 GCM, 2 custom.
    pub encryption: i32,
    /// The publisher asks for no RED.
    pub disable_red: bool,
    /// Discontinuous transmission is off.
    pub disable_dtx: bool,
    /// Two channels.
    pub stereo: bool,
    /// Audio features, numbers of the LiveKit protocol.
    pub audio_features: Vec<i32>,
    /// Packet trailer features, numbers of the LiveKit protocol.
    pub packet_trailer_features: Vec<i32>,
    /// Backup codec policy, number of the LiveKit protocol.
    pub backup_codec_policy: i32,
}

/// What a data track is. All but its sid is the publisher's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataTrackInfo {
    /// `DTR_…`.
    pub sid: String,
    /// What packets of the publisher name it by; not 0.
    pub handle: u16,
    /// Unique among the publisher's data tracks.
    pub name: String,
    /// End-to-end encryption: 0 none, 1 GCM, 2 custom.
    pub encryption: i32,
    /// How its frames are written, where the publisher says it.
    pub encoding: Option<FrameName>,
    /// Name and language of what describes its frames.
    pub schema: Option<(String, FrameName)>,
}

/// The name of an encoding or of a schema language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameName {
    /// The LiveKit protocol's number.
    Known(i32),
    /// One of the application's own.
    Custom(String),
}

/// Why someone is out of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaveReason {
    /// It said so.
    ClientInitiated,
    /// Its identity joined again.
    DuplicateIdentity,
    /// The server stops.
    ServerShutdown,
    /// Removed through the API.
    Removed,
    /// The room was deleted through the API.
    RoomDeleted,
    /// It asked to resume something that is not there.
    StateMismatch,
    /// It could not be let in.
    JoinFailure,
    /// Its signaling connection ended and it did not come back.
    SignalClosed,
    /// The room ended.
    RoomClosed,
    /// Its media path timed out.
    ConnectionTimeout,
    /// Its media path failed.
    MediaFailure,
}

/// What a client that is told to go should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaveAction {
    /// Stay away.
    Disconnect,
    /// Come back on the same transports.
    Resume,
    /// Join anew.
    Reconnect,
}

/// An active speaker, or one who has stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakerInfo {
    /// Participant.
    pub sid: String,
    /// 0.0..=1.0, linear.
    pub level: f32,
    /// False: has stopped.
    pub active: bool,
}

/// How good a participant's connection is.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityInfo {
    /// Participant.
    pub sid: String,
    /// Score and what it means; the worse of its transports.
    pub rating: Rating,
}
