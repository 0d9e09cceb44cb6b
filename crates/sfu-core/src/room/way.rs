//! What becomes of a packet on its way to one subscriber: it goes out, or waits for its turn on a narrow path (`pacer`).

use std::collections::VecDeque;
use std::time::Instant;

use convene_types::MediaKind;
use slab::Slab;

use super::Room;
use super::flush::{Sink, hand_over};
use crate::event::Event;
use crate::history::Stored;
use crate::layer::of_generation;
use crate::stats::Stats;
use crate::subscriber::Subscriber;
use crate::subscription::Pending;
use crate::track::Track;
use crate::write::Block;

/// The way to one subscriber, in one flush.
pub(super) struct Way<'a, S> {
    pub(super) now: Instant,
    pub(super) index: usize,
    pub(super) subscriber: &'a mut Subscriber,
    pub(super) tracks: &'a Slab<Track>,
    pub(super) sink: &'a mut S,
    pub(super) stats: &'a mut Stats,
    pub(super) events: &'a mut VecDeque<Event>,
    pub(super) report_soon: &'a mut Vec<usize>,
    pub(super) stranded: &'a mut Vec<(usize, usize)>,
}

impl<S: Sink> Way<'_, S> {
    /// A packet of the batch: it goes out, waits for its turn, or is not for this subscriber.
    #[inline]
    pub(super) fn take(&mut self, pending: &Pending, block: &mut Block) {
        let Some((track_index, track)) = pending.track.and_then(|index| Some((index, self.tracks.get(index)?))) else {
            return;
        };
        let Some(subscription) = self.subscriber.get_mut(track_index) else { return };
        if !subscription.may_take(pending.layer) {
            return;
        }
        let Some(stored) = stored(track, pending) else {
            self.stats.unwritten += 1;
            return;
        };
        let ends_wait = subscription.falls_with(pending, stored);
        if track.kind == MediaKind::Video
            && let Some(pacer) = self.subscriber.pacer.as_mut()
        {
            if ends_wait {
                pacer.forget(track_index);
            }
            if pacer.hold(self.now, track_index, *pending, (stored.bytes.len(), stored.meta.keyframe)) {
                self.stats.paced += 1;
                return;
            }
        }
        self.send((track_index, track), pending, stored, block);
    }

    /// What waited and may go.
    pub(super) fn release(&mut self) {
        self.subscriber.probe_with_what_waits();
        while let Some((track_index, pending)) = self.subscriber.pacer.as_mut().and_then(|pacer| pacer.next(self.now)) {
            let Some(track) = self.tracks.get(track_index) else { continue };
            let Some(stored) = stored(track, &pending) else {
                self.stats.unwritten += 1;
                continue;
            };
            self.send((track_index, track), &pending, stored, &mut { Block::EMPTY });
            self.subscriber.probed(stored.bytes.len());
        }
    }

    #[inline(always)]
    fn send(
        &mut self,
        (track_index, track): (usize, &Track),
        pending: &Pending,
        stored: Stored<'_>,
        block: &mut Block,
    ) {
        let Some(mut subscription) = self.subscriber.get_mut(track_index) else { return };
        let began = self.stats.switches;
        let numbers = subscription.accept(self.now, pending, &track.layers, stored, self.stats);
        if subscription.is_stranded() {
            self.stranded.push((track_index, self.index));
        }
        let Some(numbers) = numbers else { return };
        if self.stats.switches != began {
            self.lend().begin((track_index, track), pending);
            let Some(again) = self.subscriber.get_mut(track_index) else { return };
            subscription = again;
        }
        let origin = subscription.origin(numbers.0.seq as u16); // the wire carries 16 bits
        let (space, source) = (self.sink.space(), (pending.seq, stored));
        let len = subscription.write(space, numbers, source, &track.layers, block, self.stats);
        match len {
            Some(len) => {
                self.subscriber.repairs.sent(len);
                hand_over(self.now, self.subscriber, self.sink, (len, origin), self.stats);
            }
            None => self.stats.unwritten += 1,
        }
    }

    /// The same for a call that is not inlined. One that got this itself would keep its fields out of registers, for every packet.
    #[inline(always)]
    fn lend(&mut self) -> Way<'_, S> {
        Way {
            now: self.now,
            index: self.index,
            subscriber: self.subscriber,
            tracks: self.tracks,
            sink: self.sink,
            stats: self.stats,
            events: self.events,
            report_soon: self.report_soon,
            stranded: self.stranded,
        }
    }

    /// A stream begins or moves with this packet. What is here of the same picture and came before it goes out in front of it:
    /// without its first parameter sets no packet of a keyframe is one to begin with, and all of them are needed.
    #[cold]
    #[inline(never)]
    fn begin(mut self, (track_index, track): (usize, &Track), first: &Pending) {
        let Some(subscription) = self.subscriber.get_mut(track_index) else { return };
        let ahead = subscription.ahead();
        if !std::mem::replace(&mut subscription.flowing, true) {
            self.events.push_back(Event::TrackFlowing { peer: self.subscriber.peer, track: track.id });
        }
        report_at_next_tick(self.subscriber, self.index, self.report_soon);
        for seq in ahead {
            let pending = Pending { seq, ..*first };
            if let Some(stored) = stored(track, &pending) {
                self.send((track_index, track), &pending, stored, &mut { Block::EMPTY });
            }
        }
    }
}

impl Room {
    /// What waited for its turn on a narrow path may go.
    pub(super) fn release_paced(&mut self) {
        self.pace_due = None;
        for index in std::mem::take(&mut self.paced) {
            if let Some(subscriber) = self.subscribers.get_mut(index) {
                subscriber.paced = false;
                self.urgent = true;
                self.activate(index);
            }
        }
    }

    /// Comes back to a subscriber for whom something waits.
    pub(super) fn come_back(&mut self, now: Instant, index: usize) {
        let Some(subscriber) = self.subscribers.get_mut(index) else { return };
        let Some(due) = subscriber.pacer.as_ref().and_then(|pacer| pacer.due(now)) else { return };
        self.pace_due = Some(self.pace_due.map_or(due, |earlier| earlier.min(due)));
        if !std::mem::replace(&mut subscriber.paced, true) {
            self.paced.push(index);
        }
    }
}

/// A packet of the batch, while it is kept.
fn stored<'a>(track: &'a Track, pending: &Pending) -> Option<Stored<'a>> {
    of_generation(&track.layers, pending.layer, pending.generation)?.history.get(pending.seq)
}

/// A subscriber whose stream began or moved learns its clock soon.
fn report_at_next_tick(subscriber: &mut Subscriber, index: usize, report_soon: &mut Vec<usize>) {
    if !std::mem::replace(&mut subscriber.report_soon, true) {
        report_soon.push(index);
    }
}
