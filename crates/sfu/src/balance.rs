//! Who goes from a worker without time to one that has some: the rule, and the task that carries it out.
//!
//! A move costs its peer a moment's picture, until a keyframe, and is never undone for tidiness: only a worker that has been
//! busy for some seconds gives peers away, a few at a time, and then waits until the loads say what came of it.

use std::time::Duration;

use convene_types::PeerId;

use crate::places::{Site, Spread};
use crate::room_handle::{Handle, Room};

/// Workers measure their loads once a second.
const SAMPLE: Duration = Duration::from_secs(1);

/// Share of its time (thousandths) from which a worker gives peers away. Below it there is room for bursts; at 970 it would
/// leave out layers of video.
const GIVE_FROM: u32 = 800;

/// The other has to be less busy by this much (thousandths), else both end up in want.
const GAIN: u32 = 300;

/// Samples in a row that show it: joins are bursts of seconds.
const PATIENCE: u32 = 3;

/// Samples until loads say what a move has done.
const SETTLE: u32 = 3;

/// Peers moved at once. All of them wait for one keyframe of what they see, which is a burst on their new worker.
const MAX_MOVES: usize = 16;

/// Peers to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Part of those on `from`, in thousandths; one at least, [`MAX_MOVES`] at most.
    pub(crate) part: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Balancer {
    /// Samples in a row in which the busiest had too much to do, and which it was.
    busy_for: u32,
    busiest: usize,
    rest: u32,
}

impl Balancer {
    /// Takes in the loads of the last second; `peers` counts only for [`Spread::Always`].
    pub(crate) fn sample(&mut self, spread: Spread, sites: &[Site]) -> Option<Shift> {
        let sites = || sites.iter().enumerate();
        if spread == Spread::Always {
            let (from, most) = sites().max_by_key(|(_, site)| site.peers)?;
            let (to, fewest) = sites().min_by_key(|(_, site)| site.peers)?;
            return (most.peers >= fewest.peers + 2).then_some(Shift { from, to, part: 0 });
        }
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        let (from, busiest) = sites().max_by_key(|(_, site)| site.busy)?;
        let (to, idlest) = sites().min_by_key(|(_, site)| site.busy)?;
        if busiest.busy < GIVE_FROM || idlest.busy + GAIN > busiest.busy {
            self.busy_for = 0;
            return None;
        }
        self.busy_for = if from == self.busiest { self.busy_for + 1 } else { 1 };
        self.busiest = from;
        if self.busy_for < PATIENCE {
            return None;
        }
        (self.busy_for, self.rest) = (0, SETTLE);
        // Half of what lies between them, as a part of what the busy one does.
        Some(Shift { from, to, part: (busiest.busy - idlest.busy) * 500 / busiest.busy.max(1) })
    }
}

/// Moves peers between workers for as long as it is polled.
pub async fn balance(handle: Handle) {
    let mut balancer = Balancer::default();
    let mut clock = tokio::time::interval(SAMPLE);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let Some(shift) = balancer.sample(handle.spread(), &handle.sites()) else { continue };
        let moved = carry_out(shift, handle.movable(shift.from)).await;
        if moved > 0 {
            tracing::info!(from = shift.from, to = shift.to, moved, "peers went on to a worker with more time");
        }
    }
}

/// Moves some of these; how many.
async fn carry_out(shift: Shift, movable: Vec<(PeerId, Room)>) -> usize {
    let most = (movable.len() * shift.part as usize).div_ceil(1_000).clamp(1, MAX_MOVES);
    let mut moved = 0;
    for (peer, room) in movable {
        if moved >= most {
            break;
        }
        match room.relocate(peer, shift.to).await {
            Ok(()) => moved += 1,
            Err(error) => tracing::trace!(%peer, %error, "not moved"),
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (&'static str, Vec<&'static [u32]>, Vec<(usize, Shift)>);

    fn shifts(spread: Spread, samples: &[&[u32]]) -> Vec<(usize, Shift)> {
        let mut balancer = Balancer::default();
        let mut told = Vec::new();
        for (second, loads) in samples.iter().enumerate() {
            let sites: Vec<Site> = loads.iter().map(|busy| Site { busy: *busy, peers: *busy as usize }).collect();
            told.extend(balancer.sample(spread, &sites).map(|shift| (second, shift)));
        }
        told
    }

    #[test]
    fn only_a_worker_that_stays_busy_gives_and_then_waits() {
        let shift = |from, to, part| Shift { from, to, part };
        let rows: [Row; 7] = [
            ("no want", vec![&[790, 0]; 10], vec![]),
            ("nobody has more time", vec![&[900, 601, 700]; 10], vec![]),
            ("a burst", [vec![&[900, 0][..]; 2], vec![&[700, 0][..]], vec![&[900, 0][..]; 2]].concat(), vec![]),
            ("half of the difference", vec![&[900, 100]; 3], vec![(2, shift(0, 1, 444))]),
            ("to the idlest", vec![&[300, 1_000, 200]; 3], vec![(2, shift(1, 2, 400))]),
            ("again, with a rest", vec![&[900, 100]; 9], vec![(2, shift(0, 1, 444)), (8, shift(0, 1, 444))]),
            ("another is the busiest", [vec![&[900, 0, 850][..]; 2], vec![&[850, 0, 900]; 2]].concat(), vec![]),
        ];
        for (name, samples, want) in rows {
            assert_eq!(shifts(Spread::ByLoad, &samples), want, "{name}");
        }
        assert!(
            shifts(Spread::ByLoad, &[&[], &[], &[], &[]]).is_empty()
                && shifts(Spread::ByLoad, &[&[999][..]; 9]).is_empty()
        );
    }

    #[test]
    fn spread_always_evens_out_at_once() {
        let shift = |from, to| Shift { from, to, part: 0 };
        let told = shifts(Spread::Always, &[&[3, 2], &[3, 1], &[0, 2], &[1, 1]]);
        assert_eq!(told, [(1, shift(0, 1)), (2, shift(1, 0))]);
    }
}
