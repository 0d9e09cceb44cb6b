//! The way out to subscribers: subscriber-outer, packet-inner.

use std::time::Instant;

use convene_types::PeerId;

use super::Room;
use crate::bwe::Origin;
use crate::event::Event;
use crate::subscriber::Subscriber;

impl Room {
    /// The next subscriber that may have something to send; `write_next` then writes for it until it returns `None`.
    /// `None` here ends the flush.
    pub fn next_subscriber(&mut self) -> Option<PeerId> {
        if let Some(unfinished) = self.current.take() {
            self.active.push_back(unfinished);
        }
        self.equalise();
        loop {
            if let Some(index) = self.active.pop_front() {
                let Some(subscriber) = self.subscribers.get(index) else { continue };
                self.current = Some(index);
                return Some(subscriber.peer);
            }
            let Some(track) = self.dirty.pop() else {
                self.batch_base += self.batch.len() as u64;
                self.batch.clear();
                self.blocks.clear();
                self.equalised = 0;
                self.urgent = false;
                self.select_stranded();
                return None;
            };
            self.activate_subscribers(track);
        }
    }

    /// The subscribers that come next, at most `count`. What packets for them need is brought into the cache on the way, in
    /// one pass for each step from pointer to pointer, so that the memory is asked for all of them at once: at its turn,
    /// each would wait for every step alone.
    pub fn upcoming(&self, count: usize) -> impl Iterator<Item = PeerId> {
        let next = || self.current.iter().chain(&self.active).take(count);
        let subscribers = || next().filter_map(|index| self.subscribers.get(*index));
        std::hint::black_box(subscribers().fold(0, |sum, subscriber| sum ^ subscriber.touch()));
        std::hint::black_box(subscribers().fold(0, |sum, subscriber| sum ^ subscriber.touch_first()));
        subscribers().map(|subscriber| subscriber.peer)
    }

    /// Writes the next plaintext RTP packet for the subscriber that `next_subscriber` named; its length. `None`: it has
    /// everything. `out` should hold 1,600 bytes: what does not fit is counted and left out.
    pub fn write_next(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let index = self.current?;
        let written = self.write_rtx(now, index, out);
        let written = written.or_else(|| self.write_media(now, index, out));
        let written = written.or_else(|| Some((self.write_probe(index, out)?, Origin::NONE)));
        match written {
            Some((len, origin)) => {
                if let (Some(subscriber), Some(packet)) = (self.subscribers.get_mut(index), out.get_mut(..len)) {
                    subscriber.stamp(now, packet, origin);
                }
                self.stats.packets_out += 1;
                self.stats.bytes_out += len as u64;
            }
            None => {
                self.current = None;
                if let Some(subscriber) = self.subscribers.get_mut(index) {
                    subscriber.queued = false;
                }
            }
        }
        written.map(|(len, _)| len)
    }

    /// Something waits that should not be gathered with later packets: audio, or a retransmission.
    #[must_use]
    pub fn has_urgent(&self) -> bool {
        self.urgent
    }

    /// Enters a subscriber for the flush.
    pub(super) fn activate(&mut self, index: usize) {
        if let Some(subscriber) = self.subscribers.get_mut(index)
            && !std::mem::replace(&mut subscriber.queued, true)
        {
            self.active.push_back(index);
        }
    }

    fn activate_subscribers(&mut self, track: usize) {
        let Some(track) = self.tracks.get_mut(track) else { return };
        track.dirty = false;
        for index in &track.subscribers {
            if let Some(subscriber) = self.subscribers.get_mut(*index)
                && !std::mem::replace(&mut subscriber.queued, true)
            {
                self.active.push_back(*index);
            }
        }
    }

    fn write_rtx(&mut self, now: Instant, index: usize, out: &mut [u8]) -> Option<(usize, Origin)> {
        let subscriber = self.subscribers.get_mut(index)?;
        if subscriber.rtx.is_empty() {
            return None;
        }
        let budget = subscriber.budget(now);
        if !subscriber.repairs.may(now, budget) {
            self.stats.rtx_over_budget += subscriber.rtx.len() as u64;
            subscriber.rtx.clear(); // who still needs them asks again
            return None;
        }
        while let Some((track, seq)) = subscriber.rtx.pop_front() {
            let Some(layers) = self.tracks.get(track).map(|track| &track.layers) else { continue };
            let Some(subscription) = subscriber.get_mut(track) else { continue };
            if let Some(len) = subscription.repeat(out, seq, layers, &mut self.stats) {
                self.stats.rtx_out += 1;
                subscriber.repairs.spend(len);
                return Some((len, Origin::new(track, seq)));
            }
        }
        None
    }

    fn write_media(&mut self, now: Instant, index: usize, out: &mut [u8]) -> Option<(usize, Origin)> {
        let Self { subscribers, tracks, batch, blocks, batch_base, stats, events, report_soon, stranded, .. } = self;
        let subscriber = subscribers.get_mut(index)?;
        let mut at = usize::try_from(subscriber.cursor.saturating_sub(*batch_base)).unwrap_or(usize::MAX);
        let mut written = None;
        while written.is_none()
            && let (Some(pending), Some(block)) = (batch.get(at), blocks.get_mut(at))
        {
            at += 1;
            let Some((track_index, track)) = pending.track.and_then(|index| Some((index, tracks.get(index)?))) else {
                continue;
            };
            let Some(subscription) = subscriber.get_mut(track_index) else { continue };
            if !subscription.may_take(pending.layer) {
                continue;
            }
            let layer = track.layers.get(usize::from(pending.layer));
            let layer = layer.filter(|layer| layer.generation == pending.generation);
            let Some(stored) = layer.and_then(|layer| layer.history.get(pending.seq)) else {
                stats.unwritten += 1;
                continue;
            };
            let began = stats.switches;
            let numbers = subscription.accept(now, pending, &track.layers, stored, stats);
            if subscription.is_stranded() {
                stranded.push((track_index, index));
            }
            let Some(numbers) = numbers else { continue };
            let origin = subscription.origin(numbers.0.seq as u16); // the wire carries 16 bits
            let len = subscription.write(out, numbers, (pending.seq, stored), &track.layers, block, stats);
            written = len.map(|len| (len, origin));
            stats.unwritten += u64::from(written.is_none());
            if stats.switches == began {
                continue;
            }
            if !std::mem::replace(&mut subscription.flowing, true) {
                events.push_back(Event::TrackFlowing { peer: subscriber.peer, track: track.id });
            }
            report_at_next_tick(subscriber, index, report_soon);
        }
        subscriber.cursor = *batch_base + at as u64;
        written
    }
}

/// A subscriber whose stream began or moved learns its clock soon.
fn report_at_next_tick(subscriber: &mut Subscriber, index: usize, report_soon: &mut Vec<usize>) {
    if !std::mem::replace(&mut subscriber.report_soon, true) {
        report_soon.push(index);
    }
}
