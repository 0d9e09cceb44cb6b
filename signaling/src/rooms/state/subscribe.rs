//! Who receives which track: wishes, grants and publishers' policies say what should be; [`State::reconcile`] makes it so.

use convene_sfu::{LayerTarget, Msid, Subscription};
use convene_types::TrackId;

use super::{Action, Now, Participant, State, Track};
use crate::rooms::error::Error;
use crate::rooms::model::{ParticipantId, Source, TrackInfo};
use crate::rooms::notice::{Notice, SubscriptionError};
use crate::rooms::request::{AllowedTracks, Mode, SubscriptionChange, SubscriptionPolicy, TrackSettings};

impl State {
    /// A participant, or the API in its name, asks for tracks or gives them back.
    pub(in crate::rooms) fn subscribe(
        &mut self,
        now: Now,
        id: ParticipantId,
        change: SubscriptionChange,
    ) -> Result<(), Error> {
        if change.subscribe && !self.get(id)?.info.permission.can_subscribe {
            return Err(Error::NotAllowed("the token does not let tracks be received"));
        }
        for sid in change.tracks {
            let Some(track) = self.sids.get(&sid).copied() else {
                if change.subscribe {
                    self.notify(now, id, Notice::SubscriptionFailed { sid, error: SubscriptionError::TrackNotFound });
                }
                continue;
            };
            self.get_mut(id)?.wants.insert(track, change.subscribe); // bounded: the track exists, and takes it along
            for stream in self.streams(track) {
                self.reconcile(id, stream);
            }
            self.demands_changed.insert(track);
        }
        Ok(())
    }

    /// How a participant wants to receive tracks.
    pub(in crate::rooms) fn set_targets(&mut self, id: ParticipantId, settings: &TrackSettings) {
        for sid in &settings.tracks {
            let Some(track) = self.sids.get(sid).and_then(|id| self.tracks.get(id)) else { continue };
            let target = target(&track.info, settings);
            let track = track.id;
            let subscribed =
                |stream: &TrackId| self.tracks.get(stream).is_some_and(|one| one.subscribers.contains(&id));
            let streams: Vec<TrackId> = self.streams(track).filter(subscribed).collect();
            let Some(participant) = self.participants.get_mut(&id) else { return };
            participant.targets.insert(track, target);
            self.demands_changed.insert(track);
            let peer = participant.peers.subscriber;
            self.actions.extend(streams.into_iter().map(|track| Action::SetTarget { peer, track, target }));
        }
    }

    /// A publisher says who may receive its tracks.
    pub(in crate::rooms) fn set_policy(&mut self, now: Now, id: ParticipantId, policy: SubscriptionPolicy) {
        let own: Vec<TrackId> = self.tracks.values().filter(|t| t.owner == id).map(|t| t.id).collect();
        let others: Vec<ParticipantId> = self.participants.keys().copied().filter(|other| *other != id).collect();
        let pairs: Vec<_> = own.iter().flat_map(|track| others.iter().map(|other| (*other, *track))).collect();
        let before: Vec<bool> = pairs.iter().map(|(other, track)| self.is_allowed(*other, *track)).collect();
        let Some(participant) = self.participants.get_mut(&id) else { return };
        let sid = participant.info.sid.clone();
        participant.policy = (!policy.all_participants).then_some(policy);
        participant.has_restricted |= participant.policy.is_some();
        for ((other, track), before) in pairs.into_iter().zip(before) {
            let allowed = self.is_allowed(other, track);
            if allowed == before {
                continue;
            }
            self.reconcile(other, track);
            let shown = self.tracks.get(&track).filter(|track| track.first.is_none());
            let Some(track) = shown.map(|track| track.info.sid.clone()) else { continue };
            self.notify(now, other, Notice::SubscriptionPermission { participant: sid.clone(), track, allowed });
        }
        self.reconcile_data_publisher(now, id);
    }

    /// Makes the subscriptions of one receiver what they should be.
    pub(super) fn reconcile_subscriber(&mut self, id: ParticipantId) {
        let tracks: Vec<TrackId> = self.tracks.keys().copied().collect();
        for track in tracks {
            self.reconcile(id, track);
        }
    }

    /// Makes the subscriptions to one track what they should be.
    pub(super) fn reconcile_track(&mut self, track: TrackId) {
        let everyone: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for id in everyone {
            self.reconcile(id, track);
        }
    }

    fn reconcile(&mut self, id: ParticipantId, track_id: TrackId) {
        let wanted = self.is_wanted(id, track_id) && self.is_allowed(id, track_id);
        let (Some(participant), Some(track)) = (self.participants.get(&id), self.tracks.get(&track_id)) else { return };
        let peer = participant.peers.subscriber;
        if wanted == track.subscribers.contains(&id) {
            return;
        }
        self.demands_changed.insert(track.first.unwrap_or(track_id));
        if !wanted {
            self.actions.push_back(Action::Unsubscribe { peer, track: track_id });
            if let Some(track) = self.tracks.get_mut(&track_id) {
                track.subscribers.remove(&id);
            }
            return self.want_offer(id, false);
        }
        let Some(owner) = self.participants.get(&track.owner) else { return };
        let subscription = subscription(owner, participant, track);
        let asked = participant.targets.get(&track.first.unwrap_or(track_id)).copied();
        let target = asked.or_else(|| first_target(&track.info));
        self.actions.push_back(Action::Subscribe { participant: id, peer, subscription });
        if let Some(target) = target {
            self.actions.push_back(Action::SetTarget { peer, track: track_id, target });
        }
        if let Some(track) = self.tracks.get_mut(&track_id) {
            track.subscribers.insert(id);
        }
    }

    /// Whether the receiver wants the track and may have tracks at all.
    fn is_wanted(&self, id: ParticipantId, track: TrackId) -> bool {
        let (Some(participant), Some(track)) = (self.participants.get(&id), self.tracks.get(&track)) else {
            return false;
        };
        self.wants(participant, track) && self.is_carrier(participant, track)
    }

    /// The same, whatever codec it comes in.
    pub(super) fn wants(&self, participant: &Participant, track: &Track) -> bool {
        let asked = participant.wants.get(&track.first.unwrap_or(track.id)).copied();
        track.published
            && track.owner != participant.id
            && participant.receives()
            && participant.info.permission.can_subscribe
            && asked.unwrap_or(participant.auto_subscribe)
    }

    /// Whether the publisher lets the receiver have the track.
    pub(super) fn is_allowed(&self, id: ParticipantId, track: TrackId) -> bool {
        let (Some(participant), Some(track)) = (self.participants.get(&id), self.tracks.get(&track)) else {
            return false;
        };
        self.policy_lets(track.owner, participant, &track.info.sid)
    }

    /// The same of a track of either kind.
    pub(super) fn policy_lets(&self, owner: ParticipantId, participant: &Participant, sid: &str) -> bool {
        let Some(policy) = self.participants.get(&owner).and_then(|owner| owner.policy.as_ref()) else {
            return true;
        };
        let names = |entry: &&AllowedTracks| {
            if entry.identity.is_empty() {
                entry.sid == participant.info.sid
            } else {
                entry.identity == participant.info.identity
            }
        };
        policy
            .allowed
            .iter()
            .filter(names)
            .any(|entry| entry.all_tracks || entry.tracks.iter().any(|known| known == sid))
    }
}

/// `a=msid:<publisher>|<stream> <track>`: clients take the publisher from before the bar. Those of [`Mode::Dual`] know no
/// `mid_to_track_id`: what begins as the id of a track is one to them, wherever they find it first.
fn subscription(owner: &Participant, receiver: &Participant, track: &Track) -> Subscription {
    let (owner, info) = (&owner.info.sid, &track.info);
    let (named, grouped) = (format!("{owner}|{}", info.sid), format!("{owner}|{}", info.stream));
    let (stream, reused) = match receiver.mode {
        Mode::Single => (grouped, None),
        Mode::Dual if receiver.knows_track_ids && !info.stream.starts_with(TRACK_PREFIX) => (grouped, Some(named)),
        Mode::Dual => (named, None),
        Mode::Whip | Mode::Whep => (owner.clone(), None),
    };
    Subscription { track: track.id, msid: Msid { stream, track: info.sid.clone(), reused } }
}

/// What clients take for the beginning of a track's id.
const TRACK_PREFIX: &str = "TR";

/// Above what is shown large, which has 1, and thumbnails, which have 0.
const SCREEN_PRIORITY: u8 = 2;

/// Pixels of the shorter side from which on a picture is the one that is looked at.
const LARGE: u32 = 360;

/// Where the size shown is known, the smallest layer that fills it.
fn target(track: &TrackInfo, settings: &TrackSettings) -> LayerTarget {
    let shown = settings.width.min(settings.height);
    let mut layers: Vec<(u8, u32)> = track
        .layers
        .iter()
        .filter_map(|layer| Some((u8::try_from(layer.quality).ok()?, layer.width.min(layer.height))))
        .collect();
    layers.sort_unstable();
    let fitting = layers.iter().position(|(_, side)| *side >= shown && *side > 0);
    let max_layer = if shown > 0 && !layers.is_empty() {
        u8::try_from(fitting.unwrap_or(layers.len().saturating_sub(1))).unwrap_or(settings.max_layer)
    } else {
        settings.max_layer
    };
    LayerTarget { paused: settings.disabled, max_layer, priority: priority(track, settings) }
}

/// Before a client says anything of a track: screens go before faces.
fn first_target(track: &TrackInfo) -> Option<LayerTarget> {
    let screen = track.source == Source::ScreenShare;
    screen.then_some(LayerTarget { paused: false, max_layer: u8::MAX, priority: SCREEN_PRIORITY })
}

/// What goes first where the path is too narrow: what the client says, then screens, then what is shown large.
fn priority(track: &TrackInfo, settings: &TrackSettings) -> u8 {
    match (settings.priority, track.source) {
        (said @ 1.., _) => u8::MAX - u8::try_from(said).unwrap_or(u8::MAX).min(u8::MAX - SCREEN_PRIORITY - 1),
        (0, Source::ScreenShare) => SCREEN_PRIORITY,
        (0, Source::Unknown | Source::Camera | Source::Microphone | Source::ScreenShareAudio) => {
            u8::from(settings.width.min(settings.height) >= LARGE)
        }
    }
}
