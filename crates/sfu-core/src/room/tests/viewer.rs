//! Somebody who watches what `link::Browser` made: decodes as browsers do, and fails the test where a picture could not be
//! decoded although nothing is missing.

use std::collections::BTreeMap;

use convene_rtp::packet::View;
use convene_rtp::seq::Unwrapper;

use super::link::{FRAME_MS, read_video};

/// What a jitter buffer holds back, from capture to display, in ms.
const PLAYOUT_MS: u64 = 250;
/// A pause between two pictures from which on browsers count a freeze: the usual one plus this.
const FREEZE_MS: u64 = FRAME_MS + 150;

#[derive(Debug)]
struct Packet {
    ts: u32,
    layer: u8,
    captured_ms: u64,
    start: bool,
    keyframe: bool,
    marker: bool,
}

/// A picture on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) at_ms: u64,
    pub(super) layer: u8,
    pub(super) captured_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Viewer {
    unwrapper: Unwrapper,
    packets: BTreeMap<u64, Packet>,
    /// Where the next frame begins.
    next: Option<u64>,
    pub(super) shown: Vec<Shown>,
}

impl Viewer {
    pub(super) fn take(&mut self, ms: u64, view: &View<'_>) {
        let seq = self.unwrapper.unwrap(view.seq()).0;
        let (layer, captured_ms, keyframe) = read_video(view.payload());
        let start = view.payload()[0] == 0x90;
        let packet = Packet { ts: view.ts(), layer, captured_ms, start, keyframe, marker: view.marker() };
        let before = self.packets.insert(seq, packet);
        assert!(before.is_none(), "{seq} went out twice");
        self.decode(ms);
    }

    /// The highest layer shown from one time to another.
    pub(super) fn highest(&self, from_ms: u64, to_ms: u64) -> Option<u8> {
        self.between(from_ms, to_ms).map(|shown| shown.layer).max()
    }

    /// When a layer was first shown from a time on, in ms after that.
    pub(super) fn first(&self, from_ms: u64, layer: u8) -> Option<u64> {
        self.between(from_ms, u64::MAX).find(|shown| shown.layer == layer).map(|shown| shown.at_ms - from_ms)
    }

    /// Part of the pictures that had this layer.
    pub(super) fn share(&self, from_ms: u64, to_ms: u64, layer: u8) -> f64 {
        let all = self.between(from_ms, to_ms).count().max(1);
        self.between(from_ms, to_ms).filter(|shown| shown.layer == layer).count() as f64 / all as f64
    }

    /// Part of the time in which the picture stood still.
    pub(super) fn frozen(&self, from_ms: u64, to_ms: u64) -> f64 {
        let times: Vec<u64> = self.between(from_ms, to_ms).map(|shown| shown.at_ms).chain([to_ms]).collect();
        let before = std::iter::once(&from_ms).chain(&times);
        let gaps = times.iter().zip(before).map(|(at, before)| at - before);
        gaps.filter(|gap| *gap > FREEZE_MS).sum::<u64>() as f64 / (to_ms - from_ms) as f64
    }

    fn between(&self, from_ms: u64, to_ms: u64) -> impl Iterator<Item = &Shown> {
        self.shown.iter().filter(move |shown| (from_ms..to_ms).contains(&shown.at_ms))
    }

    fn decode(&mut self, ms: u64) {
        loop {
            let next = self.next.and_then(|next| Some((next, self.whole(next)?)));
            let Some((begin, end)) = next.or_else(|| self.later_keyframe()) else { return };
            let frame = &self.packets[&begin];
            let last = self.shown.last();
            let goes_on = frame.keyframe || last.is_some_and(|last| last.layer == frame.layer);
            assert!(goes_on && frame.start, "a layer began in its middle: {begin} {frame:?} after {last:?}");
            assert!(last.is_none_or(|last| last.captured_ms <= frame.captured_ms), "{frame:?} after {last:?}");
            let earliest = last.map_or(0, |last| last.at_ms);
            let at_ms = ms.max(frame.captured_ms + PLAYOUT_MS).max(earliest);
            self.shown.push(Shown { at_ms, layer: frame.layer, captured_ms: frame.captured_ms });
            self.next = Some(end + 1);
            self.packets = self.packets.split_off(&(end + 1));
        }
    }

    /// The number of the last packet of the frame that begins here, if all of it is there.
    fn whole(&self, begin: u64) -> Option<u64> {
        let first = self.packets.get(&begin)?;
        let parts = (begin..).map_while(|seq| self.packets.get(&seq).map(|packet| (seq, packet)));
        let mut parts = parts.take_while(|(_, packet)| packet.ts == first.ts);
        parts.find(|(_, packet)| packet.marker).map(|(seq, _)| seq)
    }

    /// Where something is missing, a whole keyframe after it goes on without it.
    fn later_keyframe(&self) -> Option<(u64, u64)> {
        let mut keyframes = self.packets.iter().filter(|(_, packet)| packet.keyframe);
        keyframes.find_map(|(seq, _)| Some((*seq, self.whole(*seq)?)))
    }
}
