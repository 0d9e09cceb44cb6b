//! A room as a machine without I/O: it is told what happened and when, answers the participants over their notice
//! queues, and leaves [`Action`]s for the media plane. Only `actor` calls it.
//!
//! Invariant: it never reads a clock and never waits.

mod backup;
mod data_tracks;
mod deadlines;
mod dynacast;
mod join;
mod negotiate;
mod paused;
mod people;
mod quality;
mod resume;
mod stays;
mod subscribe;
mod tracks;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use convene_sfu::{Channel, LayerTarget, Rating, Subscription};
use convene_types::{MediaKind, PeerId, TrackId};
use tokio::sync::mpsc;

use self::backup::Backup;
use self::data_tracks::DataTracks;
use self::dynacast::Demand;
use self::negotiate::Negotiation;
use self::paused::Paused;
use self::resume::Left;
use super::budget::Budget;
use super::counts::Held;
use super::error::Error;
use super::happening::What;
use super::history::Stay;
use super::ids::new_sid;
use super::model::{LeaveReason, ParticipantId, ParticipantInfo, RoomInfo, SessionId, TrackInfo};
use super::notice::Notice;
use super::registry::Options;
use super::request::{Answered, Mode, RoomRequest, SubscriptionPolicy};

pub(super) use self::tracks::unannounced;

/// The moment something happened: a clock for intervals, one for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) at: Instant,
    pub(super) unix_ms: i64,
}

/// What the media plane has to do. Carried out in order.
#[derive(Clone, Debug)]
pub(super) enum Action {
    RemovePeer(PeerId),
    Unpublish(TrackId),
    SetMuted {
        track: TrackId,
        muted: bool,
    },
    /// Its result goes to [`State::handle_subscribed`].
    Subscribe {
        participant: ParticipantId,
        peer: PeerId,
        subscription: Subscription,
    },
    Unsubscribe {
        peer: PeerId,
        track: TrackId,
    },
    SetTarget {
        peer: PeerId,
        track: TrackId,
        target: LayerTarget,
    },
    SendData {
        to: Vec<PeerId>,
        channel: Channel,
        payload: Bytes,
    },
    /// Its result goes to [`State::handle_offer_made`].
    CreateOffer {
        participant: ParticipantId,
        peer: PeerId,
        ice_restart: bool,
    },
}

/// The transports made for a participant; the same one twice except in the two-connection mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peers {
    pub(super) publisher: PeerId,
    pub(super) subscriber: PeerId,
}

pub(super) struct State {
    info: RoomInfo,
    options: Options,
    participants: BTreeMap<ParticipantId, Participant>,
    identities: HashMap<String, ParticipantId>,
    /// Those who are told of everybody: all but WHIP and WHEP.
    listeners: BTreeSet<ParticipantId>,
    /// How many nobody is told of.
    hidden: usize,
    /// Those whose negotiation changed since the last settling.
    unsettled: BTreeSet<ParticipantId>,
    peers: HashMap<PeerId, ParticipantId>,
    tracks: BTreeMap<TrackId, Track>,
    sids: HashMap<String, TrackId>,
    data_tracks: DataTracks,
    speaking: BTreeMap<String, f32>,
    /// Who has left lately.
    left: Left,
    actions: VecDeque<Action>,
    /// Tracks whose subscribers or their wishes changed since the last settling.
    demands_changed: BTreeSet<TrackId>,
    /// Since it was last asked.
    happenings: VecDeque<What>,
    /// Since it was last asked.
    ended_stays: VecDeque<Stay>,
    next_id: u64,
    /// Since when nobody is here, and whether anybody ever was.
    empty_since: Option<Instant>,
    was_used: bool,
    closed: Option<LeaveReason>,
    /// Outsiders are told that it is over.
    finished: bool,
}

struct Participant {
    id: ParticipantId,
    /// Tracks in it are none: they live in [`State::tracks`] and [`State::data_tracks`].
    info: ParticipantInfo,
    mode: Mode,
    /// The API key that has let it in; empty: none that could end.
    key: String,
    peers: Peers,
    session: SessionId,
    notices: Option<mpsc::Sender<Notice>>,
    detached_at: Option<Instant>,
    budget: Budget,
    /// See [`JoinRequest::knows_track_ids`].
    knows_track_ids: bool,
    auto_subscribe: bool,
    auto_subscribe_data: bool,
    /// What it asked for by name; the rest follows `auto_subscribe`.
    wants: HashMap<TrackId, bool>,
    targets: HashMap<TrackId, LayerTarget>,
    /// What its offers say that it can decode, as `video/vp8`; empty: not known.
    decodes: BTreeSet<String>,
    /// What its answers say that it cannot decode.
    lacks: BTreeSet<String>,
    policy: Option<SubscriptionPolicy>,
    /// It has said at some time that not everybody may receive its tracks. Clients say of themselves that everybody may.
    has_restricted: bool,
    negotiation: Negotiation,
    last_data_seq: u32,
    joined_at: Instant,
    paused: Paused,
    /// Media has reached it.
    has_media: bool,
    /// Each transport's connection, once it is known.
    ratings: BTreeMap<PeerId, Rating>,
    stay: Stay,
}

struct Track {
    id: TrackId,
    owner: ParticipantId,
    cid: String,
    info: TrackInfo,
    /// A section carries it: others know of it.
    published: bool,
    subscribers: BTreeSet<ParticipantId>,
    first_subscriber: Heard,
    /// The server has muted it, and its publisher has not said a word of that since.
    muted_unheard: bool,
    demand: Demand,
    /// The publisher would send another codec as well.
    backup: Option<Backup>,
    /// It is the stream of that codec, of this track.
    first: Option<TrackId>,
}

/// Whether the publisher of a track knows of its first subscriber: programs wait for that before they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// There was none yet.
    No,
    /// There was, and no connection to say it on.
    Owed,
    /// It was said then. Where the connection was dead already, nobody has heard it.
    Said(Instant),
}

impl State {
    pub(super) fn new(now: Now, sid: String, request: RoomRequest, options: Options) -> Self {
        let seconds = |d: std::time::Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
        let info = RoomInfo {
            sid,
            name: request.name,
            metadata: request.metadata,
            empty_timeout_s: request.empty_timeout_s.unwrap_or(seconds(options.empty_timeout)),
            departure_timeout_s: request.departure_timeout_s.unwrap_or(seconds(options.departure_timeout)),
            max_participants: request.max_participants.unwrap_or(options.max_participants),
            created_at_ms: now.unix_ms,
            num_participants: 0,
            num_publishers: 0,
        };
        Self {
            info,
            options,
            participants: BTreeMap::new(),
            identities: HashMap::new(),
            listeners: BTreeSet::new(),
            hidden: 0,
            unsettled: BTreeSet::new(),
            peers: HashMap::new(),
            tracks: BTreeMap::new(),
            sids: HashMap::new(),
            data_tracks: DataTracks::default(),
            speaking: BTreeMap::new(),
            left: Left::default(),
            actions: VecDeque::new(),
            demands_changed: BTreeSet::new(),
            happenings: VecDeque::from([What::Started]),
            ended_stays: VecDeque::new(),
            next_id: 1,
            empty_since: Some(now.at),
            was_used: false,
            closed: None,
            finished: false,
        }
    }

    /// The next thing the media plane has to do.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing that outsiders may want to know.
    pub(super) fn poll_happening(&mut self) -> Option<What> {
        self.happenings.pop_front()
    }

    /// Why the room has ended, once it has.
    pub(super) fn closed(&self) -> Option<LeaveReason> {
        self.closed
    }

    /// What the room is at this moment.
    pub(super) fn room_info(&self) -> RoomInfo {
        let owners: BTreeSet<ParticipantId> = self.tracks.values().filter(|t| t.published).map(|t| t.owner).collect();
        let visible = |id: &&ParticipantId| self.participants.get(id).is_some_and(|p| !p.info.permission.hidden);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        RoomInfo {
            num_participants: count(self.participants.len().saturating_sub(self.hidden)),
            num_publishers: count(owners.iter().filter(visible).count()),
            ..self.info.clone()
        }
    }

    pub(super) fn set_metadata(&mut self, now: Now, metadata: String) -> RoomInfo {
        self.info.metadata = metadata;
        let info = self.room_info();
        let notice = Notice::Room(Arc::new(info.clone()));
        self.broadcast(now, &notice);
        info
    }

    /// What the room holds, for the gauges.
    pub(super) fn counts(&self) -> Held {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let of = |kind| self.tracks.values().filter(|track| track.is_shown() && track.info.kind == kind).count();
        let participants = count(self.participants.len());
        let data = count(self.data_tracks.len());
        Held { participants, audio: count(of(MediaKind::Audio)), video: count(of(MediaKind::Video)), data }
    }

    /// Ends the room.
    pub(super) fn close(&mut self, now: Now, reason: LeaveReason) {
        self.closed.get_or_insert(reason);
        let everyone: Vec<ParticipantId> = self.participants.keys().copied().collect();
        // Nobody is told that the others leave: all of them do.
        for id in everyone {
            self.forget(now, id, reason);
        }
        self.finish();
    }

    /// A fault keeps the room from closing: those who are still here are out for outsiders at least. It touches nothing else,
    /// which may be half done.
    pub(super) fn abandon(&mut self) {
        let here = std::mem::take(&mut self.identities);
        self.happenings.extend(here.into_keys().map(What::Unseated));
        self.finish();
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.happenings.push_back(What::Finished);
        }
    }

    pub(super) fn participant_infos(&self) -> Vec<ParticipantInfo> {
        self.participants.values().map(|p| self.describe(p)).collect()
    }

    pub(super) fn participant_info(&self, id: ParticipantId) -> Result<ParticipantInfo, Error> {
        self.get(id).map(|p| self.describe(p))
    }

    pub(super) fn id_of_identity(&self, identity: &str) -> Result<ParticipantId, Error> {
        self.identities.get(identity).copied().ok_or(Error::ParticipantNotFound)
    }

    pub(super) fn id_of_peer(&self, peer: PeerId) -> Option<ParticipantId> {
        self.peers.get(&peer).copied()
    }

    pub(super) fn transports(&self, id: ParticipantId) -> Result<(Mode, Peers), Error> {
        self.get(id).map(|p| (p.mode, p.peers))
    }

    fn get(&self, id: ParticipantId) -> Result<&Participant, Error> {
        self.participants.get(&id).ok_or(Error::ParticipantNotFound)
    }

    fn get_mut(&mut self, id: ParticipantId) -> Result<&mut Participant, Error> {
        self.participants.get_mut(&id).ok_or(Error::ParticipantNotFound)
    }

    /// The track of this sid, if it belongs to `owner`.
    fn own_track(&self, owner: ParticipantId, sid: &str) -> Result<TrackId, Error> {
        let track = self.sids.get(sid).and_then(|id| self.tracks.get(id)).ok_or(Error::TrackNotFound)?;
        if track.owner == owner { Ok(track.id) } else { Err(Error::TrackNotFound) }
    }

    fn describe(&self, participant: &Participant) -> ParticipantInfo {
        let own = self.tracks.values().filter(|t| t.is_shown() && t.owner == participant.id);
        let (tracks, data_tracks) = (own.map(|t| t.info.clone()).collect(), self.data_tracks.infos_of(participant.id));
        ParticipantInfo { tracks, data_tracks, ..participant.info.clone() }
    }

    fn fresh_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        id
    }

    /// Tells one participant. Whoever does not read loses its signaling connection and may resume.
    fn notify(&mut self, now: Now, id: ParticipantId, notice: Notice) {
        let Some(participant) = self.participants.get_mut(&id) else { return };
        let Some(notices) = &participant.notices else { return };
        if !notice.concerns(participant.mode) {
            return;
        }
        if notices.try_send(notice).is_err() {
            tracing::warn!(room = %self.info.name, participant = %participant.info.identity, "signaling connection does not read, cut");
            participant.notices = None;
            participant.detached_at.get_or_insert(now.at);
        }
    }

    fn broadcast(&mut self, now: Now, notice: &Notice) {
        let to: Vec<ParticipantId> = match notice.concerns(Mode::Whep) {
            true => self.participants.keys().copied().collect(),
            false => self.listeners.iter().copied().collect(),
        };
        for id in to {
            self.notify(now, id, notice.clone());
        }
    }

    /// The answer to the client's offer, ahead of what follows from it.
    pub(super) fn notify_answer(&mut self, now: Now, id: ParticipantId, offer_id: u32, answer: &Answered) {
        self.notify(now, id, Notice::Answer { id: offer_id, answer: answer.clone() });
    }

    /// A participant changed: everyone who may know is told, itself included.
    fn announce(&mut self, now: Now, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&id) else { return };
        participant.info.version = participant.info.version.wrapping_add(1);
        let hidden = participant.info.permission.hidden;
        let Ok(info) = self.participant_info(id) else { return };
        let notice = Notice::Participants(Arc::new(vec![info]));
        if hidden {
            self.notify(now, id, notice);
        } else {
            self.broadcast(now, &notice);
        }
    }
}

impl Track {
    /// Others know of it, as a track of its own.
    fn is_shown(&self) -> bool {
        self.published && self.first.is_none()
    }
}

impl Participant {
    /// The highest layer of a track that it asks for; `None`: it has paused it.
    fn wish(&self, track: TrackId) -> Option<u8> {
        match self.targets.get(&track) {
            None => Some(u8::MAX),
            Some(target) => (!target.paused).then_some(target.max_layer),
        }
    }

    /// Whether it can be given tracks now.
    ///
    /// That is before it is connected: what it is to see is negotiated while ICE and DTLS are under way, and publishers who
    /// send only what somebody watches begin meanwhile.
    fn receives(&self) -> bool {
        match self.mode {
            Mode::Single | Mode::Whep => true,
            Mode::Whip => false,
            // Its first offer stays small, as ICE waits for it.
            Mode::Dual => self.negotiation.has_offered(),
        }
    }

    /// Whether it has data channels.
    fn takes_data(&self) -> bool {
        matches!(self.mode, Mode::Single | Mode::Dual)
    }
}

fn track_sid() -> String {
    new_sid("TR_")
}
