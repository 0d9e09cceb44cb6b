//! Gives the packets of one subscription numbers that go on without a jump, whatever layer they come from.
//!
//! A *run* is a stretch of packets of one layer: within it every number is the incoming one plus a constant, less what
//! was left out (`trim`). A run starts at a keyframe (audio: anywhere) and ends where the next one starts. Where it starts with a
//! first slice whose parameter sets come later, as their packets are late or lost, it has numbers for them in front.
//!
//! Picture ids of VP9 and frame numbers of dependency descriptors keep their distances also where frames are left out:
//! other frames name their references by the difference. Sequence numbers, and picture ids of VP8, have no holes.
//!
//! ```text
//! layer 0 in   100 101 102 103            run 0: +900
//! layer 2 in                   7 8 9      run 1: +997
//! out         1000 ..     1003 1004 1005 1006
//! ```

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use convene_types::Pt;

use crate::cut::Cut;
use crate::meta::{Meta, Picture};
use crate::sr::{self, Clock};
use crate::trim::Trim;

/// Ended runs remembered for NACKs. A run ends at a layer switch, and a NACK is at most a second old.
const MAX_ENDED_RUNS: usize = 8;
/// Where SRs and arrival times disagree by more than this on how far a stream moved on, the SRs are wrong: two seconds
/// are above any buffering on the way.
const MAX_CLOCK_DISAGREEMENT_SECS: u32 = 2;
/// How much faster than they were taken pictures follow each other that are late. Their timestamps differ still: those of 90 kHz
/// up to 1,400 pictures a second.
const HURRY: u32 = 64;
/// Ticks after which they have caught up for sure, and more than they can be behind: 11 s of 90 kHz.
const MAX_HURRY: u32 = 1 << 20;
/// Picture ids have 15 bits or 7, RFC 7741 §4.2; both wrap where this does.
const PICTURE_ID_MASK: u16 = 0x7fff;

/// A stretch of packets of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) layer: u8,
    /// The layer's stream; it grows when the stream begins anew.
    pub(crate) generation: u32,
    /// The first packet: its number in the layer and on the way out.
    in_start: u64,
    out_start: u64,
    /// Its timestamp as it came in, how many numbers in front of it are of the run as well, and a bit for each of these that went out: the
    /// lowest for the one right in front.
    in_ts: u32,
    ahead: u8,
    gone: u8,
    pub(crate) ts_offset: u32,
    /// It begins with pictures from before the last one that went out, which has this timestamp: they follow it at once, and those that
    /// come in time have their own again.
    late: Option<u32>,
    picture_offset: u16,
    tl0_offset: u8,
    frame_offset: u16,
    pub(crate) pts: Pts,
    /// What is left out.
    pub(crate) trim: Trim,
}

/// What payload types become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pts {
    pub(crate) from: Pt,
    pub(crate) to: Pt,
    pub(crate) rtx: Option<Pt>,
}

/// The first packet of a run to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    pub(crate) layer: u8,
    pub(crate) generation: u32,
    pub(crate) seq: u64,
    /// Numbers in front of it that may be of the same picture: eight at most, see `History::picture_start`.
    pub(crate) ahead: u8,
    pub(crate) meta: &'a Meta,
    pub(crate) cut: Cut,
    pub(crate) pts: Pts,
    /// RTP clock in Hz.
    pub(crate) rate: u32,
    /// The clock of this layer, and that of the layer of the run before.
    pub(crate) clocks: (Option<Clock>, Option<Clock>),
}

/// A packet's numbers on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) seq: u64,
    pub(crate) ts: u32,
    pub(crate) picture_id: Option<u16>,
    pub(crate) tl0: Option<u8>,
    pub(crate) frame: Option<u16>,
    /// It is the last packet of what the subscriber gets of a picture.
    pub(crate) marker: bool,
    /// It only fills the hole of a packet that is left out.
    pub(crate) blank: bool,
}

/// Why a packet does not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    /// No run, it is from before the run's start, or too old to tell.
    Outside,
    /// It is of a layer that the subscriber does not get.
    LeftOut,
}

/// The newest packet that went out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    seq: u64,
    ts: u32,
    at: Instant,
    picture_id: u16,
    tl0: u8,
    frame: u16,
}

/// The runs of one subscription.
#[derive(Debug)]
pub(crate) struct Munger {
    run: Option<Run>,
    ended: VecDeque<Run>,
    /// The last run of another room: its packets are not found here, but timestamps go on from it.
    carried: Option<Run>,
    last: Option<Last>,
    first_seq: u64,
}

impl Run {
    /// What a packet of this run with this number in the layer has on the way out. `None`: too long ago to tell.
    #[inline]
    pub(crate) fn numbers(&self, seq: u64, meta: &Meta) -> Option<Numbers> {
        let (left_out, pictures) = self.trim.before(seq)?;
        let picture_offset = self.picture_offset.wrapping_sub(if meta.picture.dense { pictures } else { 0 });
        let ends = meta.part.end && meta.part.spatial == self.trim.cut_at(seq).spatial();
        let picture_mask = if meta.picture.long { PICTURE_ID_MASK } else { PICTURE_ID_MASK >> 8 };
        let Picture { id, tl0, .. } = meta.picture;
        Some(Numbers {
            seq: self.out_start.wrapping_add(seq.wrapping_sub(self.in_start)).wrapping_sub(left_out),
            ts: self.ts(meta.ts),
            picture_id: id.map(|(_, id)| id.wrapping_add(picture_offset) & picture_mask),
            tl0: tl0.map(|(_, index)| index.wrapping_add(self.tl0_offset)),
            frame: meta.frame.map(|frame| frame.wrapping_add(self.frame_offset)),
            marker: meta.marker || ends,
            blank: false,
        })
    }

    fn ts(&self, ts: u32) -> u32 {
        let own = ts.wrapping_add(self.ts_offset);
        let passed = ts.wrapping_sub(self.in_ts);
        let Some(before) = self.late.filter(|_| passed < MAX_HURRY) else { return own };
        let hurried = before.wrapping_add(1).wrapping_add(passed / HURRY);
        if own.wrapping_sub(hurried).cast_signed() < 0 { hurried } else { own }
    }

    /// The number in the layer of the packet that went out with this one.
    fn find(&self, out: u64) -> Option<u64> {
        self.trim.find(out.checked_add(self.in_start)?.checked_sub(self.out_start)?)
    }

    /// The lowest number on the way out.
    const fn lowest(&self) -> u64 {
        self.out_start.saturating_sub(self.ahead as u64)
    }

    /// Whether a packet went out or would have.
    pub(crate) fn has(&self, seq: u64, meta: &Meta) -> bool {
        self.trim.has(seq, &meta.part) && (seq >= self.in_start || meta.ts == self.in_ts)
    }

    /// The numbers in the layer in front of the first packet that are of the run.
    pub(crate) fn ahead(&self) -> Range<u64> {
        self.in_start.saturating_sub(self.ahead.into())..self.in_start
    }

    /// Whether a number in front of the first one is of the run and has not gone out; it does then.
    #[cold]
    #[inline(never)]
    fn takes_ahead(&mut self, seq: u64) -> bool {
        let before = self.in_start.saturating_sub(seq).saturating_sub(1);
        let bit = u32::try_from(before).ok().and_then(|before| 1_u8.checked_shl(before)).unwrap_or(0);
        let takes = self.ahead().contains(&seq) && self.gone & bit == 0;
        self.gone |= if takes { bit } else { 0 };
        takes
    }

    /// Whether dependency descriptors have to be changed.
    pub(crate) const fn moves_frames(&self) -> bool {
        self.frame_offset != 0
    }
}

impl Munger {
    /// Starts with this number, which should be below 2^15: a receiver that misses the first packets would otherwise
    /// take the wrap for its first lap.
    pub(crate) fn new(first_seq: u16) -> Self {
        Self {
            run: None,
            ended: VecDeque::new(),
            carried: None,
            last: None,
            first_seq: u64::from(first_seq) + (1 << 16),
        }
    }

    /// Goes on with a stream that ended with this packet, after the number that was sent last with its SSRC.
    pub(crate) fn after(last: Last, seq: u16) -> Self {
        let last = Last { seq: u64::from(seq) + (1 << 16), ..last };
        Self { last: Some(last), ..Self::new(seq.wrapping_add(1)) }
    }

    /// The newest packet that went out.
    pub(crate) const fn last(&self) -> Option<Last> {
        self.last
    }

    /// The run that goes on.
    pub(crate) const fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// Reads what placing a packet needs.
    pub(crate) fn touch(&self) -> u64 {
        self.last.map_or(0, |last| last.seq) ^ self.run.as_ref().map_or(0, |run| run.out_start ^ run.trim.touch())
    }

    /// The run that goes on, or else the last one.
    pub(crate) fn last_run(&self) -> Option<&Run> {
        self.run.as_ref().or(self.ended.back()).or(self.carried.as_ref())
    }

    /// Goes over to another room, which numbers the same packets in another way.
    pub(crate) fn carry(&mut self) {
        self.stop();
        self.carried = self.ended.pop_back().or(self.carried.take());
        self.ended.clear();
    }

    /// Ends the run; the next packet starts another.
    pub(crate) fn stop(&mut self) {
        if let Some(run) = self.run.take() {
            if self.ended.len() >= MAX_ENDED_RUNS {
                self.ended.pop_front();
            }
            self.ended.push_back(run);
        }
    }

    /// Starts a run.
    pub(crate) fn start(&mut self, now: Instant, start: &Start<'_>) {
        self.stop();
        let meta = start.meta;
        let mut run = Run {
            layer: start.layer,
            generation: start.generation,
            in_start: start.seq,
            out_start: self.first_seq + u64::from(start.ahead),
            in_ts: meta.ts,
            ahead: start.ahead,
            gone: 0,
            ts_offset: 0,
            late: None,
            picture_offset: 0,
            tl0_offset: 0,
            frame_offset: 0,
            pts: start.pts,
            trim: Trim::new(start.seq, start.cut),
        };
        if let Some(last) = self.last {
            run.out_start = last.seq + 1 + u64::from(start.ahead);
            let first = self.first_ts(now, &last, start);
            run.ts_offset = first.wrapping_sub(meta.ts);
            // What seems to be behind by more has gone on in a pause of hours.
            let late = last.ts.wrapping_sub(first) < MAX_HURRY;
            run.late = late.then_some(last.ts);
            if let Some((_, id)) = meta.picture.id {
                run.picture_offset = last.picture_id.wrapping_add(1).wrapping_sub(id) & PICTURE_ID_MASK;
            }
            if let Some((_, index)) = meta.picture.tl0 {
                run.tl0_offset = last.tl0.wrapping_add(1).wrapping_sub(index);
            }
            if let Some(frame) = meta.frame {
                run.frame_offset = last.frame.wrapping_add(1).wrapping_sub(frame);
            }
        }
        self.run = Some(run);
    }

    /// The cut that the run should come to.
    pub(crate) fn aim(&mut self, goal: Cut) {
        if let Some(run) = &mut self.run {
            run.trim.aim(goal);
        }
    }

    /// The numbers of a packet of the run.
    #[inline]
    pub(crate) fn place(&mut self, now: Instant, seq: u64, meta: &Meta) -> Result<Numbers, Skip> {
        let run = self.run.as_mut().ok_or(Skip::Outside)?;
        let early = seq < run.in_start;
        if early && !run.takes_ahead(seq) {
            return Err(Skip::Outside);
        }
        // Of the picture before the first one only the hole is filled: who begins here has nothing to decode it with.
        if (early && meta.ts != run.in_ts) || !run.trim.passes(seq, &meta.part, meta.keyframe) {
            if !early && run.trim.leave_out(seq, meta) {
                return Err(Skip::LeftOut);
            }
            let numbers = run.numbers(seq, meta).ok_or(Skip::Outside)?;
            let ts = if early { run.ts(run.in_ts) } else { numbers.ts };
            return Ok(Numbers { ts, marker: false, blank: true, ..numbers });
        }
        run.trim.place(seq);
        let numbers = run.numbers(seq, meta).ok_or(Skip::Outside)?;
        if self.last.is_none_or(|last| last.seq < numbers.seq) {
            let previous = self.last;
            self.last = Some(Last {
                seq: numbers.seq,
                ts: numbers.ts,
                at: now,
                picture_id: numbers.picture_id.or(previous.map(|last| last.picture_id)).unwrap_or(0),
                tl0: numbers.tl0.or(previous.map(|last| last.tl0)).unwrap_or(0),
                frame: numbers.frame.or(previous.map(|last| last.frame)).unwrap_or(0),
            });
        }
        Ok(numbers)
    }

    /// The newest number that went out.
    pub(crate) fn last_seq(&self) -> Option<u16> {
        self.last.map(|last| last.seq as u16)
    }

    /// All of the number that went out last.
    pub(crate) fn last_number(&self) -> Option<u64> {
        self.last.map(|last| last.seq)
    }

    /// All of the number of a packet that went out, or would have, with this 16-bit number lately.
    pub(crate) fn number(&self, seq: u16) -> Option<u64> {
        let last = self.last_number()?;
        last.checked_sub(u64::from((last as u16).wrapping_sub(seq)))
    }

    /// The newest timestamp that went out.
    pub(crate) fn last_ts(&self) -> u32 {
        self.last.map_or(0, |last| last.ts)
    }

    /// The run and the number in its layer of a packet that went out with this 16-bit number lately.
    pub(crate) fn find(&self, seq: u16) -> Option<(&Run, u64)> {
        let out = self.number(seq)?;
        let run = self.run.iter().chain(self.ended.iter().rev()).find(|run| run.lowest() <= out)?;
        Some((run, run.find(out)?))
    }

    /// Whether another run has begun since, or none goes on.
    pub(crate) fn is_over(&self, run: &Run) -> bool {
        self.run.as_ref().is_none_or(|present| present.out_start != run.out_start)
    }

    /// The timestamp that a run's first packet should have: by the publisher's wall clock where both layers have told it,
    /// else by the time that passed.
    fn first_ts(&self, now: Instant, last: &Last, start: &Start<'_>) -> u32 {
        let passed = sr::ticks(now.saturating_duration_since(last.at), start.rate);
        let by_arrival = last.ts.wrapping_add(passed);
        let before = self.ended.back().or(self.carried.as_ref());
        let same_stream = before.filter(|run| (run.layer, run.generation) == (start.layer, start.generation));
        let by_clock = match (same_stream, before, start.clocks) {
            (Some(run), _, _) => Some(start.meta.ts.wrapping_add(run.ts_offset)),
            (None, Some(run), (Some(clock), Some(previous))) => {
                Some(previous.ts_of(clock.ntp_of(start.meta.ts)).wrapping_add(run.ts_offset))
            }
            (None, _, _) => None,
        };
        let plausible = |ts: &u32| {
            let apart = ts.wrapping_sub(by_arrival).cast_signed().unsigned_abs();
            apart <= start.rate.saturating_mul(MAX_CLOCK_DISAGREEMENT_SECS)
        };
        by_clock.filter(plausible).unwrap_or(by_arrival)
    }
}

#[cfg(test)]
mod tests;
