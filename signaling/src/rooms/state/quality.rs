//! What the media plane says of connections, told to the people concerned.

use std::sync::Arc;

use convene_sfu::Rating;
use convene_types::{PeerId, TrackId};

use super::{Now, Participant, State};
use crate::rooms::model::{ParticipantId, QualityInfo};
use crate::rooms::notice::Notice;

impl State {
    /// A receiver's path is too narrow for a track, or wide enough again.
    pub(in crate::rooms) fn handle_stream_state(&mut self, now: Now, peer: PeerId, track: TrackId, paused: bool) {
        let Some(id) = self.id_of_peer(peer) else { return };
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.paused.told(now.at, track, paused);
        }
        tracing::debug!(room = %self.info.name, %track, paused, "stream state of a subscriber");
        self.tell_stream_state(now, id, track, paused);
    }

    /// What a client that comes back is told of the streams that it gets.
    pub(super) fn missed_stream_states(&mut self, now: Now, id: ParticipantId) -> Vec<Notice> {
        let Some(participant) = self.participants.get_mut(&id) else { return Vec::new() };
        let said = participant.paused.resumed(now.at);
        let is_received = |track: TrackId| self.tracks.get(&track).is_some_and(|track| track.subscribers.contains(&id));
        let received = said.into_iter().filter(|(track, _)| is_received(*track));
        received.filter_map(|(track, paused)| self.stream_state(track, paused)).collect()
    }

    /// Those who may not have been listening.
    pub(super) fn tell_paused_again(&mut self, now: Now) {
        let due =
            self.participants.values_mut().map(|participant| (participant.id, participant.paused.take_due(now.at)));
        for (id, tracks) in due.collect::<Vec<_>>() {
            for track in tracks {
                if self.tracks.get(&track).is_some_and(|track| track.subscribers.contains(&id)) {
                    self.tell_stream_state(now, id, track, true);
                }
            }
        }
    }

    fn tell_stream_state(&mut self, now: Now, id: ParticipantId, track: TrackId, paused: bool) {
        if let Some(notice) = self.stream_state(track, paused) {
            self.notify(now, id, notice);
        }
    }

    fn stream_state(&self, track: TrackId, paused: bool) -> Option<Notice> {
        let track = self.tracks.get(&track)?;
        let owner = self.participants.get(&track.owner)?;
        Some(Notice::StreamState { participant: owner.info.sid.clone(), track: track.info.sid.clone(), paused })
    }

    /// Connections are rated differently than before: everyone is told, as with speakers.
    pub(in crate::rooms) fn handle_quality(&mut self, now: Now, ratings: &[(PeerId, Rating)]) {
        let mut changed = Vec::new();
        for (peer, rating) in ratings {
            self.note_rating(now, *peer, *rating);
            let Some(id) = self.id_of_peer(*peer) else { continue };
            let Some(participant) = self.participants.get_mut(&id) else { continue };
            let before = participant.quality();
            participant.ratings.insert(*peer, *rating);
            let after = participant.quality();
            if before != after && !participant.info.permission.hidden {
                changed.extend(after);
            }
        }
        if !changed.is_empty() {
            self.broadcast(now, &Notice::Quality(Arc::new(changed)));
        }
    }

    /// A newcomer learns what the others have been told.
    pub(super) fn tell_qualities(&mut self, now: Now, id: ParticipantId) {
        if !self.listeners.contains(&id) {
            return;
        }
        if let Some(known) = self.qualities() {
            self.notify(now, id, known);
        }
    }

    /// How all are rated at this moment, if anybody is.
    pub(super) fn qualities(&self) -> Option<Notice> {
        let visible = self.participants.values().filter(|participant| !participant.info.permission.hidden);
        let known: Vec<QualityInfo> = visible.filter_map(Participant::quality).collect();
        (!known.is_empty()).then(|| Notice::Quality(Arc::new(known)))
    }
}

impl Participant {
    /// The worse of its transports.
    fn quality(&self) -> Option<QualityInfo> {
        let rating = self.ratings.values().copied().reduce(Rating::worse)?;
        Some(QualityInfo { sid: self.info.sid.clone(), rating })
    }
}
