//! Moves datagrams: one pinned thread per core owns a UDP socket, the peers behind it and their rooms.
//!
//! The control plane talks to it through [`Handle`] and [`Room`]; everything it decides is decided in `convene-peer`
//! (one transport) and `convene-sfu-core` (who gets which packet).
//!
//! Invariant: on the path of an RTP packet there is no await, no lock, no channel and no log above TRACE.

mod acceptor;
mod balance;
mod branch;
mod command;
mod control;
mod counters;
mod demux;
mod forward;
mod frames;
pub mod handle;
mod lag;
mod links;
mod negotiate;
mod network;
mod overload;
mod pipe;
mod places;
mod receive;
mod relocate;
mod room;
mod room_handle;
mod service;
mod session;
mod shed;
mod socket;
mod speaking;
mod start;
mod timers;
mod waker;
mod worker;

pub use acceptor::accept;
pub use balance::balance;
pub use convene_peer::sdp::MAX_SDP_BYTES;
pub use handle::{
    Answer, Answered, Bind, Channel, ClientAnswer, ClientOffer, Error, Event, Flow, GoneReason, Grade, Incoming,
    LayerTarget, Missing, Msid, Offer, PeerOptions, Publication, Rating, Speaker, Subscription,
};
pub use places::Spread;
pub use room_handle::{Events, Handle, MAX_ROOM_EVENTS, Room};
pub use start::{Options, StartError, Workers, start};
