//! Coming back on a fresh signaling connection. What was told on the old one since it died is lost, also what waited in its
//! queue: how everything stands is told again, ahead of what happens from there on.
//!
//! Not here: own tracks that have ended. The client says which it believes to publish ([`State::check_tracks`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{Negotiation, Now, Participant, State};
use crate::rooms::error::Error;
use crate::rooms::model::{ParticipantId, ParticipantInfo, SessionId};
use crate::rooms::notice::{MAX_NOTICES, Notice};
use crate::rooms::request::{Joined, Mode};

/// How long the room remembers who has left: a dead connection is noticed after half a minute, and its seat is kept for 19 s
/// more. A shorter time leaves ghosts with clients that come back late.
const REMEMBER_LEFT: Duration = Duration::from_secs(60);

/// Whom the room remembers at most, the last ones. Each is about 1 KB; fewer leave ghosts where a large meeting ends.
const MAX_LEFT: usize = 1024;

/// Who has left the room lately, the last one last.
#[derive(Debug, Default)]
pub(super) struct Left(VecDeque<(Instant, ParticipantInfo)>);

impl Left {
    /// Somebody has left: this is the last thing to say of them. What can be large is not kept, nobody needs it any more.
    pub(super) fn note(&mut self, now: Instant, info: &ParticipantInfo) {
        self.forget_old(now);
        self.0.retain(|(_, other)| other.identity != info.identity);
        if self.0.len() >= MAX_LEFT {
            self.0.pop_front();
        }
        let info = ParticipantInfo { metadata: String::new(), attributes: BTreeMap::new(), ..info.clone() };
        self.0.push_back((now, info));
    }

    /// Drops those who left too long ago.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= REMEMBER_LEFT;
        while self.0.front().is_some_and(|(at, _)| is_old(*at)) {
            self.0.pop_front();
        }
    }

    /// Those who left at this time or later.
    fn since(&self, start: Instant) -> impl Iterator<Item = &ParticipantInfo> {
        self.0.iter().filter(move |(at, _)| *at >= start).map(|(_, info)| info)
    }
}

impl State {
    /// Gives the seat of a cut signaling connection to a fresh one.
    pub(in crate::rooms) fn handle_resume(&mut self, now: Now, identity: &str, sid: &str) -> Result<Joined, Error> {
        let id = self.id_of_identity(identity)?;
        let session = SessionId(self.fresh_id());
        let info = self.participant_info(id)?;
        if info.sid != sid {
            return Err(Error::ParticipantNotFound);
        }
        let (notices, receiver) = self.retold(now, &info, id);
        let participant = self.get_mut(id)?;
        participant.notices = Some(notices);
        participant.session = session;
        participant.detached_at = None;
        // What was under way over the old connection is lost: in single-connection mode the client's next offer tells
        // what is missing, in two-connection mode we offer anew.
        participant.negotiation = Negotiation::continued(&participant.negotiation);
        let (mode, last_data_seq) = (participant.mode, participant.last_data_seq);
        let budget = participant.budget.clone();
        self.unsettled.insert(id);
        if mode == Mode::Dual {
            self.want_offer(id, true);
        }
        let (room, others) = (self.room_info(), Vec::new());
        Ok(Joined { participant: id, session, info, room, others, mode, last_data_seq, budget, notices: receiver })
    }

    /// A queue with all that a client that comes back is told. It is as much longer, as the room decides how much that is: one
    /// that is full from the start would never let it come back.
    fn retold(&mut self, now: Now, own: &ParticipantInfo, id: ParticipantId) -> (Sender<Notice>, Receiver<Notice>) {
        let retold = self.retell(now, own, id);
        let (notices, receiver) = mpsc::channel(MAX_NOTICES.saturating_add(retold.len()));
        for notice in retold {
            let _ = notices.try_send(notice); // it has its place
        }
        (notices, receiver)
    }

    /// How everything stands, in an order in which clients understand it.
    fn retell(&mut self, now: Now, own: &ParticipantInfo, id: ParticipantId) -> Vec<Notice> {
        // Clients compare the description of themselves to what they know: one that has not heard of a mute would take it back.
        let mut retold: Vec<Notice> = self.unheard_mutes(id).collect();
        // Clients take nobody out who is not named as one who has left. They go first, ahead of whoever may be there instead.
        let mut people = self.left_for(now, id);
        people.push(own.clone());
        people.extend(self.others(id));
        retold.push(Notice::Participants(Arc::new(people)));
        retold.push(Notice::Room(Arc::new(self.room_info())));
        retold.push(self.speakers(id));
        retold.extend(self.qualities());
        retold.extend(self.missed_stream_states(now, id));
        let handles = self.data_handles(id);
        retold.extend((!handles.is_empty()).then_some(Notice::DataHandles(handles)));
        retold.extend(self.missed_first_subscribers(now, id));
        retold.extend(self.demands(id));
        retold.extend(self.policies(id));
        retold
    }

    /// A signaling connection ended without a word.
    pub(in crate::rooms) fn handle_detached(&mut self, now: Now, id: ParticipantId, session: SessionId) {
        let Some(participant) = self.participants.get_mut(&id).filter(|p| p.session == session) else { return };
        participant.notices = None;
        participant.detached_at.get_or_insert(now.at);
    }

    /// Whom a participant may believe to be here still. Whoever is back is not among them: they are told as who they are.
    fn left_for(&mut self, now: Now, id: ParticipantId) -> Vec<ParticipantInfo> {
        self.left.forget_old(now.at);
        let Some(participant) = self.participants.get(&id) else { return Vec::new() };
        let own = &participant.info.identity;
        let gone = self.left.since(participant.joined_at);
        gone.filter(|info| info.identity != *own && !self.is_seen(&info.identity)).cloned().collect()
    }

    /// Whether others are told of somebody of this identity.
    fn is_seen(&self, identity: &str) -> bool {
        let is_shown = |participant: &Participant| !participant.info.permission.hidden;
        self.identities.get(identity).and_then(|id| self.participants.get(id)).is_some_and(is_shown)
    }

    /// Which tracks of others a participant may receive: those of everybody who has ever kept some to themselves, as what was
    /// told may be either of the two.
    fn policies(&self, id: ParticipantId) -> impl Iterator<Item = Notice> {
        let of_others = self.tracks.values().filter(move |track| track.is_shown() && track.owner != id);
        of_others.filter_map(move |track| {
            let owner = self.participants.get(&track.owner)?;
            let told = owner.has_restricted && !owner.info.permission.hidden;
            let (participant, allowed) = (owner.info.sid.clone(), self.is_allowed(id, track.id));
            told.then(|| Notice::SubscriptionPermission { participant, track: track.info.sid.clone(), allowed })
        })
    }
}
