//! Simulated links and the publisher at their far end, for the tests of bandwidth and of two rooms. Time is simulated and
//! chance is seeded: equal seeds give equal packets at equal times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// What the publisher's layers are in bit/s, at 30 frames a second.
const LAYERS: [u64; 3] = [150_000, 500_000, 1_700_000];
pub(super) const FRAME_MS: u64 = 33;
/// Bytes of a picture of a page full of text.
const PAGES: [u64; 3] = [25_000, 80_000, 200_000];
/// From a request for a keyframe to the keyframe: publisher to server and back.
const KEYFRAME_MS: u64 = 60;
/// Where in a video payload the time of its frame stands, in ms.
const TIME_AT: usize = 9;
const MIN_VIDEO_BYTES: usize = 16;

/// What a direction of a path is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// bit/s
    pub(super) rate: u64,
    /// Longest wait in the queue; what would wait longer is dropped.
    pub(super) queue_ms: u64,
    pub(super) delay_ms: u64,
    /// Added to the delay, uniform; packets overtake each other.
    pub(super) jitter_ms: u64,
    pub(super) loss_percent: u64,
    /// Packets that are lost in a row, on average.
    pub(super) burst: u64,
    pub(super) cut: bool,
    /// Others keep this much in the queue, whatever we do: they are held back by it, not by us.
    pub(super) others_ms: u64,
}

pub(super) const GOOD: Link = Link {
    rate: 4_000_000,
    queue_ms: 400,
    delay_ms: 20,
    jitter_ms: 0,
    loss_percent: 0,
    burst: 1,
    cut: false,
    others_ms: 0,
};

/// xorshift64*: small, seeded, the same everywhere.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit.max(1)
    }
}

/// A packet that came through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrived {
    pub(super) at_us: u64,
    order: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) sent_ms: u64,
}

/// One direction of a path.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) link: Link,
    random: Random,
    pub(super) free_at_us: u64,
    losing: bool,
    on_the_way: BinaryHeap<Reverse<Arrived>>,
    order: u64,
}

impl Wire {
    pub(super) fn new(seed: u64, link: Link) -> Self {
        Self { link, random: Random::new(seed), free_at_us: 0, losing: false, on_the_way: BinaryHeap::new(), order: 0 }
    }

    pub(super) fn send(&mut self, ms: u64, bytes: Vec<u8>) {
        let wire = (bytes.len() + crate::bwe::WIRE_OVERHEAD) as u64;
        if self.link.cut || self.enqueue(ms, wire).is_none() || self.loses() {
            return;
        }
        let jitter = self.random.below(self.link.jitter_ms * 1_000 + 1);
        let at_us = self.free_at_us + self.link.delay_ms * 1_000 + jitter;
        self.order += 1;
        self.on_the_way.push(Reverse(Arrived { at_us, order: self.order, bytes, sent_ms: ms }));
    }

    /// When so many bytes have left the queue, in us; `None`: it is full.
    pub(super) fn enqueue(&mut self, ms: u64, bytes: u64) -> Option<u64> {
        let start = self.free_at_us.max((ms + self.link.others_ms) * 1_000);
        if start - ms * 1_000 > self.link.queue_ms * 1_000 {
            return None;
        }
        self.free_at_us = start + bytes * 8_000_000 / self.link.rate;
        Some(self.free_at_us)
    }

    /// What has come through by now.
    pub(super) fn receive(&mut self, ms: u64) -> Option<Arrived> {
        let due = self.on_the_way.peek().is_some_and(|Reverse(next)| next.at_us <= ms * 1_000);
        if due { self.on_the_way.pop().map(|Reverse(arrived)| arrived) } else { None }
    }

    /// Gilbert's model: a state that loses all, left after `burst` packets on average.
    fn loses(&mut self) -> bool {
        let Link { loss_percent, burst, .. } = self.link;
        self.losing = if self.losing && burst > 1 {
            self.random.below(burst) > 0
        } else {
            self.random.below((100 - loss_percent) * burst + loss_percent * u64::from(burst == 1)) < loss_percent
        };
        self.losing
    }
}

/// Alice's browser: three layers of video and audio.
#[derive(Debug)]
pub(super) struct Browser {
    random: Random,
    /// Keyframes asked for: when they are made, by layer.
    keyframes: [Option<u64>; 3],
    seqs: [u16; 4],
    /// How many times the usual rates it sends, and from which layer on.
    pub(super) scale: u64,
    pub(super) lowest: u8,
    /// Ms from one page of a shared screen to the next, each a picture of `PAGES`. 0: it is a camera.
    pub(super) page_every: u64,
}

impl Browser {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), keyframes: [Some(0); 3], seqs: [100; 4], scale: 1, lowest: 0, page_every: 0 }
    }

    pub(super) fn keyframe(&mut self, ms: u64, layer: usize) {
        self.keyframes[layer].get_or_insert(ms + KEYFRAME_MS);
    }

    /// What leaves in this millisecond, into a room.
    pub(super) fn publish(&mut self, ms: u64, now: Instant, room: &mut Room) {
        let mut feed = |track, layer, mut bytes: Vec<u8>| {
            let input = RtpIn { track, layer, repair: false, packet: &mut bytes, rtx_media_pt: None };
            room.handle_rtp(now, input).unwrap();
        };
        if ms.is_multiple_of(20) {
            let seq = SeqNo(self.seqs[3]);
            let fields = Fields { marker: false, pt: AUDIO_PT, seq, ts: ms as u32 * 48, ssrc: Ssrc(600) };
            self.seqs[3] = self.seqs[3].wrapping_add(1);
            feed(AUDIO, 0, rtp(fields, &[(3, &[0x80 | 20])], &[1; 80]));
        }
        if !ms.is_multiple_of(FRAME_MS) {
            return;
        }
        for layer in self.lowest..3 {
            self.frame(ms, layer, |bytes| feed(VIDEO, layer, bytes));
        }
    }

    fn frame(&mut self, ms: u64, layer: u8, mut send: impl FnMut(Vec<u8>)) {
        let index = usize::from(layer);
        let keyframe = self.keyframes[index].is_some_and(|due| due <= ms);
        if keyframe {
            self.keyframes[index] = None;
        }
        let mean = self.scale * LAYERS[index] * FRAME_MS / 8_000;
        let mut left = (mean * 4 / 5 + self.random.below(mean * 2 / 5)) * if keyframe { 4 } else { 1 };
        if self.page_every > 0 {
            left /= 4; // nothing moves
            // A picture begins at each multiple of FRAME_MS.
            let is_new = ms % self.page_every < FRAME_MS;
            left = if is_new || keyframe { PAGES[index] } else { left.max(1) };
        }
        let mut first = true;
        while left > 0 {
            let part = left.min(1_100);
            left -= part;
            let mut payload = vp8(keyframe, first, ms as u16 & 0x7fff, false, 0);
            payload.extend((ms as u32).to_be_bytes());
            payload.resize((part as usize).max(MIN_VIDEO_BYTES), layer);
            let seq = SeqNo(self.seqs[index]);
            self.seqs[index] = seq.0.wrapping_add(1);
            let ssrc = Ssrc(layer_ssrc(layer));
            let fields = Fields { marker: left == 0, pt: MEDIA_PT, seq, ts: ms as u32 * 90, ssrc };
            send(rtp(fields, &[], &payload));
            first = false;
        }
    }
}

/// Of a video payload of `Browser`: its layer, the time of its frame in ms, and whether it begins a keyframe.
pub(super) fn read_video(payload: &[u8]) -> (u8, u64, bool) {
    let time = payload[TIME_AT..TIME_AT + 4].try_into().map_or(0, u32::from_be_bytes);
    (*payload.last().unwrap(), u64::from(time), payload[0] == 0x90 && payload[6] == 0)
}
