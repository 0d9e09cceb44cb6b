//! A peer that receives: its subscriptions, and what waits for it.

use std::collections::VecDeque;

use convene_types::{PeerId, Ssrc};

use crate::config::MAX_RTX_QUEUE;
use crate::subscription::Subscription;

/// In `places`: not subscribed.
const NONE: u32 = u32::MAX;

/// One receiving peer.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) peer: PeerId,
    subscriptions: Vec<Subscription>,
    /// By index of the track: place in `subscriptions`.
    places: Vec<u32>,
    /// Packets to send again: index of the track, number on the way out.
    pub(crate) rtx: VecDeque<(usize, u16)>,
    /// It is in the list of those that have something to send.
    pub(crate) queued: bool,
    /// Packets of the batch before this one were looked at; counts over all batches.
    pub(crate) cursor: u64,
    /// A sender report is due at the next tick.
    pub(crate) report_soon: bool,
}

impl Subscriber {
    pub(crate) fn new(peer: PeerId, cursor: u64) -> Self {
        Self {
            peer,
            subscriptions: Vec::new(),
            places: Vec::new(),
            rtx: VecDeque::new(),
            queued: false,
            cursor,
            report_soon: false,
        }
    }

    pub(crate) fn get_mut(&mut self, track: usize) -> Option<&mut Subscription> {
        let place = self.places.get(track).copied().filter(|place| *place != NONE)?;
        self.subscriptions.get_mut(place as usize)
    }

    pub(crate) fn by_ssrc(&mut self, ssrc: Ssrc) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|subscription| subscription.egress.ssrc == ssrc)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.subscriptions.iter_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Adds a subscription to a track that it has none to.
    pub(crate) fn insert(&mut self, subscription: Subscription) {
        let track = subscription.track;
        if self.places.len() <= track {
            self.places.resize(track + 1, NONE);
        }
        if let Some(place) = self.places.get_mut(track) {
            *place = self.subscriptions.len() as u32;
        }
        self.subscriptions.push(subscription);
    }

    /// Takes the subscription to a track away.
    pub(crate) fn remove(&mut self, track: usize) -> bool {
        let Some(place) = self.places.get_mut(track).filter(|place| **place != NONE) else { return false };
        let removed = std::mem::replace(place, NONE);
        self.subscriptions.swap_remove(removed as usize);
        if let Some(moved) = self.subscriptions.get(removed as usize)
            && let Some(place) = self.places.get_mut(moved.track)
        {
            *place = removed;
        }
        self.rtx.retain(|(waiting, _)| *waiting != track);
        true
    }

    /// Queues a retransmission. `false`: too many wait.
    pub(crate) fn queue_rtx(&mut self, track: usize, seq: u16) -> bool {
        let fits = self.rtx.len() < MAX_RTX_QUEUE;
        if fits {
            self.rtx.push_back((track, seq));
        }
        fits
    }
}
