//! What each subscriber's path carries, and what becomes of it: layers, pauses, probes.

use std::time::Instant;

use convene_rtp::rtcp::{Remb, TransportCc};
use convene_types::{MediaKind, PeerId, TrackId};

use super::Room;
use crate::allocate::{Want, allocate};
use crate::config::{SELECT_TICKS, TICK};
use crate::cut::{ALL, step};
use crate::event::Event;
use crate::share::Change;
use crate::subscriber::Subscriber;
use crate::track::{Track, rates};

/// A probe's packets are refused by nobody, so one helping is bounded: 64 KiB in 5 ms are 100 Mbit/s.
const MAX_PROBE_BYTES: usize = 64 << 10;

/// Part of what is left for the lowest layer's sake where a run is cut at once instead of going on until its successor's
/// keyframe: a layer above the whole estimate would fill the queue meanwhile.
const CUT_ABOVE: f64 = 1.0;

/// Length of a window of `Volume`.
pub(super) const VOLUME_MS: u64 = SELECT_TICKS * TICK.as_millis() as u64;

impl Room {
    /// Says how important a subscription is among those of its subscriber: where the path is too narrow for all of them,
    /// the higher go first. Unknown ones are ignored.
    pub fn set_priority(&mut self, peer: PeerId, track: TrackId, priority: u8) {
        let Some(index) = self.subscriber_places.get(&peer).copied() else { return };
        let Some(track) = self.track_places.get(&track).copied() else { return };
        let subscriber = self.subscribers.get_mut(index);
        if let Some(subscription) = subscriber.and_then(|subscriber| subscriber.get_mut(track)) {
            subscription.share.priority = priority;
        }
    }

    /// A subscriber's address changed or its ICE was restarted: what is under way is no measure of the path.
    pub fn path_changed(&mut self, peer: PeerId) {
        let Some(index) = self.subscriber_places.get(&peer) else { return };
        if let Some(estimator) = self.subscribers.get_mut(*index).and_then(|subscriber| subscriber.estimator.as_mut()) {
            estimator.path_changed();
            self.stats.interruptions += 1;
        }
    }

    pub(super) fn handle_twcc(&mut self, now: Instant, from: PeerId, feedback: &TransportCc<'_>) {
        let Some(index) = self.subscriber_places.get(&from).copied() else { return };
        let Some(subscriber) = self.subscribers.get_mut(index) else { return };
        let Some(estimator) = subscriber.estimator.as_mut() else { return };
        let before = estimator.tally();
        let fell = estimator.feedback(now, feedback);
        let (after, missing) = (estimator.tally(), estimator.take_missing());
        subscriber.mind_limit(now);
        self.repeat_missing(now, index, &missing);
        self.stats.overuses += after.overuses - before.overuses;
        self.stats.probes_up += after.probes_up - before.probes_up;
        self.stats.rivals += after.rivals - before.rivals;
        self.stats.interruptions += after.interruptions - before.interruptions;
        if fell {
            self.allocate(now, index);
        }
    }

    pub(super) fn handle_remb(&mut self, now: Instant, from: PeerId, remb: &Remb<'_>) {
        let Some(index) = self.subscriber_places.get(&from).copied() else { return };
        if let Some(subscriber) = self.subscribers.get_mut(index) {
            subscriber.remb.told(now, remb.bitrate.0 as f64);
            if subscriber.remb.is_due(now) {
                self.allocate(now, index);
            }
        }
    }

    /// Shares every subscriber's path anew.
    pub(super) fn allocate_all(&mut self, now: Instant) {
        for (_, track) in &mut self.tracks {
            track.layers.iter_mut().for_each(|layer| layer.volumes.close_window());
        }
        for index in 0..self.subscribers.capacity() {
            if self.subscribers.get(index).is_some_and(Subscriber::is_estimated) {
                self.allocate(now, index);
            }
        }
    }

    /// Shares one subscriber's path anew, and carries out what changed.
    pub(super) fn allocate(&mut self, now: Instant, index: usize) {
        let Some(subscriber) = self.subscribers.get_mut(index) else { return };
        let changed = match subscriber.budget(now) {
            Some(budget) => share(now, subscriber, &self.tracks, budget),
            None => free(subscriber),
        };
        for (track, change) in changed {
            match change {
                Change::Rise => self.stats.rises += 1,
                Change::Fall => self.stats.falls += 1,
                Change::None => {}
            }
            self.select_one(track, index);
        }
    }

    /// Tells that a subscription is paused for want of bandwidth or of time of ours, or goes on.
    pub(super) fn tell_stream_state(&mut self, index: usize, track_index: usize) {
        let Some(Track { id: track, kind, .. }) = self.tracks.get(track_index) else { return };
        let Some(subscriber) = self.subscribers.get_mut(index) else { return };
        let (track, peer, shed) = (*track, subscriber.peer, self.ceiling.forbids(*kind, subscriber.rank));
        let Some(subscription) = subscriber.get_mut(track_index) else { return };
        let paused = shed || subscription.share.is_starved();
        if std::mem::replace(&mut subscription.share.told_paused, paused) != paused {
            self.stats.starved += u64::from(paused);
            self.events.push_back(Event::StreamState { peer, track, paused });
        }
    }

    /// A subscription ends whose peer and track may go on together: a pause that was told of it is over. It is told here, as the next
    /// subscription tells of its own pauses only.
    pub(super) fn tell_no_pause(&mut self, index: usize, track_index: usize) {
        let Some(track) = self.tracks.get(track_index).map(|track| track.id) else { return };
        let Some(subscriber) = self.subscribers.get_mut(index) else { return };
        let peer = subscriber.peer;
        let Some(subscription) = subscriber.get_mut(track_index) else { return };
        if std::mem::take(&mut subscription.share.told_paused) {
            self.events.push_back(Event::StreamState { peer, track, paused: false });
        }
    }

    /// Begins probes where a subscriber could use more than is known to fit.
    pub(super) fn begin_probes(&mut self, now: Instant) {
        for (index, subscriber) in &mut self.subscribers {
            if subscriber.begin_probe(now) {
                self.stats.probes += 1;
                self.probing.push(index);
            }
        }
        self.feed_probes(now);
    }

    /// Gives the probes under way their next helping.
    pub(super) fn feed_probes(&mut self, now: Instant) {
        self.probe_due = None;
        for index in std::mem::take(&mut self.probing) {
            let Some(subscriber) = self.subscribers.get_mut(index) else { continue };
            let (bytes, due) = subscriber.probe_due(now);
            if bytes > 0 {
                subscriber.probe_bytes = bytes.min(MAX_PROBE_BYTES);
                self.urgent = true;
                self.activate(index);
            }
            if due.is_some() {
                self.probe_due = [self.probe_due, due].into_iter().flatten().min();
                self.probing.push(index);
            }
        }
    }

    /// Writes a packet of a probe: a repeat of what was just sent, which a lossy path may even need, or padding.
    pub(super) fn write_probe(&mut self, index: usize, out: &mut [u8]) -> Option<usize> {
        let subscriber = self.subscribers.get_mut(index)?;
        if subscriber.probe_bytes == 0 {
            return None;
        }
        let (tracks, repeats) = (&self.tracks, subscriber.probes_with_repeats());
        let written = subscriber.iter_mut().find_map(|subscription| {
            let layers = &tracks.get(subscription.track)?.layers;
            subscription.probe(out, layers, repeats)
        });
        let Some(len) = written else {
            subscriber.probe_bytes = 0;
            return None;
        };
        subscriber.probed(len);
        self.stats.probe_packets += 1;
        Some(len)
    }
}

/// Every subscription gets what was asked for.
fn free(subscriber: &mut Subscriber) -> Vec<(usize, Change)> {
    subscriber.desired = 0.0;
    let freed = subscriber.iter_mut().map(|subscription| (subscription.track, subscription.share.free()));
    freed.filter(|(_, change)| *change != Change::None).collect()
}

fn share(now: Instant, subscriber: &mut Subscriber, tracks: &slab::Slab<Track>, budget: f64) -> Vec<(usize, Change)> {
    let (can_probe, guessed) = (subscriber.can_probe(), subscriber.is_guessed());
    let is_narrow = subscriber.pacer.is_some();
    let mut audio = 0.0;
    let (mut wants, mut places) = (Vec::new(), Vec::new());
    for subscription in subscriber.iter_mut() {
        let Some(track) = tracks.get(subscription.track).filter(|track| !track.muted) else { continue };
        if subscription.paused {
            continue;
        }
        let (rates, usual) = rates(track, VOLUME_MS);
        if subscription.share.given().is_some_and(|given| rates.get(usize::from(given)).is_none_or(|rate| *rate <= 0.0))
        {
            subscription.share.forget(); // its publisher sends that layer no longer
        }
        match track.kind {
            MediaKind::Audio if track.aside => {}
            MediaKind::Audio => audio += rates.iter().copied().fold(0.0, f64::max) * subscription.audio_copies(),
            MediaKind::Video => {
                wants.push(Want {
                    priority: subscription.share.priority,
                    rates,
                    usual,
                    max: step(subscription.max_layer, ALL),
                    given: subscription.share.given(),
                    may_rise: subscription.share.may_rise(now, budget),
                    keep: guessed,
                });
                places.push(subscription.track);
            }
        }
    }
    // `max_by_key` takes the last of equals.
    if let Some(first) = wants.iter_mut().rev().max_by_key(|want| want.priority).filter(|_| !can_probe) {
        first.keep = true;
    }
    subscriber.desired = audio + wants.iter().map(Want::desired).sum::<f64>();
    subscriber.need(audio + wants.iter().map(Want::needed).sum::<f64>());
    let given = allocate((budget - audio).max(0.0), &wants);
    let mut changed = Vec::new();
    for ((track, layer), want) in places.into_iter().zip(given).zip(&wants) {
        // Nothing came of it yet: there is nothing to decide on. On a narrow path it begins small, for the first thing is a
        // keyframe.
        let layer = match want.desired() > 0.0 {
            true => layer,
            false if is_narrow && want.given.is_none() => Some(step(0, ALL)),
            false => continue,
        };
        let Some(subscription) = subscriber.get_mut(track) else { continue };
        let change = subscription.share.give(now, layer, budget, &want.rates);
        if change == Change::None {
            continue;
        }
        let Some(layers) = tracks.get(track).map(|track| &track.layers) else { continue };
        let leaves = |current: &u8| layer.is_none_or(|given| given < *current);
        let present = subscription.step(layers).filter(leaves).and_then(|step| want.rates.get(usize::from(step)));
        let gently = layer.is_some_and(|given| subscription.falls_at_once(given, layers));
        if change == Change::Fall && !gently && present.is_some_and(|rate| *rate > budget * CUT_ABOVE) {
            subscription.stop();
        }
        changed.push((track, change));
    }
    changed
}
