//! A room that is larger than one of these: the publisher's own room pipes a track to rooms on other workers, each of
//! which serves its own subscribers from its own history.
//!
//! ```text
//!  publisher ──> Room (home) ──packets, sender reports──> Room (branch) ──> subscribers
//!                    ^                                        │
//!                    └────────── PLI, NACK, demand ───────────┘
//! ```
//! A branch treats the pipe as a publisher that somebody else reports to. What it asks for goes to the home room:
//! [`Room::handle_piped_rtcp`] there asks the publisher for keyframes in its own time, and gives back what the pipe lost.

use std::time::Instant;

use convene_rtp::rtcp::{Packet, packets};
use convene_types::{MediaKind, PeerId, Ssrc, TrackId};

use super::Room;
use crate::Drop;
use crate::spec::TrackSpec;

/// A packet that a branch missed, to be piped again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// Its track.
    pub track: TrackId,
    /// Its layer.
    pub layer: u8,
    /// As the publisher sent it.
    pub packet: Vec<u8>,
}

impl Room {
    /// Adds a track whose packets come out of a pipe: it is not reported on, rated or heard here, since its home room does
    /// that.
    pub fn add_piped_track(&mut self, now: Instant, spec: TrackSpec) {
        let id = spec.track;
        self.add_track(now, spec);
        let Some(track) = self.track_places.get(&id).and_then(|index| self.tracks.get_mut(*index)) else { return };
        track.piped = true;
        if let Some(publisher) = self.publishers.get_mut(track.publisher) {
            publisher.piped = true;
        }
    }

    /// Which layers of a track are forwarded or waited for here, a bit each. `None`: nobody is subscribed.
    #[must_use]
    pub fn demand(&self, track: TrackId) -> Option<u8> {
        let track = self.track_places.get(&track).and_then(|index| self.tracks.get(*index))?;
        let used = track.layers.iter().enumerate().filter(|(_, layer)| layer.users > 0);
        let demand = used.fold(0, |bits, (index, _)| bits | 1_u8.checked_shl(index as u32).unwrap_or(0));
        (!track.subscribers.is_empty()).then_some(demand)
    }

    /// Layers that branches forward or wait for: their losses are repaired like those of our own.
    pub fn set_piped_demand(&mut self, track: TrackId, layers: u8) {
        let Some(index) = self.track_places.get(&track).copied() else { return };
        let Some(track) = self.tracks.get_mut(index).filter(|track| track.demanded != layers) else { return };
        track.demanded = layers;
        self.select(index);
    }

    /// Takes in what a branch wants of a publisher: keyframes, and packets that did not come through the pipe. Those that
    /// never came here either are asked for already.
    pub fn handle_piped_rtcp(
        &mut self,
        now: Instant,
        publisher: PeerId,
        packet: &[u8],
        again: &mut Vec<Again>,
    ) -> Result<(), Drop> {
        self.touch(now);
        for part in packets(packet) {
            match part.map_err(|_| Drop::RtcpMalformed).inspect_err(|reason| self.stats.drop(*reason))? {
                Packet::Pli { media, .. } => self.request_of_publisher(publisher, media),
                Packet::Nack(nack) => {
                    for seq in nack.seqs() {
                        let Some((track, layer, index)) = self.layer_of(publisher, nack.media) else { break };
                        let track = self.tracks.get(track);
                        let found = track.and_then(|track| Some((track.id, track.layers.get(index)?)));
                        let stored = found.and_then(|(id, layer)| Some((id, layer.stored(seq)?)));
                        again.extend(stored.map(|(track, stored)| Again {
                            track,
                            layer,
                            packet: stored.bytes.to_vec(),
                        }));
                    }
                }
                // Reports on the publisher's path are the home room's own.
                Packet::SenderReport(_)
                | Packet::ReceiverReport(_)
                | Packet::Fir(_)
                | Packet::TransportCc(_)
                | Packet::Remb(_)
                | Packet::Bye(_)
                | Packet::SourceDescription(_)
                | Packet::Other { .. }
                | _ => {}
            }
        }
        Ok(())
    }

    fn request_of_publisher(&mut self, publisher: PeerId, media: Ssrc) {
        let Some((track, _, layer)) = self.layer_of(publisher, media) else { return };
        let track = self.tracks.get_mut(track).filter(|track| track.kind == MediaKind::Video);
        if let Some(layer) = track.and_then(|track| track.layers.get_mut(layer)) {
            layer.pli.request();
            self.pli_wanted = true;
        }
    }

    /// Index of the track, the layer, and the layer as an index.
    fn layer_of(&self, publisher: PeerId, media: Ssrc) -> Option<(usize, u8, usize)> {
        let publisher = self.publisher_places.get(&publisher).and_then(|index| self.publishers.get(*index))?;
        publisher.tracks.iter().find_map(|index| {
            let track = self.tracks.get(*index)?;
            let layer = track.layers.iter().position(|layer| layer.ssrc == Some(media))?;
            Some((*index, u8::try_from(layer).ok()?, layer))
        })
    }
}
