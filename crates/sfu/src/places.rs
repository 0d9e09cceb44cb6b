//! Where the peers and tracks of one room are, and where the next peer goes.
//!
//! A room begins on one worker. While that worker has time, everybody is there and no packet crosses threads. Then it goes on
//! to the worker with the most time. Who is placed stays while their worker has time; those who only receive may be moved
//! then ([`crate::balance`]).

use std::collections::{HashMap, HashSet};

use convene_types::{PeerId, TrackId};

/// When a room spreads over workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// When the worker it is on has no time left.
    #[default]
    ByLoad,
    /// At once: each peer goes where the fewest of the room are. For tests and measurements.
    Always,
}

/// Share of its time (thousandths) from which a worker gets no more peers of a room, if another has more time. Below it a
/// worker takes what a join costs and a burst; far below it, rooms would pay for pipes that they do not need.
const SPREAD_FROM: u32 = 650;

/// Another worker has to be less busy by this much (thousandths), else nothing is gained.
const SPREAD_GAIN: u32 = 150;

/// Peers of one room on one worker before the others get some, whatever the load says: it is measured once a second, and a
/// thousand peers may join in one.
const MAX_PEERS_TOGETHER: usize = 1_000;

/// One worker as a new peer would find it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    /// Thousandths of its time.
    pub(crate) busy: u32,
    /// Peers of the room.
    pub(crate) peers: usize,
}

/// The worker for the next peer of a room; `current` is the one that the last peer went to.
pub(crate) fn choose(spread: Spread, sites: &[Site], current: usize) -> usize {
    let fewest = || sites.iter().enumerate().min_by_key(|(_, site)| site.peers).map_or(current, |(index, _)| index);
    match spread {
        Spread::Always => fewest(),
        Spread::ByLoad => {
            let Some(here) = sites.get(current) else { return 0 };
            if here.peers >= MAX_PEERS_TOGETHER {
                return fewest();
            }
            let idlest = sites.iter().enumerate().min_by_key(|(_, site)| site.busy);
            match idlest {
                Some((index, there)) if here.busy >= SPREAD_FROM && there.busy + SPREAD_GAIN <= here.busy => index,
                Some(_) | None => current,
            }
        }
    }
}

/// Who is where.
#[derive(Debug, Default)]
pub(crate) struct Places {
    peers: HashMap<PeerId, usize>,
    /// Its worker and its publisher.
    tracks: HashMap<TrackId, (usize, PeerId)>,
    /// Those that were moved: once is all.
    moved: HashSet<PeerId>,
    imported: HashSet<(TrackId, usize)>,
    /// Peers by worker, counted.
    together: Vec<usize>,
    pub(crate) current: usize,
}

impl Places {
    /// Nobody is there yet; the first comes to this worker.
    pub(crate) fn starting_on(worker: usize) -> Self {
        Self { current: worker, ..Self::default() }
    }

    pub(crate) fn add_peer(&mut self, peer: PeerId, worker: usize) {
        self.current = worker;
        if self.peers.insert(peer, worker).is_none() {
            self.together.resize(self.together.len().max(worker + 1), 0);
            self.together.iter_mut().skip(worker).take(1).for_each(|count| *count += 1);
        }
    }

    pub(crate) fn remove_peer(&mut self, peer: PeerId) -> Option<usize> {
        let worker = self.peers.remove(&peer)?;
        self.together.iter_mut().skip(worker).take(1).for_each(|count| *count -= 1);
        self.moved.remove(&peer);
        Some(worker)
    }

    /// A peer went on to another worker. Where the next one goes does not change by that.
    pub(crate) fn move_peer(&mut self, peer: PeerId, worker: usize) {
        if self.remove_peer(peer).is_some() {
            let current = self.current;
            self.add_peer(peer, worker);
            self.current = current;
            self.moved.insert(peer);
        }
    }

    /// Peers on a worker that publish nothing and were not moved before, the newest first.
    pub(crate) fn movable(&self, worker: usize) -> Vec<PeerId> {
        let publishers: HashSet<PeerId> = self.tracks.values().map(|(_, publisher)| *publisher).collect();
        let here = self.peers.iter().filter(|(_, place)| **place == worker).map(|(peer, _)| *peer);
        let mut movable: Vec<PeerId> =
            here.filter(|peer| !publishers.contains(peer) && !self.moved.contains(peer)).collect();
        movable.sort_unstable_by(|a, b| b.cmp(a));
        movable
    }

    pub(crate) fn of_peer(&self, peer: PeerId) -> Option<usize> {
        self.peers.get(&peer).copied()
    }

    pub(crate) fn peers_on(&self, worker: usize) -> usize {
        self.together.get(worker).copied().unwrap_or(0)
    }

    /// A peer published a track: it is where the peer is.
    pub(crate) fn add_track(&mut self, track: TrackId, worker: usize, publisher: PeerId) {
        self.tracks.insert(track, (worker, publisher));
    }

    /// The workers that know a track, its home first.
    pub(crate) fn of_track(&self, track: TrackId) -> Vec<usize> {
        let home = self.tracks.get(&track).map(|(home, _)| *home);
        let branches = self.imported.iter().filter(|(imported, _)| *imported == track).map(|(_, worker)| *worker);
        home.into_iter().chain(branches).collect()
    }

    pub(crate) fn remove_track(&mut self, track: TrackId) {
        self.tracks.remove(&track);
        self.imported.retain(|(imported, _)| *imported != track);
    }

    /// The home of a track that a worker does not know yet.
    pub(crate) fn to_import(&self, track: TrackId, worker: usize) -> Option<usize> {
        let home = self.tracks.get(&track).map(|(home, _)| *home).filter(|home| *home != worker)?;
        (!self.imported.contains(&(track, worker))).then_some(home)
    }

    pub(crate) fn imported(&mut self, track: TrackId, worker: usize) {
        self.imported.insert((track, worker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_stays_together_while_there_is_time() {
        let site = |busy, peers| Site { busy, peers };
        let rows: [(Spread, &[Site], usize, usize); 9] = [
            (Spread::ByLoad, &[site(100, 5), site(0, 0)], 0, 0),
            (Spread::ByLoad, &[site(640, 5), site(0, 0)], 0, 0),
            (Spread::ByLoad, &[site(700, 5), site(500, 0)], 0, 1),
            (Spread::ByLoad, &[site(700, 5), site(600, 0)], 0, 0),
            (Spread::ByLoad, &[site(900, 5), site(700, 5), site(200, 0)], 1, 2),
            (Spread::ByLoad, &[site(0, 1_000), site(0, 3)], 0, 1),
            (Spread::Always, &[site(0, 1), site(900, 0)], 0, 1),
            (Spread::Always, &[site(0, 1), site(900, 1)], 1, 0),
            (Spread::ByLoad, &[], 0, 0),
        ];
        for (spread, sites, current, want) in rows {
            assert_eq!(choose(spread, sites, current), want, "{spread:?} {sites:?}");
        }
    }

    #[test]
    fn a_track_is_imported_once_a_worker() {
        let mut places = Places::default();
        places.add_peer(PeerId(1), 0);
        places.add_track(TrackId(9), 0, PeerId(1));
        assert_eq!((places.to_import(TrackId(9), 0), places.to_import(TrackId(9), 1)), (None, Some(0)));
        places.imported(TrackId(9), 1);
        assert_eq!((places.to_import(TrackId(9), 1), places.of_track(TrackId(9))), (None, vec![0, 1]));
        places.remove_track(TrackId(9));
        assert_eq!((places.of_track(TrackId(9)), places.to_import(TrackId(9), 1)), (vec![], None));
        assert_eq!((places.remove_peer(PeerId(1)), places.peers_on(0)), (Some(0), 0));
    }

    #[test]
    fn who_publishes_or_was_moved_stays() {
        let mut places = Places::starting_on(0);
        (1..=4).for_each(|peer| places.add_peer(PeerId(peer), 0));
        places.add_peer(PeerId(9), 1);
        places.add_peer(PeerId(5), 0);
        places.add_track(TrackId(9), 0, PeerId(2));
        assert_eq!(places.movable(0), [5, 4, 3, 1].map(PeerId));
        places.move_peer(PeerId(4), 1);
        assert_eq!(
            (places.of_peer(PeerId(4)), places.peers_on(0), places.peers_on(1), places.current),
            (Some(1), 4, 2, 0)
        );
        assert_eq!((places.movable(0), places.movable(1)), ([5, 3, 1].map(PeerId).to_vec(), vec![PeerId(9)]));
        places.remove_peer(PeerId(4));
        places.move_peer(PeerId(4), 0);
        assert_eq!(places.of_peer(PeerId(4)), None, "who has left is not moved");
    }
}
