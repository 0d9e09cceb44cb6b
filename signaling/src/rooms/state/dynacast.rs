//! Layers that nobody wants stop at the publisher: what its subscribers ask for, told to clients that can switch layers
//! off (LiveKit calls it dynacast).
//!
//! By what they ask for, not by what their paths carry: a path that gets better must find its layer there.

use std::time::{Duration, Instant};

use convene_types::{MediaKind, TrackId};

use super::{Now, State, Track};
use crate::rooms::model::ParticipantId;
use crate::rooms::notice::Notice;

/// A layer is switched off this long after the last one wanted it: subscribers resize, scroll and come back, and each
/// time costs a keyframe. On is at once.
const OFF_AFTER: Duration = Duration::from_secs(5);

/// What a publisher was told of a track, and what it will be told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// The highest layer it was told to send; inner `None`: none at all. Outer `None`: nothing was told, so it sends all.
    told: Option<Option<u8>>,
    /// Since when less than that is wanted.
    less_since: Option<Instant>,
}

impl State {
    /// Tells publishers of tracks for which subscriptions or wishes changed, where more is wanted than they were told.
    pub(super) fn settle_demands(&mut self, now: Now) {
        for track in std::mem::take(&mut self.demands_changed) {
            self.update_demand(now, track);
        }
    }

    /// The same for all tracks, with what is wanted no longer.
    pub(super) fn update_demands(&mut self, now: Now) {
        let tracks: Vec<TrackId> = self.tracks.keys().copied().collect();
        for track in tracks {
            self.update_demand(now, track);
        }
    }

    fn update_demand(&mut self, now: Now, id: TrackId) {
        let Some(track) = self.tracks.get(&id) else { return };
        if track.info.kind != MediaKind::Video || !track.is_shown() {
            return;
        }
        let wanted = self.wanted_of(track);
        let of_backup = self.update_backup_demand(now, id);
        let Some(track) = self.tracks.get_mut(&id) else { return };
        if track.demand.update(now.at, wanted) || of_backup {
            self.tell_demand(now, id);
        }
    }

    /// What a publisher was told of its tracks. What it was never told less of it sends as it is.
    pub(super) fn demands(&self, owner: ParticipantId) -> impl Iterator<Item = Notice> {
        let was_told = |track: &&Track| track.demand.told.is_some() || track.backup.is_some();
        let own = self.tracks.values().filter(move |track| track.owner == owner && track.is_shown());
        own.filter(was_told).map(demand)
    }

    fn tell_demand(&mut self, now: Now, id: TrackId) {
        let Some(track) = self.tracks.get(&id) else { return };
        let (owner, notice) = (track.owner, demand(track));
        self.notify(now, owner, notice);
    }

    /// The highest layer that some subscriber asks for; `None`: nobody wants any.
    fn wanted_of(&self, track: &Track) -> Option<u8> {
        let subscribers = track.subscribers.iter().filter_map(|id| self.participants.get(id));
        let mut most: Option<u8> = None;
        for wish in subscribers.filter_map(|subscriber| subscriber.wish(track.id)) {
            most = most.max(Some(wish));
            if wish == u8::MAX {
                break; // what most ask for: so a join costs the same in a room of a thousand
            }
        }
        most
    }
}

/// What is wanted of a track, in the words of its publisher.
fn demand(track: &Track) -> Notice {
    let mut codecs = vec![(track.info.mime_type.clone(), track.demand.told())];
    codecs.extend(track.backup.as_ref().map(|backup| (backup.mime_type.clone(), backup.demand.told())));
    Notice::LayersWanted { sid: track.info.sid.clone(), codecs }
}

impl Demand {
    /// Of what is not sent unless the publisher is told to.
    pub(super) const fn off() -> Self {
        Self { told: Some(None), less_since: None }
    }

    /// The highest layer that the publisher is to send.
    pub(super) fn told(&self) -> Option<u8> {
        self.told.unwrap_or(Some(u8::MAX))
    }

    /// When less is due to be told.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.less_since.map(|since| since + OFF_AFTER)
    }

    /// Takes note of what is wanted. `true`: the publisher has to be told.
    pub(super) fn update(&mut self, now: Instant, wanted: Option<u8>) -> bool {
        let told = self.told();
        if wanted >= told {
            self.less_since = None;
            let more = wanted > told;
            if more {
                self.told = Some(wanted);
            }
            return more;
        }
        let since = *self.less_since.get_or_insert(now);
        let due = now.saturating_duration_since(since) >= OFF_AFTER;
        if due {
            (self.told, self.less_since) = (Some(wanted), None);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_with_patience_and_on_at_once() {
        let start = Instant::now();
        let mut demand = Demand::default();
        // (second, wanted, told)
        let rows = [
            (0, Some(2), false),
            (1, None, false),
            (4, None, false),
            (5, None, true),
            (7, None, false),
            (8, Some(0), true),
            (9, Some(u8::MAX), true),
            (10, Some(1), false),
            (14, Some(2), false),
            (15, Some(1), true),
            (16, Some(1), false),
            (17, Some(2), true),
        ];
        for (second, wanted, told) in rows {
            assert_eq!(demand.update(start + Duration::from_secs(second), wanted), told, "{second}");
        }
    }
}
