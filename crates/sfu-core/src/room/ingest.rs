//! Packets of publishers.

use std::time::Instant;

use convene_rtp::ext::{self, Kind};
use convene_rtp::packet::{Fields, View, write_header};
use convene_rtp::red::{self, Parts};
use convene_rtp::rtx;
use convene_types::{Codec, MediaKind, SeqNo, Ssrc};

use super::Room;
use crate::Drop;
use crate::config::{MAX_BATCH, MAX_PACKET_BYTES};
use crate::event::Event;
use crate::layer::{Arrival, Incoming};
use crate::meta::Meta;
use crate::nack::REORDER_TOLERANCE;
use crate::speakers::linear;
use crate::spec::RtpIn;
use crate::subscription::Pending;
use crate::write::Block;

impl Room {
    /// Takes in a decrypted packet of a publisher. What is dropped is counted here as well.
    pub fn handle_rtp(&mut self, now: Instant, input: RtpIn<'_>) -> Result<(), Drop> {
        self.stats.packets_in += 1;
        self.stats.bytes_in += input.packet.len() as u64;
        self.touch(now);
        self.ingest(now, input).inspect_err(|reason| self.stats.drop(*reason))
    }

    fn ingest(&mut self, now: Instant, input: RtpIn<'_>) -> Result<(), Drop> {
        let RtpIn { track: id, layer: layer_index, repair, packet, rtx_media_pt } = input;
        if packet.len() > MAX_PACKET_BYTES {
            return Err(Drop::RtpTooLarge);
        }
        let index = self.track_places.get(&id).copied().ok_or(Drop::UnknownTrack)?;
        let track = self.tracks.get(index).ok_or(Drop::UnknownTrack)?;
        let layer = track.layers.get(usize::from(layer_index)).ok_or(Drop::UnknownLayer)?;
        let (publisher, media_ssrc) = (track.publisher, layer.ssrc);
        let transport_id = track.exts.id(Kind::TransportCc);
        let view = View::parse(packet).map_err(|_| Drop::RtpMalformed)?;
        self.record_transport(now, publisher, &view, transport_id, repair);
        if !repair {
            return self.ingest_media(now, index, layer_index, false, packet);
        }
        self.stats.rtx_in += 1;
        let media_ssrc = media_ssrc.ok_or(Drop::RepairBeforeMedia)?;
        let media_pt = rtx_media_pt.ok_or(Drop::UnknownPt)?;
        let Some(len) = rtx::unwrap_in_place(packet, media_pt, media_ssrc) else {
            self.stats.padding_in += 1; // a bandwidth probe without a packet in it
            return Ok(());
        };
        let media = packet.get(..len).ok_or(Drop::RtpMalformed)?;
        self.ingest_media(now, index, layer_index, true, media)
    }

    fn ingest_media(
        &mut self,
        now: Instant,
        index: usize,
        layer_index: u8,
        repair: bool,
        bytes: &[u8],
    ) -> Result<(), Drop> {
        let track = self.tracks.get_mut(index).ok_or(Drop::UnknownTrack)?;
        let view = View::parse(bytes).map_err(|_| Drop::RtpMalformed)?;
        let codec = track.codec(view.pt()).ok_or(Drop::UnknownPt)?;
        if codec == Codec::Red
            && let Some(parts) = red::read(view.payload()).filter(|parts| track.opus() == Some(parts.pt))
        {
            return self.ingest_red(now, (index, layer_index), &view, bytes, &parts);
        }
        let meta = Meta::read(&view, bytes, codec, &track.exts);
        let (dead, video) = (!track.is_live(layer_index), track.kind == MediaKind::Video);
        let layer = track.layers.get_mut(usize::from(layer_index)).ok_or(Drop::UnknownLayer)?;
        let mut queue = self.publishers.get_mut(track.publisher).map(|publisher| &mut publisher.queue);
        let incoming = Incoming {
            ssrc: view.ssrc(),
            seq: view.seq(),
            repair,
            meta: &meta,
            bytes,
            rate: codec.clock_rate(),
            // What comes back is held, and lacks what is missing in front of its first slice.
            gaps: (track.nack || video) && (layer.is_wanted() || (dead && meta.led)),
            full: queue.as_ref().is_some_and(|queue| queue.is_full(now)),
        };
        let (before, first) = (layer.generation, layer.flowed.is_none());
        let arrival = layer.ingest(now, &incoming)?;
        if let Some(queue) = queue.as_mut().filter(|_| !repair) {
            queue.note(now, layer.transit.late(now, view.ts(), incoming.rate));
        }
        if !layer.nack.is_empty() {
            let due = now + REORDER_TOLERANCE;
            self.nack_due = Some(self.nack_due.map_or(due, |earlier| earlier.min(due)));
        }
        let Arrival::Media { seq, lossy, reshaped, recoded, keyframe } = arrival else {
            self.stats.padding_in += 1;
            return Ok(());
        };
        track.came_in = (track.came_in.0.saturating_add(1), track.came_in.1 + bytes.len() as u64);
        let generation = layer.generation;
        let restarted = generation != before;
        self.stats.restarts += u64::from(restarted);
        if lossy && video {
            layer.pli.insist();
            self.pli_wanted = true;
        }
        if !track.started {
            track.started = true;
            if !track.piped {
                self.events.push_back(Event::TrackStarted { track: track.id, codec });
            }
        }
        if let Some(level) = meta.level.filter(|_| !track.muted && !track.piped) {
            track.meter.sample(level.level_dbov);
            track.activity.sample(level.level_dbov);
            track.loudness.sample(linear(level.level_dbov));
        }
        let revived = (dead || reshaped) && track.update_live(&self.config);
        if first || revived || restarted || (recoded && video) {
            self.select(index);
        }
        if keyframe {
            self.note_keyframe(index, layer_index);
        }
        let back =
            dead && !first && !restarted && self.tracks.get(index).is_some_and(|track| track.is_live(layer_index));
        if back && keyframe {
            self.hold(now, index, layer_index, seq);
        }
        if self.holds(index, layer_index, seq) {
            return Ok(());
        }
        self.append(index, Pending { track: Some(index), layer: layer_index, generation, seq })
    }

    /// RED is for one path: taken apart here, its older blocks stand in for packets that this path has lost, and each
    /// subscriber gets plain Opus, or as much RED as its own path needs.
    fn ingest_red(
        &mut self,
        now: Instant,
        (index, layer_index): (usize, u8),
        view: &View<'_>,
        bytes: &[u8],
        parts: &Parts<'_>,
    ) -> Result<(), Drop> {
        let mut plain = [0; MAX_PACKET_BYTES];
        let len = red::write_plain(&mut plain, bytes, view, parts).ok_or(Drop::RtpTooLarge)?;
        let outcome = self.ingest_media(now, index, layer_index, false, plain.get(..len).unwrap_or_default());
        for (back, block) in (1_u16..).zip(parts.older().iter().rev()) {
            let layer = self.tracks.get(index).and_then(|track| track.layers.get(usize::from(layer_index)));
            if !layer.is_some_and(|layer| layer.lacks(view.seq(), back, block.offset)) || block.payload.is_empty() {
                continue;
            }
            let fields = Fields {
                marker: false,
                pt: parts.pt,
                seq: SeqNo(view.seq().0.wrapping_sub(back)),
                ts: view.ts().wrapping_sub(block.offset.into()),
                ssrc: view.ssrc(),
            };
            let Some(header) = write_header(&mut plain, &fields, &[]) else { continue };
            let len = header + block.payload.len();
            let Some(target) = plain.get_mut(header..len) else { continue };
            target.copy_from_slice(block.payload);
            if self.ingest_media(now, index, layer_index, true, plain.get(..len).unwrap_or_default()).is_ok() {
                self.stats.red_recovered += 1;
            }
        }
        outcome
    }

    /// TWCC counts every packet on the transport, also those that are dropped later.
    fn record_transport(&mut self, now: Instant, publisher: usize, view: &View<'_>, id: Option<u8>, repair: bool) {
        let Some(publisher) = self.publishers.get_mut(publisher) else { return };
        let seq = id.and_then(|id| view.extension(id)).and_then(ext::transport_cc);
        if let Some(seq) = seq {
            publisher.twcc.record(now, seq);
        }
        let ssrc: Ssrc = view.ssrc();
        if !repair || publisher.media_ssrc.is_none() {
            publisher.media_ssrc = Some(ssrc);
        }
    }

    fn note_keyframe(&mut self, index: usize, layer: u8) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        let Some(layer) = track.layers.get_mut(usize::from(layer)) else { return };
        self.stats.keyframes_in += 1;
        layer.pli.answered();
    }

    /// Puts a packet into the batch, if anybody may want it.
    pub(super) fn append(&mut self, index: usize, pending: Pending) -> Result<(), Drop> {
        let Some(track) = self.tracks.get_mut(index) else { return Ok(()) };
        self.stats.not_loudest += u64::from(track.aside);
        let users = track.layers.get(usize::from(pending.layer)).map_or(0, |layer| layer.users);
        if track.muted || users == 0 {
            return Ok(());
        }
        if self.batch.len() >= MAX_BATCH {
            return Err(Drop::BatchFull);
        }
        self.batch.push(pending);
        self.blocks.push(Block::EMPTY);
        self.owed += u64::from(users);
        self.urgent |= track.kind == MediaKind::Audio;
        if !std::mem::replace(&mut track.dirty, true) {
            self.dirty.push(index);
        }
        Ok(())
    }
}
