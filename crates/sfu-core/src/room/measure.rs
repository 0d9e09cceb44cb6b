//! What went over each track of each transport, said every ten seconds.

use convene_types::MediaKind;

use super::Room;
use crate::cut::level_of;
use crate::event::Event;
use crate::flow::Flow;

impl Room {
    /// Tells what went over every track since the last time. Tracks that nothing went over are left out.
    pub(super) fn measure(&mut self) {
        let mut flows = Vec::new();
        for (_, track) in self.tracks.iter_mut().filter(|(_, track)| !track.piped) {
            let Some(peer) = self.publishers.get(track.publisher).map(|publisher| publisher.peer) else { continue };
            let (packets, bytes) = std::mem::take(&mut track.came_in);
            let (loss, jitter_ms) = track.reports.take();
            if packets > 0 {
                let layer = (7 - (track.live | 1).leading_zeros()) as u8;
                flows.push(Flow {
                    peer,
                    track: track.id,
                    published: true,
                    packets,
                    bytes,
                    loss,
                    jitter_ms,
                    round_trip_ms: 0.0,
                    layer,
                    starved: false,
                });
            }
        }
        for (_, subscriber) in &mut self.subscribers {
            let peer = subscriber.peer;
            for subscription in subscriber.iter_mut() {
                let Some(track) = self.tracks.get(subscription.track) else { continue };
                let flow = subscription.measure();
                let layer = match track.kind {
                    MediaKind::Audio => 0,
                    MediaKind::Video => subscription.step(&track.layers).map_or(0, level_of),
                };
                if flow.packets > 0 || flow.starved {
                    flows.push(Flow { peer, track: track.id, layer, ..flow });
                }
            }
        }
        if !flows.is_empty() {
            self.events.push_back(Event::Measured(flows));
        }
    }
}
