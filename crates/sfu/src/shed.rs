//! What a worker without time leaves out, of the rooms that take most of it: simulcast layers of video, then video for ever fewer
//! viewers, in the end all video.
//! Others go on as they are, and audio does everywhere. That it refuses new rooms before is `Handle::open_room`'s matter, and
//! what becomes of packets meanwhile `lag`'s.

use convene_sfu_core::Ceiling;
use convene_types::RoomId;

/// Share of its time from which a worker takes less on. Above it, packets wait and receivers see jitter.
const TOO_BUSY: f64 = 0.97;

/// Share below which it may take more again: a layer more is up to three times the packets.
pub(crate) const AT_EASE: f64 = 0.6;

/// Samples (seconds) in a row before less, and before more again. Each fall soon after a rise doubles the latter: pictures
/// that come and go are worse than none.
const PATIENCE_DOWN: u32 = 2;
const PATIENCE_UP: u32 = 10;
const MAX_PATIENCE_UP: u32 = 320;

/// Part of the packets, in percent, whose rooms have less video after a step.
const STEP: u64 = 50;

/// A room that forwards video.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) room: RoomId,
    pub(crate) ceiling: Ceiling,
    /// The next one with which it forwards less.
    pub(crate) lower: Ceiling,
    /// Packets of the last second.
    pub(crate) packets: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shedder {
    /// Rooms that got less, and their ceilings before: the last step is taken back first.
    steps: Vec<Vec<(RoomId, Ceiling)>>,
    busy_for: u32,
    at_ease_for: u32,
    /// Samples at ease before more again.
    patience_up: u32,
    /// Samples since the last rise.
    risen_for: Option<u32>,
}

impl Default for Shedder {
    fn default() -> Self {
        Self { steps: Vec::new(), busy_for: 0, at_ease_for: 0, patience_up: PATIENCE_UP, risen_for: None }
    }
}

impl Shedder {
    /// Takes in the load of the last second, and whether video came too late in it to be forwarded: without that everybody keeps
    /// the last layer. Ceilings that are others from now on.
    pub(crate) fn sample(
        &mut self,
        (busy, late): (f64, bool),
        candidates: impl FnOnce() -> Vec<Candidate>,
    ) -> Vec<(RoomId, Ceiling)> {
        self.busy_for = if busy >= TOO_BUSY { self.busy_for + 1 } else { 0 };
        self.at_ease_for = if busy < AT_EASE { self.at_ease_for + 1 } else { 0 };
        self.risen_for = self.risen_for.map(|samples| samples + 1);
        let changes = if self.busy_for >= PATIENCE_DOWN {
            let sparing = |one: &Candidate| late || !one.lower.leaves_people_out();
            self.less(candidates().into_iter().filter(sparing).collect())
        } else if self.at_ease_for >= self.patience_up {
            self.more()
        } else {
            Vec::new()
        };
        if !changes.is_empty() {
            (self.busy_for, self.at_ease_for) = (0, 0);
        }
        changes
    }

    /// Whether anything is left out.
    pub(crate) const fn is_shedding(&self) -> bool {
        !self.steps.is_empty()
    }

    /// A room has ended.
    pub(crate) fn forget(&mut self, room: RoomId) {
        self.steps.iter_mut().for_each(|step| step.retain(|(known, _)| *known != room));
        self.steps.retain(|step| !step.is_empty());
    }

    fn less(&mut self, candidates: Vec<Candidate>) -> Vec<(RoomId, Ceiling)> {
        let chosen = heaviest(candidates, |one| one.packets, STEP);
        if chosen.is_empty() {
            return Vec::new();
        }
        // A rise is wrong once, however many steps the way down has.
        if let Some(samples) = self.risen_for.take() {
            let wrong = samples <= self.patience_up;
            self.patience_up = if wrong { (self.patience_up * 2).min(MAX_PATIENCE_UP) } else { PATIENCE_UP };
        }
        self.steps.push(chosen.iter().map(|one| (one.room, one.ceiling)).collect());
        chosen.into_iter().map(|one| (one.room, one.lower)).collect()
    }

    fn more(&mut self) -> Vec<(RoomId, Ceiling)> {
        let step = self.steps.pop().unwrap_or_default();
        if !step.is_empty() {
            self.risen_for = Some(0);
        }
        step
    }
}

/// The fewest that together have this part, in percent, of all packets.
pub(crate) fn heaviest<T>(mut all: Vec<T>, packets: impl Fn(&T) -> u64, percent: u64) -> Vec<T> {
    let wanted = (all.iter().map(&packets).sum::<u64>() * percent).div_ceil(100);
    all.sort_unstable_by_key(|one| std::cmp::Reverse(packets(one)));
    let mut before = 0;
    let enough = all.iter().position(|one| {
        before += packets(one);
        before >= wanted
    });
    all.truncate(enough.map_or(0, |last| last + 1));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: RoomId = RoomId(1);

    /// Rooms of one worker, each with three layers, and what a shedder does to them.
    #[derive(Default)]
    struct World {
        shedder: Shedder,
        /// Ceiling and packets of each.
        rooms: Vec<(RoomId, Ceiling, u64)>,
    }

    impl World {
        fn new(rooms: &[(u64, u64)]) -> Self {
            let rooms = rooms.iter().map(|(id, packets)| (RoomId(*id), Ceiling::Open, *packets)).collect();
            Self { rooms, ..Self::default() }
        }

        fn sample(&mut self, busy: f64, late: bool) -> Vec<(RoomId, Ceiling)> {
            let candidates = || {
                let candidate = |(room, ceiling, packets): &(RoomId, Ceiling, u64)| {
                    let lower = match ceiling {
                        Ceiling::Open => Ceiling::Layer(1),
                        Ceiling::Layer(1) => Ceiling::Layer(0),
                        Ceiling::Layer(_) | Ceiling::Viewers(_) => Ceiling::NoVideo,
                        Ceiling::NoVideo => return None,
                    };
                    Some(Candidate { room: *room, ceiling: *ceiling, lower, packets: *packets })
                };
                self.rooms.iter().filter_map(candidate).collect()
            };
            let changes = self.shedder.sample((busy, late), candidates);
            for (room, ceiling, _) in &mut self.rooms {
                if let Some((_, to)) = changes.iter().find(|(changed, _)| changed == room) {
                    *ceiling = *to;
                }
            }
            changes
        }

        fn ceiling(&self, room: RoomId) -> Ceiling {
            self.rooms.iter().find(|(known, ..)| *known == room).unwrap().1
        }
    }

    #[test]
    fn goes_down_by_steps_and_up_with_patience() {
        let mut world = World::new(&[(1, 1_000)]);
        let mut told = Vec::new();
        let loads =
            [0.9; 20].into_iter().chain([1.0; 7]).chain([0.7; 20]).chain([0.3; 9]).chain([0.98]).chain([0.3; 30]);
        for (second, busy) in loads.enumerate() {
            told.extend(world.sample(busy, second < 26).into_iter().map(|(_, ceiling)| (second, ceiling)));
        }
        let (low, middle) = (Ceiling::Layer(0), Ceiling::Layer(1));
        let steps = [(21, middle), (23, low), (25, Ceiling::NoVideo), (66, low), (76, middle), (86, Ceiling::Open)];
        assert_eq!(told, steps);
        assert!(!world.shedder.is_shedding());
    }

    #[test]
    fn the_last_layer_stays_while_it_comes_in_time() {
        let mut world = World::new(&[(1, 1_000)]);
        (0..20).for_each(|_| drop(world.sample(1.0, false)));
        assert_eq!(world.ceiling(CROWD), Ceiling::Layer(0));
        assert_eq!(world.sample(1.0, true), [(CROWD, Ceiling::NoVideo)]);
    }

    #[test]
    fn who_takes_little_is_left_alone_as_long_as_others_have_something_to_give() {
        let mut world = World::new(&[(1, 1_000), (2, 10), (3, 30)]);
        (0..6).for_each(|_| drop(world.sample(1.0, true)));
        assert_eq!([1, 2, 3].map(|room| world.ceiling(RoomId(room))), [Ceiling::NoVideo, Ceiling::Open, Ceiling::Open]);
        (0..2).for_each(|_| drop(world.sample(1.0, true)));
        assert_eq!([2, 3].map(|room| world.ceiling(RoomId(room))), [Ceiling::Open, Ceiling::Layer(1)]);
    }

    #[test]
    fn many_alike_give_way_by_halves() {
        let mut world = World::new(&[(1, 10), (2, 10), (3, 10), (4, 10)]);
        let changed: Vec<usize> = (0..4).map(|_| world.sample(1.0, true).len()).collect();
        assert_eq!(changed, [0, 2, 0, 2]);
    }

    #[test]
    fn a_room_that_has_ended_is_no_step() {
        let mut world = World::new(&[(1, 10), (2, 10), (3, 10)]);
        world.sample(1.0, true);
        let [(ended, _), (other, _)] = world.sample(1.0, true)[..] else { panic!() };
        world.rooms.retain(|(room, ..)| *room != ended);
        world.shedder.forget(ended);
        let risen: Vec<_> = (0..20).flat_map(|_| world.sample(0.1, false)).collect();
        assert_eq!(risen, [(other, Ceiling::Open)]);
        world.sample(1.0, true);
        for (room, _) in world.sample(1.0, true) {
            world.shedder.forget(room);
        }
        assert!(!world.shedder.is_shedding(), "a step of which nothing is left");
    }

    #[test]
    fn waits_longer_each_time_that_more_was_too_much() {
        let mut world = World::new(&[(1, 1_000)]);
        let (mut fell, mut rose) = (Vec::new(), Vec::new());
        for second in 0..900_u32 {
            // Everything but no video at all is too much.
            let before = world.ceiling(CROWD);
            let busy = if before == Ceiling::NoVideo { 0.1 } else { 1.0 };
            for (_, ceiling) in world.sample(busy, true) {
                match (before, ceiling) {
                    (_, Ceiling::NoVideo) => fell.push(second),
                    (Ceiling::NoVideo, _) => rose.push(second),
                    _ => {}
                }
            }
        }
        let waited: Vec<u32> = rose.iter().zip(&fell).map(|(rose, fell)| rose - fell).collect();
        assert_eq!(waited, [10, 20, 40, 80, 160, 320]);
    }

    #[test]
    fn the_fewest_that_have_a_part() {
        let rows: [(&[u64], u64, &[u64]); 5] = [
            (&[1, 9, 2], 75, &[9]),
            (&[5, 5, 5], 50, &[5, 5]),
            (&[], 50, &[]),
            (&[0, 0], 50, &[0]),
            (&[3, 1], 100, &[3, 1]),
        ];
        for (all, percent, chosen) in rows {
            assert_eq!(heaviest(all.to_vec(), |packets| *packets, percent), chosen, "{all:?} {percent}");
        }
    }
}
