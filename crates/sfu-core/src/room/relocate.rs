//! A subscriber goes over to another worker's part of its room, and takes along what is known of its path and the numbers of
//! its streams: it sees the same SSRCs go on.
//!
//! Audio goes on with the next packet and video with a keyframe, because the other room counts the publisher's packets in
//! its own way. What went out before stays in the history here and cannot be asked for there.

use std::time::Instant;

use convene_types::{PeerId, TrackId};

use super::Room;
use crate::subscriber::Subscriber;
use crate::subscription::{Ended, Subscription};

/// A subscriber between two rooms.
#[derive(Debug)]
pub struct Moved {
    subscriber: Subscriber,
    streams: Vec<(TrackId, Subscription)>,
    ended: Option<Ended>,
}

impl Room {
    /// What a peer is subscribed to.
    #[must_use]
    pub fn subscriptions(&self, peer: PeerId) -> Vec<TrackId> {
        let subscriber = self.subscriber_places.get(&peer).and_then(|index| self.subscribers.get(*index));
        let tracks = subscriber.into_iter().flat_map(|subscriber| subscriber.tracks());
        tracks.filter_map(|index| self.tracks.get(index)).map(|track| track.id).collect()
    }

    /// Takes a subscriber out. `None`: the peer is subscribed to nothing.
    pub fn release(&mut self, peer: PeerId) -> Option<Moved> {
        let index = self.subscriber_places.get(&peer).copied()?;
        let mut streams = Vec::new();
        for mut subscription in self.subscribers.get_mut(index)?.take_all() {
            let Some(track) = self.tracks.get_mut(subscription.track) else { continue };
            track.leave(index, Some(subscription.claim));
            subscription.carry();
            streams.push((track.id, subscription));
        }
        self.rated.remove(&peer);
        let ended = self.ended.remove(&peer);
        Some(Moved { subscriber: self.forget_subscriber(index)?, streams, ended })
    }

    /// Takes a subscriber in. Tracks that are not known here, because they have ended meanwhile, it loses.
    pub fn adopt(&mut self, now: Instant, moved: Moved) {
        let Moved { subscriber, streams, ended } = moved;
        self.touch(now);
        let peer = subscriber.peer;
        self.ended.extend(ended.map(|ended| (peer, ended)));
        let cursor = self.batch_base + self.batch.len() as u64;
        let rank = self.subscribers.len();
        let index = self.subscribers.insert(subscriber.arriving(rank, cursor));
        self.subscriber_places.insert(peer, index);
        let mut taken = Vec::new();
        for (id, mut subscription) in streams {
            let Some(track_index) = self.track_places.get(&id).copied() else {
                // The next track may go on with its SSRC.
                if let Some((ssrc, last)) = subscription.last() {
                    self.ended.entry(peer).or_default().push(ssrc, last);
                }
                continue;
            };
            subscription.track = track_index;
            subscription.shape = self.shape_of(&subscription.egress);
            let subscriber = self.subscribers.get_mut(index);
            let Some((subscriber, track)) = subscriber.zip(self.tracks.get_mut(track_index)) else { continue };
            track.subscribers.push(index);
            subscriber.insert(now, subscription);
            taken.push(track_index);
        }
        self.allocate(now, index);
        taken.into_iter().for_each(|track| self.select_one(track, index));
        self.drop_subscriber_if_empty(index);
    }
}
