//! What is left out of a run: the cut in force, the one that is aimed at, and the numbers of what was left out.
//!
//! ```text
//! in     10 S0   11 S1   12 S2   13 S0   14 S1      cut: S0
//! out    10      -       -       11      -
//! ```
//!
//! A packet that is left out takes its number along, so that the next one follows without a hole. Where a later packet has
//! its number already, the hole is filled with an empty packet instead.

use std::collections::VecDeque;

use crate::cut::Cut;
use crate::meta::Meta;
use crate::part::Part;

/// Stretches left out that are remembered, for NACKs and late packets: a second and more at 60 pictures a second, of which
/// each has one. Sixteen bytes each, and none where nothing is left out.
const MAX_STRETCHES: usize = 128;
/// Cuts remembered, for late packets.
const MAX_TURNS: usize = 8;
/// All spatial layers.
const EVERY: u8 = u8::MAX;

/// From this number on, so many packets and pictures were left out before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    from: u64,
    packets: u32,
    pictures: u16,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trim {
    cut: Cut,
    /// The first number under `cut`.
    since: u64,
    goal: Cut,
    /// By spatial layer: nothing of it was left out since the last keyframe, so that its next frame can be decoded.
    intact: u8,
    /// The first number of the last keyframe.
    key: u64,
    /// Where a lower spatial layer came into force since then without a keyframe, and with which cut: packets of it from
    /// before may be under way still.
    fell: Option<(u64, Cut)>,
    earlier: VecDeque<(u64, Cut)>,
    stretches: VecDeque<Stretch>,
    /// Stretches were forgotten: numbers below the first that is remembered are unknown.
    forgetful: bool,
    /// The highest number looked at, and the highest that went out.
    seen: u64,
    placed: u64,
    newest_picture: Option<u16>,
}

impl Trim {
    /// Reads what placing a packet needs.
    pub(crate) fn touch(&self) -> u64 {
        self.since ^ self.key ^ u64::from(self.intact) ^ self.stretches.len() as u64 ^ self.earlier.len() as u64
    }

    pub(crate) fn new(start: u64, cut: Cut) -> Self {
        Self {
            cut,
            since: start,
            goal: cut,
            intact: EVERY,
            key: start,
            fell: None,
            earlier: VecDeque::new(),
            stretches: VecDeque::new(),
            forgetful: false,
            seen: 0,
            placed: 0,
            newest_picture: None,
        }
    }

    /// The cut in force.
    pub(crate) const fn cut(&self) -> Cut {
        self.cut
    }

    /// The cut that is aimed at; it comes into force where the stream allows.
    pub(crate) fn aim(&mut self, goal: Cut) {
        self.goal = goal;
    }

    /// Whether only a keyframe leads to the spatial layer aimed at.
    pub(crate) fn awaits_keyframe(&self) -> bool {
        self.goal.spatial() != self.cut.spatial() && !self.falls_at_once(self.goal)
    }

    /// Whether a cut can come into force with the next picture.
    pub(crate) fn falls_at_once(&self, cut: Cut) -> bool {
        cut.spatial() == self.cut.spatial()
            || (cut.spatial() < self.cut.spatial() && self.intact & (1 << cut.spatial()) != 0)
    }

    /// Looks at a packet as it comes, and says whether it goes out. For most there is little to look at: the cut stays, and
    /// has them.
    pub(crate) fn passes(&mut self, seq: u64, part: &Part, keyframe: bool) -> bool {
        if self.cut != self.goal || seq < self.since || !part.is_in(self.cut) {
            self.look(seq, part, keyframe);
            return self.has(seq, part);
        }
        self.see(seq, keyframe);
        true
    }

    /// Notes how far the stream has come. Whether it is new.
    fn see(&mut self, seq: u64, keyframe: bool) -> bool {
        let new = seq > self.seen;
        if new {
            self.seen = seq;
            if keyframe {
                (self.intact, self.key, self.fell) = (EVERY, seq, None);
            }
        }
        new
    }

    /// Looks at a packet as it comes: another cut may come into force with it.
    fn look(&mut self, seq: u64, part: &Part, keyframe: bool) {
        if self.see(seq, keyframe) {
            let cut = if self.cut == self.goal || !part.start { self.cut } else { self.turn(part, keyframe) };
            if cut != self.cut {
                self.come_to(seq, cut, keyframe);
            }
        }
        // Also of a late packet: what is left out is missing, whenever it came. What is older than the keyframe is not.
        let own = Cut::new(part.spatial, self.cut_at(seq).temporal());
        if seq > self.key && !self.has(seq, part) && part.is_in(own) {
            self.intact &= !(1 << part.spatial);
        }
    }

    fn come_to(&mut self, seq: u64, cut: Cut, keyframe: bool) {
        if self.earlier.len() >= MAX_TURNS {
            self.earlier.pop_front();
        }
        self.earlier.push_back((self.since, self.cut));
        if cut.spatial() < self.cut.spatial() && !keyframe {
            self.fell = Some((seq, cut));
        }
        (self.cut, self.since) = (cut, seq);
    }

    /// The cut from the frame on that begins with this packet.
    fn turn(&self, part: &Part, keyframe: bool) -> Cut {
        let (cut, goal) = (self.cut, self.goal);
        if keyframe {
            return goal;
        }
        let low = cut.min(goal);
        if low != cut && part.begins_picture() {
            let spatial = if self.falls_at_once(low) { low.spatial() } else { cut.spatial() };
            return Cut::new(spatial, low.temporal());
        }
        if goal.temporal() > cut.temporal() {
            let more = Cut::new(cut.spatial(), goal.temporal());
            if part.is_in(cut) && part.leads_to(more) {
                return more;
            }
            if part.sync && part.temporal == cut.temporal() + 1 {
                return Cut::new(cut.spatial(), part.temporal);
            }
        }
        cut
    }

    /// Whether a packet of this number and kind goes out: its cut has it, or it comes late and is of the layer that the
    /// cut has fallen to, whose next frame refers to it.
    pub(crate) fn has(&self, seq: u64, part: &Part) -> bool {
        let owed = || self.fell.is_some_and(|(at, cut)| self.key < seq && seq < at && part.is_in(cut));
        part.is_in(self.cut_at(seq)) || owed()
    }

    /// The cut in force at a number.
    pub(crate) fn cut_at(&self, seq: u64) -> Cut {
        if seq >= self.since {
            return self.cut;
        }
        let then = self.earlier.iter().rev().find(|(since, _)| *since <= seq).or(self.earlier.front());
        then.map_or(self.cut, |(_, cut)| *cut)
    }

    /// Takes a packet that is left out out of the numbers. `false`: a later one has gone out, the hole has to be filled.
    pub(crate) fn leave_out(&mut self, seq: u64, meta: &Meta) -> bool {
        if seq <= self.placed {
            return false;
        }
        let picture = u16::from(self.is_new_picture(meta));
        let later = self.stretches.iter().rev().take_while(|stretch| stretch.from > seq).count();
        let at = self.stretches.len().saturating_sub(later);
        let before = at.checked_sub(1).and_then(|before| self.stretches.get(before)).copied();
        let before = before.unwrap_or(Stretch { from: 0, packets: 0, pictures: 0 });
        for stretch in self.stretches.range_mut(at..) {
            stretch.packets += 1;
            stretch.pictures = stretch.pictures.wrapping_add(picture);
        }
        let stretch = Stretch {
            from: seq + 1,
            packets: before.packets.saturating_add(1),
            pictures: before.pictures.wrapping_add(picture),
        };
        // The one before has only left-out numbers in it when it begins with this one.
        if before.from == seq && at > 0 {
            if let Some(slot) = self.stretches.get_mut(at - 1) {
                *slot = stretch;
            }
        } else {
            self.stretches.insert(at, stretch);
        }
        if self.stretches.len() > MAX_STRETCHES {
            self.stretches.pop_front();
            self.forgetful = true;
        }
        true
    }

    fn is_new_picture(&mut self, meta: &Meta) -> bool {
        let Some((_, id)) = meta.picture.id.filter(|_| meta.picture.dense) else { return false };
        let bits = if meta.picture.long { 15 } else { 7 };
        let ahead = |newest: u16| {
            let ahead = id.wrapping_sub(newest) & ((1 << bits) - 1);
            ahead != 0 && ahead < 1 << (bits - 1)
        };
        let new = self.newest_picture.is_none_or(ahead);
        if new {
            self.newest_picture = Some(id);
        }
        new
    }

    /// Packets and pictures left out before a number. `None`: too long ago to tell.
    pub(crate) fn before(&self, seq: u64) -> Option<(u64, u16)> {
        match self.stretches.iter().rev().find(|stretch| stretch.from <= seq) {
            Some(stretch) => Some((u64::from(stretch.packets), stretch.pictures)),
            None => (!self.forgetful).then_some((0, 0)),
        }
    }

    /// A packet goes out.
    pub(crate) fn place(&mut self, seq: u64) {
        self.placed = self.placed.max(seq);
    }

    /// The number of the packet that went out as the `nth` number from `start` on would be without anything left out.
    pub(crate) fn find(&self, without: u64) -> Option<u64> {
        let begins = |stretch: &&Stretch| stretch.from - u64::from(stretch.packets) <= without;
        match self.stretches.iter().rev().find(begins) {
            Some(stretch) => Some(without + u64::from(stretch.packets)),
            None => (!self.forgetful).then_some(without),
        }
    }
}

#[cfg(test)]
mod tests;
