//! [`Handle`] and [`Room`]: how the control plane reaches the worker threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use convene_types::{PeerId, RoomId, TrackId};
use tokio::sync::{mpsc, oneshot};

use crate::command::{Action, Command, Reply};
use crate::handle::{
    Answer, Channel, Error, Event, LayerTarget, Missing, Offer, PeerOptions, Publication, Subscription,
};
use crate::waker::WorkerSender;

/// Events a room may have under way to its owner. Raising it hides a slow owner for longer; lowering it drops lossy data
/// sooner. At 50 events a second (speakers, joins, data) this is twenty seconds.
pub const MAX_ROOM_EVENTS: usize = 1024;

/// The media plane, for the control plane. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    workers: Arc<[WorkerEntry]>,
    next_room: Arc<AtomicU64>,
    next_id: Arc<AtomicU64>,
}

pub(crate) struct WorkerEntry {
    pub(crate) sender: WorkerSender,
    pub(crate) rooms: Arc<AtomicUsize>,
}

/// One room on its worker. Cheap to clone; the room lives until [`Room::close`].
#[derive(Clone)]
pub struct Room {
    id: RoomId,
    sender: WorkerSender,
}

impl Handle {
    pub(crate) fn new(workers: Vec<WorkerEntry>) -> Self {
        Self { workers: workers.into(), next_room: Arc::new(AtomicU64::new(1)), next_id: Arc::new(AtomicU64::new(1)) }
    }

    /// A peer id that no one else has.
    #[must_use]
    pub fn new_peer_id(&self) -> PeerId {
        PeerId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// A track id that no one else has.
    #[must_use]
    pub fn new_track_id(&self) -> TrackId {
        TrackId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Places a room on the worker with the fewest rooms. Its events come over the receiver.
    pub async fn open_room(&self, name: &str) -> Result<(Room, mpsc::Receiver<Event>), Error> {
        let worker = self.workers.iter().min_by_key(|w| w.rooms.load(Ordering::Relaxed)).ok_or(Error::Closed)?;
        let room = RoomId(self.next_room.fetch_add(1, Ordering::Relaxed));
        let (events, receiver) = mpsc::channel(MAX_ROOM_EVENTS);
        let (reply, answer) = oneshot::channel();
        let name = name.to_owned();
        worker.sender.send(Command::OpenRoom { room, name, events, reply }).await?;
        answer.await.map_err(|_| Error::Closed)??;
        Ok((Room { id: room, sender: worker.sender.clone() }, receiver))
    }

    /// Ends every worker; rooms that are still open end without events.
    pub async fn stop(&self) {
        for worker in self.workers.iter() {
            let _ = worker.sender.send(Command::Stop).await; // an error says it has ended already
        }
    }
}

impl Room {
    /// The media plane's id of this room, for logs.
    #[must_use]
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Makes a transport, not negotiated yet.
    pub async fn add_peer(&self, options: PeerOptions) -> Result<(), Error> {
        self.ask(|reply| Action::AddPeer { options, reply }).await
    }

    /// Ends a transport: its tracks and subscriptions go with it, DTLS is closed. No event follows.
    pub async fn remove_peer(&self, peer: PeerId) -> Result<(), Error> {
        self.tell(Action::RemovePeer { peer }).await
    }

    /// The client offers, we answer. Serves the first offer, renegotiation and ICE restart alike.
    pub async fn offer(&self, peer: PeerId, sdp: String) -> Result<Answer, Error> {
        self.ask(|reply| Action::Offer { peer, sdp, reply }).await
    }

    /// We offer (subscriber transport of the two-connection mode): data channels and one section a subscription.
    pub async fn create_offer(&self, peer: PeerId, ice_restart: bool) -> Result<Offer, Error> {
        self.ask(|reply| Action::CreateOffer { peer, ice_restart, reply }).await
    }

    /// The client's answer to the last [`Room::create_offer`].
    pub async fn answer(&self, peer: PeerId, sdp: String) -> Result<(), Error> {
        self.ask(|reply| Action::Answer { peer, sdp, reply }).await
    }

    /// WHIP/WHEP PATCH (RFC 9725 §4.3): takes an `application/trickle-ice-sdpfrag` with new credentials and
    /// returns ours in the same format. Credentials in force already are refused with `sdp_no_restart`.
    pub async fn restart_ice(&self, peer: PeerId, fragment: String) -> Result<String, Error> {
        self.ask(|reply| Action::IceRestartFragment { peer, fragment, reply }).await
    }

    /// Announces a track of a peer.
    pub async fn publish(&self, peer: PeerId, publication: Publication) -> Result<(), Error> {
        self.ask(|reply| Action::Publish { peer, publication, reply }).await
    }

    /// Ends a track; its subscriptions go with it.
    pub async fn unpublish(&self, track: TrackId) -> Result<(), Error> {
        self.tell(Action::Unpublish { track }).await
    }

    /// A muted track is received and not forwarded.
    pub async fn set_muted(&self, track: TrackId, muted: bool) -> Result<(), Error> {
        self.tell(Action::SetMuted { track, muted }).await
    }

    /// Subscribes a peer to a track. It flows once a section is negotiated for it: by the client's next offer
    /// (single-connection mode) or our next `create_offer`. Returns how many sections the peer lacks for all its waiting
    /// subscriptions; zeros with `negotiate` set mean that free sections exist and an offer alone is enough.
    pub async fn subscribe(&self, peer: PeerId, subscription: Subscription) -> Result<Missing, Error> {
        self.ask(|reply| Action::Subscribe { peer, subscription, reply }).await
    }

    /// Ends a subscription; its section is free for another one.
    pub async fn unsubscribe(&self, peer: PeerId, track: TrackId) -> Result<(), Error> {
        self.tell(Action::Unsubscribe { peer, track }).await
    }

    /// Chooses layer or pause of a subscription. Unknown subscriptions are ignored.
    pub async fn set_target(&self, peer: PeerId, track: TrackId, target: LayerTarget) -> Result<(), Error> {
        self.tell(Action::SetTarget { peer, track, target }).await
    }

    /// Sends one message to many peers; those without the channel open keep a bounded number until it opens.
    pub async fn send_data(&self, to: Vec<PeerId>, channel: Channel, payload: Bytes) -> Result<(), Error> {
        self.tell(Action::SendData { to, channel, payload }).await
    }

    /// Ends the room and every peer in it.
    pub async fn close(&self) {
        let _ = self.sender.send(Command::CloseRoom { room: self.id }).await; // an error says it is closed already
    }

    /// Makes the room's next step panic, to prove that one room's fault stays its own. Only `--dev` servers wire it up.
    pub async fn inject_panic(&self) -> Result<(), Error> {
        self.tell(Action::Panic).await
    }

    async fn tell(&self, action: Action) -> Result<(), Error> {
        self.sender.send(Command::InRoom { room: self.id, action }).await
    }

    async fn ask<T>(&self, action: impl FnOnce(Reply<T>) -> Action) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.tell(action(reply)).await?;
        answer.await.map_err(|_| Error::Closed)?
    }
}
