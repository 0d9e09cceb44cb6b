//! What a subscriber has not got goes out again: because it asks for it (NACK, RFC 4585 §6.2.1), or because its
//! transport-wide feedback does not have it.
//!
//! On a lossy path requests are lost like everything else, and a receiver that only receives knows no round trip: libwebrtc
//! asks again after 100 ms. Feedback comes each 50 to 100 ms whatever was lost, and also tells that a repeat was. Where it
//! does not come either, what it should have told of goes out again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use convene_rtp::rtcp::Nack;
use convene_types::PeerId;

use super::Room;
use crate::bwe::Origin;

/// Time from a repeat to its second copy. Losses come in bursts: what goes out together is lost together. On radio links a
/// burst lasts some 10 to 30 ms.
const SECOND_AFTER: Duration = Duration::from_millis(25);

/// Second copies that wait in a room: at a tenth of 4,000 packets/s lost to fifty subscribers each, what 25 ms have. With more
/// the room has other worries, and what is beyond goes out once.
const MAX_SECONDS: usize = 1_024;

/// A second copy of a repeat.
#[derive(Clone, Copy, Debug)]
struct Second {
    due: Instant,
    subscriber: usize,
    /// Who it was for: a place is taken again by somebody else.
    peer: PeerId,
    track: usize,
    seq: u16,
}

/// Second copies in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Seconds(VecDeque<Second>);

impl Seconds {
    /// When the next is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.front().map(|second| second.due)
    }
}

impl Room {
    pub(super) fn handle_nack(&mut self, now: Instant, from: PeerId, nack: &Nack<'_>) {
        let Some(index) = self.subscriber_places.get(&from).copied() else { return };
        let Some(subscriber) = self.subscribers.get_mut(index) else { return };
        let scarce = subscriber.is_scarce(now);
        let Some(track) = subscriber.by_ssrc(nack.media).map(|subscription| subscription.track) else { return };
        let layers = self.tracks.get(track).map(|track| &track.layers[..]).unwrap_or_default();
        // A queue delays requests as well, but not what the receiver says besides.
        let back = subscriber.is_just_back(now);
        let mut gives_up = false;
        for seq in nack.seqs() {
            self.stats.nack_in += 1;
            let Some(subscription) = subscriber.get_mut(track) else { return };
            gives_up |= back && subscription.gives_up(now, seq.0, layers);
            if !subscription.may_repeat(now, seq.0, scarce, &mut self.stats) {
                continue;
            }
            let twice = subscription.is_worth_more(scarce);
            self.stats.nack_suppressed += u64::from(!subscriber.queue_rtx(track, seq.0));
            if twice && self.seconds.0.len() < MAX_SECONDS {
                let due = now + SECOND_AFTER;
                self.seconds.0.push_back(Second { due, subscriber: index, peer: from, track, seq: seq.0 });
            }
        }
        if gives_up {
            self.request_keyframe(from, nack.media);
        }
        self.send_repeats(index);
    }

    /// Sends again what feedback does not have, before anybody asks, to whoever it is worth it.
    pub(super) fn repeat_missing(&mut self, now: Instant, index: usize, missing: &[Origin]) {
        let Some(subscriber) = self.subscribers.get_mut(index).filter(|_| !missing.is_empty()) else { return };
        let scarce = subscriber.is_scarce(now);
        for origin in missing {
            let Some(track) = origin.track() else { continue };
            let Some(subscription) = subscriber.get_mut(track) else { continue };
            if subscription.is_worth_more(scarce)
                && subscription.may_repeat(now, origin.seq, scarce, &mut self.stats)
                && subscriber.queue_rtx(track, origin.seq)
            {
                self.stats.rtx_unasked += 1;
            }
        }
        self.send_repeats(index);
    }

    /// Sends again what should have been told of by now to those whose path loses packets and whose feedback does not come.
    pub(super) fn repeat_overdue(&mut self, now: Instant) {
        for index in std::mem::take(&mut self.lossy) {
            let Some(subscriber) = self.subscribers.get_mut(index).filter(|subscriber| subscriber.watched) else {
                continue;
            };
            let lossy = subscriber.iter_mut().any(|subscription| subscription.is_lossy());
            subscriber.watched = lossy;
            if !lossy {
                continue;
            }
            self.lossy.push(index);
            // A queue that grows delays feedback as well, and more would make it longer.
            if subscriber.is_congested(now) {
                continue;
            }
            let budget = subscriber.budget(now);
            let overdue =
                subscriber.estimator.as_mut().map(|estimator| estimator.take_overdue(now)).unwrap_or_default();
            let most = subscriber.repairs.spare(now, budget);
            self.repeat_missing(now, index, overdue.get(..most).unwrap_or(&overdue));
        }
    }

    /// Sends the second copies that are due.
    pub(super) fn repeat_again(&mut self, now: Instant) {
        while let Some(second) = self.seconds.0.pop_front_if(|second| second.due <= now) {
            let subscriber = self.subscribers.get_mut(second.subscriber);
            let Some(subscriber) = subscriber.filter(|subscriber| subscriber.peer == second.peer) else { continue };
            if subscriber.get_mut(second.track).is_some() && subscriber.queue_rtx(second.track, second.seq) {
                self.send_repeats(second.subscriber);
            }
        }
    }

    fn send_repeats(&mut self, index: usize) {
        if self.subscribers.get(index).is_some_and(|subscriber| !subscriber.rtx.is_empty()) {
            self.urgent = true;
            self.activate(index);
        }
    }
}
