//! Who has to offer next. Single-connection mode: the client, when asked for sections. Two-connection mode: we, one
//! offer at a time, the next one when the answer has come.

use std::time::{Duration, Instant};

use convene_sfu::{Error as MediaError, Missing, Offer};
use convene_types::{Mid, TrackId};

use super::{Action, Now, State};
use crate::rooms::model::ParticipantId;
use crate::rooms::notice::{Notice, SubscriptionError};
use crate::rooms::request::Mode;

/// A client that was asked for an offer and sent none is asked again after this time; it may have lost the request in a
/// renegotiation of its own. Lowering it makes slow clients add sections twice.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Requests for sections that changed nothing, until the subscriptions that wait are given up for now. Without it a
/// client that lacks a codec and we would renegotiate for ever.
const MAX_BARREN_REQUESTS: u8 = 2;

/// The id of our first offer in two-connection mode: it has the data channels alone.
const FIRST_OFFER: u32 = 1;

/// What is under way between a participant and us.
#[derive(Debug, Default)]
pub(super) struct Negotiation {
    /// What the last subscription or answer said is missing.
    missing: Missing,
    /// Single-connection mode: since when the client owes an offer.
    asked: Option<Instant>,
    barren: u8,
    /// Two-connection mode: our offer that has no answer, and since when.
    outstanding: Option<(u32, Instant)>,
    wanted: bool,
    ice_restart: bool,
    last_offer_id: u32,
}

impl Negotiation {
    /// At the join. `asked`: since when the client owes an offer, if it does.
    pub(super) fn new(asked: Option<Instant>) -> Self {
        Self { asked, ..Self::default() }
    }

    /// Whether we have made an offer.
    pub(super) fn has_offered(&self) -> bool {
        self.last_offer_id >= FIRST_OFFER
    }

    /// After a resume: what was under way is lost, ids go on.
    pub(super) fn continued(before: &Self) -> Self {
        Self { missing: before.missing, last_offer_id: before.last_offer_id, ..Self::default() }
    }

    /// When a client gets another chance that owes an offer, or an answer behind which the next offer waits.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let unanswered = self.outstanding.filter(|_| self.wanted).map(|(_, since)| since);
        self.asked.into_iter().chain(unanswered).min().map(|since| since + ASK_AGAIN)
    }
}

impl State {
    /// The media plane has taken, or refused, a subscription.
    pub(in crate::rooms) fn handle_subscribed(
        &mut self,
        now: Now,
        id: ParticipantId,
        track: TrackId,
        result: Result<Missing, MediaError>,
    ) {
        match result {
            Ok(missing) => {
                let Some(participant) = self.participants.get_mut(&id) else { return };
                participant.negotiation.missing = missing;
                participant.paused.forget(track);
                self.unsettled.insert(id);
                participant.negotiation.barren = 0;
                if participant.mode == Mode::Dual && missing.negotiate {
                    participant.negotiation.wanted = true;
                }
                // WHEP negotiates once: a track that found a reserved section flows without another offer.
                if participant.mode == Mode::Whep && (missing.audio, missing.video) == (0, 0) {
                    self.announce_first_subscriber(now, track);
                }
            }
            Err(error) => {
                let Some(track) = self.tracks.get_mut(&track) else { return };
                track.subscribers.remove(&id);
                let sid = track.info.sid.clone();
                tracing::warn!(room = %self.info.name, track = %sid, %error, "subscription refused");
                self.notify(now, id, Notice::SubscriptionFailed { sid, error: SubscriptionError::Unsupported });
            }
        }
    }

    /// The client's offer was answered: what it still lacks.
    pub(super) fn handle_missing_after_offer(&mut self, id: ParticipantId, missing: Missing) {
        let Some(participant) = self.participants.get_mut(&id).filter(|p| p.mode == Mode::Single) else { return };
        let negotiation = &mut participant.negotiation;
        negotiation.barren = if missing == negotiation.missing { negotiation.barren.saturating_add(1) } else { 0 };
        negotiation.missing = missing;
        negotiation.asked = None;
        self.unsettled.insert(id);
    }

    pub(super) fn want_offer(&mut self, id: ParticipantId, ice_restart: bool) {
        let Some(participant) = self.participants.get_mut(&id).filter(|p| p.mode == Mode::Dual) else { return };
        participant.negotiation.wanted = true;
        participant.negotiation.ice_restart |= ice_restart;
        self.unsettled.insert(id);
    }

    /// Starts what is due with everyone. Called once all actions are done, so that many subscriptions cost one offer.
    /// Returns whether it left actions.
    pub(in crate::rooms) fn settle(&mut self, now: Now) -> bool {
        self.settle_demands(now);
        let mut requests = Vec::new();
        for id in std::mem::take(&mut self.unsettled) {
            let Some(participant) = self.participants.get_mut(&id) else { continue };
            let negotiation = &mut participant.negotiation;
            match participant.mode {
                Mode::Single => {
                    let Missing { audio, video, negotiate } = negotiation.missing;
                    let due = negotiate || audio > 0 || video > 0;
                    let silent = participant.notices.is_none() || negotiation.asked.is_some();
                    if due && !silent && negotiation.barren < MAX_BARREN_REQUESTS {
                        negotiation.asked = Some(now.at);
                        requests.push((participant.id, Notice::SectionsNeeded { audio, video }));
                    }
                }
                Mode::Dual => {
                    let free = negotiation.outstanding.is_none() && participant.notices.is_some();
                    if negotiation.wanted && free {
                        let ice_restart = std::mem::take(&mut negotiation.ice_restart);
                        negotiation.wanted = false;
                        negotiation.last_offer_id = negotiation.last_offer_id.wrapping_add(1);
                        negotiation.outstanding = Some((negotiation.last_offer_id, now.at));
                        let (participant, peer) = (participant.id, participant.peers.subscriber);
                        self.actions.push_back(Action::CreateOffer { participant, peer, ice_restart });
                    }
                }
                Mode::Whip | Mode::Whep => {}
            }
        }
        for (id, notice) in requests {
            self.notify(now, id, notice);
        }
        !self.actions.is_empty()
    }

    /// The media plane has written our offer.
    pub(in crate::rooms) fn handle_offer_made(
        &mut self,
        now: Now,
        id: ParticipantId,
        offer: Result<Offer, MediaError>,
    ) {
        let offer = match offer {
            Ok(offer) => offer,
            Err(error) => {
                tracing::warn!(room = %self.info.name, %error, "cannot offer");
                return;
            }
        };
        let mids = self.mids(&offer.outgoing);
        let Some(participant) = self.participants.get(&id) else { return };
        let Some((offer_id, _)) = participant.negotiation.outstanding else { return };
        self.notify(now, id, Notice::Offer { id: offer_id, sdp: offer.sdp, mids });
        self.announce_first_subscribers(now, &offer.outgoing);
        if offer_id == FIRST_OFFER {
            self.reconcile_subscriber(id);
        }
    }

    /// Whether an answer belongs to our outstanding offer. Clients of old protocol versions name no id.
    pub(in crate::rooms) fn takes_answer(&self, id: ParticipantId, offer_id: u32) -> bool {
        let outstanding = self.participants.get(&id).and_then(|p| p.negotiation.outstanding);
        outstanding.is_some_and(|(expected, _)| offer_id == expected || offer_id == 0)
    }

    /// The answer to our offer was taken, or was unusable: the next offer may follow. `negotiate`: it has to.
    pub(in crate::rooms) fn handle_answered(&mut self, id: ParticipantId, negotiate: bool) {
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.negotiation.outstanding = None;
            participant.negotiation.wanted |= negotiate;
            self.unsettled.insert(id);
        }
    }

    /// Clients that owe an offer or an answer for too long get another chance.
    pub(super) fn retry_negotiations(&mut self, now: Now) {
        let late = |since: Instant| now.at.saturating_duration_since(since) >= ASK_AGAIN;
        for participant in self.participants.values_mut() {
            let negotiation = &mut participant.negotiation;
            if negotiation.asked.is_some_and(late) {
                negotiation.asked = None;
                negotiation.barren = negotiation.barren.saturating_add(1);
                self.unsettled.insert(participant.id);
            }
            if negotiation.outstanding.is_some_and(|(_, since)| late(since)) && negotiation.wanted {
                negotiation.outstanding = None;
                self.unsettled.insert(participant.id);
            }
        }
    }

    /// Sections we send on, in the clients' words.
    pub(in crate::rooms) fn mids(&self, outgoing: &[(Mid, TrackId)]) -> Vec<(String, String)> {
        let sid = |track: &TrackId| self.tracks.get(track).map(|track| track.info.sid.clone());
        outgoing.iter().filter_map(|(mid, track)| Some((mid.to_string(), sid(track)?))).collect()
    }
}
