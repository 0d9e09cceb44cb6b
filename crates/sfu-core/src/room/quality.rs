//! Each peer's connection, rated from what reports and the allocation say.

use std::time::{Duration, Instant};

use convene_types::{MediaKind, PeerId};

use super::Room;
use crate::cut::level_of;
use crate::event::Event;
use crate::publisher::Publisher;
use crate::quality::{Conditions, Rating};
use crate::subscriber::Subscriber;
use crate::track::{Track, choose};

/// A peer that was sent this many packets since the last look and said nothing for this long is lost. WebRTC clients
/// report at least each five seconds.
const MIN_PACKETS: u32 = 100;
const SILENT: Duration = Duration::from_secs(8);

impl Room {
    /// Rates every peer; those whose rating changed are told of.
    pub(super) fn rate(&mut self, now: Instant) {
        let mut ratings: Vec<(PeerId, Rating)> = Vec::new();
        for (_, subscriber) in &mut self.subscribers {
            if let Some(rating) = rate_subscriber(now, subscriber, &self.tracks) {
                ratings.push((subscriber.peer, rating));
            }
        }
        for (_, publisher) in &self.publishers {
            let Some(rating) = rate_publisher(publisher) else { continue };
            match ratings.iter_mut().find(|(peer, _)| *peer == publisher.peer) {
                Some((_, known)) => *known = known.worse(rating),
                None => ratings.push((publisher.peer, rating)),
            }
        }
        ratings.retain(|(peer, rating)| self.rated.get(peer).is_none_or(|told| told.differs(rating)));
        self.rated.extend(ratings.iter().copied());
        if !ratings.is_empty() {
            self.events.push_back(Event::Quality(ratings));
        }
    }
}

/// `None`: nothing is known yet.
fn rate_subscriber(now: Instant, subscriber: &mut Subscriber, tracks: &slab::Slab<Track>) -> Option<Rating> {
    let sent = subscriber.iter_mut().fold(0_u32, |sum, subscription| sum.wrapping_add(subscription.packets()));
    let since = sent.wrapping_sub(std::mem::replace(&mut subscriber.packets_rated, sent));
    let heard = subscriber.heard?;
    // A subscription that ended took its count along: the difference is a huge one then.
    if (MIN_PACKETS..u32::MAX / 2).contains(&since) && now.saturating_duration_since(heard) >= SILENT {
        return Some(Rating::LOST);
    }
    let mut conditions = Conditions::default();
    let (mut reports, mut videos) = (0.0, 0.0);
    for subscription in subscriber.iter_mut() {
        if let Some((loss, jitter)) = subscription.reported {
            reports += 1.0;
            conditions.loss += f64::from(loss);
            conditions.jitter_ms = conditions.jitter_ms.max(f64::from(jitter));
        }
        let round_trip_ms = subscription.round_trip().map_or(0.0, |rtt| rtt.as_secs_f64() * 1e3);
        conditions.round_trip_ms = conditions.round_trip_ms.max(round_trip_ms);
        let track = tracks.get(subscription.track).filter(|track| track.kind == MediaKind::Video && !track.muted);
        let Some(track) = track.filter(|_| !subscription.paused) else { continue };
        videos += 1.0;
        conditions.paused += f64::from(u8::from(subscription.share.is_starved()));
        let wanted = choose(track.live, subscription.max_layer);
        if let (Some(wanted @ 1..), Some(given)) = (wanted, subscription.share.given()) {
            conditions.missing += f64::from(wanted.saturating_sub(level_of(given))) / f64::from(wanted);
        }
    }
    if reports > 0.0 {
        conditions.loss /= reports;
    }
    if videos > 0.0 {
        (conditions.missing, conditions.paused) = (conditions.missing / videos, conditions.paused / videos);
    }
    (reports > 0.0).then(|| conditions.rate())
}

fn rate_publisher(publisher: &Publisher) -> Option<Rating> {
    let (loss, jitter_ms) = publisher.uplink?;
    Some(Conditions { loss, jitter_ms, ..Conditions::default() }.rate())
}
