//! The way out to subscribers: subscriber-outer, packet-inner.

use std::time::Instant;

use convene_types::PeerId;

use super::Room;
use super::way::Way;
use crate::bwe::Origin;
use crate::stats::Stats;
use crate::subscriber::Subscriber;

/// Takes the plaintext RTP packets of a flush.
pub trait Sink {
    /// Where the next packet is written. It should have 1,600 bytes: what does not fit is counted and left out.
    fn space(&mut self) -> &mut [u8];
    /// Takes the packet of `len` bytes that stands there.
    fn take(&mut self, len: usize);
}

/// A sink that shows each packet to somebody.
pub struct Show<F> {
    space: Box<[u8; 1_600]>,
    each: F,
}

impl<F: FnMut(&[u8])> Show<F> {
    /// To this one.
    pub fn to(each: F) -> Self {
        Self { space: Box::new([0; 1_600]), each }
    }
}

impl<F: FnMut(&[u8])> Sink for Show<F> {
    fn space(&mut self) -> &mut [u8] {
        self.space.as_mut_slice()
    }

    fn take(&mut self, len: usize) {
        (self.each)(self.space.get(..len).unwrap_or_default());
    }
}

impl Room {
    /// The next subscriber that may have something to send, for which `write` then writes it. `None` ends the flush.
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

    /// Writes everything that waits for the subscriber that `next_subscriber` named: repeats, then media, then what a probe
    /// wants.
    pub fn write(&mut self, now: Instant, sink: &mut impl Sink) {
        let Some(index) = self.current.take() else { return };
        self.write_repeats(now, index, sink);
        self.write_media(now, index, sink);
        while let Some(len) = self.write_probe(index, sink.space()) {
            if let Some(subscriber) = self.subscribers.get_mut(index) {
                hand_over(now, subscriber, sink, (len, Origin::NONE), &mut self.stats);
            }
        }
        if let Some(subscriber) = self.subscribers.get_mut(index) {
            subscriber.queued = false;
            if subscriber.pacer.is_some() {
                self.come_back(now, index);
            }
        }
    }

    /// Something waits that should not be gathered with later packets: audio, or a retransmission.
    #[must_use]
    pub fn has_urgent(&self) -> bool {
        self.urgent
    }

    /// How many packets, about, the next flush has to write more than when this was last asked.
    pub fn take_owed(&mut self) -> u64 {
        std::mem::take(&mut self.owed)
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

    fn write_repeats(&mut self, now: Instant, index: usize, sink: &mut impl Sink) {
        let Some(subscriber) = self.subscribers.get_mut(index).filter(|subscriber| !subscriber.rtx.is_empty()) else {
            return;
        };
        let budget = subscriber.budget(now);
        while subscriber.repairs.may(now, budget) {
            let Some((track, seq)) = subscriber.rtx.pop_front() else { return };
            let Some(layers) = self.tracks.get(track).map(|track| &track.layers) else { continue };
            let Some(subscription) = subscriber.get_mut(track) else { continue };
            if let Some(len) = subscription.repeat(sink.space(), seq, layers, &mut self.stats) {
                self.stats.rtx_out += 1;
                subscriber.repairs.spend(len);
                hand_over(now, subscriber, sink, (len, Origin::new(track, seq)), &mut self.stats);
            }
        }
        self.stats.rtx_over_budget += subscriber.rtx.len() as u64;
        subscriber.rtx.clear(); // who still needs them asks again
    }

    fn write_media(&mut self, now: Instant, index: usize, sink: &mut impl Sink) {
        let Self { subscribers, tracks, batch, blocks, batch_base, stats, events, report_soon, stranded, .. } = self;
        let Some(subscriber) = subscribers.get_mut(index) else { return };
        let from = usize::try_from(subscriber.cursor.saturating_sub(*batch_base)).unwrap_or(usize::MAX);
        subscriber.cursor = subscriber.cursor.max(*batch_base + batch.len() as u64);
        let mut way = Way { now, index, subscriber, tracks, sink, stats, events, report_soon, stranded };
        if way.subscriber.pacer.is_some() {
            way.release();
        }
        let fresh = batch.get(from..).unwrap_or_default();
        for (pending, block) in fresh.iter().zip(blocks.get_mut(from..).unwrap_or_default()) {
            way.take(pending, block);
        }
    }
}

/// A packet that was written where the sink wanted it, of so many bytes, gets its stamp and goes out.
#[inline]
pub(super) fn hand_over(
    now: Instant,
    subscriber: &mut Subscriber,
    sink: &mut impl Sink,
    (len, origin): (usize, Origin),
    stats: &mut Stats,
) {
    if let Some(packet) = sink.space().get_mut(..len) {
        subscriber.stamp(now, packet, origin);
    }
    if let Some(pacer) = subscriber.pacer.as_mut() {
        pacer.spend(len);
    }
    stats.packets_out += 1;
    stats.bytes_out += len as u64;
    sink.take(len);
}
