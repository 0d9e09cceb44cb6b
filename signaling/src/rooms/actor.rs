//! The room task: carries commands and media events to the [`State`], and its actions to the media plane.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use convene_sfu::{Answer, Bind, ClientAnswer, ClientOffer, Event, PeerOptions, Publication};
use convene_telemetry::Metrics;
use convene_types::{Codec, MediaKind, Mid, PeerId, Rid, TrackId};
use dashmap::DashMap;
use futures_util::FutureExt as _;
use tokio::sync::{broadcast, mpsc};
use tokio::time::sleep_until;
use tracing::Instrument;

use super::clock::Clock;
use super::command::{Command, Reply, Who};
use super::counts::Counts;
use super::data::DataFormat;
use super::error::Error;
use super::handle::RoomHandle;
use super::happening::Happening;
use super::history::History;
use super::ids::new_sid;
use super::model::{LeaveReason, ParticipantId, TrackInfo};
use super::registry::Options;
use super::request::{Answered, JoinRequest, Joined, Mode, RoomRequest, TrackRequest};
use super::state::{Action, Now, Peers, State, unannounced};

/// Names that LiveKit clients give their simulcast layers, lowest first.
const LAYER_RIDS: [&str; 3] = ["q", "h", "f"];

/// What a room task is started with.
pub(super) struct Setup {
    pub(super) request: RoomRequest,
    pub(super) media: convene_sfu::Handle,
    pub(super) options: Options,
    pub(super) format: Arc<dyn DataFormat>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) rooms: Arc<DashMap<String, RoomHandle>>,
    pub(super) happenings: broadcast::Sender<Arc<Happening>>,
    pub(super) history: Arc<History>,
}

impl Setup {
    /// Starts the task. It opens its media room first; commands wait meanwhile.
    pub(super) fn spawn(self) -> RoomHandle {
        let sid = new_sid("RM_");
        let (handle, commands) = RoomHandle::new(self.request.name.clone(), sid.clone());
        let span = tracing::info_span!("room", room = %self.request.name, %sid);
        tokio::spawn(self.run(sid, commands).instrument(span));
        handle
    }

    async fn run(self, sid: String, mut commands: mpsc::Receiver<Command>) {
        let name = self.request.name.clone();
        let rooms = Arc::clone(&self.rooms);
        match self.media.open_room(&name).await {
            Ok((room, events)) => {
                tracing::info!("room opened");
                let state = State::new(now(), sid.clone(), self.request, self.options);
                let counts = Counts::new(Arc::clone(&self.metrics));
                let mut actor = Actor {
                    state,
                    media: self.media,
                    room,
                    format: self.format,
                    metrics: self.metrics,
                    counts,
                    happenings: self.happenings,
                    history: self.history,
                };
                let work = AssertUnwindSafe(actor.run(&mut commands, events)).catch_unwind().await;
                match work {
                    Ok(()) => actor.tell_outside(),
                    Err(_) => actor.handle_panic().await,
                }
                actor.room.close().await;
                tracing::info!(reason = ?actor.state.closed(), "room closed");
            }
            Err(error) => tracing::error!(%error, "cannot open the room on the media plane"),
        }
        // Closed before it is taken out of the map: whoever still holds it gets `Closed` and may make another one.
        commands.close();
        rooms.remove_if(&name, |_, handle| handle.sid() == sid);
    }
}

struct Actor {
    state: State,
    media: convene_sfu::Handle,
    room: convene_sfu::Room,
    format: Arc<dyn DataFormat>,
    metrics: Arc<Metrics>,
    counts: Counts,
    happenings: broadcast::Sender<Arc<Happening>>,
    history: Arc<History>,
}

impl Actor {
    async fn run(&mut self, commands: &mut mpsc::Receiver<Command>, mut events: convene_sfu::Events) {
        let mut clock = Clock::new(Instant::now());
        let mut alarm = pin!(sleep_until(Instant::now().into())); // set before it is waited for
        while self.state.closed().is_none() {
            let due = clock.poll_timeout();
            if let Some(at) = due.map(Into::into).filter(|at| alarm.deadline() != *at) {
                alarm.as_mut().reset(at);
            }
            let rang = tokio::select! {
                command = commands.recv() => {
                    match command {
                        Some(command) => self.handle_command(command).await,
                        None => self.state.close(now(), LeaveReason::RoomClosed), // not even the registry knows it
                    }
                    false
                }
                event = events.recv() => {
                    self.handle_event(event);
                    false
                }
                () = &mut alarm, if due.is_some() => {
                    self.state.handle_timeout(now());
                    true
                }
            };
            self.flush().await;
            match rang {
                true => clock.handle_look(Instant::now(), self.state.poll_timeout()),
                false => clock.handle_news(Instant::now()),
            }
        }
    }

    /// What it was at may be half done. It sends everybody away all the same, if it can: they join anew at once then, and nobody
    /// takes them for being there still.
    async fn handle_panic(&mut self) {
        self.metrics.room_panics.inc();
        tracing::error!("room panicked and is closed");
        let goodbye = async {
            self.state.close(now(), LeaveReason::MediaFailure);
            self.flush().await;
        };
        if AssertUnwindSafe(goodbye).catch_unwind().await.is_err() {
            tracing::error!("room panicked again as it closed");
            // Whoever counts who is here, as calls do, would count them for ever.
            let farewell = || {
                self.state.abandon();
                self.tell_outside();
            };
            if std::panic::catch_unwind(AssertUnwindSafe(farewell)).is_err() {
                tracing::error!("room panicked once more: nobody is told who was in it");
            }
        }
    }

    fn handle_event(&mut self, event: Option<Event>) {
        let now = now();
        match event {
            Some(Event::Connected { peer }) => self.state.handle_connected(now, peer),
            Some(Event::Gone { peer, reason }) => self.state.handle_gone(now, peer, reason),
            Some(Event::Data { peer, channel, payload }) => {
                if let Err(reason) = self.state.handle_data(peer, channel, &payload, &*self.format) {
                    tracing::debug!(%peer, reason, "data packet dropped");
                    self.metrics.dropped.with_label_values(&[reason]).inc();
                }
            }
            Some(Event::TrackStarted { track, codec }) => self.state.handle_track_started(now, track, codec),
            Some(Event::TrackEnded { track }) => self.state.handle_track_ended(now, track),
            Some(Event::Speakers(speakers)) => self.state.handle_speakers(now, &speakers),
            Some(Event::StreamState { peer, track, paused }) => {
                self.state.handle_stream_state(now, peer, track, paused);
            }
            Some(Event::Quality(ratings)) => self.state.handle_quality(now, &ratings),
            Some(Event::Measured(flows)) => self.state.handle_measured(now, &flows),
            Some(Event::TrackFlowing { peer, track }) => {
                if let Some(waited) = self.state.handle_flowing(now, peer, track) {
                    self.metrics.time_to_media.observe(waited.as_secs_f64());
                }
            }
            Some(Event::ChannelOpen { .. }) => {}
            Some(Event::Failed) | None => {
                tracing::error!("media plane lost the room");
                self.state.close(now, LeaveReason::MediaFailure);
            }
        }
    }

    async fn handle_command(&mut self, command: Command) {
        let now = now();
        match command {
            Command::Join { request, reply } => {
                let joined = self.join(*request).await;
                let result = joined.as_ref().map_or_else(Error::code, |_| "ok");
                self.metrics.joins.with_label_values(&[result]).inc();
                self.answer_join(reply, joined).await;
            }
            Command::Resume { identity, sid, reply } => send(reply, self.state.handle_resume(now, &identity, &sid)),
            Command::Detached { participant, session } => self.state.handle_detached(now, participant, session),
            Command::Leave { who, reason, reply } => {
                let id = self.find(&who);
                send(reply, id.map(|id| self.state.remove(now, id, reason)));
            }
            Command::KeysEnded { is_good } => self.state.remove_by_key(now, |key| is_good(key)),
            Command::Offer { participant, offer, id, reply } => send(reply, self.offer(participant, offer, id).await),
            Command::Answer { participant, id, answer, reply } => {
                send(reply, self.answer(participant, id, answer).await);
            }
            Command::RestartIce { participant, fragment, reply } => {
                send(reply, self.restart_ice(participant, fragment).await);
            }
            Command::AddTrack { participant, request, reply } => {
                send(reply, self.add_track(participant, *request).await)
            }
            Command::AddBackup { participant, sid, request, reply } => {
                send(reply, self.add_backup(participant, &sid, *request).await);
            }
            Command::Mute { who, sid, muted, by_server, reply } => {
                let result = self.find(&who).and_then(|id| self.state.mute(now, id, &sid, muted, by_server));
                send(reply, result);
            }
            Command::Change { who, change, by_self, reply } => {
                send(reply, self.find(&who).and_then(|id| self.state.change(now, id, *change, by_self)));
            }
            Command::Speech { participant, speech, reply } => {
                send(reply, self.state.set_speech(now, participant, speech));
            }
            Command::Subscribe { who, change, reply } => {
                send(reply, self.find(&who).and_then(|id| self.state.subscribe(now, id, change)));
            }
            Command::Settings { participant, settings } => self.state.set_targets(participant, &settings),
            Command::Policy { participant, policy } => self.state.set_policy(now, participant, policy),
            Command::Describe { participant, sid, features, size } => {
                self.state.describe_track(now, participant, &sid, features, size);
            }
            Command::PublishData { participant, request, reply } => {
                send(reply, self.state.publish_data_track(now, participant, request));
            }
            Command::UnpublishData { participant, handle, reply } => {
                send(reply, self.state.unpublish_data_track(now, participant, handle));
            }
            Command::SubscribeData { participant, change } => self.state.subscribe_data(now, participant, change),
            Command::CheckTracks { participant, tracks, data_tracks } => {
                self.state.check_tracks(now, participant, tracks);
                self.state.check_data_tracks(now, participant, data_tracks);
            }
            Command::ServerData { data, reply } => {
                self.state.send_server_data(data, &*self.format);
                send(reply, Ok(()));
            }
            Command::Info { reply } => send(reply, Ok(self.state.room_info())),
            Command::SetMetadata { metadata, reply } => send(reply, Ok(self.state.set_metadata(now, metadata))),
            Command::Participants { reply } => send(reply, Ok(self.state.participant_infos())),
            Command::Participant { identity, reply } => {
                let id = self.state.id_of_identity(&identity);
                send(reply, id.and_then(|id| self.state.participant_info(id)));
            }
            Command::Stays { identity, reply } => send(reply, Ok(self.state.stays(identity.as_deref()))),
            Command::Close { reason, reply } => {
                self.state.close(now, reason);
                send(reply, Ok(()));
            }
            Command::InjectPanic => drop(self.room.inject_panic().await),
        }
    }

    fn find(&self, who: &Who) -> Result<ParticipantId, Error> {
        match who {
            Who::Id(id) => self.state.participant_info(*id).map(|_| *id),
            Who::Identity(identity) => self.state.id_of_identity(identity),
        }
    }

    async fn join(&mut self, request: JoinRequest) -> Result<Joined, Error> {
        self.state.check_join(&request)?;
        let publisher = self.add_peer(&request, false).await?;
        let subscriber = if request.mode == Mode::Dual { self.add_peer(&request, true).await? } else { publisher };
        tracing::info!(participant = %request.identity, mode = ?request.mode, %publisher, %subscriber, "participant joined");
        Ok(self.state.handle_join(now(), request, Peers { publisher, subscriber }))
    }

    async fn add_peer(&self, request: &JoinRequest, we_offer: bool) -> Result<PeerId, Error> {
        let peer = self.media.new_peer_id();
        let reserve_sections = request.mode == Mode::Whep;
        let label = request.identity.clone();
        self.room.add_peer(PeerOptions { peer, label, reserve_sections, we_offer }).await?;
        Ok(peer)
    }

    /// An adapter that is gone by now would leave a seat that nobody holds.
    async fn answer_join(&mut self, reply: Reply<Joined>, joined: Result<Joined, Error>) {
        if let Err(Ok(unclaimed)) = reply.send(joined) {
            self.state.remove(now(), unclaimed.participant, LeaveReason::SignalClosed);
        }
        self.flush().await;
    }

    async fn offer(&mut self, id: ParticipantId, offer: ClientOffer, notice: Option<u32>) -> Result<Answered, Error> {
        let (mode, peers) = self.state.transports(id)?;
        let mut answer = self.room.offer(peers.publisher, offer).await?;
        if mode == Mode::Whip {
            self.publish_sections(id, peers.publisher, &mut answer).await?;
        }
        let mids = self.state.mids(&answer.outgoing);
        let answered = Answered { sdp: answer.sdp.clone(), mids, ufrag: answer.ufrag.clone() };
        if let Some(notice) = notice {
            self.state.notify_answer(now(), id, notice, &answered);
        }
        self.state.handle_offer_answered(now(), id, &answer);
        Ok(answered)
    }

    /// RFC 9725: the client announces nothing, each section it sends on is a track.
    async fn publish_sections(&mut self, id: ParticipantId, peer: PeerId, answer: &mut Answer) -> Result<(), Error> {
        for incoming in answer.incoming.iter_mut().filter(|incoming| incoming.track.is_none()) {
            let request = unannounced(incoming);
            self.state.check_track(id, &request)?;
            let track = self.media.new_track_id();
            let (bind, kind) = (Bind::Mid(incoming.mid), incoming.kind);
            let publication = Publication { track, bind, kind, codec: None, redundant: true, rids: Vec::new() };
            self.room.publish(peer, publication).await?;
            self.state.handle_track_added(id, track, request);
            incoming.track = Some(track);
        }
        Ok(())
    }

    async fn answer(&mut self, id: ParticipantId, offer_id: u32, answer: ClientAnswer) -> Result<(), Error> {
        let (mode, peers) = self.state.transports(id)?;
        if mode != Mode::Dual {
            return Err(Error::WrongMode);
        }
        if !self.state.takes_answer(id, offer_id) {
            tracing::debug!(offer_id, "answer to an older offer ignored");
            return Ok(());
        }
        let answered = self.room.answer(peers.subscriber, answer).await;
        // One that is unusable says nothing of the client, and is over all the same.
        if let Ok(answered) = &answered {
            self.state.note_lacks(id, &answered.lacks);
        }
        self.state.handle_answered(id, answered.as_ref().is_ok_and(|answered| answered.negotiate));
        answered?;
        Ok(())
    }

    async fn restart_ice(&mut self, id: ParticipantId, fragment: String) -> Result<String, Error> {
        let (mode, peers) = self.state.transports(id)?;
        match mode {
            Mode::Whip | Mode::Whep => Ok(self.room.restart_ice(peers.publisher, fragment).await?),
            Mode::Single | Mode::Dual => Err(Error::WrongMode),
        }
    }

    async fn add_track(&mut self, id: ParticipantId, request: TrackRequest) -> Result<TrackInfo, Error> {
        if let Some(known) = self.state.check_track(id, &request)? {
            return Ok(known);
        }
        let (_, peers) = self.state.transports(id)?;
        let track = self.media.new_track_id();
        self.room.publish(peers.publisher, publication(track, &request)).await?;
        Ok(self.state.handle_track_added(id, track, request))
    }

    async fn add_backup(&mut self, id: ParticipantId, sid: &str, request: TrackRequest) -> Result<TrackInfo, Error> {
        self.state.check_backup(id, sid, &request)?;
        let (_, peers) = self.state.transports(id)?;
        let track = self.media.new_track_id();
        self.room.publish(peers.publisher, publication(track, &request)).await?;
        self.state.handle_backup_added(id, sid, track, request)
    }

    /// Carries out what the state wants of the media plane until it wants nothing more.
    async fn flush(&mut self) {
        #[cfg(test)]
        self.fail_if_asked();
        loop {
            while let Some(action) = self.state.poll_action() {
                self.act(action).await;
            }
            if !self.state.settle(now()) {
                break;
            }
        }
        self.tell_outside();
        self.counts.show(self.state.counts());
    }

    #[cfg(test)]
    fn fail_if_asked(&self) {
        let asked = self.state.room_info().metadata == tests::FAULTY && self.state.closed().is_some();
        assert!(!asked, "asked to panic by a test");
    }

    fn tell_outside(&mut self) {
        while let Some(stay) = self.state.poll_stay() {
            self.history.keep(stay);
        }
        while let Some(what) = self.state.poll_happening() {
            let happening = Happening { room: self.state.room_info(), what, at_ms: now().unix_ms };
            let _ = self.happenings.send(Arc::new(happening)); // an error says that nobody listens
        }
    }

    async fn act(&mut self, action: Action) {
        let room = &self.room;
        let told = match action {
            Action::RemovePeer(peer) => room.remove_peer(peer).await,
            Action::Unpublish(track) => room.unpublish(track).await,
            Action::SetMuted { track, muted } => room.set_muted(track, muted).await,
            Action::Unsubscribe { peer, track } => room.unsubscribe(peer, track).await,
            Action::SetTarget { peer, track, target } => room.set_target(peer, track, target).await,
            Action::SendData { to, channel, payload } => room.send_data(to, channel, payload).await,
            Action::Subscribe { participant, peer, subscription } => {
                let track = subscription.track;
                let result = room.subscribe(peer, subscription).await;
                self.state.handle_subscribed(now(), participant, track, result);
                Ok(())
            }
            Action::CreateOffer { participant, peer, ice_restart } => {
                let offer = room.create_offer(peer, ice_restart).await;
                self.state.handle_offer_made(now(), participant, offer);
                Ok(())
            }
        };
        if let Err(error) = told {
            tracing::debug!(%error, "media plane refused a command"); // the room has ended there; its last event follows
        }
    }
}

/// A track as the media plane looks for it. LiveKit's clients leave it to the answer which codec goes first. Of video it is the
/// one that they have announced; audio is announced as Opus, and goes as RED unless they say otherwise.
fn publication(track: TrackId, request: &TrackRequest) -> Publication {
    let announced = request.codecs.first().and_then(|codec| codec.mime_type.rsplit('/').next());
    // What is encrypted end to end can neither be taken apart here nor put together.
    let redundant = !request.extras.disable_red && request.extras.encryption == 0;
    let codec = match request.kind {
        MediaKind::Video => announced.and_then(Codec::from_name).filter(|codec| codec.kind() == MediaKind::Video),
        MediaKind::Audio => redundant.then_some(Codec::Red),
    };
    let bind = Bind::Msid(request.cid.clone());
    Publication { track, bind, kind: request.kind, codec, redundant, rids: rids(request) }
}

/// RIDs of a simulcast track, lowest first; empty where the offer's order is good enough.
fn rids(request: &TrackRequest) -> Vec<Rid> {
    let layers = match request.kind {
        MediaKind::Audio => 0,
        MediaKind::Video => request.layers.len(),
    };
    if layers < 2 {
        return Vec::new();
    }
    LAYER_RIDS.iter().take(layers).filter_map(|rid| rid.parse::<Mid>().ok()).collect()
}

fn send<T>(reply: Reply<T>, result: Result<T, Error>) {
    let _ = reply.send(result); // whoever asked is gone: nothing depends on the answer
}

fn now() -> Now {
    Now { at: Instant::now(), unix_ms: unix_ms() }
}

pub(super) fn unix_ms() -> i64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    /// Metadata of a room that panics as it carries out its end.
    pub(in crate::rooms) const FAULTY: &str = "faulty";
}
