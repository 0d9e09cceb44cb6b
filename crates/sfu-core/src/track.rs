//! A published track: its layers, which of them are alive, and who receives it.

use std::time::Instant;

use convene_rtp::ext;
use convene_types::{Codec, MediaKind, Pt, TrackId};

use crate::config::{Config, MAX_LAYERS};
use crate::cut::{ALL, Cut, STEPS, level_of, step, temporal_of};
use crate::floor::Activity;
use crate::flow::Reports;
use crate::hold::Hold;
use crate::layer::Layer;
use crate::loudest::Loudness;
use crate::speakers::Meter;
use crate::spec::TrackSpec;
use crate::subscription::Claim;

/// One published track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    /// Index of its publisher.
    pub(crate) publisher: usize,
    pub(crate) kind: MediaKind,
    pts: Vec<(Pt, Codec)>,
    pub(crate) exts: ext::Map,
    pub(crate) nack: bool,
    pub(crate) layers: Vec<Layer>,
    /// Bit per level that is alive, see `cut`.
    pub(crate) live: u8,
    pub(crate) muted: bool,
    pub(crate) started: bool,
    /// Subscriptions that wait for a keyframe; as of their last selection.
    pub(crate) awaiting: u32,
    /// Indices of the subscribers.
    pub(crate) subscribers: Vec<usize>,
    /// It has packets in the batch.
    pub(crate) dirty: bool,
    pub(crate) meter: Meter,
    pub(crate) activity: Activity,
    /// Its packets come out of a pipe.
    pub(crate) piped: bool,
    /// Bit per layer that rooms at the other ends of pipes forward.
    pub(crate) demanded: u8,
    pub(crate) loudness: Loudness,
    /// Packets and bytes since they were last asked for, and what receiver reports said.
    pub(crate) came_in: (u32, u64),
    pub(crate) reports: Reports,
    /// It is audio and not among the loudest.
    pub(crate) aside: bool,
}

impl Track {
    pub(crate) fn new(spec: TrackSpec, publisher: usize, config: &Config, epoch: Instant) -> Self {
        let layers = usize::from(spec.layers).clamp(1, MAX_LAYERS);
        Self {
            id: spec.track,
            publisher,
            kind: spec.kind,
            pts: spec.pts,
            exts: spec.exts,
            nack: spec.nack,
            layers: (0..layers).map(|_| Layer::new(config, epoch)).collect(),
            live: 0,
            muted: false,
            started: false,
            awaiting: 0,
            subscribers: Vec::new(),
            dirty: false,
            meter: Meter::default(),
            activity: Activity::default(),
            piped: false,
            demanded: 0,
            loudness: Loudness::default(),
            came_in: (0, 0),
            reports: Reports::default(),
            aside: false,
        }
    }

    pub(crate) fn codec(&self, pt: Pt) -> Option<Codec> {
        self.pts.iter().find(|(known, _)| *known == pt).map(|(_, codec)| *codec)
    }

    /// The payload type of plain Opus.
    pub(crate) fn opus(&self) -> Option<Pt> {
        self.pts.iter().find(|(_, codec)| *codec == Codec::Opus).map(|(pt, _)| *pt)
    }

    /// Forgets who makes use of what; branches stay.
    pub(crate) fn count_anew(&mut self) {
        for (index, layer) in self.layers.iter_mut().enumerate() {
            layer.users = u32::from(self.demanded >> (index & 7) & 1);
        }
        self.awaiting = 0;
    }

    /// Counts what a subscription makes use of. Of audio no keyframe is waited for. `true`: one is. `is_here`: and it need not be
    /// asked for.
    pub(crate) fn count(&mut self, claim: Claim, is_here: bool) -> bool {
        for layer in claim.current.into_iter().chain(claim.wanted) {
            if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
                layer.users += 1;
            }
        }
        let awaited = claim.wanted.filter(|_| self.kind == MediaKind::Video);
        let Some(layer) = awaited.and_then(|layer| self.layers.get_mut(usize::from(layer))) else { return false };
        // That of a layer that is held is here already, or on its way, until it goes out.
        if layer.hold.as_ref().is_none_or(Hold::flows) && !is_here {
            layer.pli.request();
        }
        self.awaiting += 1;
        true
    }

    /// Whether a layer is alive.
    pub(crate) const fn is_live(&self, layer: u8) -> bool {
        self.live & (1 << (layer & 7)) != 0
    }

    /// The highest layer that somebody gets or waits for.
    pub(crate) fn highest_used(&self) -> Option<u8> {
        let highest = self.layers.iter().rposition(|layer| layer.users > 0);
        highest.and_then(|layer| u8::try_from(layer).ok())
    }

    /// The reverse of `count`.
    pub(crate) fn discount(&mut self, claim: Claim) {
        for layer in claim.current.into_iter().chain(claim.wanted) {
            if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
                layer.users = layer.users.saturating_sub(1);
            }
        }
        if claim.wanted.is_some() && self.kind == MediaKind::Video {
            self.awaiting = self.awaiting.saturating_sub(1);
        }
    }

    /// Ends what a subscriber gets of it.
    pub(crate) fn leave(&mut self, subscriber: usize, claim: Option<Claim>) {
        if let Some(place) = self.subscribers.iter().position(|known| *known == subscriber) {
            self.subscribers.swap_remove(place);
        }
        if let Some(claim) = claim {
            self.discount(claim);
        }
    }

    /// Looks anew which layers are alive: those whose last packet is not much older than the track's last one. By that
    /// a muted camera's layers all stay as they are. `true`: it changed.
    pub(crate) fn update_live(&mut self, config: &Config) -> bool {
        let Some(newest) = self.layers.iter().filter_map(|layer| layer.flowed).max() else { return false };
        let mut live = 0_u8;
        for (index, layer) in self.layers.iter_mut().enumerate() {
            // Nobody leaves out the lowest one, but a full path may lose a few of its frames in a row.
            let lowest = self.live & below(index as u8) == 0;
            let alive = layer.is_alive(newest, config.layer_timeout, lowest);
            if !alive && self.live & (1 << index) != 0 {
                layer.stop();
            }
            live |= u8::from(alive) << index;
        }
        if let [only] = self.layers.as_slice() {
            live = only.shape.live();
        }
        std::mem::replace(&mut self.live, live) != live
    }
}

/// What a step means in streams: which of them, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Index of the stream.
    pub(crate) layer: u8,
    pub(crate) cut: Cut,
}

impl Target {
    /// Of a step on a track with these streams.
    pub(crate) fn of(step: u8, layers: &[Layer]) -> Self {
        match layers {
            [_] => Self { layer: 0, cut: Cut::new(level_of(step), temporal_of(step)) },
            _ => Self { layer: level_of(step), cut: Cut::new(ALL, temporal_of(step)) },
        }
    }

    /// The step of which it is.
    pub(crate) fn step(self, layers: &[Layer]) -> u8 {
        match layers {
            [_] => step(self.cut.spatial(), self.cut.temporal()),
            _ => step(self.layer, self.cut.temporal()),
        }
    }
}

/// Bits per second of each step that is offered, as of now and over a longer time: all temporal layers of a live level, or fewer
/// of them. A quarter of the frames is worth more than no picture, but not more than the level below.
pub(crate) fn rates(track: &Track, window_ms: u64) -> ([f64; STEPS], [f64; STEPS]) {
    let (mut rates, mut usual) = ([0.0; STEPS], [0.0; STEPS]);
    for (index, (rate, usual)) in rates.iter_mut().zip(&mut usual).enumerate() {
        let step = index as u8;
        let (level, temporal) = (level_of(step), temporal_of(step));
        let target = Target::of(step, &track.layers);
        let Some(layer) = track.layers.get(usize::from(target.layer)).filter(|_| track.live & (1 << level) != 0) else {
            continue;
        };
        let lowest = if level > 0 && layer.shape.temporal_layers() > 2 { 1 } else { 0 };
        if layer.shape.cuts() & target.cut.bit() != 0 && temporal >= lowest {
            *rate = layer.volumes.bits(target.cut, window_ms);
            *usual = layer.volumes.usual_bits(target.cut, window_ms);
        }
    }
    (rates, usual)
}

/// The layer to send: the highest live one up to `max`, else the lowest live one.
pub(crate) fn choose(live: u8, max: u8) -> Option<u8> {
    let allowed = live & up_to(max);
    match (allowed, live) {
        (_, 0) => None,
        (0, live) => Some(live.trailing_zeros() as u8),
        (allowed, _) => Some((7 - allowed.leading_zeros()) as u8),
    }
}

/// The layers from the lowest to this one, a bit each.
pub(crate) const fn up_to(layer: u8) -> u8 {
    if layer >= 7 { u8::MAX } else { (1 << (layer + 1)) - 1 }
}

/// The layers below this one.
pub(crate) const fn below(layer: u8) -> u8 {
    up_to(layer) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses() {
        let rows = [
            (0b000, 2, None),
            (0b111, 0, Some(0)),
            (0b111, 1, Some(1)),
            (0b111, 2, Some(2)),
            (0b111, 255, Some(2)),
            (0b101, 1, Some(0)),
            (0b100, 1, Some(2)),
            (0b110, 0, Some(1)),
            (0b1000_0000, 255, Some(7)),
            (0b1111_1111, 7, Some(7)),
        ];
        for (live, max, want) in rows {
            assert_eq!(choose(live, max), want, "{live:b} {max}");
        }
    }
}
