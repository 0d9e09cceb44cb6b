//! The room's share of the process's gauges.

use std::sync::Arc;

use convene_telemetry::Metrics;

/// What one room holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) participants: i64,
    pub(super) audio: i64,
    pub(super) video: i64,
    pub(super) data: i64,
}

/// Adds a room to the gauges, and takes it out again when it is dropped, whatever ended it.
pub(super) struct Counts {
    metrics: Arc<Metrics>,
    shown: Held,
}

impl Counts {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        metrics.rooms.inc();
        Self { metrics, shown: Held::default() }
    }

    /// Brings the gauges to what the room holds.
    pub(super) fn show(&mut self, held: Held) {
        if held == self.shown {
            return;
        }
        let before = std::mem::replace(&mut self.shown, held);
        self.metrics.participants.add(held.participants.saturating_sub(before.participants));
        let tracks =
            |kind, more: i64, less: i64| self.metrics.tracks.with_label_values(&[kind]).add(more.saturating_sub(less));
        tracks("audio", held.audio, before.audio);
        tracks("video", held.video, before.video);
        tracks("data", held.data, before.data);
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        self.show(Held::default());
        self.metrics.rooms.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_follow_and_end_with_the_room() {
        let metrics = Arc::new(Metrics::new());
        let mut counts = Counts::new(Arc::clone(&metrics));
        let gauges =
            || (metrics.rooms.get(), metrics.participants.get(), metrics.tracks.with_label_values(&["audio"]).get());
        counts.show(Held { participants: 3, audio: 2, video: 1, data: 0 });
        counts.show(Held { participants: 2, audio: 2, video: 0, data: 1 });
        assert_eq!(gauges(), (1, 2, 2));
        drop(counts);
        assert_eq!(gauges(), (0, 0, 0));
    }
}
