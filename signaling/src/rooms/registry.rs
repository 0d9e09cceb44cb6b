//! [`Registry`]: the open rooms of this node, by name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use convene_telemetry::Metrics;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::broadcast;

use super::actor;
use super::command::KeyTest;
use super::data::DataFormat;
use super::error::Error;
use super::handle::RoomHandle;
use super::happening::{Happening, MAX_HAPPENINGS};
use super::history::{History, Stay};
use super::model::{LeaveReason, RoomInfo};
use super::request::{JoinRequest, Joined, RoomRequest};
use crate::token::MAX_ROOM_NAME_BYTES;

/// How rooms behave unless their maker says otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether joining a room that is not open makes it.
    pub auto_create: bool,
    /// How long a room waits for its first participant.
    pub empty_timeout: Duration,
    /// How long a room stays after the last one has left.
    pub departure_timeout: Duration,
    /// Participants of a room; 0: [`Options::participants_cap`].
    pub max_participants: u32,
    /// Participants of a room, whatever its maker asks for.
    pub participants_cap: u32,
    /// Open rooms of this node.
    pub max_rooms: usize,
    /// Tracks of a participant, announced and published together.
    pub max_tracks: usize,
    /// How long a seat is kept for a client whose signaling connection was cut. Rooms look once a second, so that a
    /// vanished client is out of the room within this time and one second.
    pub resume_window: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auto_create: true,
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
            max_participants: 0,
            participants_cap: 5_000,
            max_rooms: 20_000,
            max_tracks: 64,
            resume_window: Duration::from_secs(19),
        }
    }
}

/// The open rooms of this node. Share it by `Arc`.
pub struct Registry {
    rooms: Arc<DashMap<String, RoomHandle>>,
    media: convene_sfu::Handle,
    options: Options,
    format: Arc<dyn DataFormat>,
    metrics: Arc<Metrics>,
    draining: AtomicBool,
    happenings: broadcast::Sender<Arc<Happening>>,
    history: Arc<History>,
}

impl Registry {
    /// An empty registry over a media plane. `format` knows how data packets are written.
    #[must_use]
    pub fn new(
        media: convene_sfu::Handle,
        options: Options,
        format: Arc<dyn DataFormat>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (draining, happenings) = (AtomicBool::new(false), broadcast::channel(MAX_HAPPENINGS).0);
        let history = Arc::default();
        Self { rooms: Arc::default(), media, options, format, metrics, draining, happenings, history }
    }

    /// What happens in all rooms from now on.
    #[must_use]
    pub fn happenings(&self) -> broadcast::Receiver<Arc<Happening>> {
        self.happenings.subscribe()
    }

    /// The open room of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<RoomHandle> {
        self.rooms.get(name).map(|room| room.value().clone()).filter(|room| !room.is_closed())
    }

    /// The room of this name, made if it is not open. An open room is returned as it is.
    pub fn create(&self, request: RoomRequest) -> Result<RoomHandle, Error> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Error::Draining);
        }
        if request.name.is_empty() || request.name.len() > MAX_ROOM_NAME_BYTES {
            return Err(Error::Invalid("room name"));
        }
        if self.rooms.len() >= self.options.max_rooms && !self.rooms.contains_key(&request.name) {
            return Err(Error::Limit("rooms_per_node"));
        }
        // Those who are in calls go first. A room that is open already takes who comes: friends are not split up.
        if self.media.is_overloaded() && self.get(&request.name).is_none() {
            return Err(Error::Limit("node_overloaded"));
        }
        match self.rooms.entry(request.name.clone()) {
            Entry::Occupied(mut entry) => {
                if entry.get().is_closed() {
                    entry.insert(self.spawn(request));
                }
                Ok(entry.get().clone())
            }
            Entry::Vacant(entry) => Ok(entry.insert(self.spawn(request)).value().clone()),
        }
    }

    /// Whether whoever joins a room of this name finds it open, or makes it: by the options, or because they may.
    pub fn check_open(&self, name: &str, may_create: bool) -> Result<(), Error> {
        let there = self.options.auto_create || may_create || self.get(name).is_some();
        if there { Ok(()) } else { Err(Error::RoomNotFound) }
    }

    /// Joins the room of this name; see [`Registry::check_open`].
    pub async fn join(&self, room: RoomRequest, request: JoinRequest) -> Result<(RoomHandle, Joined), Error> {
        // A room may end between the look-up and the join: the second try makes another one.
        let mut last = Error::Closed;
        for _ in 0..2 {
            let handle = match self.get(&room.name) {
                Some(handle) => handle,
                None => {
                    self.check_open(&room.name, request.may_create)?;
                    self.create(room.clone())?
                }
            };
            match handle.join(request.clone()).await {
                Ok(joined) => return Ok((handle, joined)),
                Err(Error::Closed) => last = Error::Closed,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Every open room, or those of the given names.
    pub async fn list(&self, names: &[String]) -> Vec<RoomInfo> {
        let handles: Vec<_> =
            self.handles().into_iter().filter(|h| names.is_empty() || names.iter().any(|n| n == h.name())).collect();
        let mut rooms = Vec::with_capacity(handles.len());
        for handle in handles {
            if let Ok(info) = handle.info().await {
                rooms.push(info); // a room that ended meanwhile is none
            }
        }
        rooms
    }

    /// Ends a room: everyone is sent away.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        self.get(name).ok_or(Error::RoomNotFound)?.close(LeaveReason::RoomDeleted).await
    }

    /// Ends all rooms whose names begin with this: everyone is sent away.
    pub async fn delete_all(&self, prefix: &str) {
        for handle in self.handles_of(prefix) {
            let _ = handle.close(LeaveReason::RoomDeleted).await; // an error says it has ended already
        }
    }

    /// An API key is good no more: whom it has let in is out of all rooms whose names begin with this.
    pub async fn send_away(&self, prefix: &str, key: &str) {
        let key = key.to_owned();
        self.look_at_keys(prefix, Arc::new(move |other| other != key)).await;
    }

    /// Some ends of API keys were missed: whom one has let in that is good no more is out of all rooms.
    pub async fn send_away_unless(&self, is_good: impl Fn(&str) -> bool + Send + Sync + 'static) {
        self.look_at_keys("", Arc::new(is_good)).await;
    }

    async fn look_at_keys(&self, prefix: &str, is_good: KeyTest) {
        for handle in self.handles_of(prefix) {
            handle.keys_ended(Arc::clone(&is_good)).await;
        }
    }

    /// How many rooms are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether no room is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// The server stops: nobody gets in any more, everyone is told to join elsewhere, every room ends.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        for handle in self.handles() {
            let _ = handle.close(LeaveReason::ServerShutdown).await; // an error says it has ended already
        }
    }

    /// Stays in a room: first of those who are there, then of those who have left, the last one first. With `before_ms`
    /// those alone that ended before.
    pub async fn stays(&self, room: &str, identity: Option<&str>, before_ms: Option<i64>, most: usize) -> Vec<Stay> {
        let present = match self.get(room).filter(|_| before_ms.is_none()) {
            Some(handle) => handle.stays(identity).await.unwrap_or_default(), // a room that ended meanwhile is none
            None => Vec::new(),
        };
        let left = most.saturating_sub(present.len());
        let ended = self.history.of(actor::unix_ms(), room, identity, before_ms.unwrap_or(i64::MAX), left);
        present.into_iter().take(most).chain(ended).collect()
    }

    /// How busy the media plane is: 0.0..=1.0. At 1 it has no time left anywhere.
    #[must_use]
    pub fn stress(&self) -> f32 {
        self.media.stress()
    }

    /// How rooms behave.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    fn handles_of(&self, prefix: &str) -> Vec<RoomHandle> {
        self.handles().into_iter().filter(|handle| handle.name().starts_with(prefix)).collect()
    }

    fn handles(&self) -> Vec<RoomHandle> {
        self.rooms.iter().map(|entry| entry.value().clone()).collect()
    }

    fn spawn(&self, request: RoomRequest) -> RoomHandle {
        let task = actor::Setup {
            request,
            media: self.media.clone(),
            options: self.options.clone(),
            format: Arc::clone(&self.format),
            metrics: Arc::clone(&self.metrics),
            rooms: Arc::clone(&self.rooms),
            happenings: self.happenings.clone(),
            history: Arc::clone(&self.history),
        };
        task.spawn()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use bytes::Bytes;
    use convene_sfu::Channel;

    use super::super::data::{DataSender, Stamped};
    use super::super::happening::What;
    use super::super::notice::Notice;
    use super::super::request::{Mode, ServerData};
    use super::*;

    /// Longer than anything here takes on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// Has a fault in it.
    struct Faulty;

    impl DataFormat for Faulty {
        fn stamp(&self, _: DataSender<'_>, _: Channel, _: &[u8]) -> Result<Stamped, &'static str> {
            Err("none")
        }

        fn track_handle(&self, _: &[u8]) -> Result<u16, &'static str> {
            Err("none")
        }

        fn with_track_handle(&self, packet: &[u8], _: u16) -> Bytes {
            Bytes::copy_from_slice(packet)
        }

        fn server_packet(&self, _: &ServerData) -> Bytes {
            panic!("asked to panic by a test");
        }
    }

    async fn until(condition: impl Fn() -> bool) {
        let wait = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.expect("in time");
    }

    fn registry() -> (Registry, Arc<Metrics>) {
        let (localhost, metrics) = (IpAddr::V4(Ipv4Addr::LOCALHOST), Arc::<Metrics>::default());
        let options = convene_sfu::Options {
            bind: localhost,
            ports: vec![0],
            advertised: vec![localhost],
            tcp_port: None,
            spread: convene_sfu::Spread::ByLoad,
            max_load: 2.0,
            loudest: 0,
            metrics: Arc::clone(&metrics),
        };
        let media = convene_sfu::start(&options).unwrap().0;
        (Registry::new(media, Options::default(), Arc::new(Faulty), Arc::clone(&metrics)), metrics)
    }

    /// Has a room panic.
    async fn fail(room: &RoomHandle) {
        let data = ServerData {
            channel: Channel::Reliable,
            payload: Vec::new(),
            topic: None,
            to_identities: Vec::new(),
            to_sids: Vec::new(),
        };
        assert!(matches!(room.send_data(data).await, Err(Error::Closed)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_room_that_panics_ends_is_counted_and_is_made_anew() {
        let (registry, metrics) = registry();
        let join = async || {
            let room = RoomRequest { name: "r".to_owned(), ..RoomRequest::default() };
            registry.join(room, JoinRequest::new("alice", Mode::Single)).await.unwrap()
        };
        let peers = || metrics.peers.with_label_values(&["0"]).get();
        let (room, mut alice) = join().await;
        until(|| peers() == 1).await;
        fail(&room).await;
        let why = loop {
            let notice = tokio::time::timeout(DEADLINE, alice.notices.recv()).await.expect("told in time");
            if let Notice::Leave { reason, .. } = notice.expect("told") {
                break reason;
            }
        };
        assert_eq!(why, LeaveReason::MediaFailure);
        until(|| registry.is_empty() && peers() == 0).await;
        assert_eq!((metrics.room_panics.get(), metrics.rooms.get()), (1, 0));
        let (again, _alice) = join().await;
        assert_ne!(again.sid(), room.sid());
        assert_eq!(registry.len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_room_that_panics_again_as_it_closes_tells_outsiders_that_everybody_is_out() {
        let (registry, metrics) = registry();
        let mut happenings = registry.happenings();
        let room =
            RoomRequest { name: "r".to_owned(), metadata: actor::tests::FAULTY.to_owned(), ..RoomRequest::default() };
        let (handle, _alice) = registry.join(room.clone(), JoinRequest::new("alice", Mode::Single)).await.unwrap();
        let _bob = registry.join(room, JoinRequest::new("bob", Mode::Single)).await.unwrap();
        fail(&handle).await;
        let mut out = Vec::new();
        loop {
            let happening = tokio::time::timeout(DEADLINE, happenings.recv()).await.expect("told in time").unwrap();
            match &happening.what {
                What::Unseated(identity) => out.push(identity.clone()),
                What::Finished => break,
                What::Started | What::Seated(_) | What::Joined(_) | What::Left(_) => {}
                What::Published(..) | What::Unpublished(..) => {}
            }
        }
        out.sort_unstable();
        assert_eq!(out, ["alice", "bob"]);
        until(|| registry.is_empty()).await;
        assert_eq!(metrics.rooms.get(), 0);
    }
}
