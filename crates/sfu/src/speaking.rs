//! Who speaks in a room that several workers have a part of. Each names those who publish there, and whose turn it is among
//! them; here one list is made of it.

use std::collections::BTreeMap;

use convene_types::TrackId;

use crate::handle::Speaker;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Speaking {
    by_worker: BTreeMap<usize, Vec<Speaker>>,
    dominant: Option<TrackId>,
}

impl Speaking {
    /// A worker told who speaks; the room's list. The dominant one of the room stays while it is that of its worker and is
    /// heard; then it is the loudest of those that the workers name.
    pub(crate) fn told(&mut self, worker: usize, speakers: Vec<Speaker>) -> Vec<Speaker> {
        self.by_worker.insert(worker, speakers);
        let mut all: Vec<Speaker> = self.by_worker.values().flatten().copied().collect();
        let named = || all.iter().filter(|one| one.dominant);
        let stays = named().any(|one| Some(one.track) == self.dominant);
        if !stays && let Some(loudest) = named().max_by(|one, two| one.level.total_cmp(&two.level)) {
            self.dominant = Some(loudest.track);
        }
        for one in &mut all {
            one.dominant = Some(one.track) == self.dominant;
        }
        all.sort_by(|one, two| two.dominant.cmp(&one.dominant).then(two.level.total_cmp(&one.level)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_dominant_in_a_room_and_stays_so_while_it_is_heard() {
        let of = |track, level, dominant| Speaker { track: TrackId(track), level, dominant };
        let mut speaking = Speaking::default();
        let mut told = |worker, speakers: &[Speaker]| {
            let all = speaking.told(worker, speakers.to_vec());
            all.into_iter().map(|one| (one.track.0, one.dominant)).collect::<Vec<_>>()
        };
        assert_eq!(told(0, &[of(1, 0.2, true)]), [(1, true)]);
        assert_eq!(told(1, &[of(2, 0.9, true), of(3, 0.1, false)]), [(1, true), (2, false), (3, false)]);
        assert_eq!(told(0, &[]), [(2, true), (3, false)], "who was it is silent");
        assert_eq!(told(0, &[of(1, 1.0, true)]), [(2, true), (1, false), (3, false)]);
        assert_eq!(told(1, &[of(3, 0.1, true), of(2, 0.9, false)]), [(1, true), (2, false), (3, false)]);
    }
}
