//! Which layer each subscriber of a track gets.

use convene_types::MediaKind;

use super::Room;
use crate::loudest::{Candidate, choose};

impl Room {
    /// Chooses anew for every subscriber of a track, and asks for the keyframes that are waited for.
    ///
    /// A subscription goes on with the layer it has until the chosen one's keyframe comes.
    pub(super) fn select(&mut self, index: usize) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        let demanded = track.demanded;
        for (index, layer) in track.layers.iter_mut().enumerate() {
            layer.users = u32::from(demanded >> (index & 7) & 1);
        }
        track.awaiting = 0;
        // Where all that lives is above the ceiling, that goes on: a lone layer may be a call's only picture.
        let below = track.live & (u16::MAX >> 15_u8.saturating_sub(self.ceiling)) as u8;
        let live = if below == 0 || track.kind == MediaKind::Audio { track.live } else { below };
        for subscriber in &track.subscribers {
            let subscriber = self.subscribers.get_mut(*subscriber);
            let Some(subscription) = subscriber.and_then(|subscriber| subscriber.get_mut(index)) else { continue };
            if track.muted || track.aside || subscription.paused || subscription.share.is_starved() {
                subscription.stop();
                continue;
            }
            subscription.select(live, &track.layers);
            let (current, wanted) = (subscription.current(), subscription.wanted());
            for layer in current.into_iter().chain(wanted) {
                if let Some(layer) = track.layers.get_mut(usize::from(layer)) {
                    layer.users += 1;
                }
            }
            let awaited = wanted.filter(|_| track.kind == MediaKind::Video);
            if let Some(layer) = awaited.and_then(|layer| track.layers.get_mut(usize::from(layer))) {
                track.awaiting += 1;
                layer.pli.request();
                self.pli_wanted = true;
            }
        }
    }

    /// Forwards no layer of video above this one: the lowest is 0.
    pub fn set_ceiling(&mut self, layer: u8) {
        if std::mem::replace(&mut self.ceiling, layer) != layer {
            (0..self.tracks.capacity()).for_each(|index| self.select(index));
        }
    }

    /// Chooses which audio goes out, where that is bounded.
    pub(super) fn choose_loudest(&mut self) {
        let most = self.config.loudest;
        if most == 0 {
            return;
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        for (index, track) in &mut self.tracks {
            if track.kind != MediaKind::Audio || track.muted {
                continue;
            }
            // Who tells no level is always heard, and takes no place.
            if let Some(score) = track.loudness.close_window() {
                candidates.push(Candidate { track: index, score, out: !track.aside });
            }
        }
        let (chosen, others) = choose(&mut candidates, most);
        for (aside, candidates) in [(false, chosen), (true, others)] {
            for Candidate { track: index, .. } in candidates {
                let Some(track) = self.tracks.get_mut(*index) else { continue };
                if std::mem::replace(&mut track.aside, aside) != aside {
                    self.stats.loudest_changes += 1;
                    self.select(*index);
                }
            }
        }
    }

    /// Looks which layers are alive, and chooses anew where that changed or a keyframe is still waited for.
    pub(super) fn select_all(&mut self) {
        for index in 0..self.tracks.capacity() {
            let Some(track) = self.tracks.get_mut(index) else { continue };
            if track.update_live(&self.config) || track.awaiting > 0 {
                self.select(index);
            }
        }
    }
}
