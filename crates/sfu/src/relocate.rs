//! A peer that only receives goes on to another worker, in the middle of its call.
//!
//! Its transport and its place in the room are plain state and go over whole. What stays is the address that it knows: the
//! socket of the worker it joined. What is sent to it leaves by that socket, on the new worker's time, and that is what costs;
//! what comes from it, some feedback and checks, is passed on by the old worker (a [`Relay`]).
//!
//! Not moved is who publishes (all branches of its tracks would have to follow), who came over TCP (the connection is in the
//! old worker's poll), and who has been moved before (relays do not chain). Whoever begins to publish after a move is passed on
//! packet by packet, as far as the pipe has room.

use std::time::Instant;

use bytes::Bytes;
use convene_sfu_core as core;
use convene_types::{PeerId, TrackId};

use crate::command::Reply;
use crate::demux::{Class, Entries, Name};
use crate::handle::Error;
use crate::links;
use crate::negotiate::forget_subscription;
use crate::pipe::Piped;
use crate::session::Session;
use crate::socket::Path;
use crate::worker::Worker;

/// What a worker keeps of a peer that went on to another.
pub(crate) struct Relay {
    to: usize,
    entries: Entries,
}

/// A peer between two workers.
pub(crate) struct Departed {
    session: Box<Session>,
    subscriber: Option<core::Moved>,
    /// The worker that it left.
    from: usize,
}

impl Worker {
    /// What a peer is subscribed to, if it may go.
    pub(crate) fn subscriptions(&self, id: PeerId) -> Result<Vec<TrackId>, Error> {
        let session = self.sessions.get(&id).ok_or(Error::NoSuchPeer)?;
        let room = self.rooms.get(&session.room).ok_or(Error::Closed)?;
        let tracks = room.core.subscriptions(id);
        let over_udp = session.path().is_some_and(|path| links::link_of(path.remote).is_none());
        let stays = !session.published.is_empty() || session.via.is_some() || !session.connected || !over_udp;
        match stays || tracks.is_empty() {
            true => Err(Error::Limit { limit: "peer_stays" }),
            false => Ok(session.subscribed.iter().map(|subscribed| subscribed.subscription.track).collect()),
        }
    }

    /// Lets a peer go. If nobody is there to take it, it stays.
    pub(crate) fn answer_release(&mut self, now: Instant, id: PeerId, to: usize, reply: Reply<Box<Departed>>) {
        let released = self.subscriptions(id).and_then(|_tracks| self.release(now, id, to).ok_or(Error::NoSuchPeer));
        if let Err(Ok(mut departed)) = reply.send(released.map(Box::new)) {
            if let Some(relay) = self.relays.remove(&id) {
                departed.session.entries = relay.entries;
            }
            let _ = self.take_in(now, *departed, None); // its room is here: it was a moment ago
        }
    }

    fn release(&mut self, now: Instant, id: PeerId, to: usize) -> Option<Departed> {
        self.transmit(id);
        let mut session = self.sessions.remove(&id)?;
        let entries = std::mem::take(&mut session.entries);
        self.relays.insert(id, Relay { to, entries });
        let room = self.rooms.get_mut(&session.room)?;
        room.members.retain(|member| *member != id);
        let subscriber = room.core.release(id);
        self.mark_due(now, session.room);
        Some(Departed { session, subscriber, from: self.pipes.own() })
    }

    /// Takes a peer of another worker's in.
    pub(crate) fn adopt(&mut self, now: Instant, departed: Departed) -> Result<(), Error> {
        let (id, from) = (departed.session.id, departed.from);
        let outcome = self.take_in(now, departed, Some(from));
        match outcome {
            Ok(()) => self.counters.moved(),
            Err(_) => drop(self.pipes.tell(from, Piped::Left { peer: id })),
        }
        outcome
    }

    fn take_in(&mut self, now: Instant, departed: Departed, via: Option<usize>) -> Result<(), Error> {
        let Departed { mut session, subscriber, .. } = departed;
        let (id, room_id) = (session.id, session.room);
        let room = self.rooms.get_mut(&room_id).ok_or(Error::Closed)?;
        session.via = via;
        room.members.push(id);
        if let Some(subscriber) = subscriber {
            room.core.adopt(now, subscriber);
        }
        // Tracks that ended while it was between two workers: whoever told their subscribers did not find it.
        let tracks = session.subscribed.iter().map(|subscribed| subscribed.subscription.track);
        for ended in tracks.filter(|track| !room.tracks.contains_key(track)).collect::<Vec<_>>() {
            forget_subscription(&mut room.core, &mut session, ended); // what waited is activated below
        }
        tracing::debug!(parent: &session.span, ?via, "peer came from another worker");
        self.sessions.insert(id, session);
        self.activate(now, id);
        self.service(now, id);
        self.mark_due(now, room_id);
        Ok(())
    }

    /// Passes on what came for a peer that is elsewhere. Over a connection nothing can go back to it.
    pub(crate) fn relay(&mut self, id: PeerId, path: Path, datagram: &[u8]) {
        let Some(relay) = self.relays.get(&id) else { return };
        if links::link_of(path.remote).is_some() {
            return self.counters.dropped("tcp_moved");
        }
        let message = Piped::Datagram { peer: id, path, bytes: Bytes::copy_from_slice(datagram) };
        if !self.pipes.send(relay.to, message) {
            self.counters.dropped("pipe_full");
        }
    }

    /// What another worker passed on.
    pub(crate) fn handle_relayed(&mut self, now: Instant, id: PeerId, path: Path, bytes: &[u8]) {
        let Some(session) = self.sessions.get(&id) else { return self.counters.dropped("relayed_stranger") };
        let (path, known) = (Path { via: session.via, ..path }, session.peer.remote() == Some(path.remote));
        match Class::of(bytes) {
            Class::Rtp if known => self.handle_srtp_of(now, id, path, &mut bytes.to_vec()),
            Class::Rtp => {
                if !self.handle_srtp_from_elsewhere(now, id, path, bytes) {
                    self.counters.dropped("rtp_unknown_address");
                }
            }
            Class::Stun => self.handle_stun_of(now, id, path, bytes),
            Class::Dtls => self.handle_dtls_of(now, id, path, bytes),
            Class::Unknown => self.counters.dropped("unknown_protocol"),
        }
    }

    /// Enters a name of a peer where its packets come in.
    pub(crate) fn enter(&mut self, id: PeerId, name: &Name) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match session.via {
            None => self.demux.add(id, name, session.peer.remote(), &mut session.entries),
            Some(home) if session.entries.note(name) => {
                self.pipes.tell(home, Piped::Named { peer: id, name: name.clone() });
            }
            Some(_) => {}
        }
    }

    /// The same for the ufrag that checks name it by.
    pub(crate) fn enter_ufrag(&mut self, id: PeerId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let name = Name::Ufrag(session.peer.ufrag().to_owned());
        self.enter(id, &name);
    }

    pub(crate) fn handle_named(&mut self, id: PeerId, name: &Name) {
        if let Some(relay) = self.relays.get_mut(&id) {
            self.demux.add(id, name, None, &mut relay.entries); // its next check enters its path again
        }
    }

    pub(crate) fn end_relay(&mut self, id: PeerId) {
        if let Some(relay) = self.relays.remove(&id) {
            self.demux.remove(id, &relay.entries);
        }
    }

    /// Takes a peer that has left out of the tables that name it.
    pub(crate) fn forget_names(&mut self, session: &Session) {
        self.network.links.close_of(session.id);
        match session.via {
            None => self.demux.remove(session.id, &session.entries),
            Some(home) => drop(self.pipes.tell(home, Piped::Left { peer: session.id })),
        }
    }
}

#[cfg(test)]
mod tests {
    use convene_types::RoomId;
    use tokio::sync::mpsc;

    use crate::handle::{Msid, PeerOptions, Subscription};
    use crate::room::RoomState;
    use crate::worker::tests::{entry, worker};

    use super::*;

    #[test]
    fn a_peer_loses_what_ended_while_it_was_under_way() {
        let (mut worker, now) = (worker(), Instant::now());
        let (id, room_id, (events, _owner)) = (PeerId(1), RoomId(1), mpsc::channel(8));
        let mut room = RoomState::new(String::new(), 0, events, 0, now);
        for track in [TrackId(1), TrackId(2)] {
            room.tracks.insert(track, entry(track));
        }
        worker.rooms.insert(room_id, room);
        let options = PeerOptions { peer: id, label: String::new(), reserve_sections: false, we_offer: false };
        worker.add_peer(now, room_id, &options).unwrap();
        for track in [TrackId(1), TrackId(2)] {
            worker.subscribe(now, id, Subscription { track, msid: Msid::default() }).unwrap();
        }
        let departed = worker.release(now, id, 1).unwrap();
        worker.unpublish(now, room_id, TrackId(2));
        worker.take_in(now, departed, Some(1)).unwrap();
        let session = &worker.sessions[&id];
        let left: Vec<TrackId> = session.subscribed.iter().map(|subscribed| subscribed.subscription.track).collect();
        assert_eq!((left, session.peer.missing_sections()), (vec![TrackId(1)], (1, 0)));
    }
}
