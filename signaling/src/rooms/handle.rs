//! [`RoomHandle`]: how adapters reach a room task.

use convene_sfu::{ClientAnswer, ClientOffer};
use tokio::sync::{mpsc, oneshot};

use super::command::{Command, KeyTest, Reply, Who};
use super::error::Error;
use super::history::Stay;
use super::model::{DataTrackInfo, LeaveReason, ParticipantId, ParticipantInfo, RoomInfo, SessionId, TrackInfo};
use super::request::{
    Answered, DataSubscription, DataTrackRequest, JoinRequest, Joined, ParticipantChange, ServerData, Speech,
    SubscriptionChange, SubscriptionPolicy, TrackRequest, TrackSettings,
};

/// Commands a room may have waiting. A full queue makes the adapter wait, which stops it from reading its socket: the
/// pressure reaches the client. Raising it costs memory and hides an overloaded room for longer.
const MAX_COMMANDS: usize = 1024;

/// A room, for adapters. Cheap to clone; [`Error::Closed`] once the room has ended.
#[derive(Clone, Debug)]
pub struct RoomHandle {
    name: String,
    sid: String,
    commands: mpsc::Sender<Command>,
}

impl RoomHandle {
    pub(super) fn new(name: String, sid: String) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        (Self { name, sid, commands }, receiver)
    }

    /// The room's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `RM_…`.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Whether the room has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }

    /// Takes a seat. An older participant of the same identity is sent away first. Dropping [`Joined::notices`] does not
    /// leave the room: call [`RoomHandle::leave`] or [`RoomHandle::detached`].
    pub async fn join(&self, request: JoinRequest) -> Result<Joined, Error> {
        let request = Box::new(request);
        self.ask(|reply| Command::Join { request, reply }).await
    }

    /// Takes the seat of a participant whose signaling connection was cut; its media goes on meanwhile.
    pub async fn resume(&self, identity: &str, sid: &str) -> Result<Joined, Error> {
        let (identity, sid) = (identity.to_owned(), sid.to_owned());
        self.ask(|reply| Command::Resume { identity, sid, reply }).await
    }

    /// The signaling connection has ended without a word. The seat stays for the resume window.
    pub async fn detached(&self, participant: ParticipantId, session: SessionId) {
        self.tell(Command::Detached { participant, session }).await;
    }

    /// Leaves the room by its own will (or, for WHIP and WHEP, DELETE).
    pub async fn leave(&self, participant: ParticipantId, reason: LeaveReason) -> Result<(), Error> {
        let who = Who::Id(participant);
        self.ask(|reply| Command::Leave { who, reason, reply }).await
    }

    /// Sends a participant away.
    pub async fn remove_participant(&self, identity: &str, reason: LeaveReason) -> Result<(), Error> {
        let who = Who::Identity(identity.to_owned());
        self.ask(|reply| Command::Leave { who, reason, reply }).await
    }

    /// Sends everybody away whom an API key has let in that is good no more.
    pub(super) async fn keys_ended(&self, is_good: KeyTest) {
        self.tell(Command::KeysEnded { is_good }).await;
    }

    /// The client offers: on its only transport, or on the publisher transport of the two-connection mode.
    /// WHIP: each sending section becomes a track. The text is read here, on the caller's time: neither the room nor its media
    /// waits for that.
    pub async fn offer(&self, participant: ParticipantId, sdp: &str) -> Result<Answered, Error> {
        let offer = ClientOffer::read(sdp).map_err(convene_sfu::Error::from)?;
        self.ask(|reply| Command::Offer { participant, offer, id: None, reply }).await
    }

    /// As [`RoomHandle::offer`]; the answer comes as [`super::Notice::Answer`], in order with what it changes.
    pub async fn offer_by_notice(&self, participant: ParticipantId, id: u32, sdp: &str) -> Result<(), Error> {
        let offer = ClientOffer::read(sdp).map_err(convene_sfu::Error::from)?;
        self.ask(|reply| Command::Offer { participant, offer, id: Some(id), reply }).await.map(|_| ())
    }

    /// The client answers [`super::Notice::Offer`]. An answer to an older offer is ignored.
    pub async fn answer(&self, participant: ParticipantId, id: u32, sdp: &str) -> Result<(), Error> {
        let answer = ClientAnswer::read(sdp).map_err(convene_sfu::Error::from)?;
        self.ask(|reply| Command::Answer { participant, id, answer, reply }).await
    }

    /// WHIP/WHEP ICE restart (RFC 9725 §4.3.3), both ways `application/trickle-ice-sdpfrag`.
    pub async fn restart_ice(&self, participant: ParticipantId, fragment: String) -> Result<String, Error> {
        self.ask(|reply| Command::RestartIce { participant, fragment, reply }).await
    }

    /// Announces a track; others learn of it when an offer carries it.
    pub async fn add_track(&self, participant: ParticipantId, request: TrackRequest) -> Result<TrackInfo, Error> {
        let request = Box::new(request);
        self.ask(|reply| Command::AddTrack { participant, request, reply }).await
    }

    /// Announces the stream of a track's backup codec; it is carried once an offer has it.
    pub async fn add_backup(
        &self,
        participant: ParticipantId,
        sid: &str,
        request: TrackRequest,
    ) -> Result<TrackInfo, Error> {
        let (sid, request) = (sid.to_owned(), Box::new(request));
        self.ask(|reply| Command::AddBackup { participant, sid, request, reply }).await
    }

    /// The publisher mutes or unmutes its own track.
    pub async fn mute_own_track(&self, participant: ParticipantId, sid: &str, muted: bool) -> Result<TrackInfo, Error> {
        let (who, sid) = (Who::Id(participant), sid.to_owned());
        self.ask(|reply| Command::Mute { who, sid, muted, by_server: false, reply }).await
    }

    /// The API mutes or unmutes a track; the publisher is told.
    pub async fn mute_track(&self, identity: &str, sid: &str, muted: bool) -> Result<TrackInfo, Error> {
        let (who, sid) = (Who::Identity(identity.to_owned()), sid.to_owned());
        self.ask(|reply| Command::Mute { who, sid, muted, by_server: true, reply }).await
    }

    /// The API changes a participant.
    pub async fn update_participant(
        &self,
        identity: &str,
        change: ParticipantChange,
    ) -> Result<ParticipantInfo, Error> {
        let (who, change) = (Who::Identity(identity.to_owned()), Box::new(change));
        self.ask(|reply| Command::Change { who, change, by_self: false, reply }).await
    }

    /// What a participant may send from now on, whatever else of it was changed in the meantime.
    pub async fn set_speech(&self, participant: ParticipantId, speech: Speech) -> Result<(), Error> {
        self.ask(|reply| Command::Speech { participant, speech, reply }).await
    }

    /// A participant changes itself; needs `can_update_metadata`, and `permission` must be `None`.
    pub async fn update_self(
        &self,
        participant: ParticipantId,
        change: ParticipantChange,
    ) -> Result<ParticipantInfo, Error> {
        let (who, change) = (Who::Id(participant), Box::new(change));
        self.ask(|reply| Command::Change { who, change, by_self: true, reply }).await
    }

    /// The API changes what a participant receives.
    pub async fn update_subscriptions(&self, identity: &str, change: SubscriptionChange) -> Result<(), Error> {
        let who = Who::Identity(identity.to_owned());
        self.ask(|reply| Command::Subscribe { who, change, reply }).await
    }

    /// A participant changes what it receives.
    pub async fn subscribe(&self, participant: ParticipantId, change: SubscriptionChange) -> Result<(), Error> {
        let who = Who::Id(participant);
        self.ask(|reply| Command::Subscribe { who, change, reply }).await
    }

    /// A participant says how it wants to receive tracks.
    pub async fn track_settings(&self, participant: ParticipantId, settings: TrackSettings) {
        self.tell(Command::Settings { participant, settings }).await;
    }

    /// A publisher says who may receive its tracks.
    pub async fn subscription_policy(&self, participant: ParticipantId, policy: SubscriptionPolicy) {
        self.tell(Command::Policy { participant, policy }).await;
    }

    /// A publisher describes its track anew: audio features or picture size.
    pub async fn describe_track(
        &self,
        participant: ParticipantId,
        sid: String,
        features: Option<Vec<i32>>,
        size: Option<(u32, u32)>,
    ) {
        self.tell(Command::Describe { participant, sid, features, size }).await;
    }

    /// Publishes a data track.
    pub async fn publish_data_track(
        &self,
        participant: ParticipantId,
        request: DataTrackRequest,
    ) -> Result<DataTrackInfo, Error> {
        self.ask(|reply| Command::PublishData { participant, request, reply }).await
    }

    /// Ends a data track, by the publisher's handle.
    pub async fn unpublish_data_track(&self, participant: ParticipantId, handle: u32) -> Result<DataTrackInfo, Error> {
        self.ask(|reply| Command::UnpublishData { participant, handle, reply }).await
    }

    /// A participant asks for data tracks, or gives them back.
    pub async fn subscribe_data(&self, participant: ParticipantId, change: DataSubscription) {
        self.tell(Command::SubscribeData { participant, change }).await;
    }

    /// A participant says after a resume which tracks (`TR_…`) and data tracks it publishes; it is told which of them have ended.
    pub async fn check_tracks(&self, participant: ParticipantId, tracks: Vec<String>, data_tracks: Vec<DataTrackInfo>) {
        self.tell(Command::CheckTracks { participant, tracks, data_tracks }).await;
    }

    /// The server itself sends data to participants.
    pub async fn send_data(&self, data: ServerData) -> Result<(), Error> {
        self.ask(|reply| Command::ServerData { data, reply }).await
    }

    /// What the room is.
    pub async fn info(&self) -> Result<RoomInfo, Error> {
        self.ask(|reply| Command::Info { reply }).await
    }

    /// Changes the room's metadata; everyone is told.
    pub async fn update_metadata(&self, metadata: String) -> Result<RoomInfo, Error> {
        self.ask(|reply| Command::SetMetadata { metadata, reply }).await
    }

    /// Everyone in the room, hidden ones included.
    pub async fn participants(&self) -> Result<Vec<ParticipantInfo>, Error> {
        self.ask(|reply| Command::Participants { reply }).await
    }

    /// One participant.
    pub async fn participant(&self, identity: &str) -> Result<ParticipantInfo, Error> {
        let identity = identity.to_owned();
        self.ask(|reply| Command::Participant { identity, reply }).await
    }

    /// What there is to say of the stays of those who are here, or of one of them.
    pub async fn stays(&self, identity: Option<&str>) -> Result<Vec<Stay>, Error> {
        let identity = identity.map(str::to_owned);
        self.ask(|reply| Command::Stays { identity, reply }).await
    }

    /// Ends the room: everyone is sent away with this reason.
    pub async fn close(&self, reason: LeaveReason) -> Result<(), Error> {
        self.ask(|reply| Command::Close { reason, reply }).await
    }

    /// Makes the media plane's room panic, to prove that one room's fault stays its own. Only `--dev` servers wire it up.
    pub async fn inject_panic(&self) {
        self.tell(Command::InjectPanic).await;
    }

    async fn tell(&self, command: Command) {
        let _ = self.commands.send(command).await; // an error says the room has ended, and the participant with it
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}
