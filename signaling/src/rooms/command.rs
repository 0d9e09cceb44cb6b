//! Messages from adapters to a room task.

use std::sync::Arc;

use convene_sfu::{ClientAnswer, ClientOffer};
use tokio::sync::oneshot;

use super::error::Error;
use super::history::Stay;
use super::model::{DataTrackInfo, LeaveReason, ParticipantId, ParticipantInfo, RoomInfo, SessionId, TrackInfo};
use super::request::{
    Answered, DataSubscription, DataTrackRequest, JoinRequest, Joined, ParticipantChange, ServerData, Speech,
    SubscriptionChange, SubscriptionPolicy, TrackRequest, TrackSettings,
};

pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Whether an API key is good still.
pub(super) type KeyTest = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Names a participant: adapters with a connection know the id, the API knows the identity.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Id(ParticipantId),
    Identity(String),
}

pub(super) enum Command {
    Join { request: Box<JoinRequest>, reply: Reply<Joined> },
    Resume { identity: String, sid: String, reply: Reply<Joined> },
    Detached { participant: ParticipantId, session: SessionId },
    Leave { who: Who, reason: LeaveReason, reply: Reply<()> },
    KeysEnded { is_good: KeyTest },
    Offer { participant: ParticipantId, offer: ClientOffer, id: Option<u32>, reply: Reply<Answered> },
    Answer { participant: ParticipantId, id: u32, answer: ClientAnswer, reply: Reply<()> },
    RestartIce { participant: ParticipantId, fragment: String, reply: Reply<String> },
    AddTrack { participant: ParticipantId, request: Box<TrackRequest>, reply: Reply<TrackInfo> },
    AddBackup { participant: ParticipantId, sid: String, request: Box<TrackRequest>, reply: Reply<TrackInfo> },
    Mute { who: Who, sid: String, muted: bool, by_server: bool, reply: Reply<TrackInfo> },
    Change { who: Who, change: Box<ParticipantChange>, by_self: bool, reply: Reply<ParticipantInfo> },
    Speech { participant: ParticipantId, speech: Speech, reply: Reply<()> },
    Subscribe { who: Who, change: SubscriptionChange, reply: Reply<()> },
    Settings { participant: ParticipantId, settings: TrackSettings },
    Policy { participant: ParticipantId, policy: SubscriptionPolicy },
    Describe { participant: ParticipantId, sid: String, features: Option<Vec<i32>>, size: Option<(u32, u32)> },
    PublishData { participant: ParticipantId, request: DataTrackRequest, reply: Reply<DataTrackInfo> },
    UnpublishData { participant: ParticipantId, handle: u32, reply: Reply<DataTrackInfo> },
    SubscribeData { participant: ParticipantId, change: DataSubscription },
    CheckTracks { participant: ParticipantId, tracks: Vec<String>, data_tracks: Vec<DataTrackInfo> },
    ServerData { data: ServerData, reply: Reply<()> },
    Info { reply: Reply<RoomInfo> },
    SetMetadata { metadata: String, reply: Reply<RoomInfo> },
    Participants { reply: Reply<Vec<ParticipantInfo>> },
    Participant { identity: String, reply: Reply<ParticipantInfo> },
    Stays { identity: Option<String>, reply: Reply<Vec<Stay>> },
    Close { reason: LeaveReason, reply: Reply<()> },
    InjectPanic,
}
