//! Streams that do not go out to a participant for a while, and when they are told. A client forgets what it is told of a track
//! that has not come to it yet: who joins where there is no room for pictures would see black ones. So it is said again. That a
//! stream goes on is said again to a client that comes back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use convene_types::TrackId;

/// When it is said again, after it was said first: a track comes with the next negotiation, over whatever path.
const AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(8)];

/// See the module. What was said of each stream last, if it was ever paused.
#[derive(Debug, Default)]
pub(super) struct Paused(BTreeMap<TrackId, Telling>);

#[derive(Clone, Copy, Debug)]
struct Telling {
    first: Instant,
    /// How often it was said again.
    again: usize,
    /// It goes on since.
    over: bool,
}

impl Telling {
    fn due(&self) -> Option<Instant> {
        AGAIN.get(self.again).filter(|_| !self.over).map(|after| self.first + *after)
    }
}

impl Paused {
    /// It was told that a stream is paused, or goes on.
    pub(super) fn told(&mut self, now: Instant, track: TrackId, paused: bool) {
        match paused {
            true => drop(self.0.insert(track, Telling { first: now, again: 0, over: false })),
            false => self.0.get_mut(&track).into_iter().for_each(|telling| telling.over = true),
        }
    }

    /// The track has ended, or comes anew: streams begin as ones that go out.
    pub(super) fn forget(&mut self, track: TrackId) {
        self.0.remove(&track);
    }

    /// The participant has a new signaling connection: whatever was said may be lost. Returns what is to be said of which tracks:
    /// whether they are paused.
    pub(super) fn resumed(&mut self, now: Instant) -> Vec<(TrackId, bool)> {
        for telling in self.0.values_mut() {
            *telling = Telling { first: now, again: 0, ..*telling };
        }
        self.0.iter().map(|(track, telling)| (*track, !telling.over)).collect()
    }

    /// When something is to be said again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.values().filter_map(Telling::due).min()
    }

    /// What is to be said again now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<TrackId> {
        let mut due = Vec::new();
        for (track, telling) in &mut self.0 {
            if telling.due().is_some_and(|at| at <= now) {
                telling.again += 1;
                due.push(*track);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_said_again_with_growing_pauses_until_it_goes_on() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (one, other) = (TrackId(1), TrackId(2));
        let mut paused = Paused::default();
        assert_eq!((paused.poll_timeout(), paused.take_due(at(9))), (None, vec![]));
        paused.told(at(0), one, true);
        paused.told(at(2), other, true);
        let said: Vec<_> =
            (0..20).flat_map(|second| paused.take_due(at(second)).into_iter().map(move |t| (second, t))).collect();
        assert_eq!(said, [(1, one), (3, one), (3, other), (5, other), (8, one), (10, other)]);
        assert_eq!(paused.poll_timeout(), None);

        paused.told(at(20), other, false);
        assert_eq!(paused.resumed(at(30)), [(one, true), (other, false)]);
        assert_eq!(paused.poll_timeout(), Some(at(31)));
        assert_eq!(paused.take_due(at(31)), [one], "the other one goes on");
        paused.forget(one);
        paused.told(at(32), one, false);
        assert_eq!((paused.poll_timeout(), paused.resumed(at(33))), (None, vec![(other, false)]));
    }
}
