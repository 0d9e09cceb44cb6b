//! Coming and going.

use convene_sfu::GoneReason;
use convene_types::{PeerId, TrackId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

use super::people::{check_attributes, check_metadata};
use super::{Action, Negotiation, Now, Participant, Paused, Peers, State};
use crate::rooms::budget::Budget;
use crate::rooms::error::Error;
use crate::rooms::happening::What;
use crate::rooms::history::Stay;
use crate::rooms::ids::new_sid;
use crate::rooms::model::{LeaveAction, LeaveReason, ParticipantId, ParticipantInfo, ParticipantState, SessionId};
use crate::rooms::notice::{MAX_NOTICES, Notice};
use crate::rooms::request::{JoinRequest, Joined, Mode};

impl State {
    /// Whether there is room for one more. Asked before transports are made.
    pub(in crate::rooms) fn check_join(&self, request: &JoinRequest) -> Result<(), Error> {
        if self.closed.is_some() {
            return Err(Error::Closed);
        }
        if request.identity.is_empty() {
            return Err(Error::Invalid("identity"));
        }
        check_metadata(&request.metadata)?;
        check_attributes(request.attributes.iter())?;
        let cap = self.options.participants_cap;
        let limit = if self.info.max_participants == 0 { cap } else { self.info.max_participants.min(cap) };
        let others = self.participants.len() - usize::from(self.identities.contains_key(&request.identity));
        if others >= usize::try_from(limit).unwrap_or(usize::MAX) { Err(Error::RoomFull) } else { Ok(()) }
    }

    /// Seats a participant on transports that exist. An older one of the same identity is sent away.
    pub(in crate::rooms) fn handle_join(&mut self, now: Now, request: JoinRequest, peers: Peers) -> Joined {
        if let Some(older) = self.identities.get(&request.identity).copied() {
            self.remove(now, older, LeaveReason::DuplicateIdentity);
        }
        let id = ParticipantId(self.fresh_id());
        let session = SessionId(self.fresh_id());
        let (notices, receiver) = mpsc::channel(MAX_NOTICES);
        let budget = Budget::new(now.at);
        let (mode, key) = (request.mode, request.key.clone());
        let owes_offer = mode == Mode::Single && request.offers;
        let participant = Participant {
            id,
            mode,
            key,
            peers,
            session,
            notices: Some(notices),
            detached_at: None,
            budget: budget.clone(),
            knows_track_ids: request.knows_track_ids,
            auto_subscribe: request.auto_subscribe && mode != Mode::Whip,
            auto_subscribe_data: request.auto_subscribe_data,
            wants: HashMap::new(),
            targets: HashMap::new(),
            decodes: BTreeSet::new(),
            lacks: BTreeSet::new(),
            policy: None,
            has_restricted: false,
            negotiation: Negotiation::new(owes_offer.then_some(now.at)),
            paused: Paused::default(),
            last_data_seq: 0,
            joined_at: now.at,
            has_media: false,
            ratings: BTreeMap::new(),
            stay: Stay { joined_at_ms: now.unix_ms, ..Stay::default() },
            info: new_info(now, request),
        };
        self.happenings.push_back(What::Seated(participant.info.identity.clone()));
        self.identities.insert(participant.info.identity.clone(), id);
        self.hidden += usize::from(participant.info.permission.hidden);
        if matches!(mode, Mode::Single | Mode::Dual) {
            self.listeners.insert(id);
        }
        // A viewer who wants everyone's tracks needs no list of them.
        let told = mode != Mode::Whip && (mode != Mode::Whep || !participant.auto_subscribe);
        self.peers.insert(peers.publisher, id);
        self.peers.insert(peers.subscriber, id);
        let info = participant.info.clone();
        self.participants.insert(id, participant);
        self.empty_since = None;
        self.was_used = true;
        self.tell_others(now, id, &info);
        match mode {
            Mode::Dual => self.want_offer(id, false),
            Mode::Single | Mode::Whep => self.reconcile_subscriber(id),
            Mode::Whip => {}
        }
        self.reconcile_data_receiver(now, id);
        Joined {
            participant: id,
            session,
            info,
            room: self.room_info(),
            others: if told { self.others(id) } else { Vec::new() },
            mode,
            last_data_seq: 0,
            budget,
            notices: receiver,
        }
    }

    /// ICE and DTLS of a transport are up.
    pub(in crate::rooms) fn handle_connected(&mut self, now: Now, peer: PeerId) {
        let Some(id) = self.id_of_peer(peer) else { return };
        let Some(participant) = self.participants.get_mut(&id) else { return };
        // In two-connection mode the subscriber transport is the primary one: it exists for everyone.
        if peer != participant.peers.subscriber || participant.info.state != ParticipantState::Joined {
            return;
        }
        participant.info.state = ParticipantState::Active;
        self.announce(now, id);
        if let Ok(info) = self.participant_info(id) {
            self.happenings.push_back(What::Joined(Box::new(info)));
        }
        self.tell_qualities(now, id);
    }

    /// Media of a track reaches a transport. Returns how long after the join its participant has the first of all.
    pub(in crate::rooms) fn handle_flowing(&mut self, now: Now, peer: PeerId, track: TrackId) -> Option<Duration> {
        // A viewer's section that another track leaves is given away by the media plane, and no offer says so.
        self.announce_first_subscriber(now, track);
        let id = self.id_of_peer(peer)?;
        let participant = self.participants.get_mut(&id).filter(|participant| !participant.has_media)?;
        participant.has_media = true;
        Some(now.at.saturating_duration_since(participant.joined_at))
    }

    /// The media plane lost a transport for good.
    pub(in crate::rooms) fn handle_gone(&mut self, now: Now, peer: PeerId, reason: GoneReason) {
        let Some(id) = self.id_of_peer(peer) else { return };
        let attached = self.participants.get(&id).is_some_and(|p| p.notices.is_some());
        let reason = match reason {
            GoneReason::NeverConnected | GoneReason::TimedOut => LeaveReason::ConnectionTimeout,
            GoneReason::Closed if !attached => LeaveReason::ClientInitiated,
            GoneReason::Closed | GoneReason::DtlsFailed => LeaveReason::MediaFailure,
        };
        self.remove(now, id, reason);
    }

    /// Takes a participant out of the room and tells the others.
    pub(in crate::rooms) fn remove(&mut self, now: Now, id: ParticipantId, reason: LeaveReason) {
        let Some(info) = self.forget(now, id, reason) else { return };
        if !info.permission.hidden {
            self.left.note(now.at, &info);
            self.broadcast(now, &Notice::Participants(Arc::new(vec![info])));
        }
    }

    /// Takes everybody out whom a key has let in that is good no more.
    pub(in crate::rooms) fn remove_by_key(&mut self, now: Now, is_good: impl Fn(&str) -> bool) {
        let has_ended = |key: &str| !key.is_empty() && !is_good(key);
        let theirs = self.participants.values().filter(|participant| has_ended(&participant.key));
        let theirs: Vec<ParticipantId> = theirs.map(|participant| participant.id).collect();
        for id in theirs {
            self.remove(now, id, LeaveReason::Removed);
        }
    }

    /// Takes a participant out of the room. Returns the last thing to say of it.
    pub(super) fn forget(&mut self, now: Now, id: ParticipantId, reason: LeaveReason) -> Option<ParticipantInfo> {
        if reason != LeaveReason::ClientInitiated {
            self.notify(now, id, Notice::Leave { reason, action: action_for(reason) });
        }
        self.drop_tracks_of(id);
        self.drop_data_tracks_of(id);
        self.drop_data_receiver(id);
        let participant = self.participants.remove(&id)?;
        self.listeners.remove(&id);
        self.unsettled.remove(&id);
        self.hidden -= usize::from(participant.info.permission.hidden);
        self.happenings.push_back(What::Unseated(participant.info.identity.clone()));
        if self.identities.get(&participant.info.identity) == Some(&id) {
            self.identities.remove(&participant.info.identity);
        }
        let Peers { publisher, subscriber } = participant.peers;
        for track in self.tracks.values_mut() {
            track.subscribers.remove(&id);
        }
        self.peers.remove(&publisher);
        self.actions.push_back(Action::RemovePeer(publisher));
        if subscriber != publisher {
            self.peers.remove(&subscriber);
            self.actions.push_back(Action::RemovePeer(subscriber));
        }
        self.speaking.remove(&participant.info.sid);
        self.end_stay(now, participant.stay, &participant.info, reason);
        if self.participants.is_empty() {
            self.empty_since = Some(now.at);
        }
        tracing::info!(room = %self.info.name, participant = %participant.info.identity, ?reason, "participant left");
        let (version, was_active) =
            (participant.info.version.wrapping_add(1), participant.info.state == ParticipantState::Active);
        let info =
            ParticipantInfo { state: ParticipantState::Disconnected, left: Some(reason), version, ..participant.info };
        if was_active {
            self.happenings.push_back(What::Left(Box::new(info.clone())));
        }
        Some(info)
    }

    /// Everyone a participant may know of.
    pub(super) fn others(&self, id: ParticipantId) -> Vec<ParticipantInfo> {
        let visible = self.participants.values().filter(|p| p.id != id && !p.info.permission.hidden);
        visible.map(|p| self.describe(p)).collect()
    }

    /// The newcomer itself learns who it is from its join.
    fn tell_others(&mut self, now: Now, id: ParticipantId, info: &ParticipantInfo) {
        if info.permission.hidden {
            return;
        }
        let notice = Notice::Participants(Arc::new(vec![info.clone()]));
        let others: Vec<ParticipantId> = self.listeners.iter().copied().filter(|other| *other != id).collect();
        for other in others {
            self.notify(now, other, notice.clone());
        }
    }
}

fn new_info(now: Now, request: JoinRequest) -> ParticipantInfo {
    ParticipantInfo {
        sid: new_sid("PA_"),
        identity: request.identity,
        name: request.name,
        metadata: request.metadata,
        attributes: request.attributes,
        state: ParticipantState::Joined,
        kind: request.kind,
        permission: request.permission,
        joined_at_ms: now.unix_ms,
        version: 1,
        tracks: Vec::new(),
        data_tracks: Vec::new(),
        left: None,
        client_protocol: request.client_protocol,
        capabilities: request.capabilities,
    }
}

/// What a client that is out for this reason should do.
pub(in crate::rooms) fn action_for(reason: LeaveReason) -> LeaveAction {
    match reason {
        LeaveReason::ServerShutdown
        | LeaveReason::StateMismatch
        | LeaveReason::SignalClosed
        | LeaveReason::ConnectionTimeout
        | LeaveReason::MediaFailure => LeaveAction::Reconnect,
        LeaveReason::ClientInitiated
        | LeaveReason::DuplicateIdentity
        | LeaveReason::Removed
        | LeaveReason::RoomDeleted
        | LeaveReason::JoinFailure
        | LeaveReason::RoomClosed => LeaveAction::Disconnect,
    }
}
