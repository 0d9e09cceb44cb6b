//! What happens in a room because time has passed: seats that were not taken again, rooms that nobody uses, requests that
//! nobody answered, layers that nobody wants.

use std::time::{Duration, Instant};

use super::{Now, State};
use crate::rooms::model::{LeaveReason, ParticipantId};

impl State {
    /// When [`Self::handle_timeout`] is due at the latest, provided that nothing else happens. Goes over everybody and all
    /// tracks.
    pub(in crate::rooms) fn poll_timeout(&self) -> Option<Instant> {
        let window = self.options.resume_window;
        let seats = self.participants.values().filter_map(|p| p.detached_at?.checked_add(window));
        let owed = self.participants.values().filter_map(|p| p.negotiation.poll_timeout());
        let paused = self.participants.values().filter_map(|p| p.paused.poll_timeout());
        let demands = self.tracks.values().flat_map(|track| {
            let backup = track.backup.as_ref().and_then(|backup| backup.demand.poll_timeout());
            [track.demand.poll_timeout(), backup].into_iter().flatten()
        });
        let empty = self.empty_since.and_then(|since| since.checked_add(self.patience()));
        seats.chain(owed).chain(paused).chain(demands).chain(empty).min()
    }

    /// Time has passed.
    pub(in crate::rooms) fn handle_timeout(&mut self, now: Now) {
        let window = self.options.resume_window;
        let expired = |at: Instant| now.at.saturating_duration_since(at) >= window;
        let gone = self.participants.values().filter(|p| p.detached_at.is_some_and(expired)).map(|p| p.id);
        for id in gone.collect::<Vec<ParticipantId>>() {
            self.remove(now, id, LeaveReason::SignalClosed);
        }
        self.left.forget_old(now.at);
        self.retry_negotiations(now);
        self.tell_paused_again(now);
        self.update_demands(now);
        let waited = self.empty_since.map(|since| now.at.saturating_duration_since(since));
        if waited.is_some_and(|waited| waited >= self.patience()) {
            self.close(now, LeaveReason::RoomClosed);
        }
    }

    /// How long the room waits for somebody.
    fn patience(&self) -> Duration {
        let seconds = if self.was_used { self.info.departure_timeout_s } else { self.info.empty_timeout_s };
        Duration::from_secs(seconds.into())
    }
}
