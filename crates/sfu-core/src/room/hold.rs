//! Layers that come back: held, and let go. See `crate::hold`.

use std::time::Instant;

use super::Room;
use crate::hold::Hold;
use crate::subscription::Pending;

impl Room {
    /// Holds a layer that has come back with this packet of a keyframe, if somebody goes on with a lower one meanwhile.
    pub(super) fn hold(&mut self, now: Instant, index: usize, layer: u8, seq: u64) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        if !(0..layer).zip(&track.layers).any(|(index, lower)| track.is_live(index) && lower.users > 0) {
            return;
        }
        let Some(back) = track.layers.get_mut(usize::from(layer)) else { return };
        let Some(meta) = back.history.get(seq).map(|stored| stored.meta) else { return };
        back.hold = Some(Hold::new(now, back.history.picture_start(seq, meta), meta.ts));
        self.stats.holds += 1;
        if !self.held.contains(&(index, layer)) {
            self.held.push((index, layer));
        }
    }

    /// Whether a packet is held; if so, it goes out later.
    pub(super) fn holds(&mut self, index: usize, layer: u8, seq: u64) -> bool {
        let track = self.tracks.get_mut(index);
        let Some(layer) = track.and_then(|track| track.layers.get_mut(usize::from(layer))) else { return false };
        let Some(hold) = &mut layer.hold else { return false };
        layer.history.get(seq).is_some_and(|stored| !hold.note(seq, stored.meta, &layer.history))
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
            // What is missing goes out when it comes.
            let there: Vec<u64> = range.filter(|seq| layer.history.get(*seq).is_some()).collect();
            for seq in there {
                let pending = Pending { track: Some(index), layer: place, generation, seq };
                let _ = self.append(index, pending).inspect_err(|reason| self.stats.drop(*reason));
            }
        }
    }
}
