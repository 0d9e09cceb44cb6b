//! After each input: what peers and rooms have to say goes to their owner, to the network and to the timers.

use std::net::IpAddr;
use std::time::Instant;

use convene_peer as peer;
use convene_peer::transport::FailReason;
use convene_sfu_core as core;
use convene_types::{PeerId, RoomId};

use crate::handle::{Event, GoneReason};
use crate::session::channel_of;
use crate::socket::Path;
use crate::timers::Owner;
use crate::worker::Worker;

impl Worker {
    /// Empties a peer's outputs. Ends the peer when it says that it cannot go on.
    pub(crate) fn service(&mut self, now: Instant, id: PeerId) {
        let mut gone = None;
        while let Some(event) = self.sessions.get_mut(&id).and_then(|session| session.peer.poll_event()) {
            gone = gone.or(self.handle_peer_event(now, id, event));
        }
        self.transmit(id);
        if let Some(reason) = gone {
            return self.lose(now, id, reason);
        }
        let Some(session) = self.sessions.get(&id) else { return };
        self.timers.schedule(Owner::Peer(id), session.poll_timeout());
    }

    pub(crate) fn handle_peer_timeout(&mut self, now: Instant, id: PeerId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.connect_deadline.is_some_and(|deadline| deadline <= now) {
            return self.lose(now, id, GoneReason::NeverConnected);
        }
        session.peer.handle_timeout(now);
        self.service(now, id);
    }

    pub(crate) fn handle_room_timeout(&mut self, now: Instant, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.core.handle_timeout(now);
        self.tell_demand(id);
        self.mark_due(now, id);
        self.after_room_input(now, id);
    }

    /// Empties a room's outputs other than RTP: RTCP and events; enters its next deadline.
    pub(crate) fn after_room_input(&mut self, now: Instant, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        while let Some(event) = room.core.poll_event() {
            let event = match event {
                core::Event::Speakers(speakers) => Event::Speakers(speakers),
                core::Event::TrackStarted { track, codec } => Event::TrackStarted { track, codec },
                core::Event::TrackFlowing { peer, track } => Event::TrackFlowing { peer, track },
                core::Event::StreamState { peer, track, paused } => Event::StreamState { peer, track, paused },
                core::Event::Quality(ratings) => Event::Quality(ratings),
                core::Event::Measured(flows) => Event::Measured(flows),
            };
            if !room.emit(event) {
                self.counters.dropped("event_queue_full");
            }
        }
        let mut elsewhere = Vec::new();
        while let Some((to, plain)) = room.core.poll_rtcp(now) {
            let Some(session) = self.sessions.get_mut(&to) else {
                elsewhere.push((to, plain));
                continue;
            };
            let Some(path) = session.path() else { continue };
            match session.peer.protect_rtcp(&plain) {
                Ok(sealed) => self.counters.sent(self.network.send(path, &sealed, sealed.len()), 1, sealed.len()),
                Err(_) => self.counters.dropped("seal_failed"),
            }
        }
        self.timers.schedule(Owner::Room(id), room.core.poll_timeout());
        for (publisher, plain) in elsewhere {
            self.pipe_feedback(id, publisher, plain); // else it has just left
        }
    }

    /// Sends what a peer's transport has queued: STUN, DTLS, SCTP.
    pub(crate) fn transmit(&mut self, id: PeerId) {
        let local_ip = self.sessions.get(&id).and_then(|session| session.local_ip);
        self.transmit_from(id, local_ip);
    }

    /// The same from one of our addresses.
    pub(crate) fn transmit_from(&mut self, id: PeerId, local_ip: Option<IpAddr>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        while let Some(transmit) = session.peer.poll_transmit() {
            let path = Path { remote: transmit.to, local_ip, via: session.via };
            let length = transmit.payload.len();
            self.counters.sent(self.network.send(path, &transmit.payload, length), 1, length);
        }
    }

    fn handle_peer_event(&mut self, now: Instant, id: PeerId, event: peer::Event) -> Option<GoneReason> {
        let session = self.sessions.get_mut(&id)?;
        let room = self.rooms.get_mut(&session.room)?;
        let event = match event {
            peer::Event::Path(remote) => {
                tracing::debug!(parent: &session.span, %remote, "path chosen");
                room.core.path_changed(id);
                return None;
            }
            peer::Event::Secured => {
                session.connected = true;
                self.pending -= usize::from(session.connect_deadline.take().is_some());
                self.counters.connected();
                tracing::info!(parent: &session.span, "peer connected");
                room.emit(Event::Connected { peer: id });
                let room = session.room;
                self.activate(now, id);
                // What it is subscribed to may be asleep at its publisher: that is not to wait for anybody's next packet.
                self.tell_demand(room);
                self.after_room_input(now, room);
                return None;
            }
            peer::Event::ChannelOpen(label) => {
                let channel = channel_of(&label)?;
                session.flush_early(now);
                Event::ChannelOpen { peer: id, channel }
            }
            peer::Event::Message(label, payload) => match channel_of(&label) {
                Some(channel) => Event::Data { peer: id, channel, payload },
                None => {
                    self.counters.dropped("data_unknown_channel");
                    return None;
                }
            },
            peer::Event::Failed(FailReason::ConsentExpired) => return Some(GoneReason::TimedOut),
            peer::Event::Failed(_) => return Some(GoneReason::DtlsFailed),
            peer::Event::Closed => return Some(GoneReason::Closed),
        };
        if !room.emit(event) {
            self.counters.dropped("event_queue_full");
        }
        None
    }

    /// A peer that ended on its own: its owner is told.
    fn lose(&mut self, now: Instant, id: PeerId, reason: GoneReason) {
        let Some(session) = self.sessions.get(&id) else { return };
        let room_id = session.room;
        tracing::info!(parent: &session.span, ?reason, "peer gone");
        self.counters.lost(reason);
        self.remove_peer(now, id);
        if let Some(room) = self.rooms.get_mut(&room_id) {
            room.emit(Event::Gone { peer: id, reason });
        }
    }
}
