//! A peer that receives: its subscriptions, and what waits for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use convene_rtp::ext;
use convene_types::{PeerId, Ssrc};

use crate::bwe::{Estimator, Origin, WIRE_OVERHEAD};
use crate::config::MAX_RTX_QUEUE;
use crate::pacer::Pacer;
use crate::remb::Remb;
use crate::repairs::Repairs;
use crate::stamp::{Method, Stamp, abs_send_time};
use crate::subscription::{Claim, Subscription};

/// Whoever said nothing for so long had no network: feedback comes some ten times a second while packets arrive. (Receivers
/// that send none report once a second, and count as back all the time.)
const SILENCE: Duration = Duration::from_secs(1);
/// How long after a silence what is asked for may be what it took.
const JUST_BACK: Duration = Duration::from_secs(3);

/// What a path is taken to carry, in bit/s, that seemed to have a limit and does no more.
const UNLIMITED: f64 = 1e9;

/// In `places`: not subscribed.
const NONE: u32 = u32::MAX;

/// One receiving peer.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) peer: PeerId,
    /// How many of the room's subscribers came before it: who came first keeps video longest.
    pub(crate) rank: usize,
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
    /// It is in the list of those whose path loses packets.
    pub(crate) watched: bool,
    /// What its packets are stamped with, if anything was negotiated.
    stamp: Option<Stamp>,
    pub(crate) estimator: Option<Box<Estimator>>,
    /// Where its path has shown a limit: what waits for its turn on it.
    pub(crate) pacer: Option<Box<Pacer>>,
    /// It is in the list of those for whom something waits so.
    pub(crate) paced: bool,
    /// What its repeats may take.
    pub(crate) repairs: Repairs,
    /// What it says itself of its path.
    pub(crate) remb: Remb,
    /// Bits per second that it could use; as of the last allocation.
    pub(crate) desired: f64,
    /// Bytes of a probe that wait for the flush.
    pub(crate) probe_bytes: usize,
    /// When its last RTCP came.
    pub(crate) heard: Option<Instant>,
    /// When it was first heard, or again after a silence.
    back: Option<Instant>,
    /// Packets sent to it when it was last rated.
    pub(crate) packets_rated: u32,
    epoch: Instant,
}

impl Subscriber {
    pub(crate) fn new(peer: PeerId, rank: usize, cursor: u64, epoch: Instant) -> Self {
        Self {
            peer,
            rank,
            subscriptions: Vec::new(),
            places: Vec::new(),
            rtx: VecDeque::new(),
            queued: false,
            cursor,
            report_soon: false,
            watched: false,
            stamp: None,
            estimator: None,
            pacer: None,
            paced: false,
            repairs: Repairs::default(),
            remb: Remb::default(),
            desired: 0.0,
            probe_bytes: 0,
            heard: None,
            back: None,
            packets_rated: 0,
            epoch,
        }
    }

    #[inline]
    fn place(&self, track: usize) -> Option<usize> {
        self.places.get(track).filter(|place| **place != NONE).map(|place| *place as usize)
    }

    pub(crate) fn get(&self, track: usize) -> Option<&Subscription> {
        self.subscriptions.get(self.place(track)?)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, track: usize) -> Option<&mut Subscription> {
        let place = self.place(track)?;
        self.subscriptions.get_mut(place)
    }

    pub(crate) fn by_ssrc(&mut self, ssrc: Ssrc) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|subscription| subscription.egress.ssrc == ssrc)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.subscriptions.iter_mut()
    }

    /// Reads a little of each of its own cache lines that a packet needs.
    pub(crate) fn touch(&self) -> u64 {
        let lens = self.places.len() ^ self.subscriptions.len() ^ self.rtx.len();
        lens as u64
            ^ self.cursor
            ^ u64::from(self.stamp.is_some())
            ^ u64::from(self.queued)
            ^ u64::from(self.pacer.is_some())
    }

    /// The same of its first subscription, of which most have no more.
    pub(crate) fn touch_first(&self) -> u64 {
        let place = self.places.first().copied().unwrap_or_default();
        u64::from(place) ^ self.subscriptions.first().map_or(0, Subscription::touch)
    }

    /// Whether anything is known of its path, or may be.
    pub(crate) const fn is_estimated(&self) -> bool {
        self.estimator.is_some() || self.remb.is_known()
    }

    /// Paces what goes out, as long as the path seems to have a limit.
    pub(crate) fn mind_limit(&mut self, now: Instant) {
        let bits = self.estimator.as_ref().and_then(|estimator| estimator.pacing(now, self.desired));
        match (bits, self.pacer.as_mut()) {
            (Some(bits), _) => self.pacer.get_or_insert_with(|| Box::new(Pacer::new(now))).set_rate(now, bits),
            (None, Some(pacer)) if pacer.is_empty() => self.pacer = None,
            (None, Some(pacer)) => pacer.set_rate(now, UNLIMITED),
            (None, None) => {}
        }
    }

    /// Whether a keyframe of a layer waits for its turn: it need not be asked for.
    pub(crate) fn has_keyframe(&self, track: usize, layer: u8) -> bool {
        self.pacer.as_ref().is_some_and(|pacer| pacer.has_keyframe(track, layer))
    }

    /// Where something waits for its turn, a probe needs no padding: that goes out in its place.
    pub(crate) fn probe_with_what_waits(&mut self) {
        if let Some(pacer) = self.pacer.as_mut().filter(|_| self.probe_bytes > 0) {
            pacer.lend(self.probe_bytes);
        }
    }

    /// A packet of this many bytes went out for the probe.
    pub(crate) fn probed(&mut self, bytes: usize) {
        self.probe_bytes = self.probe_bytes.saturating_sub(bytes + WIRE_OVERHEAD);
    }

    /// Bits per second that may be sent to it. `None`: nobody knows.
    pub(crate) fn budget(&self, now: Instant) -> Option<f64> {
        self.estimator.as_ref().and_then(|estimator| estimator.budget(now)).or_else(|| self.remb.bits(now))
    }

    /// Whether the budget is only a guess. Nothing may be paused by it: what is larger than the guess would always begin
    /// with a pause, and without audio there would be nothing to answer to.
    pub(crate) fn is_guessed(&self) -> bool {
        self.estimator.as_ref().is_some_and(|estimator| !estimator.is_known()) && !self.remb.is_known()
    }

    /// Whether a queue grew on its path while a receiver report was in the making.
    pub(crate) fn is_congested(&self, now: Instant) -> bool {
        self.estimator.as_ref().is_some_and(|estimator| estimator.was_congested(now))
    }

    /// RTCP of it came. Before the first it was as good as away: the outage may have begun before it could say anything.
    pub(crate) fn hear(&mut self, now: Instant) {
        if self.heard.is_none_or(|at| now.saturating_duration_since(at) >= SILENCE) {
            self.back = Some(now);
        }
        self.heard = Some(now);
    }

    /// Whether it was away until a moment ago.
    pub(crate) fn is_just_back(&self, now: Instant) -> bool {
        self.back.is_some_and(|at| now.saturating_duration_since(at) < JUST_BACK)
    }

    /// Whether less is known to fit than it could use.
    pub(crate) fn is_scarce(&self, now: Instant) -> bool {
        self.budget(now).is_some_and(|budget| budget < self.desired)
    }

    /// See [`Estimator::need`].
    pub(crate) fn need(&mut self, bits: f64) {
        if let Some(estimator) = self.estimator.as_mut() {
            estimator.need(bits);
        }
    }

    /// Begins to send more than is needed, if more is desired than is known to fit. `true`: it began.
    pub(crate) fn begin_probe(&mut self, now: Instant) -> bool {
        // What waits for a limit that is no more is sent as a probe, and shows it.
        let waiting = self.pacer.as_ref().map_or(0.0, |pacer| pacer.desired());
        match self.estimator.as_mut().filter(|estimator| estimator.is_grounded()) {
            Some(estimator) => estimator.begin_probe(now, self.desired.max(waiting)),
            None => self.remb.begin(now, self.desired),
        }
    }

    /// Bytes of probing to send now, and when to ask again.
    pub(crate) fn probe_due(&mut self, now: Instant) -> (usize, Option<Instant>) {
        match self.estimator.as_mut().filter(|estimator| estimator.is_grounded()) {
            Some(estimator) => (estimator.probe_bytes(now), estimator.probe_due()),
            None => self.remb.due(now, self.desired),
        }
    }

    /// Whether a probe may be made of repeats: packets of full size are too few to measure a slow path with.
    pub(crate) fn probes_with_repeats(&self) -> bool {
        let estimator = self.estimator.as_ref().filter(|estimator| estimator.is_grounded());
        estimator.is_none_or(|estimator| estimator.probe_takes_large())
    }

    /// Whether a better path would be found out without media on it.
    pub(crate) fn can_probe(&self) -> bool {
        self.estimator.is_some() && self.subscriptions.iter().any(|subscription| subscription.egress.rtx_ssrc.is_some())
    }

    /// Gives a packet that goes out its number or its time.
    pub(crate) fn stamp(&mut self, now: Instant, packet: &mut [u8], origin: Origin) {
        let Some(stamp) = self.stamp else { return };
        let len = packet.len();
        self.remb.sent(len);
        let Some(place) = stamp.find(packet) else { return };
        match (stamp.method, self.estimator.as_mut()) {
            (Method::TransportCc, Some(estimator)) => {
                place.copy_from_slice(&estimator.sent(now, len, origin).to_be_bytes())
            }
            (Method::AbsSendTime, _) => {
                place.copy_from_slice(&abs_send_time(now.saturating_duration_since(self.epoch)));
            }
            (Method::TransportCc, None) => {}
        }
    }

    /// Estimates from now on, if a subscription's section has what it takes. Ids are the same in all sections of a
    /// transport (RFC 8843 §9.2).
    pub(crate) fn prepare(&mut self, now: Instant, exts: &ext::Map) {
        let Some(stamp) =
            Stamp::of(exts).filter(|_| self.stamp.is_none_or(|known| known.method == Method::AbsSendTime))
        else {
            return;
        };
        self.stamp = Some(stamp);
        if stamp.method == Method::TransportCc {
            self.estimator = Some(Box::new(Estimator::new(now)));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Adds a subscription to a track that it has none to.
    pub(crate) fn insert(&mut self, now: Instant, subscription: Subscription) {
        self.prepare(now, &subscription.egress.exts);
        let track = subscription.track;
        if self.places.len() <= track {
            self.places.resize(track + 1, NONE);
        }
        if let Some(place) = self.places.get_mut(track) {
            *place = self.subscriptions.len() as u32;
        }
        self.subscriptions.push(subscription);
    }

    /// Takes all subscriptions away.
    pub(crate) fn take_all(&mut self) -> Vec<Subscription> {
        self.places.clear();
        self.rtx.clear();
        self.pacer = None;
        std::mem::take(&mut self.subscriptions)
    }

    /// As it comes into another room, whose batch is at `cursor`: nothing waits for it there.
    pub(crate) fn arriving(mut self, rank: usize, cursor: u64) -> Self {
        (self.rank, self.cursor, self.probe_bytes) = (rank, cursor, 0);
        (self.queued, self.report_soon, self.watched, self.paced) = (false, false, false, false);
        self
    }

    /// Indices of the tracks that it is subscribed to.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = usize> {
        self.subscriptions.iter().map(|subscription| subscription.track)
    }

    /// Takes the subscription to a track away; what the track has counted of it. `None`: there was none.
    pub(crate) fn remove(&mut self, track: usize) -> Option<Claim> {
        let place = self.places.get_mut(track).filter(|place| **place != NONE)?;
        let removed = std::mem::replace(place, NONE);
        let claim = self.subscriptions.swap_remove(removed as usize).claim;
        if let Some(moved) = self.subscriptions.get(removed as usize)
            && let Some(place) = self.places.get_mut(moved.track)
        {
            *place = removed;
        }
        self.rtx.retain(|(waiting, _)| *waiting != track);
        if let Some(pacer) = self.pacer.as_mut() {
            pacer.forget(track);
        }
        Some(claim)
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
