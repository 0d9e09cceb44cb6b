//! What happens with time alone.

use std::time::Instant;

use convene_types::MediaKind;

use super::Room;
use crate::config::{
    ALIVE_TICKS, FLOOR_TICKS, IDLE_AFTER, LOUDEST_TICKS, MEASURE_TICKS, QUALITY_TICKS, REPORT_TICKS, SELECT_TICKS,
    SPEAKER_TICKS, TICK, TWCC_TICKS,
};
use crate::event::{Event, Speaker};

impl Room {
    /// When `handle_timeout` wants to be called. `None`: not before the next input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.next_tick, self.nack_due, self.probe_due, self.pace_due, self.seconds.due()].into_iter().flatten().min()
    }

    /// Does what is due; early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.nack_due.is_some_and(|due| due <= now) {
            self.send_nacks(now);
        }
        if self.seconds.due().is_some_and(|due| due <= now) {
            self.repeat_again(now);
        }
        if self.probe_due.is_some_and(|due| due <= now) {
            self.feed_probes(now);
        }
        if self.pace_due.is_some_and(|due| due <= now) {
            self.release_paced();
        }
        if self.next_tick.is_some_and(|due| due <= now) {
            self.tick(now);
        }
    }

    /// Something came in: the timers run for a while.
    pub(super) fn touch(&mut self, now: Instant) {
        self.active_until = now + IDLE_AFTER;
        if self.next_tick.is_none() {
            self.next_tick = Some(now + TICK);
        }
    }

    fn tick(&mut self, now: Instant) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(TWCC_TICKS) {
            self.send_twcc();
        }
        if self.ticks.is_multiple_of(ALIVE_TICKS) {
            self.select_stopped();
        }
        if self.ticks.is_multiple_of(SELECT_TICKS) {
            self.select_all();
            self.allocate_all(now);
            self.begin_probes(now);
        }
        self.release_held(now, self.ticks.is_multiple_of(SELECT_TICKS));
        if self.ticks.is_multiple_of(LOUDEST_TICKS) {
            self.choose_loudest();
        }
        if self.ticks.is_multiple_of(FLOOR_TICKS) {
            self.pass_floor();
        }
        if self.ticks.is_multiple_of(SPEAKER_TICKS) {
            self.update_speakers();
        }
        if self.ticks.is_multiple_of(QUALITY_TICKS) {
            self.rate(now);
        }
        if self.ticks.is_multiple_of(MEASURE_TICKS) {
            self.measure();
        }
        self.repeat_overdue(now);
        self.send_soon_reports(now);
        self.send_receiver_reports(now, self.ticks % REPORT_TICKS, REPORT_TICKS);
        self.send_sender_reports(now, self.ticks % REPORT_TICKS, REPORT_TICKS);
        self.look_for_plis();
        let busy = now < self.active_until || self.speakers.any();
        self.next_tick = busy.then_some(now + TICK);
    }

    /// A throttled PLI waits in its layer.
    fn look_for_plis(&mut self) {
        self.pli_wanted |= self.tracks.iter().any(|(_, track)| track.layers.iter().any(|layer| layer.pli.is_wanted()));
    }

    fn pass_floor(&mut self) {
        let mut all = Vec::new();
        for (_, track) in self.tracks.iter_mut().filter(|(_, track)| track.kind == MediaKind::Audio && !track.piped) {
            track.activity.close_window();
            all.push((track.id, track.activity));
        }
        self.floor.pass(&all);
    }

    fn update_speakers(&mut self) {
        let mut speaking = Vec::new();
        for (_, track) in &mut self.tracks {
            if let Some(level) = track.meter.close_window() {
                let dominant = self.floor.holder() == Some(track.id);
                speaking.push(Speaker { track: track.id, level, dominant });
            }
        }
        if let Some(speakers) = self.speakers.update(speaking) {
            self.events.push_back(Event::Speakers(speakers));
        }
    }
}
