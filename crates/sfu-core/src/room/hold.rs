//! Layers that come back: held, and let go. See `crate::hold`.

use std::time::Instant;

use super::Room;
use crate::hold::Hold;
use crate::subscription::Pending;
use crate::track::below;

impl Room {
    /// Holds a layer that has come back with this packet of a keyframe, if somebody goes on with a lower one meanwhile.
    pub(super) fn hold(&mut self, now: Instant, index: usize, layer: u8, seq: u64) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        let others = track.live & below(layer);
        let mut lower = (0_u8..).zip(&track.layers).filter(|(lower, _)| others & (1 << (lower & 7)) != 0);
        if !lower.any(|(_, lower)| lower.users > 0) {
            return;
        }
        let Some(layer_held) = track.layers.get_mut(usize::from(layer)) else { return };
        let Some(ts) = layer_held.history.get(seq).map(|stored| stored.meta.ts) else { return };
        layer_held.hold = Some(Hold::new(now, seq, ts));
        self.stats.holds += 1;
        if !self.held.contains(&(index, layer)) {
            self.held.push((index, layer));
        }
    }

    /// Whether a packet is held; if so, it goes out later.
    pub(super) fn holds(&mut self, index: usize, layer: u8, seq: u64) -> bool {
        let track = self.tracks.get_mut(index);
        let Some(layer) = track.and_then(|track| track.layers.get_mut(usize::from(layer))) else { return false };
        let (Some(hold), Some(stored)) = (&mut layer.hold, layer.history.get(seq)) else { return false };
        !hold.note(seq, stored.meta, &layer.history)
    }

    /// Lets go of what is held, once a tick. `shared`: the paths have just been shared.
    pub(super) fn release_held(&mut self, now: Instant, shared: bool) {
        for (index, place) in std::mem::take(&mut self.held) {
            let track = self.tracks.get_mut(index);
            let Some(layer) = track.and_then(|track| track.layers.get_mut(usize::from(place))) else { continue };
            let (generation, wanted) = (layer.generation, layer.users > 0);
            let Some(range) = layer.hold.as_mut().and_then(|hold| hold.release(now, shared, wanted)) else {
                layer.hold = None;
                continue;
            };
            self.held.push((index, place));
            for seq in range {
                // What is missing goes out when it comes.
                let layers = self.tracks.get(index).map(|track| &track.layers);
                if layers.and_then(|layers| layers.get(usize::from(place))?.history.get(seq)).is_some() {
                    let pending = Pending { track: Some(index), layer: place, generation, seq };
                    let _ = self.append(index, pending).inspect_err(|reason| self.stats.drop(*reason));
                }
            }
        }
    }
}
