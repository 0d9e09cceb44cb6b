//! Packets that went out, once more: for who asks (RFC 4585, RFC 4588), and for probes.

use std::time::{Duration, Instant};

use convene_types::{MediaKind, Pt, SeqNo, Ssrc};

use super::Subscription;
use crate::bwe::Origin;
use crate::config::MAX_RTX_QUEUE;
use crate::layer::{Layer, of_generation};
use crate::munge::Run;
use crate::stats::Stats;
use crate::write::{self, Outgoing, Rtx};

/// Retransmissions remembered, so that a packet asked for twice within a round trip is sent once: at first, and where more are
/// asked for within that time, up to as many as may wait. 24 bytes each.
const RECENT_RTX: usize = 64;
const MAX_RECENT_RTX: usize = MAX_RTX_QUEUE;
/// Bounds of the time in which a packet is sent again once at most, and what holds before a report told the round trip.
const MIN_RTX_PAUSE: Duration = Duration::from_millis(10);
const START_RTX_PAUSE: Duration = Duration::from_millis(30);
const MAX_RTX_PAUSE: Duration = Duration::from_millis(150);
/// From what went out so long ago, or so long that it is kept no more, the picture of somebody who was away cannot go on, and
/// libwebrtc waits 2 to 3 s before it asks for a keyframe. After a shorter outage, and where all of it is kept, repeats are sooner
/// there than a keyframe.
const GIVE_UP: Duration = Duration::from_millis(2_500);
/// Of how many packets a probe's repeats are, and how large those must be: small ones cost more packets than they tell.
const PROBE_REACH: u16 = 24;
const MIN_PROBE_BYTES: usize = 300;
/// Padding of a packet that has nothing to repeat: the most that its count says (RFC 3550 §5.1), less a round figure's
/// odds.
const PADDING_BYTES: u8 = 240;

impl Subscription {
    /// Whether its receiver, who was away, should go on from a keyframe, for what it asks for comes too late. Nothing that went
    /// out until now is sent again then.
    pub(crate) fn gives_up(&mut self, now: Instant, seq: u16, layers: &[Layer]) -> bool {
        if self.kind != MediaKind::Video || self.is_given_up(seq) {
            return false;
        }
        let Some((run, in_seq)) = self.munger.find(seq).filter(|(run, _)| !self.munger.is_over(run)) else {
            return false;
        };
        if !of_generation(layers, run.layer, run.generation)
            .is_some_and(|layer| layer.history.is_past(now, in_seq, GIVE_UP))
        {
            return false;
        }
        self.given_up = self.munger.last_number();
        true
    }

    fn is_given_up(&self, seq: u16) -> bool {
        self.given_up.is_some_and(|until| self.munger.number(seq).is_some_and(|number| number <= until))
    }

    /// Whether a packet that was asked for may be sent again; counts the reason if not. `scarce`: the path has no room to
    /// spare.
    pub(crate) fn may_repeat(&mut self, now: Instant, seq: u16, scarce: bool, stats: &mut Stats) -> bool {
        if self.egress.rtx_ssrc.is_none() {
            stats.nack_without_rtx += 1;
            return false;
        }
        let Some((run, _)) = self.munger.find(seq) else {
            stats.nack_missed += 1;
            return false;
        };
        if self.is_given_up(seq) {
            stats.nack_too_late += 1;
            return false;
        }
        // A keyframe began the present run: nothing before it is needed to go on.
        if scarce && self.munger.is_over(run) {
            stats.nack_superseded += 1;
            return false;
        }
        let pause = self.round_trip.map_or(START_RTX_PAUSE, |rtt| rtt / 2).clamp(MIN_RTX_PAUSE, MAX_RTX_PAUSE);
        let first = self.is_first_within(now, seq, pause);
        stats.nack_suppressed += u64::from(!first);
        first
    }

    /// Whether a packet was not sent again within this time; it is then. The table grows where packets that were share a place.
    fn is_first_within(&mut self, now: Instant, seq: u16, pause: Duration) -> bool {
        if self.recent_rtx.is_empty() {
            self.recent_rtx = vec![None; RECENT_RTX];
        }
        loop {
            let len = self.recent_rtx.len();
            let Some(slot) = self.recent_rtx.get_mut(usize::from(seq) % len) else { return false };
            match slot.filter(|(_, at)| now.saturating_duration_since(*at) < pause) {
                Some((sent, _)) if sent == seq => return false,
                Some(_) if len < MAX_RECENT_RTX => self.grow_recent(),
                Some(_) | None => {
                    *slot = Some((seq, now));
                    return true;
                }
            }
        }
    }

    fn grow_recent(&mut self) {
        let len = self.recent_rtx.len() * 2;
        let before = std::mem::replace(&mut self.recent_rtx, vec![None; len]);
        for (seq, at) in before.into_iter().flatten() {
            if let Some(slot) = self.recent_rtx.get_mut(usize::from(seq) % len) {
                *slot = Some((seq, at));
            }
        }
    }

    /// Whether what is lost is worth more than one repeat, and one without being asked. On a path that loses much, repeats
    /// and requests are lost as often as packets are, and the next chance is a round trip away: by then the picture has
    /// stopped. Not where the path is `scarce`: there the loss may be our own doing.
    pub(crate) const fn is_worth_more(&self, scarce: bool) -> bool {
        self.is_lossy() && !scarce
    }

    /// Whether its receiver lost much lately.
    pub(crate) const fn is_lossy(&self) -> bool {
        self.loss.is_bad()
    }

    /// What to send again of a packet that goes out under this number.
    pub(crate) fn origin(&self, seq: u16) -> Origin {
        if self.egress.rtx_ssrc.is_some() { Origin::new(self.track, seq) } else { Origin::NONE }
    }

    /// Writes a packet again, as RTX.
    pub(crate) fn repeat(&mut self, out: &mut [u8], seq: u16, layers: &[Layer], stats: &mut Stats) -> Option<usize> {
        let (run, in_seq) = self.munger.find(seq)?;
        let Some(stored) = of_generation(layers, run.layer, run.generation).and_then(|layer| layer.history.get(in_seq))
        else {
            stats.nack_missed += 1;
            return None;
        };
        let Some((pt, Some(rtx_pt), ssrc)) = self.pts_of(run, stored.meta.pt) else {
            stats.nack_without_rtx += 1;
            return None;
        };
        let numbers = run.numbers(in_seq, stored.meta).filter(|_| run.has(in_seq, stored.meta));
        let Some(numbers) = numbers else {
            stats.nack_missed += 1;
            return None;
        };
        let rtx = Rtx { ssrc, pt: rtx_pt, seq: SeqNo(self.rtx_seq) };
        let playout_delay = self.playout.value();
        let outgoing = Outgoing { egress: &self.egress, run, numbers, pt, stored, playout_delay, red: None };
        let written = write::retransmission(out, &outgoing, &rtx)?;
        self.rtx_seq = self.rtx_seq.wrapping_add(1);
        Some(written)
    }

    /// Writes a packet for a probe: one of the last that went out once more, if `repeats` may be, else padding. `None`: RTX
    /// was not negotiated.
    pub(crate) fn probe(&mut self, out: &mut [u8], layers: &[Layer], repeats: bool) -> Option<usize> {
        let ssrc = self.egress.rtx_ssrc.filter(|_| self.kind == MediaKind::Video && !self.paused)?;
        let repeated = self.munger.last_seq().filter(|_| repeats).and_then(|last| {
            let seq = last.wrapping_sub(self.probe_back % PROBE_REACH);
            self.probe_back = self.probe_back.wrapping_add(1);
            let (run, in_seq) = self.munger.find(seq)?;
            let large =
                of_generation(layers, run.layer, run.generation)?.history.get(in_seq)?.bytes.len() >= MIN_PROBE_BYTES;
            large.then(|| self.repeat(out, seq, layers, &mut Stats::default()))?
        });
        repeated.or_else(|| {
            let pt = self.egress.pts.iter().find_map(|map| map.rtx)?;
            let rtx = Rtx { ssrc, pt, seq: SeqNo(self.rtx_seq) };
            let written = write::padding(out, &self.egress, &rtx, self.munger.last_ts(), PADDING_BYTES)?;
            self.rtx_seq = self.rtx_seq.wrapping_add(1);
            Some(written)
        })
    }

    /// Payload type, that of RTX, and the SSRC of RTX.
    fn pts_of(&self, run: &Run, pt: Pt) -> Option<(Pt, Option<Pt>, Ssrc)> {
        let ssrc = self.egress.rtx_ssrc?;
        if pt == run.pts.from {
            return Some((run.pts.to, run.pts.rtx, ssrc));
        }
        self.map_pt(pt).map(|map| (map.to, map.rtx, ssrc))
    }
}
