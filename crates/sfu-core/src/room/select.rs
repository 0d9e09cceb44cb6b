//! Which layer each subscriber of a track gets.

use convene_types::MediaKind;

use super::Room;

impl Room {
    /// Chooses anew for every subscriber of a track, and asks for the keyframes that are waited for.
    ///
    /// A subscription goes on with the layer it has until the chosen one's keyframe comes.
    pub(super) fn select(&mut self, index: usize) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        track.layers.iter_mut().for_each(|layer| layer.users = 0);
        track.awaiting = 0;
        for subscriber in &track.subscribers {
            let subscriber = self.subscribers.get_mut(*subscriber);
            let Some(subscription) = subscriber.and_then(|subscriber| subscriber.get_mut(index)) else { continue };
            if track.muted || subscription.paused || subscription.share.is_starved() {
                subscription.stop();
                continue;
            }
            subscription.select(track.live, &track.layers);
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
