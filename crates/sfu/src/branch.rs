//! A worker's part in rooms that other workers share with it; see [`crate::pipe`].

use std::time::Instant;

use bytes::Bytes;
use convene_sfu_core::RtpIn;
use convene_types::{PeerId, Pt, RoomId, TrackId};

use crate::handle::Error;
use crate::pipe::{Branch, Exported, MAX_PIPED_PER_TURN, Piped};
use crate::room::TrackEntry;
use crate::worker::Worker;

/// RFC 3550 §12.1.
const SENDER_REPORT: u8 = 200;

/// Packets given back in one answer to a branch: more were lost to a worker that has no time for them.
const MAX_AGAIN: usize = 256;

impl Worker {
    /// Handles what other workers sent, up to a bound.
    pub(crate) fn run_pipes(&mut self, now: Instant) {
        for _ in 0..MAX_PIPED_PER_TURN {
            let Some(message) = self.pipes.poll() else { return };
            self.in_room = message.room();
            self.handle_piped(now, message);
            self.in_room = None;
        }
    }

    fn handle_piped(&mut self, now: Instant, message: Piped) {
        match message {
            Piped::Rtp { room, track, layer, rtx_media_pt, packet } => {
                if let Err(reason) = self.handle_piped_rtp(now, room, (track, layer, rtx_media_pt), &packet) {
                    self.counters.dropped(reason);
                }
            }
            Piped::Reports { room, publisher, packet } => {
                let Some(state) = self.rooms.get_mut(&room) else { return };
                if let Err(reason) = state.core.handle_rtcp(now, publisher, &packet) {
                    self.counters.dropped(reason.as_str());
                }
                self.mark_due(now, room);
            }
            Piped::Feedback { room, publisher, from, packet } => {
                self.handle_feedback(now, room, publisher, (from, &packet));
            }
            Piped::Demand { room, track, from, layers } => self.handle_demand(now, room, track, (from, layers)),
            Piped::Ended { room, track } => self.unpublish(now, room, track),
            Piped::Datagram { peer, path, bytes } => self.handle_relayed(now, peer, path, &bytes),
            Piped::Named { peer, name } => self.handle_named(peer, &name),
            Piped::Left { peer } => self.end_relay(peer),
        }
    }

    fn handle_piped_rtp(
        &mut self,
        now: Instant,
        id: RoomId,
        (track, layer, rtx_media_pt): (TrackId, u8, Option<Pt>),
        packet: &Bytes,
    ) -> Result<(), &'static str> {
        let room = self.rooms.get_mut(&id).ok_or("no_room")?;
        let repair = rtx_media_pt.is_some();
        let scratch = &mut self.scratch;
        scratch.clear();
        scratch.extend_from_slice(packet); // an RTX packet is changed in place, and others share these bytes
        let input = RtpIn { track, layer, repair, packet: scratch, rtx_media_pt };
        room.core.handle_rtp(now, input).map_err(|drop| drop.as_str())?;
        self.mark_due(now, id);
        Ok(())
    }

    /// Sends a publisher's packet to the workers that have subscribers of it: one copy, shared by all.
    pub(crate) fn pipe_rtp(
        &mut self,
        id: RoomId,
        track: TrackId,
        (layer, rtx_media_pt): (u8, Option<Pt>),
        plain: &[u8],
    ) {
        let Some(entry) = self.rooms.get(&id).and_then(|room| room.tracks.get(&track)) else { return };
        let mut shared: Option<Bytes> = None;
        for branch in entry.branches.iter().filter(|branch| branch.layers.is_some()) {
            let packet = shared.get_or_insert_with(|| Bytes::copy_from_slice(plain)).clone();
            let sent = self.pipes.send(branch.worker, Piped::Rtp { room: id, track, layer, rtx_media_pt, packet });
            if !sent {
                self.counters.dropped("pipe_full");
            }
        }
    }

    /// Sends a publisher's sender reports along: without them no branch keeps audio and video in step.
    pub(crate) fn pipe_reports(&mut self, id: RoomId, publisher: PeerId, plain: &[u8]) {
        if plain.get(1) != Some(&SENDER_REPORT) {
            return; // RFC 3550 §6.1: a compound packet begins with its report
        }
        let Some(room) = self.rooms.get(&id).filter(|room| room.is_piped) else { return };
        let of_publisher = room.tracks.values().filter(|entry| entry.publisher == publisher);
        let mut workers: Vec<usize> =
            of_publisher.flat_map(|entry| &entry.branches).map(|branch| branch.worker).collect();
        workers.sort_unstable();
        workers.dedup();
        let packet = Bytes::copy_from_slice(plain);
        for worker in workers {
            if !self.pipes.send(worker, Piped::Reports { room: id, publisher, packet: packet.clone() }) {
                self.counters.dropped("pipe_full");
            }
        }
    }

    /// Sends what this worker's subscribers want of a publisher to its home. `false`: its home is not known.
    pub(crate) fn pipe_feedback(&mut self, id: RoomId, publisher: PeerId, packet: Vec<u8>) -> bool {
        let Some(room) = self.rooms.get(&id).filter(|room| room.is_piped) else { return false };
        let home = room.tracks.values().find(|entry| entry.publisher == publisher).and_then(|entry| entry.home);
        let Some(home) = home else { return false };
        let (from, packet) = (self.pipes.own(), Bytes::from(packet));
        // What is lost is asked for again by whoever misses it.
        if !self.pipes.send(home, Piped::Feedback { room: id, publisher, from, packet }) {
            self.counters.dropped("pipe_full");
        }
        true
    }

    fn handle_feedback(&mut self, now: Instant, id: RoomId, publisher: PeerId, (from, packet): (usize, &[u8])) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let mut again = Vec::new();
        if let Err(reason) = room.core.handle_piped_rtcp(now, publisher, packet, &mut again) {
            self.counters.dropped(reason.as_str());
        }
        again.truncate(MAX_AGAIN);
        for missed in again {
            let packet = Bytes::from(missed.packet);
            let message = Piped::Rtp { room: id, track: missed.track, layer: missed.layer, rtx_media_pt: None, packet };
            if !self.pipes.send(from, message) {
                self.counters.dropped("pipe_full");
            }
        }
        self.after_room_input(now, id);
    }

    fn handle_demand(&mut self, now: Instant, id: RoomId, track: TrackId, (from, layers): (usize, Option<u8>)) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let Some(entry) = room.tracks.get_mut(&track) else { return };
        if let Some(branch) = entry.branches.iter_mut().find(|branch| branch.worker == from) {
            branch.layers = layers;
        }
        let all = entry.branches.iter().filter_map(|branch| branch.layers).fold(0, |all, layers| all | layers);
        room.core.set_piped_demand(track, all);
        self.after_room_input(now, id);
    }

    /// Tells home workers what is wanted here, where that changed.
    pub(crate) fn tell_demand(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id).filter(|room| room.is_piped) else { return };
        for (track, entry) in &mut room.tracks {
            let Some(home) = entry.home else { continue };
            let layers = room.core.demand(*track);
            if entry.told == Some(layers) {
                continue;
            }
            let message = Piped::Demand { room: id, track: *track, from: self.pipes.own(), layers };
            if self.pipes.tell(home, message) {
                entry.told = Some(layers);
            }
        }
    }

    /// The other workers learn that a track is over.
    pub(crate) fn end_branches(&mut self, id: RoomId, track: TrackId, entry: &TrackEntry) {
        for branch in &entry.branches {
            if !self.pipes.tell(branch.worker, Piped::Ended { room: id, track }) {
                self.counters.dropped("pipe_full");
            }
        }
    }

    /// Begins to send a track of a publisher here to another worker.
    pub(crate) fn export(&mut self, id: RoomId, track: TrackId, to: usize) -> Result<Exported, Error> {
        let room = self.rooms.get_mut(&id).ok_or(Error::Closed)?;
        let entry = room.tracks.get_mut(&track).ok_or(Error::NoSuchTrack)?;
        room.is_piped = true;
        if entry.branches.iter().all(|branch| branch.worker != to) {
            entry.branches.push(Branch { worker: to, layers: Some(0) });
        }
        let (codecs, muted, home) = (entry.codecs.clone(), entry.muted, self.pipes.own());
        Ok(Exported { spec: entry.spec.clone(), codecs, redundant: entry.redundant, muted, home })
    }

    /// Makes a track of another worker's known here.
    pub(crate) fn import(&mut self, now: Instant, id: RoomId, exported: Exported) -> Result<(), Error> {
        let Exported { spec, codecs, redundant, muted, home } = exported;
        let room = self.rooms.get_mut(&id).ok_or(Error::Closed)?;
        if room.tracks.contains_key(&spec.track) {
            return Ok(());
        }
        room.is_piped = true;
        room.core.add_piped_track(now, spec.clone());
        room.core.set_muted(spec.track, muted);
        let track = spec.track;
        room.tracks.insert(track, TrackEntry { home: Some(home), muted, ..TrackEntry::new(spec, codecs, redundant) });
        Ok(())
    }
}
