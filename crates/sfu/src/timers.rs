//! Wake-ups of one worker: a heap of deadlines with lazy deletion.
//!
//! A session or room holds the earliest deadline it has entered; a stale entry is recognised by the owner when it fires,
//! because its poll_timeout lies later. So moving a deadline costs one push and nothing is searched.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use convene_types::{PeerId, RoomId};

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Peer(PeerId),
    Room(RoomId),
}

/// Deadlines, earliest first.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Owner)>>,
}

impl Timers {
    /// Enters `deadline` unless `entered` (the owner's earliest entry) already covers it; keeps `entered` true.
    pub(crate) fn schedule(&mut self, owner: Owner, deadline: Option<Instant>, entered: &mut Option<Instant>) {
        let Some(deadline) = deadline else { return };
        if entered.is_some_and(|earliest| earliest <= deadline) {
            return;
        }
        *entered = Some(deadline);
        self.heap.push(Reverse((deadline, owner)));
    }

    /// Deadlines entered, stale ones among them.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest deadline entered, stale or not.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes an owner whose entry is due. The caller clears the owner's `entered` and schedules it again.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Owner> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, owner))| owner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn fires_in_order_and_skips_covered_deadlines() {
        let start = Instant::now();
        let at = |ms| Some(start + Duration::from_millis(ms));
        let (mut timers, mut a, mut b) = (Timers::default(), None, None);
        timers.schedule(Owner::Peer(PeerId(1)), at(20), &mut a);
        timers.schedule(Owner::Peer(PeerId(1)), at(30), &mut a); // covered by 20
        timers.schedule(Owner::Room(RoomId(2)), at(10), &mut b);
        timers.schedule(Owner::Room(RoomId(2)), None, &mut b);
        assert_eq!(timers.next(), at(10));
        assert_eq!(timers.pop_due(start), None);
        let now = start + Duration::from_millis(40);
        assert_eq!(timers.pop_due(now), Some(Owner::Room(RoomId(2))));
        assert_eq!(timers.pop_due(now), Some(Owner::Peer(PeerId(1))));
        assert_eq!(timers.pop_due(now), None);
    }
}
