//! What remains of participants: measurements go into their stays, which end with them.

use convene_sfu::{Flow, Rating};
use convene_types::{MediaKind, PeerId};

use super::{Now, Participant, State};
use crate::rooms::history::{Stay, TrackLog};
use crate::rooms::model::{LeaveReason, ParticipantInfo, Source};

impl State {
    /// What went over tracks since the last time.
    pub(in crate::rooms) fn handle_measured(&mut self, now: Now, flows: &[Flow]) {
        for flow in flows {
            let Some(track) = self.tracks.get(&flow.track) else { continue };
            let Some(id) = self.peers.get(&flow.peer).copied() else { continue };
            let publisher = self.participants.get(&track.owner).map(|owner| owner.info.identity.clone());
            let Some(participant) = self.participants.get_mut(&id) else { continue };
            participant.stay.add(now.unix_ms, flow, || TrackLog {
                sid: track.info.sid.clone(),
                published: flow.published,
                publisher: publisher.unwrap_or_default(),
                kind: match track.info.kind {
                    MediaKind::Audio => "audio",
                    MediaKind::Video => "video",
                },
                source: source(track.info.source),
                mime_type: track.info.mime_type.clone(),
                ..TrackLog::default()
            });
        }
    }

    pub(super) fn note_rating(&mut self, now: Now, peer: PeerId, rating: Rating) {
        let participant = self.peers.get(&peer).and_then(|id| self.participants.get_mut(id));
        if let Some(participant) = participant {
            participant.stay.rate(now.unix_ms, rating.score);
        }
    }

    /// The stay of a participant who is out.
    pub(super) fn end_stay(&mut self, now: Now, stay: Stay, info: &ParticipantInfo, reason: LeaveReason) {
        self.ended_stays.push_back(Stay { left_at_ms: now.unix_ms, reason: code(reason), ..self.named(stay, info) });
    }

    /// The next stay that has ended.
    pub(in crate::rooms) fn poll_stay(&mut self) -> Option<Stay> {
        self.ended_stays.pop_front()
    }

    /// The stays of those who are here, or of one of them.
    pub(in crate::rooms) fn stays(&self, identity: Option<&str>) -> Vec<Stay> {
        let asked = |p: &&Participant| identity.is_none_or(|identity| p.info.identity == identity);
        self.participants.values().filter(asked).map(|p| self.named(p.stay.clone(), &p.info)).collect()
    }

    fn named(&self, stay: Stay, info: &ParticipantInfo) -> Stay {
        Stay {
            room: self.info.name.clone(),
            room_sid: self.info.sid.clone(),
            sid: info.sid.clone(),
            identity: info.identity.clone(),
            name: info.name.clone(),
            ..stay
        }
    }
}

const fn source(source: Source) -> &'static str {
    match source {
        Source::Unknown => "unknown",
        Source::Camera => "camera",
        Source::Microphone => "microphone",
        Source::ScreenShare => "screen_share",
        Source::ScreenShareAudio => "screen_share_audio",
    }
}

const fn code(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::ClientInitiated => "client_initiated",
        LeaveReason::DuplicateIdentity => "duplicate_identity",
        LeaveReason::ServerShutdown => "server_shutdown",
        LeaveReason::Removed => "removed",
        LeaveReason::RoomDeleted => "room_deleted",
        LeaveReason::StateMismatch => "state_mismatch",
        LeaveReason::JoinFailure => "join_failure",
        LeaveReason::SignalClosed => "signal_closed",
        LeaveReason::RoomClosed => "room_closed",
        LeaveReason::ConnectionTimeout => "connection_timeout",
        LeaveReason::MediaFailure => "media_failure",
    }
}
