//! Tracks and subscriptions come, change and go.

use std::time::Instant;

use convene_types::{PeerId, Ssrc, TrackId};

use super::Room;
use crate::config::MAX_SHAPES;
use crate::publisher::Publisher;
use crate::spec::{Egress, TrackSpec};
use crate::subscriber::Subscriber;
use crate::subscription::Subscription;
use crate::track::Track;
use crate::write::Shape;

impl Room {
    /// Adds a track; one with the same id is removed first.
    pub fn add_track(&mut self, now: Instant, spec: TrackSpec) {
        self.remove_track(spec.track);
        self.touch(now);
        let publisher = *self
            .publisher_places
            .entry(spec.publisher)
            .or_insert_with(|| self.publishers.insert(Publisher::new(spec.publisher, self.epoch)));
        let id = spec.track;
        let index = self.tracks.insert(Track::new(spec, publisher, &self.config, self.epoch));
        self.track_places.insert(id, index);
        if let Some(publisher) = self.publishers.get_mut(publisher) {
            publisher.tracks.push(index);
        }
    }

    /// Removes a track with all its subscriptions. Unknown ones are ignored.
    pub fn remove_track(&mut self, track: TrackId) {
        let Some(index) = self.track_places.remove(&track) else { return };
        let Some(track) = self.tracks.try_remove(index) else { return };
        for subscriber in track.subscribers {
            self.remove_subscription(subscriber, index);
        }
        // The index may be given to another track before the flush.
        self.batch.iter_mut().filter(|pending| pending.track == Some(index)).for_each(|pending| pending.track = None);
        self.dirty.retain(|dirty| *dirty != index);
        if let Some(publisher) = self.publishers.get_mut(track.publisher) {
            publisher.tracks.retain(|known| *known != index);
            if publisher.tracks.is_empty() {
                self.publisher_places.remove(&publisher.peer);
                self.publishers.remove(track.publisher);
            }
        }
    }

    /// Stops or starts the forwarding of a track; it is received all the same.
    pub fn set_muted(&mut self, track: TrackId, muted: bool) {
        let Some(index) = self.track_places.get(&track).copied() else { return };
        let Some(track) = self.tracks.get_mut(index).filter(|track| track.muted != muted) else { return };
        track.muted = muted;
        track.meter.reset();
        track.activity.reset();
        track.loudness.reset();
        self.select(index);
    }

    /// Removes what a peer publishes and what it is subscribed to.
    pub fn remove_peer(&mut self, peer: PeerId) {
        if let Some(publisher) = self.publisher_places.get(&peer).and_then(|index| self.publishers.get(*index)) {
            let tracks: Vec<TrackId> =
                publisher.tracks.iter().filter_map(|index| self.tracks.get(*index)).map(|track| track.id).collect();
            tracks.into_iter().for_each(|track| self.remove_track(track));
        }
        if let Some(index) = self.subscriber_places.get(&peer).copied() {
            let tracks: Vec<usize> =
                self.subscribers.get(index).into_iter().flat_map(|subscriber| subscriber.tracks()).collect();
            tracks.into_iter().for_each(|track| self.remove_subscription(index, track));
        }
        self.rtcp.retain(|(to, _)| *to != peer);
        self.rated.remove(&peer);
        self.ended.remove(&peer);
    }

    /// Subscribes a peer to a track; unknown tracks are ignored. Video flows from the next keyframe on, which is asked
    /// for; audio at once. A second call with the same SSRC changes the rest of the egress and keeps the numbers; of payload types
    /// that changes what the next run has: whoever wants them at once unsubscribes first.
    pub fn subscribe(&mut self, now: Instant, peer: PeerId, track: TrackId, egress: Egress) {
        let Some(track_index) = self.track_places.get(&track).copied() else { return };
        self.touch(now);
        let shape = self.shape_of(&egress);
        let cursor = self.batch_base + self.batch.len() as u64;
        let index = *self.subscriber_places.entry(peer).or_insert_with(|| {
            let rank = self.subscribers.len();
            self.subscribers.insert(Subscriber::new(peer, rank, cursor, self.epoch))
        });
        let Some(subscriber) = self.subscribers.get_mut(index) else { return };
        if let Some(known) = subscriber.get_mut(track_index).filter(|known| known.egress.ssrc == egress.ssrc) {
            let (takes_others, exts) = (known.egress.pts != egress.pts, egress.exts);
            (known.egress, known.shape) = (egress, shape);
            subscriber.prepare(now, &exts);
            if takes_others {
                self.select_one(track_index, index);
            }
            return;
        }
        self.tell_no_pause(index, track_index);
        let (subscriber, track) = (self.subscribers.get_mut(index), self.tracks.get_mut(track_index));
        let Some((subscriber, track)) = subscriber.zip(track) else { return };
        match subscriber.remove(track_index) {
            Some(claim) => track.discount(claim),
            None => track.subscribers.push(index),
        }
        let last = self.ended.get(&peer).and_then(|ended| ended.find(egress.ssrc));
        subscriber.insert(now, Subscription::new(track_index, track.kind, egress, shape, last));
        self.allocate(now, index);
        self.select_one(track_index, index);
    }

    /// Ends a subscription. Unknown ones are ignored.
    pub fn unsubscribe(&mut self, peer: PeerId, track: TrackId) {
        let Some(index) = self.subscriber_places.get(&peer).copied() else { return };
        let Some(track_index) = self.track_places.get(&track).copied() else { return };
        self.tell_no_pause(index, track_index);
        self.remove_subscription(index, track_index);
    }

    /// Nobody is going to send to a peer with this SSRC again: what it sent last need not be kept for who goes on with it.
    pub fn forget_stream(&mut self, peer: PeerId, ssrc: Ssrc) {
        if self.ended.get_mut(&peer).is_some_and(|ended| ended.forget(ssrc)) {
            self.ended.remove(&peer);
        }
    }

    /// Pauses a subscription, or bounds its layer: 0 is the lowest, more than there are means the highest there is.
    pub fn set_target(&mut self, now: Instant, peer: PeerId, track: TrackId, paused: bool, max_layer: u8) {
        let Some(index) = self.subscriber_places.get(&peer).copied() else { return };
        let Some(track_index) = self.track_places.get(&track).copied() else { return };
        self.touch(now);
        let subscriber = self.subscribers.get_mut(index);
        let Some(subscription) = subscriber.and_then(|subscriber| subscriber.get_mut(track_index)) else { return };
        if subscription.max_layer != max_layer {
            subscription.share.forget();
        }
        (subscription.paused, subscription.max_layer) = (paused, max_layer);
        self.allocate(now, index);
        self.select_one(track_index, index);
    }

    /// Finds or notes the shape of a subscriber's header extensions.
    pub(super) fn shape_of(&mut self, egress: &Egress) -> Option<Shape> {
        let wanted = (egress.exts, egress.mid);
        let known = self.shapes.iter().position(|shape| *shape == wanted);
        if known.is_none() && self.shapes.len() >= MAX_SHAPES {
            return None;
        }
        let index = known.unwrap_or(self.shapes.len());
        if known.is_none() {
            self.shapes.push(wanted);
        }
        u32::try_from(index).ok().map(Shape)
    }

    fn remove_subscription(&mut self, subscriber: usize, track: usize) {
        if let Some(known) = self.subscribers.get_mut(subscriber)
            && let Some((ssrc, last)) = known.get_mut(track).and_then(|subscription| subscription.last())
        {
            self.ended.entry(known.peer).or_default().push(ssrc, last);
        }
        let claim = self.subscribers.get_mut(subscriber).and_then(|subscriber| subscriber.remove(track));
        if let Some(track) = self.tracks.get_mut(track) {
            track.leave(subscriber, claim);
        }
        self.drop_subscriber_if_empty(subscriber);
    }

    pub(super) fn drop_subscriber_if_empty(&mut self, index: usize) {
        if self.subscribers.get(index).is_some_and(Subscriber::is_empty) {
            self.forget_subscriber(index);
        }
    }

    /// Takes a subscriber without subscriptions out of all lists.
    pub(super) fn forget_subscriber(&mut self, index: usize) -> Option<Subscriber> {
        let subscriber = self.subscribers.try_remove(index)?;
        self.subscriber_places.remove(&subscriber.peer);
        let (last, mut heir) = (self.ceiling.last_place(), None);
        for (index, behind) in self.subscribers.iter_mut().filter(|(_, other)| other.rank > subscriber.rank) {
            behind.rank -= 1;
            heir = heir.or((Some(behind.rank) == last).then_some(index));
        }
        heir.into_iter().for_each(|heir| self.select_all_of(heir));
        self.active.retain(|active| *active != index);
        self.report_soon.retain(|waiting| *waiting != index);
        self.probing.retain(|probing| *probing != index);
        self.lossy.retain(|lossy| *lossy != index);
        self.paced.retain(|paced| *paced != index);
        self.current = self.current.filter(|current| *current != index);
        Some(subscriber)
    }
}
