//! The packets sent on one transport, until feedback has told what became of them.

/// First size of the ring, a power of two: two seconds of audio and a thumbnail.
const START_SLOTS: usize = 128;
/// Packets remembered at most: 32 KiB. At 4,000 packets/s this is half a second, above any round trip plus the feedback's
/// own interval that is worth estimating on.
const MAX_SLOTS: usize = 2_048;
/// A packet that is reported missing may still come: it is lost once one sent this much later has arrived. Covers the
/// reordering of mobile links; longer delays the answer to loss.
const REORDER_GRACE_US: i64 = 80_000;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// No feedback has named it.
    Unknown,
    /// Feedback says that it has not arrived.
    Missing,
    /// It arrived.
    Arrived,
}

/// Which packet of which track it carries, as its subscriber numbers them: what to send again if it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    track: u16,
    pub(crate) seq: u16,
}

impl Origin {
    /// It carries nothing that could be sent again.
    pub(crate) const NONE: Self = Self { track: u16::MAX, seq: 0 };

    pub(crate) fn new(track: usize, seq: u16) -> Self {
        Self { track: u16::try_from(track).unwrap_or(u16::MAX), seq }
    }

    /// The track's index.
    pub(crate) fn track(self) -> Option<usize> {
        (self.track != u16::MAX).then_some(usize::from(self.track))
    }
}

/// A packet that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) sent_us: i64,
    pub(super) bytes: u16,
    /// The probe it was part of; 0: none.
    pub(super) cluster: u8,
    pub(super) fate: Fate,
    pub(super) origin: Origin,
}

const NO_PACKET: Packet = Packet { sent_us: 0, bytes: 0, cluster: 0, fate: Fate::Unknown, origin: Origin::NONE };

/// One is kept for each packet under way to each subscriber: 16 bytes.
const _: () = assert!(size_of::<Packet>() == 16);

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    /// By the low bits of the number; its length is a power of two.
    slots: Vec<Packet>,
    /// Number of the next packet. Starts above 0 so that the first lap has numbers before it.
    next: u64,
    /// Every packet before this one is accounted for.
    settled: u64,
    /// Of every packet before this one it was asked whether it is answered.
    asked: u64,
    /// When the newest packet that arrived was sent.
    newest_arrived_us: i64,
    may_grow: bool,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            next: 1 << 16,
            settled: 1 << 16,
            asked: 1 << 16,
            newest_arrived_us: i64::MIN,
            may_grow: false,
        }
    }

    /// Feedback comes: it is worth remembering more.
    pub(super) fn grounded(&mut self) {
        self.may_grow = true;
    }

    /// Enters a packet; its number on the wire.
    pub(super) fn push(&mut self, sent_us: i64, bytes: usize, cluster: u8, origin: Origin) -> u16 {
        if self.next - self.settled >= self.slots.len() as u64 {
            self.make_room();
        }
        let number = self.next;
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        if let Some(slot) = self.slot_mut(number) {
            *slot = Packet { sent_us, bytes, cluster, fate: Fate::Unknown, origin };
        }
        self.next += 1;
        number as u16 // the wire carries 16 bits
    }

    /// Marks a packet as arrived and returns what was known of it before. `None`: not or no longer known.
    pub(super) fn arrived(&mut self, seq: u16) -> Option<Packet> {
        let slot = self.find(seq)?;
        let before = *slot;
        slot.fate = Fate::Arrived;
        self.newest_arrived_us = self.newest_arrived_us.max(before.sent_us);
        Some(before)
    }

    /// Marks a packet as reported missing and returns it, the first time.
    pub(super) fn reported(&mut self, seq: u16) -> Option<Packet> {
        let slot = self.find(seq).filter(|slot| slot.fate == Fate::Unknown)?;
        slot.fate = Fate::Missing;
        Some(*slot)
    }

    /// Gives the fate of each packet that is old enough to be sure of, once: lost or not.
    pub(super) fn settle(&mut self, mut each: impl FnMut(bool)) {
        while self.settled < self.next {
            let Some(packet) = self.slot_mut(self.settled).map(|slot| *slot) else { return };
            match packet.fate {
                Fate::Arrived => each(false),
                Fate::Missing if packet.sent_us + REORDER_GRACE_US <= self.newest_arrived_us => each(true),
                // Feedback got lost: the packet says nothing.
                Fate::Unknown if packet.sent_us + 4 * REORDER_GRACE_US <= self.newest_arrived_us => {}
                Fate::Missing | Fate::Unknown => return,
            }
            self.settled += 1;
        }
    }

    /// What packets carry that were sent up to a time and of which nothing is known; each once.
    pub(super) fn unanswered(&mut self, sent_until_us: i64, mut each: impl FnMut(Origin)) {
        self.asked = self.asked.max(self.settled);
        while self.asked < self.next {
            let Some(packet) = self.slot_mut(self.asked).filter(|packet| packet.sent_us <= sent_until_us) else {
                return;
            };
            if packet.fate == Fate::Unknown && packet.origin.track().is_some() {
                each(packet.origin);
            }
            self.asked += 1;
        }
    }

    /// When the newest packet that arrived was sent.
    pub(super) fn newest_arrived(&self) -> i64 {
        self.newest_arrived_us
    }

    /// Nothing that is under way will be judged.
    pub(super) fn forget(&mut self) {
        self.settled = self.next;
    }

    fn find(&mut self, seq: u16) -> Option<&mut Packet> {
        let last = self.next - 1;
        let number = last.checked_sub(u64::from((last as u16).wrapping_sub(seq)))?;
        if number < self.settled {
            return None;
        }
        self.slot_mut(number)
    }

    fn slot_mut(&mut self, number: u64) -> Option<&mut Packet> {
        let mask = self.slots.len().wrapping_sub(1) as u64;
        self.slots.get_mut((number & mask) as usize)
    }

    /// Grows the ring, or gives up the oldest packet.
    fn make_room(&mut self) {
        let len = self.slots.len();
        let grows = len == 0 || (self.may_grow && len < MAX_SLOTS);
        if !grows {
            self.settled += 1;
            return;
        }
        let larger = if len == 0 { START_SLOTS } else { len * 2 };
        let old = std::mem::replace(&mut self.slots, vec![NO_PACKET; larger]);
        for number in self.settled..self.next {
            if let Some(packet) = old.get((number & (len as u64).wrapping_sub(1)) as usize).copied()
                && let Some(slot) = self.slot_mut(number)
            {
                *slot = packet;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settles_once_in_order_and_waits_for_the_late() {
        let mut ledger = Ledger::new();
        ledger.grounded();
        let seqs: Vec<u16> = (0..10_i64).map(|at| ledger.push(at * 20_000, 100, 0, Origin::NONE)).collect();
        assert_eq!(seqs, (0..10).collect::<Vec<u16>>());
        let settled = |ledger: &mut Ledger| {
            let mut fates = Vec::new();
            ledger.settle(|lost| fates.push(lost));
            fates
        };
        ledger.arrived(0).unwrap();
        assert!(ledger.reported(1).is_some() && ledger.reported(1).is_none(), "told once");
        ledger.arrived(2).unwrap();
        assert_eq!(settled(&mut ledger), [false], "the second may still come");
        ledger.arrived(4).unwrap();
        ledger.arrived(1).unwrap();
        assert_eq!(settled(&mut ledger), [false, false], "it came");
        assert!(ledger.reported(3).is_some());
        ledger.arrived(7).unwrap();
        assert_eq!(settled(&mut ledger), [true, false], "80 ms later it is lost");
        assert!(ledger.arrived(3).is_none(), "too late");
        ledger.forget();
        assert!(ledger.arrived(9).is_none());
    }

    #[test]
    fn grows_over_the_wrap_and_within_its_limit() {
        let mut ledger = Ledger::new();
        for _ in 0..1_000 {
            ledger.push(0, 100, 0, Origin::NONE);
        }
        assert_eq!(ledger.slots.len(), START_SLOTS, "nobody answers");
        ledger.grounded();
        for at in 0..200_000_i64 {
            let seq = ledger.push(at, 100, 0, Origin::NONE);
            if at % 2 == 0 {
                assert_eq!(ledger.arrived(seq).unwrap().sent_us, at);
            }
        }
        assert_eq!(ledger.slots.len(), MAX_SLOTS);
        let last = (ledger.next - 1) as u16;
        assert_eq!(ledger.arrived(last.wrapping_sub(2_000)).unwrap().sent_us, 199_999 - 2_000);
        assert!(ledger.arrived(last.wrapping_sub(2_100)).is_none());
    }
}
