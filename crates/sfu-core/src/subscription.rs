//! One track for one subscriber: which layer it gets, and the numbers of what goes out.

mod repeat;
mod report;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use convene_rtp::red;
use convene_types::{MediaKind, Pt, SeqNo, Ssrc};

use crate::cut::{ALL, Cut, level_of, step, temporal_of};
use crate::flow::Reports;
use crate::history::Stored;
use crate::layer::{Layer, of_generation};
use crate::loss::Loss;
use crate::munge::{Last, Munger, Numbers, Pts, Run, Skip, Start};
use crate::playout::Playout;
use crate::redundancy::{MAX_BLOCKS, Redundancy};
use crate::share::Share;
use crate::spec::{Egress, PtMap};
use crate::sr::Clock;
use crate::stats::Stats;
use crate::track::{Target, choose};
use crate::uplink::Uplink;
use crate::write::{self, Block, Outgoing, Red, Shape};

/// A packet that waits for the flush.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// Index of the track; `None`: the track is gone.
    pub(crate) track: Option<usize>,
    pub(crate) layer: u8,
    pub(crate) generation: u32,
    /// Number within the layer.
    pub(crate) seq: u64,
}

/// What went out last with the SSRCs of a peer's ended subscriptions, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Ended(VecDeque<(Ssrc, Last)>);

/// SSRCs remembered of a peer: those of sections that it has reserved (WHEP: one or two), and those of tracks whose sections it has
/// stopped and may let go on, so as many as it may be subscribed to. Of one that is forgotten earlier, timestamps and picture ids
/// begin anew; each takes 48 bytes.
const MAX_ENDED: usize = 256;

impl Ended {
    pub(crate) fn push(&mut self, ssrc: Ssrc, last: Last) {
        self.0.retain(|(known, _)| *known != ssrc);
        self.0.push_back((ssrc, last));
        if self.0.len() > MAX_ENDED {
            self.0.pop_front();
        }
    }

    /// `true`: none is left.
    pub(crate) fn forget(&mut self, ssrc: Ssrc) -> bool {
        self.0.retain(|(known, _)| *known != ssrc);
        self.0.is_empty()
    }

    pub(crate) fn find(&self, ssrc: Ssrc) -> Option<Last> {
        self.0.iter().find(|(known, _)| *known == ssrc).map(|(_, last)| *last)
    }
}

/// The layers that a subscription makes use of, as of its last selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Goes out.
    pub(crate) current: Option<u8>,
    /// Its keyframe is waited for.
    pub(crate) wanted: Option<u8>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Index of the track.
    pub(crate) track: usize,
    kind: MediaKind,
    pub(crate) egress: Egress,
    /// What its header extensions have in common with those of others.
    pub(crate) shape: Option<Shape>,
    pub(crate) paused: bool,
    pub(crate) max_layer: u8,
    pub(crate) share: Share,
    /// The layer whose next keyframe starts a run, and how much of it; for audio any packet does.
    wanted: Option<Target>,
    munger: Munger,
    /// Something went out.
    pub(crate) flowing: bool,
    packets: u32,
    octets: u32,
    rtx_seq: u16,
    recent_rtx: Vec<Option<(u16, Instant)>>,
    /// All of the number of the last packet that its receiver is not to wait for.
    given_up: Option<u64>,
    /// The last SR: the middle of its NTP time, and when it went out.
    last_sr: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
    loss: Loss,
    playout: Playout,
    redundancy: Redundancy,
    /// How far back the next repeat for a probe is.
    probe_back: u16,
    /// Loss (0..=1) and jitter in ms of the last receiver report.
    pub(crate) reported: Option<(f32, f32)>,
    /// Packets and octets when it was last measured, and what reports said since.
    measured: (u32, u32),
    reports: Reports,
    /// What its track has counted of it.
    pub(crate) claim: Claim,
    /// Somebody knows that it waits for a keyframe.
    waits: bool,
}

impl Subscription {
    /// `last`: what went out last with its SSRC, where an earlier subscription had that.
    pub(crate) fn new(track: usize, kind: MediaKind, egress: Egress, shape: Option<Shape>, last: Option<Last>) -> Self {
        let next = |last: SeqNo| last.0.wrapping_add(1);
        let start = egress.after.0.map_or_else(|| first_seq(egress.ssrc), next);
        let munger = match (last, egress.after.0) {
            (Some(last), Some(SeqNo(seq))) => Munger::after(last, seq),
            (_, _) => Munger::new(start),
        };
        let rtx_seq = egress.after.1.map_or_else(|| egress.rtx_ssrc.map_or(0, first_seq), next);
        Self {
            track,
            kind,
            egress,
            shape,
            paused: false,
            max_layer: u8::MAX,
            share: Share::default(),
            wanted: None,
            munger,
            flowing: false,
            packets: 0,
            octets: 0,
            rtx_seq,
            recent_rtx: Vec::new(),
            given_up: None,
            last_sr: None,
            round_trip: None,
            loss: Loss::default(),
            playout: Playout::default(),
            redundancy: Redundancy::default(),
            probe_back: 0,
            reported: None,
            measured: (0, 0),
            reports: Reports::default(),
            claim: Claim::default(),
            waits: false,
        }
    }

    /// Goes over to another room: numbers go on, but nothing that went out can be found any more.
    pub(crate) fn carry(&mut self) {
        self.munger.carry();
        (self.wanted, self.waits, self.claim) = (None, false, Claim::default());
        self.recent_rtx.clear();
        self.probe_back = 0;
    }

    /// What went out last, for who goes on with its SSRC.
    pub(crate) fn last(&self) -> Option<(Ssrc, Last)> {
        Some((self.egress.ssrc, self.munger.last()?))
    }

    /// Stops until the next selection: paused or muted.
    pub(crate) fn stop(&mut self) {
        self.munger.stop();
        self.wanted = None;
    }

    /// Chooses the layer among the live ones: what it makes use of from here on.
    pub(crate) fn select(&mut self, live: u8, layers: &[Layer]) -> Claim {
        self.choose(live, layers);
        let claim = Claim { current: self.current(), wanted: self.wanted() };
        self.waits = claim.wanted.is_some();
        claim
    }

    /// Whether it has come to wait for a keyframe since its last selection: it was to get less of a stream with the next
    /// picture, but missed where that begins. Says so once.
    #[inline]
    pub(crate) fn is_stranded(&mut self) -> bool {
        let waits = self.wanted().is_some();
        !std::mem::replace(&mut self.waits, waits) && waits
    }

    fn choose(&mut self, live: u8, layers: &[Layer]) {
        let generation = |layer: u8| layers.get(usize::from(layer)).map(|layer| layer.generation);
        if self.munger.run().is_some_and(|run| generation(run.layer) != Some(run.generation)) {
            self.munger.stop();
        }
        self.wanted = None;
        let Some(most) = self.share.most().filter(|_| !self.paused) else { return };
        let Some(level) = choose(live, level_of(most).min(self.max_layer)) else { return };
        let temporal = if level == level_of(most) { temporal_of(most) } else { ALL };
        let target = Target::of(step(level, temporal), layers);
        let goes_on = self.current() == Some(target.layer);
        if !self.can_take(layers.get(usize::from(target.layer))) {
            // No keyframe of it helps.
            if goes_on {
                self.munger.stop();
            }
            return;
        }
        if goes_on {
            self.munger.aim(target.cut);
            return;
        }
        self.wanted = Some(target);
        // Too much for the path until the keyframe comes: what can be left out at once is.
        let falls = self.step(layers).is_some_and(|present| most < present);
        self.munger.aim(if falls { Cut::new(ALL, 0) } else { Cut::WHOLE });
    }

    /// The step that is forwarded.
    pub(crate) fn step(&self, layers: &[Layer]) -> Option<u8> {
        self.munger.run().map(|run| Target { layer: run.layer, cut: run.trim.cut() }.step(layers))
    }

    /// Whether less of what is forwarded can be had with the next picture.
    pub(crate) fn falls_at_once(&self, step: u8, layers: &[Layer]) -> bool {
        let target = Target::of(step, layers);
        self.munger.run().is_some_and(|run| run.layer == target.layer && run.trim.falls_at_once(target.cut))
    }

    /// The layer that is forwarded.
    pub(crate) fn current(&self) -> Option<u8> {
        self.munger.run().map(|run| run.layer)
    }

    /// The layer that waits for its keyframe.
    pub(crate) fn wanted(&self) -> Option<u8> {
        let within = self.munger.run().filter(|run| run.trim.awaits_keyframe()).map(|run| run.layer);
        self.wanted.map(|target| target.layer).or(within)
    }

    /// Whether packets of a layer are of any use: cheap, and before the packet itself is looked up.
    pub(crate) fn may_take(&self, layer: u8) -> bool {
        self.current() == Some(layer) || self.wanted.is_some_and(|target| target.layer == layer)
    }

    /// Decides on a packet of the batch and numbers it. `None`: not for this subscriber.
    #[inline]
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        pending: &Pending,
        layers: &[Layer],
        stored: Stored<'_>,
        stats: &mut Stats,
    ) -> Option<(Numbers, Pt)> {
        if let Some(target) = self.starts(pending, stored) {
            self.start(now, pending, target.cut, layers, stored, stats)?;
        }
        let run = self.munger.run()?;
        if (run.layer, run.generation) != (pending.layer, pending.generation) {
            return None;
        }
        let pt = match stored.meta.pt == run.pts.from {
            true => run.pts.to,
            false => match self.map_pt(stored.meta.pt) {
                Some(map) => map.to,
                None => {
                    stats.unmapped_pt += 1;
                    return None;
                }
            },
        };
        let before = self.munger.run().map(|run| run.trim.cut());
        let numbers = self.munger.place(now, pending.seq, stored.meta);
        stats.turns += u64::from(self.munger.run().map(|run| run.trim.cut()) != before);
        match numbers {
            Ok(Numbers { blank: true, .. }) => stats.layered_out += 1,
            Ok(_) => {}
            Err(Skip::LeftOut) => stats.layered_out += 1,
            Err(Skip::Outside) => stats.before_switch += 1,
        }
        let numbers = numbers.ok()?;
        let uplink = layers.get(usize::from(pending.layer)).map(|layer| &layer.uplink);
        if self.playout.is_told() || self.loss.is_bad() || uplink.is_some_and(Uplink::is_bad) {
            // A packet may be lost on both paths.
            let wanted = self.loss.delay(now) + uplink.map_or(Duration::ZERO, |uplink| uplink.delay(now));
            self.playout.note(now, wanted, self.packets > 0);
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(stored.meta.payload(stored.bytes).len() as u32);
        Some((numbers, pt))
    }

    /// Writes a packet of the run that goes on; `accept` has just numbered it.
    #[inline]
    pub(crate) fn write(
        &self,
        out: &mut [u8],
        (numbers, pt): (Numbers, Pt),
        (seq, stored): (u64, Stored<'_>),
        layers: &[Layer],
        block: &mut Block,
        stats: &mut Stats,
    ) -> Option<usize> {
        let run = self.munger.run()?;
        let layer = layers.get(usize::from(run.layer))?;
        let playout_delay = self.playout.value();
        let red = self.older(seq, stored, layer);
        let pt = red.map_or(pt, |red| red.pts.red);
        stats.red_made += u64::from(red.is_some());
        let outgoing = Outgoing { egress: &self.egress, run, numbers, pt, stored, playout_delay, red };
        write::media(out, &outgoing, self.shape, block)
    }

    /// What a packet of plain Opus carries again of those before it. `None`: nothing, it goes out as it is.
    fn older<'a>(&self, seq: u64, stored: Stored<'_>, layer: &'a Layer) -> Option<Red<'a>> {
        let back = self.redundancy.back();
        let pts = self.egress.make_red.filter(|pts| !back.is_empty() && pts.from == stored.meta.pt)?;
        let mut red = Red { pts, blocks: [red::Block::default(); MAX_BLOCKS], count: 0 };
        for back in back.iter().rev() {
            let Some(before) = seq.checked_sub(u64::from(*back)).and_then(|seq| layer.history.get(seq)) else {
                continue;
            };
            let payload = before.meta.payload(before.bytes);
            let offset = u16::try_from(stored.meta.ts.wrapping_sub(before.meta.ts)).unwrap_or(u16::MAX);
            // After a pause (DTX) what came before it is too old to be said, and of no use.
            let fits = (1..=red::MAX_OFFSET).contains(&offset) && (1..=red::MAX_BLOCK_LEN).contains(&payload.len());
            if let Some(slot) = red.blocks.get_mut(red.count).filter(|_| fits && before.meta.pt == pts.from) {
                *slot = red::Block { offset, payload };
                red.count += 1;
            }
        }
        (red.count > 0).then_some(red)
    }

    /// How many times over its audio goes out.
    pub(crate) fn audio_copies(&self) -> f64 {
        1.0 + f64::from(if self.egress.make_red.is_some() { self.redundancy.blocks() } else { 0 })
    }

    /// Reads a little of each cache line that a packet needs.
    pub(crate) fn touch(&self) -> u64 {
        let run = self
            .munger
            .run()
            .map_or(0, |run| u64::from(run.layer) ^ u64::from(run.ts_offset) ^ u64::from(run.pts.to.0));
        run ^ u64::from(self.packets)
            ^ u64::from(self.egress.ssrc.0)
            ^ u64::from(self.egress.make_red.is_some())
            ^ u64::from(self.redundancy.blocks())
            ^ u64::from(self.wanted.is_some())
            ^ u64::from(self.shape.is_some())
            ^ self.munger.touch()
    }

    /// Media packets that went out; wraps.
    pub(crate) const fn packets(&self) -> u32 {
        self.packets
    }

    /// The numbers in front of the first packet of its run that are of the same picture.
    pub(crate) fn ahead(&self) -> Range<u64> {
        self.munger.run().map_or(0..0, Run::ahead)
    }

    /// Whether it goes down with this packet: what waits of the layer above would only come before it.
    pub(crate) fn falls_with(&self, pending: &Pending, stored: Stored<'_>) -> bool {
        self.starts(pending, stored).is_some_and(|target| Some(target.layer) < self.current())
    }

    fn starts(&self, pending: &Pending, stored: Stored<'_>) -> Option<Target> {
        let ready = match self.kind {
            MediaKind::Audio => true,
            MediaKind::Video => stored.meta.keyframe,
        };
        self.wanted.filter(|target| ready && target.layer == pending.layer)
    }

    fn start(
        &mut self,
        now: Instant,
        pending: &Pending,
        cut: Cut,
        layers: &[Layer],
        stored: Stored<'_>,
        stats: &mut Stats,
    ) -> Option<()> {
        let Some(map) = self.map_pt(stored.meta.pt) else {
            stats.unmapped_pt += 1;
            return None;
        };
        let layer = layers.get(usize::from(pending.layer))?;
        let before = self.munger.last_run().and_then(|run| clock(layers, run));
        let ahead = pending.seq - layer.history.picture_start(pending.seq, stored.meta);
        self.munger.start(
            now,
            &Start {
                layer: pending.layer,
                generation: pending.generation,
                seq: pending.seq,
                ahead: ahead as u8, // at most eight
                meta: stored.meta,
                cut,
                pts: Pts { from: map.from, to: map.to, rtx: map.rtx },
                rate: layer.rate,
                clocks: (layer.clock, before),
            },
        );
        self.wanted = None;
        stats.switches += 1;
        Some(())
    }

    /// Whether it has a payload type for what is sent of a layer. Audio needs no keyframe, and may be sent in two by turns.
    fn can_take(&self, layer: Option<&Layer>) -> bool {
        let sent = layer.and_then(Layer::pt).filter(|_| self.kind == MediaKind::Video);
        sent.is_none_or(|pt| self.map_pt(pt).is_some())
    }

    fn map_pt(&self, pt: Pt) -> Option<PtMap> {
        self.egress.pts.iter().find(|map| map.from == pt).copied()
    }
}

/// The clock of a run's layer, if it is that of the run's stream.
fn clock(layers: &[Layer], run: &Run) -> Option<Clock> {
    of_generation(layers, run.layer, run.generation)?.clock
}

/// RFC 3550 §5.1 wants the first number to be unpredictable, which the SSRC is; below 2^15 it stays clear of a wrap in
/// the first packets, that an SRTP receiver could miss (RFC 3711 §3.3.1).
fn first_seq(ssrc: Ssrc) -> u16 {
    (ssrc.0 ^ (ssrc.0 >> 16)) as u16 & 0x3fff
}
