//! The queue between [`Room`](crate::Room) handles and a worker thread.

use bytes::Bytes;
use convene_types::{PeerId, RoomId, TrackId};
use tokio::sync::{mpsc, oneshot};

use crate::handle::{
    Answer, Channel, Error, Event, LayerTarget, Missing, Offer, PeerOptions, Publication, Subscription,
};

/// Where the answer to a command goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// One thing the control plane asks of a worker.
pub(crate) enum Command {
    OpenRoom { room: RoomId, name: String, events: mpsc::Sender<Event>, reply: Reply<()> },
    CloseRoom { room: RoomId },
    InRoom { room: RoomId, action: Action },
    Stop,
}

/// One thing asked of a room.
pub(crate) enum Action {
    AddPeer { options: PeerOptions, reply: Reply<()> },
    RemovePeer { peer: PeerId },
    Offer { peer: PeerId, sdp: String, reply: Reply<Answer> },
    CreateOffer { peer: PeerId, ice_restart: bool, reply: Reply<Offer> },
    Answer { peer: PeerId, sdp: String, reply: Reply<()> },
    IceRestartFragment { peer: PeerId, fragment: String, reply: Reply<String> },
    Publish { peer: PeerId, publication: Publication, reply: Reply<()> },
    Unpublish { track: TrackId },
    SetMuted { track: TrackId, muted: bool },
    Subscribe { peer: PeerId, subscription: Subscription, reply: Reply<Missing> },
    Unsubscribe { peer: PeerId, track: TrackId },
    SetTarget { peer: PeerId, track: TrackId, target: LayerTarget },
    SendData { to: Vec<PeerId>, channel: Channel, payload: Bytes },
    Panic,
}
