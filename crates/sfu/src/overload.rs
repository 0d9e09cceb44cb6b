//! A worker without time for everything: which rooms give way, at once (`lag`) and for as long as it lasts (`shed`).
//!
//! Rooms that take most of the time give way first, so that a crowd does not take the pictures of the small calls beside it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::lag::OVER_AFTER;
use crate::room::RoomState;
use crate::shed::{AT_EASE, Candidate, heaviest};
use crate::socket::Path;
use crate::worker::{SAMPLE_INTERVAL, Worker};

/// Part of all packets, in percent, that belong to the rooms that give way at once: that makes up for a load of four times
/// what there is time for.
const GIVES_WAY: u64 = 75;

/// If it is late again after this time, further rooms give way.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

impl Worker {
    /// Once a [`SAMPLE_INTERVAL`]: hands out what was counted, and sets what each room may forward.
    pub(crate) fn sample(&mut self, now: Instant) {
        for (id, room) in &mut self.rooms {
            self.in_room = Some(*id);
            room.packets = room.packets_since_sample();
            self.counters.export_room(room.core.stats(), &mut room.exported);
        }
        self.in_room = None;
        let busy = self.counters.export(now, self.sessions.len());
        // If video came too late it has slept only because that was thrown away.
        let late = self.lag.was_late(now, SAMPLE_INTERVAL);
        let busy = if late { 1.0 } else { busy };
        if !self.lag.was_late(now, OVER_AFTER) {
            self.rooms.values_mut().for_each(|room| room.gives_way = false);
        }
        self.shed((busy, late));
        // Further rooms would take the time that those without video wait for. At ease, it is more than theirs.
        let wanted = busy >= AT_EASE && self.rooms.values().any(|room| room.core.ceiling().leaves_people_out());
        let load = if wanted { 1.0 } else { busy };
        self.load.store((load * 1e3) as u32, Ordering::Relaxed);
    }

    fn shed(&mut self, (busy, late): (f64, bool)) {
        let rooms = &self.rooms;
        let candidates = || {
            let candidate = |(id, room): (&_, &RoomState)| {
                let (ceiling, lower) = (room.core.ceiling(), room.core.lower_ceiling()?);
                Some(Candidate { room: *id, ceiling, lower, packets: room.packets })
            };
            rooms.iter().filter_map(candidate).collect()
        };
        let changes = self.shedder.sample((busy, late), candidates);
        if changes.is_empty() {
            return;
        }
        for (id, ceiling) in &changes {
            if let Some(room) = self.rooms.get_mut(id) {
                tracing::warn!(room = room.name, ?ceiling, busy, "for CPU time a room has less or more video");
                self.in_room = Some(*id);
                room.core.set_ceiling(*ceiling);
            }
        }
        self.in_room = None;
        self.counters.shed(self.shedder.is_shedding());
    }

    /// What is being read came late: some rooms give way, and more of them if that was not enough.
    pub(crate) fn choose_who_gives_way(&mut self, now: Instant) {
        if self.chosen_at.is_some_and(|at| now.saturating_duration_since(at) < AGAIN_AFTER) {
            return;
        }
        self.chosen_at = Some(now);
        let others = self.rooms.iter().filter(|(_, room)| !room.gives_way);
        // Both, for it may be just after a sample, or before the first one of a room.
        let weighed = others.map(|(id, room)| (*id, room.packets + room.packets_since_sample())).collect();
        for (id, _) in heaviest(weighed, |(_, packets)| *packets, GIVES_WAY) {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.gives_way = true;
            }
        }
    }

    /// Whether a datagram that came late is not worth opening any more.
    pub(crate) fn gives_way(&self, path: Path, datagram: &[u8]) -> bool {
        let session = self.video_of(path, datagram);
        session.and_then(|session| self.rooms.get(&session.room)).is_some_and(|room| room.gives_way)
    }
}
