//! The queue between [`Room`](crate::Room) handles and a worker thread.

use std::net::SocketAddr;

use bytes::Bytes;
use convene_types::{PeerId, RoomId, TrackId};
use tokio::sync::{mpsc, oneshot};

use crate::handle::{
    Answer, Answered, Channel, ClientAnswer, ClientOffer, Error, Event, LayerTarget, Missing, Offer, PeerOptions,
    Publication, Subscription,
};
use crate::pipe::Exported;
use crate::relocate::Departed;

/// Where the answer to a command goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// One thing the control plane asks of a worker.
pub(crate) enum Command {
    OpenRoom {
        room: RoomId,
        name: String,
        events: mpsc::Sender<(usize, Event)>,
        reply: Reply<()>,
    },
    CloseRoom {
        room: RoomId,
    },
    InRoom {
        room: RoomId,
        action: Action,
    },
    /// A connection whose first frame is an ICE check for a peer of this worker.
    Connection {
        stream: std::net::TcpStream,
        remote: SocketAddr,
        first: Bytes,
    },
    Stop,
}

impl Command {
    /// The room that a panic on the way would be the fault of.
    pub(crate) const fn room(&self) -> Option<RoomId> {
        match self {
            Self::CloseRoom { room } | Self::InRoom { room, .. } => Some(*room),
            Self::OpenRoom { .. } | Self::Connection { .. } | Self::Stop => None,
        }
    }
}

/// One thing asked of a room.
pub(crate) enum Action {
    AddPeer {
        options: PeerOptions,
        reply: Reply<()>,
    },
    RemovePeer {
        peer: PeerId,
    },
    Offer {
        peer: PeerId,
        offer: ClientOffer,
        reply: Reply<Answer>,
    },
    CreateOffer {
        peer: PeerId,
        ice_restart: bool,
        reply: Reply<Offer>,
    },
    Answer {
        peer: PeerId,
        answer: ClientAnswer,
        reply: Reply<Answered>,
    },
    IceRestartFragment {
        peer: PeerId,
        fragment: String,
        reply: Reply<String>,
    },
    Publish {
        peer: PeerId,
        publication: Publication,
        reply: Reply<()>,
    },
    Unpublish {
        track: TrackId,
    },
    SetMuted {
        track: TrackId,
        muted: bool,
    },
    Subscribe {
        peer: PeerId,
        subscription: Subscription,
        reply: Reply<Missing>,
    },
    Unsubscribe {
        peer: PeerId,
        track: TrackId,
    },
    SetTarget {
        peer: PeerId,
        track: TrackId,
        target: LayerTarget,
    },
    /// Another worker has a subscriber of this track.
    Export {
        track: TrackId,
        to: usize,
        reply: Reply<Exported>,
    },
    Import {
        exported: Exported,
        reply: Reply<()>,
    },
    /// What a peer that may go on to another worker is subscribed to.
    Subscriptions {
        peer: PeerId,
        reply: Reply<Vec<TrackId>>,
    },
    /// A peer goes on to another worker, which has all that it is subscribed to.
    Release {
        peer: PeerId,
        to: usize,
        reply: Reply<Box<Departed>>,
    },
    /// A peer of another worker's comes.
    Adopt {
        departed: Box<Departed>,
        reply: Reply<()>,
    },
    SendData {
        to: Vec<PeerId>,
        channel: Channel,
        payload: Bytes,
    },
    Panic,
}
