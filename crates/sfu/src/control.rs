//! Commands from the control plane, carried out on the worker.

use std::time::{Duration, Instant};

use bytes::Bytes;
use convene_peer::{self as peer, Peer};
use convene_types::{PeerId, RoomId, TrackId};

use crate::command::Action;
use crate::handle::{Channel, Error, LayerTarget, PeerOptions};
use crate::room::MAX_PEERS_PER_ROOM;
use crate::session::{LOSSY_LABEL, RELIABLE_LABEL, Session, TRACKS_LABEL};
use crate::worker::Worker;

/// Negotiated transports of one worker that have not finished DTLS. Each may hold ~100 KiB of handshake state.
const MAX_PENDING_HANDSHAKES: usize = 2_000;

/// From the first SDP to the finished DTLS handshake. Clients themselves give up after 10-15 s.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

impl Worker {
    pub(crate) fn handle_action(&mut self, now: Instant, room: RoomId, action: Action) {
        match action {
            Action::AddPeer { options, reply } => drop(reply.send(self.add_peer(now, room, &options))),
            Action::RemovePeer { peer } => self.remove_peer(now, peer),
            Action::Offer { peer, offer, reply } => drop(reply.send(self.handle_offer(now, peer, offer))),
            Action::CreateOffer { peer, ice_restart, reply } => {
                drop(reply.send(self.create_offer(now, peer, ice_restart)));
            }
            Action::Answer { peer, answer, reply } => drop(reply.send(self.handle_answer(now, peer, answer))),
            Action::IceRestartFragment { peer, fragment, reply } => {
                drop(reply.send(self.restart_ice(now, peer, &fragment)));
            }
            Action::Publish { peer, publication, reply } => drop(reply.send(self.publish(now, peer, publication))),
            Action::Unpublish { track } => self.unpublish(now, room, track),
            Action::SetMuted { track, muted } => {
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.core.set_muted(track, muted);
                    if let Some(entry) = room.tracks.get_mut(&track) {
                        entry.muted = muted;
                    }
                }
            }
            Action::Subscribe { peer, subscription, reply } => {
                drop(reply.send(self.subscribe(now, peer, subscription)));
            }
            Action::Unsubscribe { peer, track } => self.unsubscribe(now, room, peer, track),
            Action::SetTarget { peer, track, target } => self.set_target(now, room, peer, track, target),
            Action::Subscriptions { peer, reply } => drop(reply.send(self.subscriptions(peer))),
            Action::Export { track, to, reply } => drop(reply.send(self.export(room, track, to))),
            Action::Import { exported, reply } => drop(reply.send(self.import(now, room, exported))),
            Action::Release { peer, to, reply } => self.answer_release(now, peer, to, reply),
            Action::Adopt { departed, reply } => drop(reply.send(self.adopt(now, *departed))),
            Action::SendData { to, channel, payload } => self.send_data(now, &to, channel, &payload),
            Action::Panic => panic!("asked to panic by a test"),
        }
        if let Some(room) = self.rooms.get_mut(&room) {
            room.retry_backlog();
        }
        self.tell_demand(room);
        self.after_room_input(now, room);
    }

    pub(crate) fn add_peer(&mut self, now: Instant, room_id: RoomId, options: &PeerOptions) -> Result<(), Error> {
        if self.pending >= MAX_PENDING_HANDSHAKES {
            return Err(Error::Limit { limit: "pending_handshakes" });
        }
        let room = self.rooms.get_mut(&room_id).ok_or(Error::Closed)?;
        if room.members.len() >= MAX_PEERS_PER_ROOM {
            return Err(Error::Limit { limit: "peers_per_room" });
        }
        let mut peer = Peer::new(
            peer::Options {
                identity: self.identity.clone(),
                candidates: self.candidates.clone(),
                tcp_candidates: self.tcp_candidates.clone(),
                tag: self.tag,
                reserve_sections: options.reserve_sections,
                session_id: options.peer.0,
                we_offer: options.we_offer,
            },
            now,
        );
        if options.we_offer {
            // In the two-connection mode the client's own channels are on its publisher transport; what it receives
            // comes over these.
            peer.open_channel(now, RELIABLE_LABEL, true, None);
            peer.open_channel(now, LOSSY_LABEL, false, Some(0));
            peer.open_channel(now, TRACKS_LABEL, false, Some(0));
        }
        let span = tracing::info_span!("peer", room = %room.name, peer = %options.peer, label = %options.label);
        room.members.push(options.peer);
        self.sessions.insert(options.peer, Box::new(Session::new(room_id, options, peer, span)));
        self.enter_ufrag(options.peer);
        Ok(())
    }

    /// Ends a peer: tables, tracks, subscriptions, and the DTLS association with a last word.
    pub(crate) fn remove_peer(&mut self, now: Instant, id: PeerId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.peer.close(now);
        self.transmit(id);
        let Some(session) = self.sessions.remove(&id) else { return };
        self.pending -= usize::from(session.connect_deadline.is_some());
        self.forget_names(&session);
        let Some(room) = self.rooms.get_mut(&session.room) else { return };
        room.members.retain(|member| *member != id);
        room.core.remove_peer(id);
        let tracks: Vec<TrackId> = session.published.iter().map(|published| published.publication.track).collect();
        for track in tracks {
            self.unpublish(now, session.room, track);
        }
    }

    pub(crate) fn close_room(&mut self, now: Instant, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else { return };
        for member in room.members.clone() {
            self.remove_peer(now, member);
        }
        if let Some(mut room) = self.rooms.remove(&id) {
            self.counters.export_room(room.core.stats(), &mut room.exported);
        }
        self.shedder.forget(id);
        self.due.retain(|due| *due != id);
    }

    /// After a panic: nothing of the room is called any more, its peers are dropped.
    pub(crate) fn forget_room(&mut self, _now: Instant, id: RoomId) {
        self.rooms.remove(&id);
        self.shedder.forget(id);
        self.due.retain(|due| *due != id);
        let members: Vec<PeerId> = self.sessions.values().filter(|s| s.room == id).map(|s| s.id).collect();
        for member in members {
            if let Some(session) = self.sessions.remove(&member) {
                self.pending -= usize::from(session.connect_deadline.is_some());
                self.forget_names(&session);
            }
        }
    }

    fn set_target(&mut self, now: Instant, room: RoomId, peer: PeerId, track: TrackId, target: LayerTarget) {
        if let Some(subscribed) = self.subscribed_mut(peer, track) {
            subscribed.target = Some(target);
        }
        if let Some(room) = self.rooms.get_mut(&room) {
            room.core.set_priority(peer, track, target.priority);
            room.core.set_target(now, peer, track, target.paused, target.max_layer);
        }
    }

    fn send_data(&mut self, now: Instant, to: &[PeerId], channel: Channel, payload: &Bytes) {
        for id in to {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            if !session.send_data(now, channel, payload) {
                self.counters.dropped(match channel {
                    Channel::Reliable => "data_reliable_full",
                    Channel::Lossy => "data_lossy_full",
                    Channel::Tracks => "data_tracks_full",
                });
            }
            self.service(now, *id);
        }
    }
}
