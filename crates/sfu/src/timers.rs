//! Wake-ups of one worker: one deadline an owner, the earliest that it asked for.
//!
//! A deadline that moves to a later time stays where it is: its owner is called once for nothing, and nothing is searched.
//! One that moves to an earlier time takes the place of the old one. So there are never more entries than owners; a second
//! entry of an owner would be entered again each time it fires, and stay for as long as the worker runs.

use std::collections::BTreeSet;
use std::time::Instant;

use convene_types::{PeerId, RoomId};
use rustc_hash::FxHashMap;

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    Peer(PeerId),
    Room(RoomId),
}

/// Deadlines, earliest first.
#[derive(Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Instant, Owner)>,
    /// The entry of each owner in the queue.
    entered: FxHashMap<Owner, Instant>,
}

impl Timers {
    /// Enters `deadline` unless an earlier one of this owner covers it.
    pub(crate) fn schedule(&mut self, owner: Owner, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        if self.entered.get(&owner).is_some_and(|earliest| *earliest <= deadline) {
            return;
        }
        if let Some(later) = self.entered.insert(owner, deadline) {
            self.queue.remove(&(later, owner));
        }
        self.queue.insert((deadline, owner));
    }

    /// Owners that have a deadline; some of them may be gone.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes an owner whose deadline is due. The caller lets it handle the time and schedules it again.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Owner> {
        if self.next()? > now {
            return None;
        }
        let (_, owner) = self.queue.pop_first()?;
        self.entered.remove(&owner);
        Some(owner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OWNERS: [Owner; 4] =
        [Owner::Peer(PeerId(1)), Owner::Peer(PeerId(2)), Owner::Room(RoomId(1)), Owner::Room(RoomId(2))];

    #[test]
    fn fires_in_order_and_skips_covered_deadlines() {
        let start = Instant::now();
        let at = |ms| Some(start + Duration::from_millis(ms));
        let mut timers = Timers::default();
        timers.schedule(Owner::Peer(PeerId(1)), at(20));
        timers.schedule(Owner::Peer(PeerId(1)), at(30)); // covered by 20
        timers.schedule(Owner::Room(RoomId(2)), at(10));
        timers.schedule(Owner::Room(RoomId(2)), None);
        assert_eq!(timers.next(), at(10));
        assert_eq!(timers.pop_due(start), None);
        let now = start + Duration::from_millis(40);
        assert_eq!(timers.pop_due(now), Some(Owner::Room(RoomId(2))));
        assert_eq!(timers.pop_due(now), Some(Owner::Peer(PeerId(1))));
        assert_eq!(timers.pop_due(now), None);
    }

    #[test]
    fn ten_thousand_earlier_deadlines_leave_one_entry_an_owner() {
        let (start, mut timers) = (Instant::now(), Timers::default());
        for round in 0..10_000 {
            let now = start + Duration::from_millis(round);
            for owner in OWNERS {
                timers.schedule(owner, Some(now + Duration::from_secs(1)));
                timers.schedule(owner, Some(now + Duration::from_micros(500)));
            }
            let fired: Vec<Owner> = std::iter::from_fn(|| timers.pop_due(now + Duration::from_micros(500))).collect();
            assert_eq!(fired, OWNERS, "round {round}");
            for owner in OWNERS {
                timers.schedule(owner, Some(now + Duration::from_secs(1)));
            }
            assert_eq!((timers.len(), timers.entered.len()), (OWNERS.len(), OWNERS.len()), "round {round}");
        }
    }

    #[test]
    fn no_deadline_is_lost_and_none_fires_early() {
        let (start, mut timers, mut state) = (Instant::now(), Timers::default(), 7_u64);
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut wanted = [None; OWNERS.len()];
        for round in 0..20_000 {
            let now = start + Duration::from_millis(round);
            let (index, deadline) = (next(4) as usize, now + Duration::from_millis(next(200)));
            timers.schedule(OWNERS[index], Some(deadline));
            wanted[index] = Some(wanted[index].map_or(deadline, |earlier: Instant| earlier.min(deadline)));
            let mut fired: Vec<Owner> = std::iter::from_fn(|| timers.pop_due(now)).collect();
            fired.sort();
            let due = |index: &usize| wanted[*index].is_some_and(|at| at <= now);
            let due: Vec<usize> = (0..OWNERS.len()).filter(due).collect();
            assert_eq!(fired, due.iter().map(|index| OWNERS[*index]).collect::<Vec<_>>(), "round {round}");
            due.iter().for_each(|index| wanted[*index] = None);
        }
    }
}
