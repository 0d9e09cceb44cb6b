//! The decrypted packets of one layer, kept for the flush and for retransmission.
//!
//! Two rings: bytes in order of arrival, and an index by number. Both start small and double until they hold
//! `Config::history_span`; then nothing is allocated any more.
//!
//! ```text
//! slots  [ .. | seq 7: at 2400, 1190 B | seq 8: at 3590, 402 B | .. ]   index = seq modulo its length
//! bytes  [ ...........|#### 7 ####|## 8 ##| head ................. ]   place = `at` modulo its length
//! ```
//! A packet is valid while `head` is at most one lap ahead of its `at`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::meta::Meta;

/// First size of the byte ring, a power of two: a second of audio, which stays there for ever.
const START_BYTES: usize = 16 << 10;
const START_SLOTS: usize = 64;
/// Packets kept at most: a second at 4,000 packets/s. A slot is some 150 bytes.
pub(crate) const MAX_HISTORY_PACKETS: usize = 4_096;
/// Packets in front of a keyframe's first slice: delimiter, VPS, SPS, PPS and messages, each in one of its own, twice over.
const MAX_LEADING: u64 = 8;
/// How fine the age of the oldest byte is known.
const MARK_EVERY: Duration = Duration::from_millis(50);

/// A kept packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) meta: &'a Meta,
    /// Header and payload as they came in, without padding.
    pub(crate) bytes: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    seq: u64,
    at: u64,
    arrived: Instant,
    meta: Meta,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct History {
    slots: Vec<Option<Slot>>,
    /// Its length is a power of two.
    bytes: Vec<u8>,
    /// Bytes ever written, laps included.
    head: u64,
    /// Where the ring was when: the age of what is overwritten next.
    marks: VecDeque<(u64, Instant)>,
    span: Duration,
    max_bytes: usize,
}

impl History {
    /// Allocates nothing until the first packet.
    pub(crate) fn new(span: Duration, max_bytes: usize) -> Self {
        Self { slots: Vec::new(), bytes: Vec::new(), head: 0, marks: VecDeque::new(), span, max_bytes }
    }

    /// Forgets every packet and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.slots.fill(None);
        self.marks.clear();
    }

    /// Keeps a packet: the first `meta.kept_len()` bytes of `bytes`.
    pub(crate) fn push(&mut self, now: Instant, seq: u64, meta: &Meta, bytes: &[u8]) {
        let Some(bytes) = bytes.get(..meta.kept_len()) else { return };
        self.make_room(now, bytes.len());
        self.make_slot(now, seq);
        let at = self.skip_to_fit(bytes.len());
        let place = self.place(at);
        let Some(target) = self.bytes.get_mut(place..place + bytes.len()) else { return };
        target.copy_from_slice(bytes);
        self.head = at + bytes.len() as u64;
        if self.marks.back().is_none_or(|(_, marked)| now.saturating_duration_since(*marked) >= MARK_EVERY) {
            self.marks.push_back((at, now));
        }
        if let Some(slot) = self.slot_mut(seq) {
            *slot = Some(Slot { seq, at, arrived: now, meta: *meta });
        }
    }

    /// A packet, while it is kept.
    pub(crate) fn get(&self, seq: u64) -> Option<Stored<'_>> {
        let slot = self.slot(seq)?;
        if slot.seq != seq || self.is_overwritten(slot) {
            return None;
        }
        let place = self.place(slot.at);
        let bytes = self.bytes.get(place..place + slot.meta.kept_len())?;
        Some(Stored { meta: &slot.meta, bytes })
    }

    /// Whether a packet came so long ago, or is kept no more. Not one that never came and still may.
    pub(crate) fn is_past(&self, now: Instant, seq: u64, age: Duration) -> bool {
        let Some(slot) = self.slot(seq) else { return false };
        let old = || self.is_overwritten(slot) || now.saturating_duration_since(slot.arrived) >= age;
        slot.seq > seq || (slot.seq == seq && old())
    }

    /// The lowest number that may be of the keyframe that begins with this packet: what is missing right in front of it may
    /// be its parameter sets, unless they are here.
    pub(crate) fn picture_start(&self, seq: u64, meta: &Meta) -> u64 {
        let reach = if meta.led { MAX_LEADING } else { 0 };
        let (mut first, mut opened) = (seq, meta.opens());
        for before in (seq.saturating_sub(reach)..seq).rev() {
            match self.get(before) {
                Some(stored) if stored.meta.ts == meta.ts => opened |= stored.meta.opens(),
                None if !opened => {}
                Some(_) | None => break,
            }
            first = before;
        }
        first
    }

    /// What is at the place of this number: it, or one a lap before or behind it.
    fn slot(&self, seq: u64) -> Option<&Slot> {
        let mask = self.slots.len().wrapping_sub(1) as u64;
        self.slots.get((seq & mask) as usize)?.as_ref()
    }

    fn is_overwritten(&self, slot: &Slot) -> bool {
        self.head > slot.at + self.bytes.len() as u64
    }

    fn place(&self, at: u64) -> usize {
        (at & (self.bytes.len() as u64).wrapping_sub(1)) as usize
    }

    fn slot_mut(&mut self, seq: u64) -> Option<&mut Option<Slot>> {
        let mask = self.slots.len().wrapping_sub(1) as u64;
        self.slots.get_mut((seq & mask) as usize)
    }

    /// A packet lies in one piece: what does not fit before the end begins at the start.
    fn skip_to_fit(&self, len: usize) -> u64 {
        let left = self.bytes.len() - self.place(self.head);
        if left < len { self.head + left as u64 } else { self.head }
    }

    /// Grows the byte ring while what would be overwritten is too young.
    fn make_room(&mut self, now: Instant, len: usize) {
        if self.bytes.is_empty() {
            self.bytes = vec![0; START_BYTES];
        }
        loop {
            let end = self.skip_to_fit(len) + len as u64;
            let overwritten = end.saturating_sub(self.bytes.len() as u64);
            // The last mark at or before the overwritten byte says its age; earlier ones are of no use.
            while self.marks.get(1).is_some_and(|(at, _)| *at < overwritten) {
                self.marks.pop_front();
            }
            let young = self
                .marks
                .front()
                .is_some_and(|(at, marked)| *at < overwritten && now.saturating_duration_since(*marked) < self.span);
            if !young || self.bytes.len() * 2 > self.max_bytes {
                return;
            }
            self.grow_bytes();
        }
    }

    fn grow_bytes(&mut self) {
        let lap = self.bytes.len() as u64;
        let mut bytes = vec![0; self.bytes.len() * 2];
        let mut kept: Vec<Slot> =
            self.slots.iter().flatten().filter(|slot| self.head <= slot.at + lap).copied().collect();
        kept.sort_unstable_by_key(|slot| slot.at);
        let mut head = 0_u64;
        let mut marks = std::mem::take(&mut self.marks);
        let mut moved = VecDeque::with_capacity(marks.len());
        for slot in &mut kept {
            let (from, len) = (self.place(slot.at), slot.meta.kept_len());
            let (Some(source), Some(target)) =
                (self.bytes.get(from..from + len), bytes.get_mut(head as usize..head as usize + len))
            else {
                continue;
            };
            target.copy_from_slice(source);
            while let Some((_, marked)) = marks.pop_front_if(|(at, _)| *at <= slot.at) {
                moved.push_back((head, marked));
            }
            slot.at = head;
            head += len as u64;
        }
        (self.bytes, self.head, self.marks) = (bytes, head, moved);
        self.reinsert(&kept);
    }

    /// Grows the index while the slot needed holds a packet that is too young to go.
    fn make_slot(&mut self, now: Instant, seq: u64) {
        if self.slots.is_empty() {
            self.slots = vec![None; START_SLOTS];
        }
        while self.slots.len() < MAX_HISTORY_PACKETS
            && let Some(Some(slot)) = self.slot_mut(seq)
            && slot.seq < seq
            && now.saturating_duration_since(slot.arrived) < self.span
        {
            let kept: Vec<Slot> = self.slots.iter().flatten().copied().collect();
            self.slots = vec![None; self.slots.len() * 2];
            self.reinsert(&kept);
        }
    }

    fn reinsert(&mut self, kept: &[Slot]) {
        self.slots.fill(None);
        for slot in kept {
            if let Some(place) = self.slot_mut(slot.seq) {
                *place = Some(*slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rtp;
    use convene_rtp::ext;
    use convene_rtp::packet::{Fields, View, write_header};
    use convene_types::{Codec, Pt, SeqNo, Ssrc};

    fn packet(seq: u64, len: usize) -> (Meta, Vec<u8>) {
        let mut bytes = vec![(seq % 251) as u8; len];
        let fields = Fields { marker: false, pt: Pt(96), seq: SeqNo(seq as u16), ts: seq as u32, ssrc: Ssrc(1) };
        write_header(&mut bytes, &fields, &[]).unwrap();
        (Meta::read(&View::parse(&bytes).unwrap(), &bytes, Codec::H264, &ext::Map::new()), bytes)
    }

    /// Pushes `count` packets of `len` bytes `gap` apart; returns the history and the time of the last.
    fn filled(count: u64, len: usize, gap: Duration, max_bytes: usize) -> (History, Instant) {
        let mut history = History::new(Duration::from_secs(1), max_bytes);
        let mut now = Instant::now();
        for seq in 0..count {
            now += gap;
            let (meta, bytes) = packet(seq, len);
            history.push(now, seq, &meta, &bytes);
        }
        (history, now)
    }

    fn holds(history: &History, seq: u64) -> bool {
        let Some(stored) = history.get(seq) else { return false };
        assert_eq!(stored.meta.ts, seq as u32);
        assert!(stored.bytes[12..].iter().all(|byte| *byte == (seq % 251) as u8), "{seq}");
        true
    }

    #[test]
    fn holds_the_span_and_no_more_memory_than_that_needs() {
        // (packets/s, bytes, largest ring that may come of it)
        let rows = [(50_u64, 100, START_BYTES), (300, 1200, 1 << 20), (1000, 1200, 4 << 20)];
        for (rate, len, most) in rows {
            let (history, _) = filled(rate * 10, len, Duration::from_secs(1) / rate as u32, 4 << 20);
            let (from, to) = (rate * 9, rate * 10);
            assert!((from..to).all(|seq| holds(&history, seq)), "{rate}");
            assert!(history.bytes.len() <= most, "{rate}: {}", history.bytes.len());
        }
    }

    #[test]
    fn stays_within_its_limits_and_holds_the_newest() {
        let (history, _) = filled(20_000, 1200, Duration::from_micros(10), 256 << 10);
        assert!(history.bytes.len() <= 256 << 10);
        assert!(history.slots.len() <= MAX_HISTORY_PACKETS);
        assert!((19_800..20_000).all(|seq| holds(&history, seq)));
        assert!(!holds(&history, 19_700));
    }

    #[test]
    fn every_packet_that_it_claims_to_hold_is_whole() {
        let mut history = History::new(Duration::from_millis(300), 1 << 20);
        let mut now = Instant::now();
        let mut state = 7_u64;
        for seq in 0..30_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now += Duration::from_micros(state >> 54);
            let (meta, bytes) = packet(seq, 12 + (state >> 33) as usize % 1_400);
            history.push(now, seq, &meta, &bytes);
            holds(&history, seq.saturating_sub(state >> 53));
            assert!(holds(&history, seq));
        }
    }

    #[test]
    fn a_keyframe_may_begin_with_what_is_missing_unless_its_first_parameter_set_is_here() {
        const SPS: &[u8] = &[0x67, 0x42];
        const PPS: &[u8] = &[0x68, 0xce];
        const SLICE: &[u8] = &[0x65, 0x88];
        const DELTA: &[u8] = &[0x41, 0x9a];
        const STAP_A: &[u8] = &[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce];
        // What is in front of the last packet, nearest last, where `None` is missing, and how many numbers of it are of the keyframe.
        type Row<'a> = (&'a str, &'a [Option<&'a [u8]>], &'a [u8], u64);
        let rows: [Row<'_>; 10] = [
            ("nothing missing", &[Some(DELTA)], SLICE, 0),
            ("sets missing", &[Some(DELTA), None, None], SLICE, 2),
            ("the first of them missing", &[Some(DELTA), None, Some(PPS)], SLICE, 2),
            ("they are here", &[None, Some(SPS), Some(PPS)], SLICE, 2),
            ("as one packet", &[None, None, Some(STAP_A)], SLICE, 1),
            ("it has them", &[None, None], STAP_A, 0),
            ("it is the first", &[None], SPS, 0),
            ("behind what is here", &[None, Some(PPS)], SPS, 1),
            ("twice, and one is missing", &[Some(SPS), None, Some(SPS)], SLICE, 1),
            ("a lot is missing", &[Some(DELTA), None, None, None, None, None, None, None, None, None], SLICE, 8),
        ];
        for (name, before, last, want) in rows {
            for base in [0xffff, 0x1_fffe] {
                let mut history = History::new(Duration::from_secs(1), 1 << 20);
                let read = |payload: &[u8]| {
                    let ts = if payload == DELTA { u32::MAX } else { 1 };
                    let fields = Fields { marker: false, pt: Pt(96), seq: SeqNo(0), ts, ssrc: Ssrc(1) };
                    let bytes = rtp(fields, &[], payload);
                    (Meta::read(&View::parse(&bytes).unwrap(), &bytes, Codec::H264, &ext::Map::new()), bytes)
                };
                for (seq, payload) in (base..).zip(before) {
                    let Some((meta, bytes)) = payload.map(read) else { continue };
                    history.push(Instant::now(), seq, &meta, &bytes);
                }
                let seq = base + before.len() as u64;
                assert_eq!(seq - history.picture_start(seq, &read(last).0), want, "{name}");
            }
        }
    }

    #[test]
    fn forgets_on_clear() {
        let (mut history, now) = filled(10, 100, Duration::from_millis(1), 1 << 20);
        history.clear();
        assert!((0..10).all(|seq| !holds(&history, seq)));
        let (meta, bytes) = packet(3, 50);
        history.push(now, 3, &meta, &bytes);
        assert!(holds(&history, 3));
    }
}
