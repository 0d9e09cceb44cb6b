//! Packets of one frame made equally long, so that they leave in one segmented send.
//!
//! Packetizers cut a frame into about equal parts: libwebrtc's differ by a byte, the longer ones last. The kernel cuts a
//! send into equal segments of which only the last may be shorter, so one such byte would cost a second send for each
//! subscriber, which is more than a seal. RTP padding (RFC 3550 §5.1) makes up for it; receivers strip it.

use convene_types::MediaKind;

use super::Room;
use crate::subscription::Pending;

/// Padding that is worth it: a send costs as much as some hundred bytes, but the subscriber's path pays for these. What
/// packetizers leave is 1; extensions that not every packet has are 4 to 8.
const MAX_PADDING: usize = 12;

impl Room {
    /// Gives packets of the batch that have none yet their padding.
    pub(super) fn equalise(&mut self) {
        if self.equalised == self.batch.len() {
            return;
        }
        let Self { batch, blocks, tracks, equalised, .. } = self;
        let (fresh, blocks) = (batch.get(*equalised..).unwrap_or_default(), blocks.get_mut(*equalised..));
        let Some(mut blocks) = blocks else { return };
        *equalised += fresh.len();
        // Runs of one layer: packets of a frame come back to back.
        for run in fresh.chunk_by(|one, next| one.track == next.track && one.layer == next.layer) {
            let (of_run, rest) = blocks.split_at_mut(run.len().min(blocks.len()));
            blocks = rest;
            let track = run.first().and_then(|pending| pending.track).and_then(|index| tracks.get(index));
            let Some(track) = track.filter(|track| track.kind == MediaKind::Video && run.len() > 1) else { continue };
            let length = |pending: &Pending| {
                let stored = track.layers.get(usize::from(pending.layer))?.history.get(pending.seq)?;
                Some(stored.meta.payload(stored.bytes).len())
            };
            let longest = run.iter().filter_map(length).max().unwrap_or(0);
            // The last may be shorter by itself.
            for (pending, block) in run.iter().zip(of_run).take(run.len() - 1) {
                let missing = length(pending).map_or(0, |length| longest - length);
                if missing <= MAX_PADDING {
                    block.padding = missing as u8; // at most MAX_PADDING
                }
            }
        }
    }
}
