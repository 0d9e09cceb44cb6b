//! [`Handle`] and [`Room`]: how the control plane reaches the worker threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use convene_types::{PeerId, RoomId, TrackId};
use tokio::sync::{OnceCell, RwLock, mpsc, oneshot};

use crate::command::{Action, Command, Reply};
use crate::handle::{
    Answer, Answered, Channel, ClientAnswer, ClientOffer, Error, Event, LayerTarget, Missing, Offer, PeerOptions,
    Publication, Subscription,
};
use crate::places::{self, Places, Site, Spread};
use crate::speaking::Speaking;
use crate::waker::WorkerSender;

/// Events a room may have under way to its owner. Raising it hides a slow owner for longer; lowering it drops lossy data
/// sooner. At 50 events a second (speakers, joins, data) this is twenty seconds.
pub const MAX_ROOM_EVENTS: usize = 1024;

/// Workers whose loads (thousandths) are as good as equal: then the one with fewer rooms gets the next.
const SAME_LOAD: u32 = 100;

/// The media plane, for the control plane. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    workers: Arc<[WorkerEntry]>,
    spread: Spread,
    /// Thousandths of a worker's time from which it gets no new room.
    max_load: u32,
    rooms: Arc<Mutex<Vec<Weak<Shared>>>>,
    next_room: Arc<AtomicU64>,
    next_id: Arc<AtomicU64>,
}

pub(crate) struct WorkerEntry {
    pub(crate) sender: WorkerSender,
    pub(crate) rooms: Arc<AtomicUsize>,
    /// Thousandths of its time, as of the last second.
    pub(crate) load: Arc<AtomicU32>,
}

/// One room: on one worker, and on more when it is larger than that. Cheap to clone; it lives until [`Room::close`].
#[derive(Clone)]
pub struct Room {
    shared: Arc<Shared>,
}

struct Shared {
    id: RoomId,
    name: String,
    workers: Arc<[WorkerEntry]>,
    spread: Spread,
    /// By worker: whether the room is open there.
    parts: Vec<OnceCell<()>>,
    events: mpsc::WeakSender<(usize, Event)>,
    places: Mutex<Places>,
    /// Held for writing while a peer goes from worker to worker: what is asked of it meanwhile waits.
    moving: RwLock<()>,
}

/// What a room tells its owner, from all workers that have a part of it.
pub struct Events {
    receiver: mpsc::Receiver<(usize, Event)>,
    shared: Arc<Shared>,
    speaking: Speaking,
}

impl Handle {
    pub(crate) fn new(workers: Vec<WorkerEntry>, spread: Spread, max_load: u32) -> Self {
        let next = || Arc::new(AtomicU64::new(1));
        let rooms = Arc::default();
        Self { workers: workers.into(), spread, max_load, rooms, next_room: next(), next_id: next() }
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

    /// How busy the least busy worker is: 0.0..=1.0. At 1 there is no time left anywhere.
    #[must_use]
    pub fn stress(&self) -> f32 {
        let busy = self.workers.iter().map(|worker| worker.load.load(Ordering::Relaxed)).min();
        busy.unwrap_or(0) as f32 / 1e3
    }

    /// Whether new rooms are refused.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.workers.iter().all(|worker| worker.load.load(Ordering::Relaxed) >= self.max_load)
    }

    /// Places a room on the worker with the most time. Its events come over the receiver. Refused where no worker has time:
    /// those who are in calls go first.
    pub async fn open_room(&self, name: &str) -> Result<(Room, Events), Error> {
        let loads = self.workers.iter().enumerate().map(|(index, worker)| {
            let (busy, rooms) = (worker.load.load(Ordering::Relaxed), worker.rooms.load(Ordering::Relaxed));
            (busy / SAME_LOAD, rooms, index, busy)
        });
        let (_, _, home, busy) = loads.min().ok_or(Error::Closed)?;
        if busy >= self.max_load {
            return Err(Error::Limit { limit: "node_overloaded" });
        }
        let (sender, receiver) = mpsc::channel(MAX_ROOM_EVENTS);
        let shared = Arc::new(Shared {
            id: RoomId(self.next_room.fetch_add(1, Ordering::Relaxed)),
            name: name.to_owned(),
            workers: Arc::clone(&self.workers),
            spread: self.spread,
            parts: self.workers.iter().map(|_| OnceCell::new()).collect(),
            events: sender.downgrade(),
            places: Mutex::new(Places::starting_on(home)),
            moving: RwLock::new(()),
        });
        shared.open(home).await?;
        self.known_rooms().push(Arc::downgrade(&shared));
        let events = Events { receiver, shared: Arc::clone(&shared), speaking: Speaking::default() };
        Ok((Room { shared }, events))
    }

    pub(crate) fn spread(&self) -> Spread {
        self.spread
    }

    /// All workers, with the peers of all rooms.
    pub(crate) fn sites(&self) -> Vec<Site> {
        let rooms = self.open_rooms();
        let peers = |worker| rooms.iter().map(|room| room.places().peers_on(worker)).sum();
        let load = |worker: &WorkerEntry| worker.load.load(Ordering::Relaxed);
        self.workers
            .iter()
            .enumerate()
            .map(|(index, worker)| Site { busy: load(worker), peers: peers(index) })
            .collect()
    }

    /// Who may be moved from a worker. The room with the most of them goes first: what it pipes serves them all.
    pub(crate) fn movable(&self, from: usize) -> Vec<(PeerId, Room)> {
        let mut rooms = Vec::new();
        for shared in self.open_rooms() {
            let peers = shared.places().movable(from);
            rooms.push((peers, Room { shared }));
        }
        rooms.sort_by_key(|(movable, _)| std::cmp::Reverse(movable.len()));
        let each = |(movable, room): (Vec<PeerId>, Room)| movable.into_iter().map(move |peer| (peer, room.clone()));
        rooms.into_iter().flat_map(each).collect()
    }

    fn known_rooms(&self) -> MutexGuard<'_, Vec<Weak<Shared>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that have not ended; the others are forgotten.
    fn open_rooms(&self) -> Vec<Arc<Shared>> {
        let mut known = self.known_rooms();
        known.retain(|room| room.strong_count() > 0);
        known.iter().filter_map(Weak::upgrade).collect()
    }

    /// The way to a worker by the tag of its peers' ufrags.
    pub(crate) fn worker(&self, tag: u16) -> Option<&WorkerSender> {
        self.workers.get(usize::from(tag)).map(|worker| &worker.sender)
    }

    /// Ends every worker; rooms that are still open end without events.
    pub async fn stop(&self) {
        for worker in self.workers.iter() {
            let _ = worker.sender.send(Command::Stop).await; // an error says it has ended already
        }
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the room known to a worker, once.
    async fn open(&self, worker: usize) -> Result<(), Error> {
        let part = self.parts.get(worker).ok_or(Error::Closed)?;
        let open = async || {
            let events = self.events.upgrade().ok_or(Error::Closed)?;
            let (reply, answer) = oneshot::channel();
            let command = Command::OpenRoom { room: self.id, name: self.name.clone(), events, reply };
            self.sender(worker)?.send(command).await?;
            answer.await.map_err(|_| Error::Closed)?
        };
        part.get_or_try_init(open).await.copied()
    }

    fn sender(&self, worker: usize) -> Result<&WorkerSender, Error> {
        self.workers.get(worker).map(|worker| &worker.sender).ok_or(Error::Closed)
    }

    async fn tell(&self, worker: usize, action: Action) -> Result<(), Error> {
        self.sender(worker)?.send(Command::InRoom { room: self.id, action }).await
    }

    async fn ask<T>(&self, worker: usize, action: impl FnOnce(Reply<T>) -> Action) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.tell(worker, action(reply)).await?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// See [`Room::relocate`].
    async fn relocate(&self, peer: PeerId, to: usize) -> Result<(), Error> {
        let _alone = self.moving.write().await;
        let from = self.places().of_peer(peer).ok_or(Error::NoSuchPeer)?;
        let tracks = self.ask(from, |reply| Action::Subscriptions { peer, reply }).await?;
        self.open(to).await?;
        for track in tracks {
            self.import(track, to).await?;
        }
        let departed = self.ask(from, |reply| Action::Release { peer, to, reply }).await?;
        self.places().move_peer(peer, to);
        self.ask(to, |reply| Action::Adopt { departed, reply }).await
    }

    /// Makes a track known where one of its subscribers is.
    async fn import(&self, track: TrackId, worker: usize) -> Result<(), Error> {
        let Some(home) = self.places().to_import(track, worker) else { return Ok(()) };
        let exported = self.ask(home, |reply| Action::Export { track, to: worker, reply }).await?;
        self.ask(worker, |reply| Action::Import { exported, reply }).await?;
        self.places().imported(track, worker);
        Ok(())
    }
}

impl Events {
    /// The next thing that happened. `None`: the room is over.
    pub async fn recv(&mut self) -> Option<Event> {
        let (worker, event) = self.receiver.recv().await?;
        match &event {
            Event::Gone { peer, .. } => drop(self.shared.places().remove_peer(*peer)),
            Event::TrackEnded { track } => self.shared.places().remove_track(*track),
            Event::Speakers(speakers) => return Some(Event::Speakers(self.speaking.told(worker, speakers.clone()))),
            Event::Connected { .. }
            | Event::ChannelOpen { .. }
            | Event::Data { .. }
            | Event::TrackStarted { .. }
            | Event::TrackFlowing { .. }
            | Event::StreamState { .. }
            | Event::Quality(_)
            | Event::Measured(_)
            | Event::Failed => {}
        }
        Some(event)
    }
}

impl Room {
    /// The media plane's id of this room, for logs.
    #[must_use]
    pub fn id(&self) -> RoomId {
        self.shared.id
    }

    /// Makes a transport, not negotiated yet.
    pub async fn add_peer(&self, options: PeerOptions) -> Result<(), Error> {
        let (shared, peer) = (&self.shared, options.peer);
        let worker = {
            let places = shared.places();
            let site = |(index, worker): (usize, &WorkerEntry)| Site {
                busy: worker.load.load(Ordering::Relaxed),
                peers: places.peers_on(index),
            };
            let sites: Vec<Site> = shared.workers.iter().enumerate().map(site).collect();
            places::choose(shared.spread, &sites, places.current)
        };
        shared.open(worker).await?;
        shared.places().add_peer(peer, worker);
        let outcome = shared.ask(worker, |reply| Action::AddPeer { options, reply }).await;
        if outcome.is_err() {
            shared.places().remove_peer(peer);
        }
        outcome
    }

    /// Takes a peer that only receives to another worker. Whoever cannot go stays as they are.
    pub(crate) async fn relocate(&self, peer: PeerId, to: usize) -> Result<(), Error> {
        self.shared.relocate(peer, to).await
    }

    /// Ends a transport: its tracks and subscriptions go with it, DTLS is closed. No event follows.
    pub async fn remove_peer(&self, peer: PeerId) -> Result<(), Error> {
        let _still = self.shared.moving.read().await;
        let Some(worker) = self.shared.places().remove_peer(peer) else { return Ok(()) };
        self.shared.tell(worker, Action::RemovePeer { peer }).await
    }

    /// The client offers, we answer. Serves the first offer, renegotiation and ICE restart alike.
    pub async fn offer(&self, peer: PeerId, offer: ClientOffer) -> Result<Answer, Error> {
        self.ask(peer, |reply| Action::Offer { peer, offer, reply }).await
    }

    /// We offer (subscriber transport of the two-connection mode): data channels and one section a subscription.
    pub async fn create_offer(&self, peer: PeerId, ice_restart: bool) -> Result<Offer, Error> {
        self.ask(peer, |reply| Action::CreateOffer { peer, ice_restart, reply }).await
    }

    /// The client's answer to the last [`Room::create_offer`].
    pub async fn answer(&self, peer: PeerId, answer: ClientAnswer) -> Result<Answered, Error> {
        self.ask(peer, |reply| Action::Answer { peer, answer, reply }).await
    }

    /// WHIP/WHEP PATCH (RFC 9725 §4.3): takes an `application/trickle-ice-sdpfrag` with new credentials and
    /// returns ours in the same format. Credentials in force already are refused with `sdp_no_restart`.
    pub async fn restart_ice(&self, peer: PeerId, fragment: String) -> Result<String, Error> {
        self.ask(peer, |reply| Action::IceRestartFragment { peer, fragment, reply }).await
    }

    /// Announces a track of a peer.
    pub async fn publish(&self, peer: PeerId, publication: Publication) -> Result<(), Error> {
        let _still = self.shared.moving.read().await;
        let (worker, track) = (self.place(peer)?, publication.track);
        self.shared.places().add_track(track, worker, peer);
        let outcome = self.shared.ask(worker, |reply| Action::Publish { peer, publication, reply }).await;
        if outcome.is_err() {
            self.shared.places().remove_track(track);
        }
        outcome
    }

    /// Ends a track; its subscriptions go with it.
    pub async fn unpublish(&self, track: TrackId) -> Result<(), Error> {
        let _still = self.shared.moving.read().await;
        let workers = self.shared.places().of_track(track);
        self.shared.places().remove_track(track);
        // Its home tells the branches as well; the second time changes nothing.
        self.tell_all(workers, || Action::Unpublish { track }).await
    }

    /// A muted track is received and not forwarded.
    pub async fn set_muted(&self, track: TrackId, muted: bool) -> Result<(), Error> {
        let _still = self.shared.moving.read().await;
        let workers = self.shared.places().of_track(track);
        self.tell_all(workers, || Action::SetMuted { track, muted }).await
    }

    /// Subscribes a peer to a track. It flows once a section is negotiated for it: by the client's next offer
    /// (single-connection mode) or our next `create_offer`. Returns how many sections the peer lacks for all its waiting
    /// subscriptions; zeros with `negotiate` set mean that free sections exist and an offer alone is enough.
    pub async fn subscribe(&self, peer: PeerId, subscription: Subscription) -> Result<Missing, Error> {
        let _still = self.shared.moving.read().await;
        let worker = self.place(peer)?;
        self.shared.import(subscription.track, worker).await?;
        self.shared.ask(worker, |reply| Action::Subscribe { peer, subscription, reply }).await
    }

    /// Ends a subscription; its section is free for another one.
    pub async fn unsubscribe(&self, peer: PeerId, track: TrackId) -> Result<(), Error> {
        let _still = self.shared.moving.read().await;
        let Ok(worker) = self.place(peer) else { return Ok(()) };
        self.shared.tell(worker, Action::Unsubscribe { peer, track }).await
    }

    /// Chooses layer or pause of a subscription. Unknown subscriptions are ignored.
    pub async fn set_target(&self, peer: PeerId, track: TrackId, target: LayerTarget) -> Result<(), Error> {
        let _still = self.shared.moving.read().await;
        let Ok(worker) = self.place(peer) else { return Ok(()) };
        self.shared.tell(worker, Action::SetTarget { peer, track, target }).await
    }

    /// Sends one message to many peers; those without the channel open keep a bounded number until it opens.
    pub async fn send_data(&self, to: Vec<PeerId>, channel: Channel, payload: Bytes) -> Result<(), Error> {
        let _still = self.shared.moving.read().await;
        let mut by_worker: HashMap<usize, Vec<PeerId>> = HashMap::new();
        for peer in to {
            if let Ok(worker) = self.place(peer) {
                by_worker.entry(worker).or_default().push(peer);
            }
        }
        for (worker, to) in by_worker {
            self.shared.tell(worker, Action::SendData { to, channel, payload: payload.clone() }).await?;
        }
        Ok(())
    }

    /// Ends the room and every peer in it.
    pub async fn close(&self) {
        let _still = self.shared.moving.read().await;
        for (worker, part) in self.shared.parts.iter().enumerate() {
            if part.initialized()
                && let Ok(sender) = self.shared.sender(worker)
            {
                // An error says that it is closed already.
                let _ = sender.send(Command::CloseRoom { room: self.shared.id }).await;
            }
        }
    }

    /// Makes the room's next step panic, to prove that one room's fault stays its own. Only `--dev` servers wire it up.
    pub async fn inject_panic(&self) -> Result<(), Error> {
        let worker = self.shared.places().current;
        self.shared.tell(worker, Action::Panic).await
    }

    fn place(&self, peer: PeerId) -> Result<usize, Error> {
        self.shared.places().of_peer(peer).ok_or(Error::NoSuchPeer)
    }

    async fn ask<T>(&self, peer: PeerId, action: impl FnOnce(Reply<T>) -> Action) -> Result<T, Error> {
        let _still = self.shared.moving.read().await;
        self.shared.ask(self.place(peer)?, action).await
    }

    async fn tell_all(&self, workers: Vec<usize>, action: impl Fn() -> Action) -> Result<(), Error> {
        for worker in workers {
            self.shared.tell(worker, action()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
