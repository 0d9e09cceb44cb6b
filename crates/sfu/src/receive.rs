//! What a datagram does: find its peer, open it, hand it on.

use std::time::Instant;

use convene_peer::DropReason;
use convene_peer::transport::ice;
use convene_rtp::packet::{self, View};
use convene_sfu_core::RtpIn;
use convene_types::{MediaKind, PeerId};

use crate::demux::{Class, Name};
use crate::session::Session;
use crate::socket::Path;
use crate::worker::Worker;

impl Worker {
    pub(crate) fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        self.counters.received(datagram.len());
        match Class::of(datagram) {
            Class::Rtp => self.handle_srtp(now, path, datagram),
            Class::Stun => self.handle_stun(now, path, datagram),
            Class::Dtls => self.handle_dtls(now, path, datagram),
            Class::Unknown => self.counters.dropped("unknown_protocol"),
        }
        self.in_room = None;
    }

    fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let Some(id) = ice::local_ufrag(datagram).and_then(|ufrag| self.demux.by_ufrag(ufrag)) else {
            return self.counters.dropped("stun_unknown_ufrag");
        };
        self.handle_stun_of(now, id, path, datagram);
    }

    pub(crate) fn handle_stun_of(&mut self, now: Instant, id: PeerId, path: Path, datagram: &[u8]) {
        let Some(session) = self.sessions.get_mut(&id) else { return self.relay(id, path, datagram) };
        self.in_room = Some(session.room);
        match session.peer.handle_stun(now, path.remote, datagram) {
            Ok(()) => {
                self.network.links.claim(path.remote, id);
                self.enter(id, &Name::Address(path.remote));
                let Some(session) = self.sessions.get_mut(&id) else { return };
                if session.peer.remote() == Some(path.remote) {
                    session.local_ip = path.local_ip;
                }
                // The answer goes back by the way the check came, whatever the chosen path is.
                self.transmit_from(id, path.local_ip);
                self.service(now, id);
            }
            Err(reason) => self.counters.dropped(reason.as_str()),
        }
    }

    fn handle_dtls(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let Some(id) = self.demux.by_address(path.remote) else {
            return self.counters.dropped("dtls_unknown_address");
        };
        self.handle_dtls_of(now, id, path, datagram);
    }

    pub(crate) fn handle_dtls_of(&mut self, now: Instant, id: PeerId, path: Path, datagram: &[u8]) {
        let Some(session) = self.sessions.get_mut(&id) else { return self.relay(id, path, datagram) };
        self.in_room = Some(session.room);
        if let Err(reason) = session.peer.handle_dtls(now, path.remote, datagram) {
            self.counters.dropped(reason.as_str());
        }
        self.service(now, id);
    }

    fn handle_srtp(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        match self.demux.by_address(path.remote) {
            Some(id) => self.handle_srtp_of(now, id, path, datagram),
            None => self.handle_srtp_from_stranger(now, path, datagram),
        }
    }

    /// NAT rebinding or Wi-Fi to LTE: the client's next ICE check may be seconds away, its media is here. A packet that
    /// one of the SSRC's owners can open proves who it is (the tag is the proof), so its address becomes the path.
    fn handle_srtp_from_stranger(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        let Some(ssrc) = first_ssrc(datagram) else { return self.counters.dropped("rtp_malformed") };
        let owners: Vec<PeerId> = self.demux.owners(ssrc).to_vec();
        if owners.iter().any(|id| self.handle_srtp_from_elsewhere(now, *id, path, datagram)) {
            return;
        }
        match owners.iter().find(|id| self.relays.contains_key(id)) {
            Some(id) => self.relay(*id, path, datagram),
            None => self.counters.dropped("rtp_unknown_address"),
        }
    }

    /// Tries whether a packet from an address that is not a peer's is the peer's. `true`: it was.
    pub(crate) fn handle_srtp_from_elsewhere(&mut self, now: Instant, id: PeerId, path: Path, datagram: &[u8]) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        // A failed attempt spoils the bytes, and there may be another owner to try.
        let mut copy = datagram.to_vec();
        let Ok(length) = unprotect(session, &mut copy) else { return false };
        session.peer.move_path(now, path.remote);
        session.local_ip = path.local_ip;
        tracing::debug!(parent: &session.span, "path moved by media");
        // `copy` is plaintext already and its index is in the replay window: hand it on from here.
        self.in_room = Some(session.room);
        self.enter(id, &Name::Address(path.remote));
        self.handle_plain(now, id, &mut copy, length);
        true
    }

    pub(crate) fn handle_srtp_of(&mut self, now: Instant, id: PeerId, path: Path, datagram: &mut [u8]) {
        let Some(session) = self.sessions.get_mut(&id) else { return self.relay(id, path, datagram) };
        self.in_room = Some(session.room);
        match unprotect(session, datagram) {
            Ok(length) => self.handle_plain(now, id, datagram, length),
            Err(reason) => self.counters.dropped(reason.as_str()),
        }
    }

    /// The publisher here whose video it is, as far as can be told without opening it.
    pub(crate) fn video_of(&self, path: Path, datagram: &[u8]) -> Option<&Session> {
        if Class::of(datagram) != Class::Rtp || packet::is_rtcp(datagram) {
            return None;
        }
        let session = self.demux.by_address(path.remote).and_then(|id| self.sessions.get(&id))?;
        (session.kind_of(first_ssrc(datagram)?) == Some(MediaKind::Video)).then_some(session)
    }

    fn handle_plain(&mut self, now: Instant, id: PeerId, buffer: &mut [u8], length: usize) {
        let Some(plain) = buffer.get_mut(..length) else { return };
        let outcome = match packet::is_rtcp(plain) {
            true => self.handle_rtcp(now, id, plain),
            false => self.handle_rtp(now, id, plain),
        };
        if let Err(reason) = outcome {
            self.counters.dropped(reason);
        }
    }

    fn handle_rtcp(&mut self, now: Instant, id: PeerId, plain: &[u8]) -> Result<(), &'static str> {
        let session = self.sessions.get(&id).ok_or("no_session")?;
        let (room_id, room) = (session.room, self.rooms.get_mut(&session.room).ok_or("no_room")?);
        room.core.handle_rtcp(now, id, plain).map_err(|drop| drop.as_str())?;
        self.pipe_reports(room_id, id, plain);
        self.mark_due(now, room_id);
        Ok(())
    }

    fn handle_rtp(&mut self, now: Instant, id: PeerId, plain: &mut [u8]) -> Result<(), &'static str> {
        let session = self.sessions.get_mut(&id).ok_or("no_session")?;
        let view = View::parse(plain).map_err(|_| "rtp_malformed")?;
        let (ssrc, pt) = (view.ssrc(), view.pt());
        let binding = session.binding(&view).ok_or("rtp_unbound_ssrc")?;
        let rtx_media_pt = match binding.repair {
            true => Some(session.apt(binding.track, pt).ok_or("rtx_unknown_pt")?),
            false => None,
        };
        if session.via.is_none() {
            self.demux.add_ssrc(id, ssrc, &mut session.entries);
        }
        let room_id = session.room;
        let room = self.rooms.get(&room_id).ok_or("no_room")?;
        if room.is_piped {
            self.pipe_rtp(room_id, binding.track, (binding.layer, rtx_media_pt), plain);
        }
        let room = self.rooms.get_mut(&room_id).ok_or("no_room")?;
        let input =
            RtpIn { track: binding.track, layer: binding.layer, repair: binding.repair, packet: plain, rtx_media_pt };
        room.core.handle_rtp(now, input).map_err(|drop| drop.as_str())?;
        self.mark_due(now, room_id);
        Ok(())
    }

    /// Enters the room for the next flush.
    pub(crate) fn mark_due(&mut self, now: Instant, id: convene_types::RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        self.urgent |= room.core.has_urgent();
        self.owed += room.core.take_owed();
        if !room.due {
            room.due = true;
            self.due.push_back(id);
            self.gather_since.get_or_insert(now);
        }
    }
}

fn unprotect(session: &mut crate::session::Session, datagram: &mut [u8]) -> Result<usize, DropReason> {
    match packet::is_rtcp(datagram) {
        true => session.peer.unprotect_rtcp(datagram),
        false => session.peer.unprotect_rtp(datagram),
    }
}

/// The SSRC field of an RTP packet (RFC 3550 §5.1), or the sender SSRC of an RTCP one (§6.4.1).
fn first_ssrc(datagram: &[u8]) -> Option<convene_types::Ssrc> {
    let at = if packet::is_rtcp(datagram) { 4 } else { 8 };
    let bytes = datagram.get(at..at + 4)?.try_into().ok()?;
    Some(convene_types::Ssrc(u32::from_be_bytes(bytes)))
}
