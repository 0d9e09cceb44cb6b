//! [`Peer`]: one WebRTC transport as the SFU sees it.
//!
//! It joins the three parts that know nothing of each other: [`transport`](crate::transport) (datagrams to plaintext),
//! [`sdp`](crate::sdp) (what was agreed) and [`sctp`](crate::sctp) (data channels over DTLS application data).
//! It is not a forwarder: RTP goes through [`Peer::unprotect_rtp`] and [`Peer::protect_rtp`] in place, in the caller's
//! buffers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use convene_rtp::packet::View;
use convene_types::{MediaKind, Mid, Ssrc, TrackId};

use crate::DropReason;
use crate::sctp::{self, ChannelId, Channels};
use crate::sdp::{self, CodecParams, Fragment, Negotiator, SdpError, Section};
use crate::sources::{Source, Sources};
use crate::transport::ice::Credentials;
use crate::transport::{self, Fingerprint, Identity, SealError, Transmit, Transport};

/// Messages of one peer waiting for the caller's `poll_event`; the caller polls after each input, so this is reached
/// only by a bug.
const MAX_EVENTS: usize = 1024;

/// What a peer is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The process's certificate.
    pub identity: Arc<Identity>,
    /// Host candidates for the SDP.
    pub candidates: Vec<SocketAddr>,
    /// See [`sdp::Options::reserve_sections`].
    pub reserve_sections: bool,
    /// `o=` session id, unique per peer.
    pub session_id: u64,
}

/// What a peer reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first path, or a move to another one.
    Path(SocketAddr),
    /// DTLS is done: media can be sealed and opened.
    Secured,
    /// A data channel is usable.
    ChannelOpen(String),
    /// A message, with the label of its channel.
    Message(String, Bytes),
    /// It cannot go on.
    Failed(transport::FailReason),
    /// The client closed DTLS.
    Closed,
}

/// See the module.
pub struct Peer {
    transport: Transport,
    sdp: Negotiator,
    sources: Sources,
    channels: Option<Channels>,
    labels: Vec<(ChannelId, String)>,
    events: VecDeque<Event>,
    /// Server-opened channels wanted once SCTP is up (two-connection mode).
    server_channels: bool,
    secured: bool,
    identity: Arc<Identity>,
}
