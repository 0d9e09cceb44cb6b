//! Which layer each subscriber of a track gets.

use convene_types::MediaKind;

use super::Room;
use crate::ceiling::Ceiling;
use crate::cut::level_of;
use crate::loudest::{Candidate, choose};
use crate::subscriber::Subscriber;
use crate::subscription::Claim;
use crate::track::{Track, below, choose as highest};

impl Room {
    /// Chooses anew for every subscriber of a track, and asks for the keyframes that are waited for.
    ///
    /// A subscription goes on with the layer it has until the chosen one's keyframe comes.
    pub(super) fn select(&mut self, index: usize) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        track.count_anew();
        let subscribers = std::mem::take(&mut track.subscribers);
        for subscriber in &subscribers {
            if let Some(known) = self.subscribers.get_mut(*subscriber) {
                self.pli_wanted |= choose_for(track, index, known, self.ceiling);
            }
        }
        track.subscribers = subscribers;
    }

    /// The same for one of its subscribers: what a join costs does not depend on how many there are.
    pub(super) fn select_one(&mut self, index: usize, place: usize) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        let Some(subscriber) = self.subscribers.get_mut(place) else { return };
        let Some(subscription) = subscriber.get_mut(index) else { return };
        track.discount(subscription.claim);
        self.pli_wanted |= choose_for(track, index, subscriber, self.ceiling);
        self.tell_stream_state(place, index);
    }

    /// The same for all tracks of a subscriber: it has the place of one that has left.
    pub(super) fn select_all_of(&mut self, place: usize) {
        let tracks: Vec<usize> = self.subscribers.get(place).into_iter().flat_map(Subscriber::tracks).collect();
        tracks.into_iter().for_each(|track| self.select_one(track, place));
    }

    /// Chooses anew for those that missed where they could have gone down.
    pub(super) fn select_stranded(&mut self) {
        for (track, subscriber) in std::mem::take(&mut self.stranded) {
            self.select_one(track, subscriber);
        }
    }

    /// What it may forward.
    #[must_use]
    pub const fn ceiling(&self) -> Ceiling {
        self.ceiling
    }

    /// The ceiling at which it forwards a little less than it does: below the highest layer that has a lower one to go on with,
    /// then for fewer subscribers, in the end no video. `None`: it forwards none.
    #[must_use]
    pub fn lower_ceiling(&self) -> Option<Ceiling> {
        let videos = self.tracks.iter().filter(|(_, track)| track.kind == MediaKind::Video);
        // Who still waits for the keyframe of a lower one is on their way already.
        let tops = videos
            .filter_map(|(index, track)| Some((track.live, self.highest_level(index, track)?.min(self.ceiling.top()))));
        let lower = |(live, top): (u8, u8)| top.checked_sub(1).filter(|_| live & below(top) != 0);
        let layer = tops.map(lower).reduce(|one, other| one.max(other))?;
        Some(layer.map_or_else(|| self.ceiling.fewer(self.subscribers.len()), Ceiling::Layer))
    }

    /// The highest level (see `cut`) of a track that somebody gets or waits for.
    fn highest_level(&self, index: usize, track: &Track) -> Option<u8> {
        let used = track.highest_used()?;
        if track.layers.len() > 1 {
            return Some(used);
        }
        // Of one stream all have the same layer, each with its own cut; of a whole one there is what lives.
        let subscriptions = track.subscribers.iter().filter_map(|place| self.subscribers.get(*place)?.get(index));
        let level = subscriptions.filter_map(|known| known.step(&track.layers)).map(level_of).max();
        Some(level.and_then(|level| highest(track.live, level)).unwrap_or(used))
    }

    /// Sets what it may forward.
    pub fn set_ceiling(&mut self, ceiling: Ceiling) {
        if std::mem::replace(&mut self.ceiling, ceiling) != ceiling {
            self.select_under_ceiling();
        }
    }

    /// Chooses anew what goes out under the ceiling, and tells whom it concerns.
    fn select_under_ceiling(&mut self) {
        for track in 0..self.tracks.capacity() {
            self.select(track);
            for index in 0..self.subscribers.capacity() {
                self.tell_stream_state(index, track);
            }
        }
    }

    /// Chooses which audio goes out, where that is bounded.
    pub(super) fn choose_loudest(&mut self) {
        let most = self.config.loudest;
        if most == 0 {
            return;
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        for (index, track) in &mut self.tracks {
            if track.kind != MediaKind::Audio || track.muted {
                continue;
            }
            // Who tells no level is always heard, and takes no place.
            if let Some(score) = track.loudness.close_window() {
                candidates.push(Candidate { track: index, score, out: !track.aside });
            }
        }
        let (chosen, others) = choose(&mut candidates, most);
        for (aside, candidates) in [(false, chosen), (true, others)] {
            for Candidate { track: index, .. } in candidates {
                let Some(track) = self.tracks.get_mut(*index) else { continue };
                if std::mem::replace(&mut track.aside, aside) != aside {
                    self.stats.loudest_changes += 1;
                    self.select(*index);
                }
            }
        }
    }

    /// Looks which simulcast layers have stopped, and chooses anew where one has: until then its viewers see nothing.
    pub(super) fn select_stopped(&mut self) {
        for index in 0..self.tracks.capacity() {
            if self.tracks.get(index).is_some_and(|track| track.layers.len() > 1) {
                self.look_at_layers(index);
            }
        }
    }

    /// Looks which layers of a track are alive, and chooses anew where that changed.
    pub(super) fn look_at_layers(&mut self, index: usize) {
        if self.tracks.get_mut(index).is_some_and(|track| track.update_live(&self.config)) {
            self.select(index);
        }
    }

    /// Looks which layers are alive, and chooses anew where that changed or a keyframe is still waited for.
    pub(super) fn select_all(&mut self) {
        for index in 0..self.tracks.capacity() {
            let Some(track) = self.tracks.get_mut(index) else { continue };
            if track.update_live(&self.config) || track.awaiting > 0 {
                self.select(index);
            }
        }
    }
}

/// Chooses for a subscription that counts for nothing in its track, and counts it. `true`: a keyframe is waited for.
fn choose_for(track: &mut Track, index: usize, subscriber: &mut Subscriber, ceiling: Ceiling) -> bool {
    #[cfg(test)]
    CHOSEN.with(|chosen| chosen.set(chosen.get() + 1));
    let rank = subscriber.rank;
    let Some(subscription) = subscriber.get_mut(index) else { return false };
    let kept = track.muted || track.aside || subscription.paused || subscription.share.is_starved();
    if kept || ceiling.forbids(track.kind, rank) {
        subscription.stop();
        subscription.claim = Claim::default();
        return false;
    }
    let claim = subscription.select(ceiling.admitted(track.kind, track.live), &track.layers);
    subscription.claim = claim;
    let is_here = claim.wanted.is_some_and(|layer| subscriber.has_keyframe(index, layer));
    track.count(claim, is_here)
}

#[cfg(test)]
thread_local! {
    /// How often it was chosen for a subscription.
    pub(super) static CHOSEN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
