//! A room without a media plane: the tests play its part.

use std::time::{Duration, Instant};

use bytes::Bytes;
use convene_sfu::{Answer, Channel, GoneReason, Grade, Incoming, Missing, Msid, Offer, Rating, Speaker};
use convene_types::{Codec, MediaKind, Mid, PeerId, TrackId};
use tokio::sync::mpsc;

use super::{Action, Now, Peers, State};
use crate::rooms::data::{DataFormat, DataSender, Stamped};
use crate::rooms::happening::What;
use crate::rooms::{
    AllowedTracks, CodecInfo, DataSubscription, DataTrackInfo, DataTrackRequest, Error, FrameName, JoinRequest,
    LayerInfo, LeaveAction, LeaveReason, Mode, Notice, Options, ParticipantChange, ParticipantId, ParticipantInfo,
    ParticipantState, Permission, RoomRequest, ServerData, SessionId, Source, Speech, SubscriptionChange,
    SubscriptionPolicy, TrackExtras, TrackInfo, TrackRequest, TrackSettings,
};

mod connections;
mod data_tracks;
mod limits;
mod publishing;
mod resuming;
mod seats;
mod subscribing;

struct Room {
    state: State,
    start: Instant,
    now: Now,
    next: u64,
}

/// A participant as its signaling connection sees it.
struct Client {
    id: ParticipantId,
    sid: String,
    session: SessionId,
    peers: Peers,
    notices: mpsc::Receiver<Notice>,
    joined: Vec<ParticipantInfo>,
}

impl Client {
    fn read(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).collect()
    }

    /// What it was told of a participant last.
    fn told_of(&mut self, identity: &str) -> Option<ParticipantInfo> {
        let updates = self
            .read()
            .into_iter()
            .filter_map(|notice| if let Notice::Participants(infos) = notice { Some(infos.to_vec()) } else { None });
        updates.flatten().filter(|info| info.identity == identity).last()
    }
}

/// A format whose packets are a receiver's name.
struct Names;

impl DataFormat for Names {
    fn stamp(&self, from: DataSender<'_>, _: Channel, packet: &[u8]) -> Result<Stamped, &'static str> {
        let text = std::str::from_utf8(packet).map_err(|_| "malformed")?;
        Ok(Stamped {
            payload: Bytes::from(format!("{}:{text}", from.identity)),
            to_identities: text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            to_sids: Vec::new(),
            sequence: 9,
        })
    }

    fn track_handle(&self, packet: &[u8]) -> Result<u16, &'static str> {
        packet.first().copied().map(u16::from).ok_or("malformed")
    }

    fn with_track_handle(&self, packet: &[u8], handle: u16) -> Bytes {
        Bytes::from(format!("{handle}:{}", packet.len()))
    }

    fn server_packet(&self, data: &ServerData) -> Bytes {
        Bytes::from(data.payload.clone())
    }
}

impl Room {
    fn new() -> Self {
        Self::with(RoomRequest { name: "r".into(), ..RoomRequest::default() }, Options::default())
    }

    fn with(request: RoomRequest, options: Options) -> Self {
        let start = Instant::now();
        let now = Now { at: start, unix_ms: 1_000_000 };
        Self { state: State::new(now, "RM_r".into(), request, options), start, now, next: 100 }
    }

    fn at(&mut self, seconds: u64) -> Now {
        self.now = Now { at: self.start + Duration::from_secs(seconds), ..self.now };
        self.now
    }

    fn try_join(&mut self, request: JoinRequest) -> Result<Client, Error> {
        self.state.check_join(&request)?;
        self.next += 2;
        let publisher = PeerId(self.next);
        let subscriber = if request.mode == Mode::Dual { PeerId(self.next + 1) } else { publisher };
        let peers = Peers { publisher, subscriber };
        let joined = self.state.handle_join(self.now, request, peers);
        let (id, sid, session) = (joined.participant, joined.info.sid, joined.session);
        Ok(Client { id, sid, session, peers, notices: joined.notices, joined: joined.others })
    }

    fn join(&mut self, identity: &str) -> Client {
        self.try_join(JoinRequest::new(identity, Mode::Single)).unwrap()
    }

    /// Joined, connected, and told of it.
    fn active(&mut self, identity: &str) -> Client {
        self.active_as(identity, Mode::Single)
    }

    fn active_as(&mut self, identity: &str, mode: Mode) -> Client {
        let mut client = self.try_join(JoinRequest::new(identity, mode)).unwrap();
        if mode == Mode::Dual {
            self.offer_to(&client);
            self.state.handle_answered(client.id, false);
        }
        self.state.handle_connected(self.now, client.peers.subscriber);
        client.read();
        client
    }

    /// Two-connection mode: the media plane has written the offer that is due.
    fn offer_to(&mut self, client: &Client) {
        self.state.settle(self.now);
        self.state.handle_offer_made(self.now, client.id, Ok(Offer { sdp: "o".into(), outgoing: vec![] }));
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.state.poll_action()).collect()
    }

    /// Tracks that would be subscribed and unsubscribed for a peer.
    fn subscriptions(&mut self, of: &Client) -> (Vec<TrackId>, Vec<TrackId>) {
        let mut result = (Vec::new(), Vec::new());
        for action in self.actions() {
            if let Action::Subscribe { peer, subscription, .. } = &action
                && *peer == of.peers.subscriber
            {
                result.0.push(subscription.track);
            }
            if let Action::Unsubscribe { peer, track } = action
                && peer == of.peers.subscriber
            {
                result.1.push(track);
            }
        }
        result
    }

    fn announce(&mut self, of: &Client, request: TrackRequest) -> (TrackId, TrackInfo) {
        assert!(self.state.check_track(of.id, &request).unwrap().is_none());
        self.next += 1;
        let track = TrackId(self.next);
        let info = self.state.handle_track_added(of.id, track, request);
        (track, info)
    }

    /// Announced, and carried by a section of an offer.
    fn publish(&mut self, of: &Client, request: TrackRequest) -> (TrackId, TrackInfo) {
        let codec = if request.kind == MediaKind::Audio { Codec::Opus } else { Codec::Vp8 };
        let (track, info) = self.announce(of, request);
        self.bind(of.id, track, codec);
        (track, info)
    }

    /// An offer carries what was announced.
    fn bind(&mut self, owner: ParticipantId, track: TrackId, codec: Codec) {
        let incoming =
            Incoming { mid: mid("7"), kind: codec.kind(), msid_track: None, track: Some(track), codec: Some(codec) };
        self.state.handle_offer_answered(self.now, owner, &answer(vec![incoming], Missing::default()));
    }
}

fn mid(text: &str) -> Mid {
    text.parse().unwrap()
}

fn answer(incoming: Vec<Incoming>, missing: Missing) -> Answer {
    let (outgoing, decodes) = (Vec::new(), Vec::new());
    Answer { sdp: String::new(), outgoing, incoming, decodes, missing, ufrag: "u".into(), ice_restarted: false }
}

fn track(cid: &str, kind: MediaKind, source: Source) -> TrackRequest {
    TrackRequest {
        cid: cid.into(),
        kind,
        source,
        name: String::new(),
        muted: false,
        width: 0,
        height: 0,
        stream: String::new(),
        layers: Vec::new(),
        codecs: Vec::new(),
        extras: TrackExtras::default(),
    }
}

fn microphone() -> TrackRequest {
    track("mic", MediaKind::Audio, Source::Microphone)
}

fn camera() -> TrackRequest {
    let layer = |quality, width, height| LayerInfo { quality, width, height, ..LayerInfo::default() };
    let layers = vec![layer(0, 320, 180), layer(1, 640, 360), layer(2, 1280, 720)];
    TrackRequest { layers, ..track("cam", MediaKind::Video, Source::Camera) }
}

fn asks(notices: &[Notice]) -> usize {
    notices.iter().filter(|notice| matches!(notice, Notice::SectionsNeeded { .. })).count()
}
